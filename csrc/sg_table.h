/* sg_table -- from 64-bit keys to dense ids 0, 1, 2, ... in the order they were first seen.
 *
 * Open addressing, linear probing, power-of-two capacity; a slot holds id + 1, the keys stand in a dense array:
 *
 *     slot   0    1    2    3    4    5    6    7
 *           [3]  [ ]  [ ]  [1]  [4]  [ ]  [ ]  [ ]      capacity 8, live 3, used 4
 *     keys  [900] [ *] [7] [42]                         key 7 has id 2, is in slot 0; id 1 is free
 *
 * A probe compares keys[slot - 1] with the key. A removed key's slot is closed by moving its probe run back, so there
 * are no dead slots; its id waits in a list of free ids (linked through keys) and is the next one given.
 *
 * Invariants, checked by sg_table_check() in this order:
 *   I1  capacity is a power of two and 8 * live <= 5 * capacity, so every probe meets a free slot and ends.
 *   I2  exactly `live` slots are taken, each by an id below `used`, and each id is found by its key: in no other slot.
 *   I3  the free ids are used - live, each below used.
 *
 * Any key is legal, 0 and 2^64-1 too. Owns its slots and keys; sg_table_keys() is borrowed until the next index call.
 * Cost: index, find and remove O(1) expected; growing is O(capacity), amortised O(1). It never shrinks.
 * Fails: SG_ERR_NOMEM leaves the table as it was; SG_ERR_RANGE past 2^32 - 2 keys.
 * Not thread-safe. Instead of slots that hold keys too: 4 bytes a slot keep twice as many in a cache line, and ids must
 * lead back to keys anyway.
 */
#ifndef SG_TABLE_H
#define SG_TABLE_H

#include <stddef.h>
#include <stdint.h>

#define SG_TABLE_NONE UINT32_MAX

typedef struct sg_table sg_table;

sg_table *sg_table_new(void); /* NULL: out of memory */
void sg_table_free(sg_table *t);

/* The id of the key, made if the key is new; *fresh (may be NULL) says which. */
int sg_table_index(sg_table *t, uint64_t key, uint32_t *id, int *fresh);
/* The id of the key; SG_TABLE_NONE where it is unknown. */
uint32_t sg_table_find(const sg_table *t, uint64_t key);
/* The key goes, its id may be given to another; SG_TABLE_NONE where it is unknown. */
uint32_t sg_table_remove(sg_table *t, uint64_t key);
/* Bring the slot that a key hashes to into the cache; then, when it is there, the key that it leads to. */
void sg_table_prefetch(const sg_table *t, uint64_t key);
void sg_table_prefetch_key(const sg_table *t, uint64_t key);

uint32_t sg_table_live(const sg_table *t); /* keys */
uint32_t sg_table_used(const sg_table *t); /* ids ever given are below it */
/* By id; what stands at a free id is no key. */
const uint64_t *sg_table_keys(const sg_table *t);
size_t sg_table_nbytes(const sg_table *t);
int sg_table_check(const sg_table *t, const char **why);

/* splitmix64's finaliser (Steele, Lea, Flood 2014): a bijection of 64 bits that mixes every bit into every other. */
static inline uint64_t sg_mix64(uint64_t x) {
    x ^= x >> 30;
    x *= 0xBF58476D1CE4E5B9ull;
    x ^= x >> 27;
    x *= 0x94D049BB133111EBull;
    return x ^ (x >> 31);
}

#endif
