/* sg_pairs -- how often two items occur together: support (integer) and, where the model decays, weight (double).
 *
 * Both directions, a hash row an item; or `directed`: row i has what leads from i, and (i, j) says nothing of (j, i).
 * A slot is 8 bytes, a bucket of 8 slots is a cache line and is compared at once (sg_simd). The id's hash names a
 * bucket; a full one goes on to the next. Weights stand behind the slots:
 *
 *     slot   63      62 ...... 32  31 ...... 0
 *            listed     support      other + 1         0: free
 *
 *     row of item 7   | 3:2  9:1  -  -  -  -  -  - |   live 2, lg 3: one bucket      (| weights 2.0 0.7 0 0 0 0 0 0 |)
 *
 * "listed", `gate` and `list` are sg_topk's; they are kept here because each update needs them in the same cache line.
 * norm(i) is what scores divide by: support(i), or the item's weight where the model decays, and then never below
 * DBL_MIN while support(i) > 0, so that a quotient is always a number. Directed: the sum of the row's supports.
 *
 * `cap_lg`, where it is not 0: a row has at most 2^cap_lg slots. A full one loses its weakest entries (sg_topk_thin)
 * instead of becoming wider, and they stay in the other items' rows. An entry that comes back takes its support and
 * weight from its twin there (sg_pairs_agree); where both had gone, it counts from 1 again. So a capped pair may count
 * too little, never too much.
 *
 * Invariants, checked by sg_pairs_check() in this order:
 *   I1  live slots are at most 7/8 of a row, so every bucket chain ends at a bucket with a free slot; a row is not
 * above the cap. I2  every slot is found from its home bucket; its support is at least 1; a free slot has weight 0. I3
 * (i, j) and (j, i) have equal support and weight, and both exist or, without a cap, neither; unless directed. I4
 * norm(i) = support(i) without decay; both are 0 or neither is; an item of support 0 has no pairs. Directed: norm(i) is
 * the sum of row i. I5  entries and bytes are the sums over the rows. No removed pair leaves a trace: entries behind it
 * move up (backward shift), so that no dead slots exist.
 *
 * support(i, j) <= support(i) + support(j), so a bound on the latter (SG_SUPPORT_MAX) keeps the former in 31 bits.
 * Owns its arrays; rows are the owner's pool's. Cost: O(1) a pair and direction; 8 to 18 bytes (16 to 37 with weights).
 * Fails: SG_ERR_NOMEM before anything is changed. Not thread-safe.
 * Instead of one map of pairs: a list of neighbours is one scan, and the pairs of an event share rows; instead of
 * sorted vectors: inserting moves the tail, which a popular item pays with every event. */
#ifndef SG_PAIRS_H
#define SG_PAIRS_H

#include "sg_best.h"
#include "sg_pool.h"
#include "sg_simd.h"

#define SG_LISTED ((uint64_t)1 << 63)
#define SG_ONE ((uint64_t)1 << 32) /* support 1 */
#define SG_SUPPORT_MAX ((uint32_t)1 << 30)

typedef struct sg_list sg_list;

typedef struct {
    uint64_t *slots; /* 2^lg slots, then 2^lg weights */
    uint32_t live, lg;
    double gate; /* sg_topk: an unlisted entry below it changes nothing */
    sg_list *list;
} sg_row;

typedef struct sg_pairs sg_pairs;

/* Compiled once a level of sg_simd. */
typedef struct {
    uint64_t *(*find)(const sg_row *row, uint32_t other); /* NULL: it is not in the row */
    /* The strengths of n entries, all on their way at once; -1 for what is not in the row, or not listed. */
    void (*strengths)(const sg_pairs *p, const sg_row *row, const uint32_t *others, size_t n, sg_candidate *out);
} sg_row_reader;

struct sg_pairs {
    sg_pool *pool;
    sg_row *rows; /* by item, as all that follow */
    double *norm;
    uint32_t *support;
    size_t len, room;
    uint64_t entries; /* slots in use, two a pair */
    size_t bytes;     /* of the rows' blocks */
    int decays;
    int directed;    /* the owner sets it after init; it does not decay then */
    uint32_t cap_lg; /* the owner sets it after init */
    const sg_row_reader *row;
};

void sg_pairs_init(sg_pairs *p, sg_pool *pool, int decays, sg_level level);
void sg_pairs_clear(sg_pairs *p); /* the rows go with the pool */

int sg_pairs_grow(sg_pairs *p, size_t items);                  /* ids below are legal from now on */
int sg_pairs_widen(sg_pairs *p, sg_row *row);                  /* twice the slots */
int sg_pairs_reserve(sg_pairs *p, sg_row *row, uint32_t live); /* of an empty row: slots for so many entries */
uint32_t sg_pairs_support(const sg_pairs *p, uint32_t i, uint32_t j);

/* One direction. The slot's support falls by one; at 0 it goes. An entry that the cap has taken is no more. */
void sg_pairs_lower(sg_pairs *p, uint32_t i, uint32_t j, double weight);
/* The same by any support, and no weight; what is left of it, and whether its row's list had it. */
uint32_t sg_pairs_lower_by(sg_pairs *p, uint32_t i, uint32_t j, uint32_t support, int *was_listed);

void sg_pairs_release(sg_pairs *p, uint32_t i);            /* a row without entries gives its block back */
void sg_pairs_scale(sg_pairs *p, double factor);           /* all weights times a power of two */
void sg_pairs_remove(sg_pairs *p, uint32_t i, uint32_t j); /* one direction, whatever its support */
size_t sg_pairs_nbytes(const sg_pairs *p);
int sg_pairs_check(const sg_pairs *p, const char **why);

static inline uint32_t sg_home(uint32_t id, uint32_t lg) { /* first slot of its bucket; Fibonacci hashing */
    return (uint32_t)((uint64_t)(id * 0x9E3779B1u) >> (35 - lg)) * SG_BUCKET;
}

static inline int sg_row_is_full(const sg_row *row) { return row->live >= (((uint32_t)1 << row->lg) >> 3) * 7; }

static inline size_t sg_row_slots(const sg_row *row) { return row->slots ? (size_t)1 << row->lg : 0; }

static inline double *sg_row_weights(const sg_row *row) {
    return (double *)(void *)(row->slots + ((size_t)1 << row->lg));
}

static inline uint32_t sg_slot_other(uint64_t slot) { return (uint32_t)slot - 1; }

static inline uint32_t sg_slot_support(uint64_t slot) { return (uint32_t)((slot & ~SG_LISTED) >> 32); }

/* What ranks an entry of row i: amount^2 / norm(j), the square of the cosine times norm(i), which the row shares.
 * One correctly rounded division of integers (below 2^53): equal scores are equal doubles, no roots to tell them apart.
 */
static inline double sg_strength(const sg_pairs *p, const sg_row *row, const uint64_t *slot) {
    double amount = p->decays ? sg_row_weights(row)[slot - row->slots] : (double)sg_slot_support(*slot);
    return amount * amount / p->norm[sg_slot_other(*slot)];
}

/* One direction, by any support, and no weight. The row is not full. */
static inline uint64_t *sg_pairs_raise_by(sg_pairs *p, uint32_t i, uint32_t j, uint32_t support) {
    sg_row *row = &p->rows[i];
    uint32_t mask = (uint32_t)(((uint64_t)1 << row->lg) - 1), at = sg_home(j, row->lg);
    for (;; at = (at + SG_BUCKET) & mask) {
        uint64_t *bucket = row->slots + at;
        unsigned found = sg_match_scalar(bucket, j + 1), free = found ? 0 : sg_free_scalar(bucket);
        if (found) {
            bucket[__builtin_ctz(found)] += support * SG_ONE;
            return bucket + __builtin_ctz(found);
        }
        if (free) {
            bucket[__builtin_ctz(free)] = support * SG_ONE | (j + 1);
            row->live++;
            p->entries++;
            return bucket + __builtin_ctz(free);
        }
    }
}

/* Twins, of rows i and j, that have just been raised: one of them may have come back. */
static inline void sg_pairs_agree(sg_pairs *p, sg_row *row_i, uint64_t *slot_i, sg_row *row_j, uint64_t *slot_j) {
    int i_knows = sg_slot_support(*slot_i) > sg_slot_support(*slot_j);
    uint64_t *knows = i_knows ? slot_i : slot_j, *learns = i_knows ? slot_j : slot_i;
    *learns += ((uint64_t)sg_slot_support(*knows) - sg_slot_support(*learns)) << 32;
    if (!p->decays) return;
    double *weight_i = &sg_row_weights(row_i)[slot_i - row_i->slots];
    double *weight_j = &sg_row_weights(row_j)[slot_j - row_j->slots];
    *(i_knows ? weight_j : weight_i) = *(i_knows ? weight_i : weight_j);
}

static inline void sg_pairs_raise_norm(sg_pairs *p, uint32_t i, double weight) {
    double raised = p->norm[i] + weight;
    p->support[i]++;
    p->norm[i] = p->decays && raised < 0x1p-1022 ? 0x1p-1022 : raised;
}

static inline void sg_pairs_lower_norm(sg_pairs *p, uint32_t i, double weight) {
    double lowered = p->norm[i] - weight;
    p->support[i]--;
    p->norm[i] = p->support[i] == 0 ? 0 : p->decays && lowered < 0x1p-1022 ? 0x1p-1022 : lowered;
}

#endif
