/* sg_recent -- what is chosen most now: decayed counts of items, overall and by category, the top n always current.
 *
 * Forward decay (Cormode, Shkapenyuk, Srivastava, Xu, "Forward Decay", ICDE 2009): an observation of weight w at time t
 * counts w * 2^((t - now) / half_life) at `now`. All weights share the factor 2^(-now / half_life), so they are kept
 * without it, relative to a landmark, and their order changes only where an item is touched:
 *
 *     t = k * half_life + r, k an integer     contribution = w * 2^(r / half_life) * 2^(k - landmark)
 *
 * The landmark is an integer number of half-lives since the epoch, so a shift of it multiplies every weight by an exact
 * power of two, and a retraction takes out the very bits that the observation put in, whatever happened between.
 *
 * An item is a record, its dense id from sg_table; two indexed binary max-heaps of ids hold it, each record knows its
 * places. With half_life 10 s, landmark 0, items A (category C) seen at 10 and 20, B (C) at 10, D (none) at 30:
 *
 *     items    0: A  weight 6  count 2     1: B  weight 2  count 1     2: D  weight 8  count 1
 *     overall  [ 2 | 1 0 ]                 category C  [ 0 | 1 ]
 *
 * Invariants, checked by sg_recent_check() in this order:
 *   I1  an item has a key exactly if it has observations or a category; every category's key maps to its list.
 *   I2  a weight is finite and >= 0, and 0 where the count is 0.
 *   I3  an item is in the overall heap, and in its category's (if it has one), exactly if its count is above 0;
 *       its places there name it.
 *   I4  no entry of a heap ranks above its parent; an entry ranks by (weight down, key up).
 *   I5  live = number of items with a count above 0.
 *
 * Range. An event more than SG_RECENT_REACH half-lives after the landmark moves the landmark to itself. Weights more
 * than about 1,500 half-lives older than the newest event underflow to 0 (their counts stay, their order is by key);
 * what has underflowed stays 0 if the newer events are taken back. Whatever the times, no weight is infinite or NaN:
 * t / half_life is clamped to +-2^52, a weight read far before its events to the largest double. While no item is live
 * the landmark follows the next event.
 *
 * Owns everything; arrays are borrowed until return. Not thread-safe. The id of an item that has neither observations
 * nor a category goes to the next new one; a category keeps its list.
 * Cost: observe and retract O(1) expected and O(log n) at worst, two sifts; top n reads about 2n entries from the
 *   heap's root, O(n log n), 1-2 us for 30 of any number of items; a landmark shift O(items).
 * Fails: SG_ERR_VALUE on a time that is not finite or a weight outside 0..SG_RECENT_MAX_WEIGHT, and nothing is applied;
 *   SG_ERR_NOMEM, SG_ERR_RANGE (2^32 - 1 observations of an item) leave the earlier rows of the call applied, the
 *   failing one not.
 * Instead of sg_topk's lazy lists: weights here do not change with reads or with other items, so an order that is
 * always right costs two sifts; a lazy list needs a rescan after retractions, and bounds n. */
#ifndef SG_RECENT_H
#define SG_RECENT_H

#include <stddef.h>
#include <stdint.h>

#include "sg_status.h"

#define SG_RECENT_REACH 512        /* half-lives */
#define SG_RECENT_MAX_WEIGHT 1e100 /* of one observation */

typedef struct sg_recent sg_recent;

/* NULL where memory runs out or half_life (seconds) is not finite and above 0. */
sg_recent *sg_recent_new(double half_life);
void sg_recent_free(sg_recent *r);

/* n observations: times in epoch seconds. */
int sg_recent_observe(sg_recent *r, const uint64_t *items, const double *times, const double *weights, size_t n);

/* Takes out one earlier observation each; of an item without observations it is a no-op. *found counts the others. */
int sg_recent_retract(sg_recent *r, const uint64_t *items, const double *times, const double *weights, size_t n,
                      size_t *found);

/* The category of each item from now on, observed or not; 0 is none. */
int sg_recent_categorise(sg_recent *r, const uint64_t *items, const uint64_t *categories, size_t n);

void sg_recent_categories(const sg_recent *r, const uint64_t *items, size_t n, uint64_t *categories);
/* SG_ERR_VALUE where now is not finite; so for top. */
int sg_recent_weights(const sg_recent *r, const uint64_t *items, size_t n, double now, double *weights);

/* The n items of a category (0: of all) that weigh most, by (weight down, key up); at most as many as there are.
 * items and weights have room for n; *got is how many were written. */
int sg_recent_top(const sg_recent *r, size_t n, uint64_t category, double now, uint64_t *items, double *weights,
                  size_t *got);

/* Items with observations. */
size_t sg_recent_live(const sg_recent *r);

/* A snapshot: the items that are live or have a category, sg_recent_size() of them, weights relative to the landmark.
 */
size_t sg_recent_size(const sg_recent *r);
void sg_recent_dump(const sg_recent *r, uint64_t *items, uint32_t *counts, double *weights, uint64_t *categories,
                    int64_t *landmark);

/* Fills an empty r from a snapshot. SG_ERR_VALUE on a doubled item, one without observations and category, a weight
 * that breaks I2, or r not empty; r is then fit for sg_recent_free only. */
int sg_recent_load(sg_recent *r, const uint64_t *items, const uint32_t *counts, const double *weights,
                   const uint64_t *categories, size_t n, int64_t landmark);

size_t sg_recent_nbytes(const sg_recent *r);

/* SG_OK, or SG_ERR_VALUE and *why names the first broken invariant. */
int sg_recent_check(const sg_recent *r, const char **why);

#endif
