/* sg_items -- item-item collaborative filtering: what units did, which items occur together, the nearest of each.
 *
 *     event (unit, item, time)
 *        ids; unit's events                sg_ledger
 *        support, norm, pairs              sg_pairs   <- a queue of 64 pairs stands before it, see sg_learn
 *        lists of long rows                sg_topk
 *
 * A kept event of item i pairs with each item j in its unit's window: support(i, j) += 1, and support(i) += 1 once.
 * Score: support(i, j) / sqrt(support(i) support(j)). With a half-life the decayed cosine, w(i, j) / sqrt(w(i) w(j)),
 * where an event of time t adds 2^((t - landmark) / half_life) wherever it adds 1 to a support.
 *
 * Forward decay (Cormode et al. 2009): weights only grow with time, old ones are never touched. The landmark is
 * origin + shift * half_life, where origin is the first time learned and shift an integer; when a time comes
 * that is more than SG_SHIFT_AT half-lives beyond it, the landmark moves to it, and all weights are multiplied by that
 * power of two, which is exact. So what an event adds and what taking it back subtracts is the same but for that
 * factor. A pair weighs by its newer event, an item by its own events, so a decayed cosine may pass 1 where a unit
 * spans half-lives; scores end at FLT_MAX. Beyond 50 half-lives order may be lost; weights may fall to 0, and then
 * score 0 while their support stays, until sg_items_compact() (sg_bulk) makes them anew.
 *
 * Invariants, checked by sg_items_check(), which empties the queue first: those of the parts, in the order above; then
 *   I1  pairs and lists have room for every item id; one with support has a key.
 *   I2  supports and pair supports are those of the units' kept events, in sum.
 *
 * With a row cap (sg_items_cap) a long row forgets its weakest pairs, see sg_pairs. Lists of rows that were never cut
 * stay exact; in others a pair may count too little, until sg_items_compact(). Supports and events stay exact. Which
 * pairs go depends on the order of events over all units, so the checksum leaves the pairs out, and I2 is an upper
 * bound for them.
 *
 * Owns everything. Arrays are borrowed until return. Cost: an event O(window) updates; see the parts.
 * Fails: SG_ERR_VALUE (a time that is not finite) before anything is applied. SG_ERR_NOMEM and SG_ERR_RANGE (2^30
 * events of one item): events before the failing one are applied, it and those after it are not; a read that cannot
 * empty the queue changes nothing. Not thread-safe: reads write. */
#ifndef SG_ITEMS_H
#define SG_ITEMS_H

#include "sg_ledger.h"
#include "sg_pairs.h"
#include "sg_tally.h"
#include "sg_topk.h"

enum { SG_QUEUE = 64, SG_SHIFT_AT = 64, SG_ROW_CAP_LEAST = 256 };

/* Pair updates on their way: their cache lines are being fetched. */
typedef struct {
    uint64_t pairs[SG_QUEUE]; /* newer item << 32 | other */
    double weights[SG_QUEUE];
    uint32_t head, len;
} sg_queue;

typedef struct sg_items sg_items;
typedef struct sg_learn sg_learn;

struct sg_items {
    sg_ledger ledger;
    sg_pairs pairs;
    sg_topk topk;
    sg_tally tally;
    sg_queue queue;
    const sg_learn *learn; /* of the level */
    sg_level level;
    uint32_t k;
    double half_life, origin, shift; /* half_life 0: no decay */
    int has_origin;
};

typedef struct {
    size_t tables, events, pairs, lists, pool_rest;
} sg_items_nbytes_of;

/* *out: a new model. window >= 1, k >= 1, half_life finite and > 0, or 0 for no decay; else SG_ERR_VALUE. */
int sg_items_new(uint32_t window, uint32_t k, double half_life, sg_level level, sg_items **out);
/* A row has at most so many entries: 7/8 of a power of two of slots. At least SG_ROW_CAP_LEAST and 4 k, of a model
 * without events, else SG_ERR_VALUE. */
int sg_items_cap(sg_items *m, uint32_t row_cap);
void sg_items_free(sg_items *m);

int sg_items_observe(sg_items *m, const uint64_t *units, const uint64_t *items, const double *times, size_t n);
/* *found: how many of the events there were. The newest of equal events is taken. */
int sg_items_retract(sg_items *m, const uint64_t *units, const uint64_t *items, const double *times, size_t n,
                     size_t *found);

/* All events before a time are taken back; *gone: how many. Where it fails, what has gone has gone whole. */
int sg_items_expire(sg_items *m, double before, size_t *gone);

/* How many neighbours each item has, at most k: to make room for them. */
int sg_items_degrees(sg_items *m, const uint64_t *items, size_t n, size_t k, uint32_t *degrees);
/* The k best neighbours of an item by (score down, key up), or all if there are fewer. An unknown item has none. */
int sg_items_similar(sg_items *m, uint64_t item, size_t k, uint64_t *out_items, float *out_scores, size_t *n);

/* The n best by (score down, key up) of the sums of weights[x] * score of the k neighbours of items[x]; in this order
 * or, which is cheaper, in any. Weights are finite and at least 0, else SG_ERR_VALUE. Room for n; *got were written. */
int sg_items_recommend(sg_items *m, const uint64_t *items, const double *weights, size_t len, size_t k, size_t n,
                       int in_order, uint64_t *out_items, double *out_scores, size_t *got);

/* The k best neighbours of each item, one item's after another's: those of items[x] at starts[x]..starts[x + 1]. Their
 * cosines, and the confidence of the rule that one who has items[x] has them: support(i, j) / support(i), or
 * w(i, j) / w(i); at most 1 without decay. Each item's best first or, which is cheaper, in any order. Room for n * k,
 * and n + 1 starts. */
int sg_items_neighbours(sg_items *m, const uint64_t *items, size_t n, size_t k, int in_order, uint32_t *starts,
                        uint64_t *out_items, double *cosines, double *rules);

int sg_items_supports(sg_items *m, const uint64_t *a, const uint64_t *b, size_t n, uint32_t *supports);
void sg_items_counts(const sg_items *m, const uint64_t *items, size_t n, uint32_t *counts);

int sg_items_checksum(sg_items *m, uint64_t sum[2]);
sg_items_nbytes_of sg_items_nbytes(const sg_items *m);
int sg_items_check(sg_items *m, const char **why);

#endif
