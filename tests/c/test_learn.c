/* sg_learn: the queue delays pairs and loses none, also where memory fails in the middle of an event. */
#include <math.h>

#include "check.h"
#include "sg_learn.h"

static uint64_t one_unit_of(sg_items *m, uint64_t unit, uint64_t items) {
    for (uint64_t item = 0; item < items; item++) {
        double time = (double)item;
        CHECK(sg_items_observe(m, &unit, &item, &time, 1) == SG_OK);
    }
    return items * (items - 1) / 2;
}

static void test_the_queue_holds_what_is_not_in_the_rows_yet(void) {
    sg_items *m;
    CHECK(sg_items_new(50, 50, 0, sg_simd_choose(), &m) == SG_OK);
    uint64_t pairs = one_unit_of(m, 1, 30);
    CHECK(m->queue.len == SG_QUEUE && m->pairs.entries / 2 + m->queue.len == pairs);
    CHECK(m->learn->drain(m) == SG_OK);
    CHECK(m->queue.len == 0 && m->pairs.entries / 2 == pairs);
    SOUND(sg_items, m);
    sg_items_free(m);
}

/* New items at ever new positions of the queue: each event that fails leaves no trace, and works when tried again. */
static void test_out_of_memory_in_an_event_is_undone(int decays, sg_level level) {
    sg_items *m, *calm;
    int failed = 0;
    CHECK(sg_items_new(100, 50, decays, level, &m) == SG_OK && sg_items_new(100, 50, decays, level, &calm) == SG_OK);
    for (int step = 0; step < 2000; step++) {
        uint64_t unit = below(8), item = below(300);
        double time = step / 1000.0;
        uint64_t events = m->ledger.history.events;
        fail_after = below(3);
        int rc = sg_items_observe(m, &unit, &item, &time, 1);
        fail_after = -1;
        CHECK(rc == SG_OK || rc == SG_ERR_NOMEM);
        CHECK(m->ledger.history.events == events + (rc == SG_OK));
        failed += rc != SG_OK;
        if (rc && below(2)) continue;
        if (rc) CHECK(sg_items_observe(m, &unit, &item, &time, 1) == SG_OK);
        CHECK(sg_items_observe(calm, &unit, &item, &time, 1) == SG_OK);
        if (rc || step % 250 == 0) {
            uint64_t a[2], b[2];
            SOUND(sg_items, m);
            CHECK(sg_items_checksum(m, a) == SG_OK && sg_items_checksum(calm, b) == SG_OK);
            CHECK(a[0] == b[0] && a[1] == b[1]);
        }
    }
    CHECK(failed > 20);
    sg_items_free(m);
    sg_items_free(calm);
}

static void test_weights_are_the_same_before_and_after_the_landmark_moves(void) {
    sg_items *m;
    uint64_t unit = 1, item = 1;
    CHECK(sg_items_new(50, 50, 10, SG_SCALAR, &m) == SG_OK);
    double origin = 1.7e9, times[] = {origin, origin + 3, origin - 17.7}, before[3];
    CHECK(sg_items_observe(m, &unit, &item, &origin, 1) == SG_OK);
    CHECK(sg_learn_weight(m, origin) == 1 && fabs(sg_learn_weight(m, origin + 10) - 2) < 1e-12);
    for (int x = 0; x < 3; x++) before[x] = sg_learn_weight(m, times[x]);
    double later = origin + 1005;
    CHECK(sg_items_observe(m, &unit, &item, &later, 1) == SG_OK && m->shift == 100);
    for (int x = 0; x < 3; x++) CHECK(sg_learn_weight(m, times[x]) == before[x] * 0x1p-100);
    sg_items_free(m);
}

int main(void) {
    test_the_queue_holds_what_is_not_in_the_rows_yet();
    for (int level = SG_SCALAR; level <= SG_AVX512; level++) {
        if (!sg_simd_has((sg_level)level)) continue;
        test_out_of_memory_in_an_event_is_undone(0, (sg_level)level);
        test_out_of_memory_in_an_event_is_undone(1, (sg_level)level);
    }
    test_weights_are_the_same_before_and_after_the_landmark_moves();
    return 0;
}
