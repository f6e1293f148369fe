/* sg_tally, and sg_best by itself, against a full sort. */
#include "fuzz.h"
#include "sg_tally.h"

enum { IDS = 600 };

static uint64_t keys[IDS];
static double sums[IDS];

static int by_strength_and_key(const void *a, const void *b) {
    const sg_candidate *x = a, *y = b;
    if (x->strength != y->strength) return x->strength < y->strength ? 1 : -1;
    return keys[x->id] < keys[y->id] ? -1 : keys[x->id] > keys[y->id];
}

static void add(sg_tally *t, uint32_t id, double amount) {
    sg_tally_add(t, id, amount);
    sums[id] += amount;
}

static void compare(sg_tally *t, size_t n) {
    sg_candidate expected[IDS];
    const sg_candidate *best;
    size_t len = 0;
    for (uint32_t id = 0; id < IDS; id++)
        if (sums[id] > 0) expected[len++] = (sg_candidate){sums[id], id};
    qsort(expected, len, sizeof *expected, by_strength_and_key);
    CHECK(sg_tally_best(t, keys, n, 1, &best) == (n < len ? n : len));
    for (size_t x = 0; x < n && x < len; x++)
        CHECK(best[x].id == expected[x].id && best[x].strength == expected[x].strength);
    for (size_t id = 0; id < t->room; id++) CHECK(t->sums[id] == 0);
    CHECK(t->len == 0);
    memset(sums, 0, sizeof sums);
}

/* Strengths that are the input's own, so that it can look for an order that goes wrong. */
static void compare_best(void) {
    sg_candidate some[IDS], apart[IDS], expected[IDS];
    size_t n = 0, most = pick_wide(IDS), k = pick_wide(IDS);
    while (n < most && more()) {
        some[n] = (sg_candidate){pick(64), (uint32_t)n};
        n++;
    }
    memcpy(expected, some, n * sizeof *some);
    memcpy(apart, some, n * sizeof *some);
    qsort(expected, n, sizeof *expected, by_strength_and_key);
    sg_best_first(keys, some, n, k);
    for (size_t x = 0; x < n && x < k; x++) CHECK(some[x].id == expected[x].id);
    sg_best_apart(keys, apart, n, k);
    qsort(apart, k < n ? k : n, sizeof *apart, by_strength_and_key);
    for (size_t x = 0; x < n && x < k; x++) CHECK(apart[x].id == expected[x].id);
    int moves = 0;
    for (size_t x = 0; x < n; x++) moves |= some[x].id != expected[x].id;
    CHECK(sg_best_again(keys, some, n) == moves);
    for (size_t x = 0; x < n; x++) CHECK(some[x].id == expected[x].id && some[x].strength == expected[x].strength);
}

static void step(sg_tally *t, size_t *ids) {
    unsigned what = pick(8);
    if (what == 0) {
        size_t more_ids = pick_wide(IDS);
        arm();
        if (disarm(sg_tally_grow(t, more_ids)) == SG_OK && more_ids > *ids) *ids = more_ids;
    } else if (what == 1) {
        compare(t, pick_wide(IDS));
    } else if (what == 2) {
        compare_best();
    } else if (what == 3 && *ids) {
        seed();
        unsigned range = 1 + pick(256);
        for (unsigned n = pick(256); n > 0; n--) add(t, below((unsigned)*ids), below(range) / 8.0);
    } else if (*ids) {
        add(t, pick(16) % (uint32_t)*ids, pick(5));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sg_tally t = {0};
    size_t ids = 0;
    begin(data, size);
    for (uint32_t id = 0; id < IDS; id++) keys[id] = id * 0x9E3779B97F4A7C15u;
    memset(sums, 0, sizeof sums);
    while (more()) {
        step(&t, &ids);
        CHECK(sg_tally_nbytes(&t) >= ids * sizeof(double));
    }
    compare(&t, IDS);
    sg_tally_clear(&t);
    return 0;
}
