/* sg_tally -- amounts added up by id, and the best of the sums: what a read of many lists needs.
 *
 *     sums     [ 0 0 .3 0 0 1.2 0 .. ]      by id, all 0 between reads
 *     touched  [ 5 2 ]                      ids whose sum is not 0, in the order of their first amount
 *
 * Invariant: outside of a read nothing is touched and every sum is 0.
 * Owns its arrays. Cost: O(1) an amount, one cache miss in a large model; sg_tally_best() O(touched).
 * Fails: sg_tally_grow() alone, SG_ERR_NOMEM. Instead of a hash table: ids are dense, and clearing what was touched is
 * cheaper than clearing a table. */
#ifndef SG_TALLY_H
#define SG_TALLY_H

#include "sg_best.h"
#include "sg_status.h"

typedef struct {
    double *sums;
    uint32_t *touched;
    sg_candidate *candidates;
    size_t len, room; /* touched; ids */
} sg_tally;

int sg_tally_grow(sg_tally *t, size_t ids); /* ids below are legal from now on */
void sg_tally_clear(sg_tally *t);

static inline void sg_tally_add(sg_tally *t, uint32_t id, double amount) { /* 0 or more */
    t->touched[t->len] = id; /* one more than there are ids fits: whether it is new is no branch */
    t->len += (t->sums[id] == 0) & (amount > 0);
    t->sums[id] += amount;
}

/* The n largest sums by (sum down, key up): *best, in this order or, which is cheaper, in any, borrowed until the next
 * add; how many. Empty after it. */
size_t sg_tally_best(sg_tally *t, const uint64_t *keys, size_t n, int in_order, const sg_candidate **best);

size_t sg_tally_nbytes(const sg_tally *t);

#endif
