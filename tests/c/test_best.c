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
    }
    return 0;
}
