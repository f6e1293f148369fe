/* sg_best -- candidates and their order: by (strength down, key up), a total order, since keys differ.
 *
 * sg_best_first() is a quicksort that sorts only what falls among the first k: O(n + k log k) expected;
 * sg_best_apart() only divides: O(n). In place, cannot fail. Instead of a heap of k: the same cost for small k, a third
 * of it where k is a large part of n. */
#ifndef SG_BEST_H
#define SG_BEST_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    double strength;
    uint32_t id;
} sg_candidate;

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
