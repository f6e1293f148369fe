/* sg_key -- the 64-bit key of a short id: XXH3-64 under a seed, of the 1 to 128 bytes that ids have.
 *
 * A pure function; owns nothing. Reads bytes[0 .. n - 1] only, as a little-endian machine has them. What the library
 * xxhash gives for the same bytes and seed, bit for bit (keys are on disk), but for 0, "no id", which becomes 1.
 *
 * Instead of a memory of known ids: that costs two or three cache misses an id, hashing it none, and ids of events are
 * ever new. Instead of the library: called once an id from Python it costs ten times as much. Longer ids, which are
 * rare, are left to it. Formulas: xxHash 0.8, doc/xxhash_spec.md, "XXH3 algorithm", inputs of 1 to 128 bytes. */
#ifndef SG_KEY_H
#define SG_KEY_H

#include <stddef.h>
#include <stdint.h>

enum { SG_KEY_LONGEST = 128 };

uint64_t sg_key(const unsigned char *bytes, size_t n, uint64_t seed); /* n: 1..SG_KEY_LONGEST */

#endif
