/* sg_bulk against the same events one by one. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "sg_bulk.h"

enum { EVENTS = 600 };

static uint64_t units[EVENTS], items[EVENTS];
static double times[EVENTS];

static void draw(size_t n) {
    unsigned few = 1 + below(60);
    for (size_t e = 0; e < n; e++) {
        units[e] = below(1 + below(20));
        items[e] = below(few);
        times[e] = below(50);
    }
}

static void compare(sg_items *a, sg_items *b) {
    uint64_t x[2], y[2];
    SOUND(sg_items, a);
    SOUND(sg_items, b);
    CHECK(sg_items_checksum(a, x) == SG_OK && sg_items_checksum(b, y) == SG_OK);
    CHECK(memcmp(x, y, sizeof x) == 0 && a->ledger.history.kept_events == b->ledger.history.kept_events);
    for (uint64_t item = 0; item < 60; item++) {
        uint64_t those[60], others[60];
        float scores[60], other_scores[60];
        size_t n, m;
        CHECK(sg_items_similar(a, item, 50, those, scores, &n) == SG_OK);
        CHECK(sg_items_similar(b, item, 50, others, other_scores, &m) == SG_OK && n == m);
        CHECK(memcmp(those, others, n * sizeof *those) == 0 && memcmp(scores, other_scores, n * sizeof *scores) == 0);
    }
}

static void test_equals_observing(uint32_t window, double half_life) {
    sg_items *bulk, *one_by_one;
    size_t n = below(EVENTS), more = (EVENTS - n) / 2, gone, found;
    draw(EVENTS);
    CHECK(sg_items_new(window, 50, half_life, sg_simd_choose(), &bulk) == SG_OK);
    CHECK(sg_items_new(window, 50, half_life, SG_SCALAR, &one_by_one) == SG_OK);
    CHECK(sg_items_expire(bulk, 0, &gone) == SG_OK && gone == 0);
    CHECK(sg_items_bulk(&bulk, units, items, times, n) == SG_OK);
    CHECK(sg_items_observe(one_by_one, units, items, times, n) == SG_OK);
    compare(bulk, one_by_one);
    CHECK(n == 0 || sg_items_bulk(&bulk, units, items, times, n) == SG_ERR_VALUE);
    for (int twin = 0; twin < 2; twin++) { /* and lives on as one that has observed */
        sg_items *m = twin ? one_by_one : bulk;
        CHECK(sg_items_observe(m, units + n, items + n, times + n, more) == SG_OK);
        CHECK(sg_items_retract(m, units, items, times, n / 2, &found) == SG_OK && found == n / 2);
        CHECK(sg_items_expire(m, 10, &gone) == SG_OK);
    }
    if (half_life == 0) compare(bulk, one_by_one);
    sg_items_free(bulk);
    sg_items_free(one_by_one);
}

static void test_out_of_memory_leaves_it_empty(void) {
    int failed = 0;
    for (long after = 0;; after++) {
        sg_items *m;
        draw(EVENTS);
        CHECK(sg_items_new(5, 50, 0, sg_simd_choose(), &m) == SG_OK);
        fail_after = after;
        int rc = sg_items_bulk(&m, units, items, times, EVENTS);
        long left = fail_after;
        fail_after = -1;
        SOUND(sg_items, m);
        CHECK(rc == SG_OK || (rc == SG_ERR_NOMEM && m->ledger.history.events == 0));
        sg_items_free(m);
        failed += rc != SG_OK;
        if (left >= 0) break;
    }
    CHECK(failed > 20);
}

int main(void) {
    for (int trial = 0; trial < 40; trial++) {
        test_equals_observing(1, 0);
        test_equals_observing(4, 0);
        test_equals_observing(50, 0);
        test_equals_observing(4, 7);
    }
    times[3] = NAN;
    sg_items *m;
    CHECK(sg_items_new(5, 50, 0, SG_SCALAR, &m) == SG_OK);
    CHECK(sg_items_bulk(&m, units, items, times, EVENTS) == SG_ERR_VALUE);
    sg_items_free(m);
    test_out_of_memory_leaves_it_empty();
    return 0;
}
