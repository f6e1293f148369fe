/* sg_best against qsort, over strengths that are full of ties. */
#include <string.h>

#include "check.h"
#include "sg_best.h"

enum { MOST = 400 };

static uint64_t keys[MOST];

static int by_strength_and_key(const void *a, const void *b) {
    const sg_candidate *x = a, *y = b;
    if (x->strength != y->strength) return x->strength < y->strength ? 1 : -1;
    return keys[x->id] < keys[y->id] ? -1 : keys[x->id] > keys[y->id];
}

/* Of values where all ids are, or of some ids in any order. */
static void compare_likely(const sg_candidate *expected, size_t n, size_t k, int trial) {
    double values[MOST], least = trial % 3 ? -1 : (double)below(20);
    uint32_t ids[MOST];
    sg_candidate found[MOST];
    size_t fit = 0;
    for (size_t i = 0; i < n; i++) {
        values[expected[i].id] = expected[i].strength;
        ids[i] = expected[(i * 7 + 3) % n].id;
        fit += expected[i].strength > least;
    }
    size_t got = sg_best_likely(values, trial % 2 && n % 7 ? ids : NULL, n, k, least, found);
    CHECK(got <= fit && got >= (k < fit ? k : fit));
    sg_best_first(keys, found, got, got);
    for (size_t i = 0; i < k && i < fit; i++) CHECK(found[i].id == expected[i].id);
}

int main(void) {
    for (uint32_t i = 0; i < MOST; i++) keys[i] = (uint64_t)i * 0x9E3779B97F4A7C15u;
    for (int trial = 0; trial < 3000; trial++) {
        sg_candidate some[MOST], expected[MOST];
        size_t n = below(MOST), k = below((unsigned)n + 2);
        for (uint32_t i = 0; i < n; i++) some[i] = (sg_candidate){below(1 + (unsigned)trial % 50), i};
        memcpy(expected, some, sizeof some);
        qsort(expected, n, sizeof *expected, by_strength_and_key);
        sg_best_first(keys, some, n, k);
        for (size_t i = 0; i < k && i < n; i++)
            CHECK(some[i].id == expected[i].id && some[i].strength == expected[i].strength);
        qsort(some, n, sizeof *some, by_strength_and_key); /* the same candidates as before, in whatever order */
        for (size_t i = 0; i < n; i++) CHECK(some[i].id == expected[i].id);
        for (size_t i = n; i > 1; i--) { /* shuffled */
            size_t other = below((unsigned)i);
            sg_candidate moving = some[i - 1];
            some[i - 1] = some[other];
            some[other] = moving;
        }
        sg_best_apart(keys, some, n, k);
        qsort(some, k < n ? k : n, sizeof *some, by_strength_and_key);
        for (size_t i = 0; i < k && i < n; i++) CHECK(some[i].id == expected[i].id);
        compare_likely(expected, n, k, trial);
    }
    return 0;
}
