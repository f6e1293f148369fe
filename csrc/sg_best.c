#include "sg_best.h"

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

enum { FEW = 12 };

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
