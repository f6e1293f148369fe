/* sg_next -- which item follows which: directed transitions, weighed by distance, and reads of one and two hops.
 *
 *     event (unit, item, time)
 *        ids; unit's events            sg_ledger
 *        support, norm, transitions    sg_pairs, directed
 *        lists of long rows            sg_fan
 *        sums of two hops              sg_tally
 *
 * A kept event at distance d = 1..steps behind another kept event of its unit raises weight(that item -> its item) by
 * 1/d, counted in units of 1/SG_NEXT_UNIT, so that all is exact. Steps 3, unit A B C D, in sixths:
 *
 *     A   B   C   D             A -> B 6   A -> C 3   A -> D 2     norm(A) = 11
 *         '-6-'                            B -> C 6   B -> D 3     norm(B) = 9
 *         '---3---'                                   C -> D 6     norm(C) = 6
 *
 * support(x) counts x's kept events. A row holds what follows x; norm(x) is its sum, so p(x -> y) = weight / norm(x).
 *
 * Taking back, expiry: the kept items before and after are compared. Transitions whose newer end is in the part that
 * differs, or behind it with the older end not behind it, are added as they will be, then subtracted as they were; all
 * others are the same. For one event with nothing repeated that is about steps^2 / 2 of each.
 *
 * Invariants, checked by sg_next_check() in this order: those of ledger, pairs and lists; then
 *   I1  pairs and lists have room for every id; an item with support has a key.
 *   I2  supports are the kept events, and norms the transitions that they make, in sum.
 *
 * A weight passes no 31 bits: learning refuses what would bring one past 2^30 (SG_ERR_RANGE, 426,088 times adjacent),
 * taking back what would bring one past 2^31 - 1 on its way. Owns everything; arrays are borrowed until return.
 * Cost: an event `steps` slots, prefetched events ahead; 8 to 18 bytes a transition.
 * Fails: SG_ERR_VALUE (a time that is not finite, a weight below 0 or not finite) before anything is applied.
 * SG_ERR_NOMEM and SG_ERR_RANGE: events before the failing one are applied, it and those after it are not; a read
 * changes nothing. Not thread-safe: reads write.
 * Instead of doubles 1/d: what was added in another order, or taken back, would leave its rounding behind. */
#ifndef SG_NEXT_H
#define SG_NEXT_H

#include "sg_fan.h"
#include "sg_ledger.h"
#include "sg_pairs.h"
#include "sg_tally.h"

enum { SG_NEXT_UNIT = 2520, SG_NEXT_STEPS = 10 }; /* lcm(1..10) */

typedef struct {
    sg_ledger ledger;
    sg_pairs pairs;
    sg_fan fan;
    sg_tally tally;
    uint32_t *hop; /* the followers of one item and their amounts, while theirs are read */
    size_t hop_room;
    sg_level level;
    uint32_t steps, k;
} sg_next;

typedef struct {
    size_t tables, events, pairs, lists, pool_rest;
} sg_next_nbytes_of;

/* *out: a new model. 1 <= steps <= SG_NEXT_STEPS, steps <= window, k >= 1; else SG_ERR_VALUE. */
int sg_next_new(uint32_t window, uint32_t steps, uint32_t k, sg_level level, sg_next **out);
void sg_next_free(sg_next *m);

int sg_next_observe(sg_next *m, const uint64_t *units, const uint64_t *items, const double *times, size_t n);
/* *found: how many of the events there were. The newest of equal events is taken. */
int sg_next_retract(sg_next *m, const uint64_t *units, const uint64_t *items, const double *times, size_t n,
                    size_t *found);
/* All events before a time are taken back; *gone: how many. Where it fails, what has gone has gone whole. */
int sg_next_expire(sg_next *m, double before, size_t *gone);

size_t sg_next_degree(const sg_next *m, uint64_t item); /* how many items follow it */
/* The k best followers of an item by (weight down, key up), or all if there are fewer. An unknown item has none. */
int sg_next_following(sg_next *m, uint64_t item, size_t k, uint64_t *out_items, double *out_weights, size_t *n);

/* From each items[x], of weight w, to its `first` best followers y, to each one's `second` best followers z:
 * score(z) += w * p(items[x] -> y) / norm(y) * weight(y -> z), computed from left to right and added in this order: by
 * x, then by y in order of its list. (One list names z once, so its order does not matter.) Unknown items add nothing;
 * z may be one of items. The `limit` best z above 0 by (score down, key up), in this
 * order or, which is cheaper, in any; room for limit; *n were written. */
int sg_next_two_hops(sg_next *m, const uint64_t *items, const double *weights, size_t len, size_t first, size_t second,
                     size_t limit, int in_order, uint64_t *out_items, double *out_scores, size_t *n);

/* Learned anew from its own events; needs memory for both models while it runs. */
int sg_next_compact(sg_next **m);

int sg_next_checksum(const sg_next *m, uint64_t sum[2]);
sg_next_nbytes_of sg_next_nbytes(const sg_next *m);
int sg_next_check(sg_next *m, const char **why);

#endif
