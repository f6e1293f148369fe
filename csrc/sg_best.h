/* sg_best -- candidates and their order: by (strength down, key up), a total order, since keys differ.
 *
 * sg_best_first() is a quicksort that sorts only what falls among the first k: O(n + k log k) expected;
 * sg_best_apart() only divides: O(n). In place, cannot fail. Instead of a heap of k: the same cost for small k, a third
 * of it where k is a large part of n.
 *
 * Before them sg_best_likely() makes candidates of values, of most that are too small to be among the first k none: a
 * few of the values say where the k-th lies, and one pass without a branch leaves the rest out, which dividing would
 * move several times. */
#ifndef SG_BEST_H
#define SG_BEST_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    double strength;
    uint32_t id;
} sg_candidate;

/* Candidates of n values, those of ids (NULL: 0..n-1), that are above `least`: the k best of these are among them. How
 * many. Room for n. */
size_t sg_best_likely(const double *values, const uint32_t *ids, size_t n, size_t k, double least, sg_candidate *c);

static inline int sg_better(const uint64_t *keys, sg_candidate a, sg_candidate b) {
    return (a.strength > b.strength) | (a.strength == b.strength && keys[a.id] < keys[b.id]);
}

/* The k best of n come first, in order. keys by id. */
void sg_best_first(const uint64_t *keys, sg_candidate *c, size_t n, size_t k);
/* The k best of n come first, in any order. */
void sg_best_apart(const uint64_t *keys, sg_candidate *c, size_t n, size_t k);
/* All n in order, which they nearly are: O(n + how far they have to move), and never worse than sg_best_first().
 * Whether any moved. */
int sg_best_again(const uint64_t *keys, sg_candidate *c, size_t n);

#endif
