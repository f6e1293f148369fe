#include "sg_best.h"

#include <math.h>

/* Field by field: a load of the whole would wait for the two stores that have just made it. */
static inline void put(sg_candidate *c, double strength, uint32_t id) {
    c->strength = strength;
    c->id = id;
}

static inline void swap(sg_candidate *a, sg_candidate *b) {
    double strength = a->strength;
    uint32_t id = a->id;
    put(a, b->strength, b->id);
    put(b, strength, id);
}

enum { FEW = 12, SAMPLE = 32, SPARE = 3 };

/* c[at] among those before it, which are in order; how far it moved. */
static inline size_t insert(const uint64_t *keys, sg_candidate *c, size_t at) {
    if (c[at - 1].strength > c[at].strength) return 0; /* as nearly always in what nearly is in order */
    sg_candidate moving = {c[at].strength, c[at].id};
    size_t to = at;
    for (; to > 0 && sg_better(keys, moving, c[to - 1]); to--) put(&c[to], c[to - 1].strength, c[to - 1].id);
    put(&c[to], moving.strength, moving.id);
    return at - to;
}

/* Those better than one of them, the pivot, come first, then the pivot: its place. Without a branch that depends on the
 * values, which would be mispredicted every other time. */
static size_t divide(const uint64_t *keys, sg_candidate *c, size_t n) {
    sg_candidate *mid = c + n / 2, *last = c + n - 1;
    if (sg_better(keys, *mid, *c)) swap(mid, c);
    if (sg_better(keys, *last, *c)) swap(last, c);
    if (sg_better(keys, *mid, *last)) swap(mid, last);
    sg_candidate pivot = *last;
    size_t better = 0;
    for (size_t x = 0; x < n - 1; x++) {
        sg_candidate moving = {c[x].strength, c[x].id};
        put(&c[x], c[better].strength, c[better].id);
        put(&c[better], moving.strength, moving.id);
        better += sg_better(keys, moving, pivot);
    }
    swap(c + better, last);
    return better;
}

void sg_best_apart(const uint64_t *keys, sg_candidate *c, size_t n, size_t k) {
    while (n > FEW && 0 < k && k < n) {
        size_t better = divide(keys, c, n);
        if (better >= k) {
            n = better;
            continue;
        }
        c += better + 1;
        n -= better + 1;
        k -= better + 1;
    }
    if (n <= FEW) sg_best_first(keys, c, n, k);
}

void sg_best_first(const uint64_t *keys, sg_candidate *c, size_t n, size_t k) {
    while (n > FEW && k > 0) {
        size_t better = divide(keys, c, n);
        sg_best_first(keys, c, better, k);
        c += better + 1;
        n -= better + 1;
        k -= k < better + 1 ? k : better + 1;
    }
    for (size_t i = 1; i < n && k > 0; i++) insert(keys, c, i);
}

int sg_best_again(const uint64_t *keys, sg_candidate *c, size_t n) {
    size_t moved = 0;
    for (size_t i = 1; i < n && moved <= 4 * n; i++) moved += insert(keys, c, i);
    if (moved > 4 * n) sg_best_first(keys, c, n, n);
    return moved > 0;
}

/* A value that k of the n values are likely to reach, of a sample of them; -INFINITY: too few are to be left out. */
static double reached(const double *values, const uint32_t *ids, size_t n, size_t k) {
    double sample[SAMPLE]; /* the largest first */
    size_t rank = k * SAMPLE / (n + 1) + SPARE;
    if (rank >= SAMPLE) return -INFINITY;
    for (size_t x = 0; x < SAMPLE; x++) {
        size_t from = x * n / SAMPLE, to = x;
        double value = values[ids ? ids[from] : from];
        for (; to > 0 && sample[to - 1] < value; to--) sample[to] = sample[to - 1];
        sample[to] = value;
    }
    return sample[rank];
}

static size_t above(const double *values, const uint32_t *ids, size_t n, double least, double from, sg_candidate *c) {
    size_t found = 0;
    for (size_t x = 0; x < n; x++) {
        uint32_t id = ids ? ids[x] : (uint32_t)x;
        double value = values[id];
        put(&c[found], value, id);
        found += (value > least) & (value >= from);
    }
    return found;
}

size_t sg_best_likely(const double *values, const uint32_t *ids, size_t n, size_t k, double least, sg_candidate *c) {
    double from = n > 2 * SAMPLE ? reached(values, ids, n, k) : -INFINITY;
    size_t found = above(values, ids, n, least, from, c);
    return found < k && from > least ? above(values, ids, n, least, -INFINITY, c) : found;
}
