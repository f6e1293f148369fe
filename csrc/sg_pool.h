/* sg_pool -- zeroed blocks of 2^lg bytes, cut from large mappings on huge pages.
 *
 *     arena  [64][64][ 256 ][ 64 ]....free....          bump pointer; what is left when it is full goes to the free
 * lists free   lg 6: a -> b     lg 7: -     lg 8: c       one list a size; the link is the block's first word
 *
 * A block is aligned to a cache line. Blocks from 2 MiB on are mappings of their own. Arenas start small and double,
 * so that a small model stays small.
 *
 * Invariants, checked by sg_pool_check() in this order:
 *   I1  taken + free + the open arena's rest = mapped.
 *   I2  every free block lies in a mapping.
 *
 * Owns all blocks; sg_pool_free() takes them all back at once. A block is its taker's until given back with its lg.
 * Cost: O(1), and zeroing a block that was used before. Internal waste is the taker's, at most half.
 * Fails: NULL, nothing changed. Not thread-safe.
 * Instead of malloc: rows double constantly; equal sizes reuse each other exactly, and 4 KiB pages cost a TLB miss at
 * nearly every counter of a large model. */
#ifndef SG_POOL_H
#define SG_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "sg_status.h"

enum { SG_POOL_SMALLEST = 6, SG_POOL_LARGEST = 40 };

typedef struct sg_pool sg_pool;

sg_pool *sg_pool_new(void); /* NULL: out of memory */
void sg_pool_free(sg_pool *pool);

void *sg_pool_take(sg_pool *pool, unsigned lg);             /* NULL: out of memory, or lg above SG_POOL_LARGEST */
void sg_pool_give(sg_pool *pool, void *block, unsigned lg); /* NULL is fine */

size_t sg_pool_taken(const sg_pool *pool);  /* bytes in taken blocks */
size_t sg_pool_mapped(const sg_pool *pool); /* bytes held from the system */
int sg_pool_check(const sg_pool *pool, const char **why);

#endif
