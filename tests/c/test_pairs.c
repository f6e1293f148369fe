/* sg_pairs against matrices: rows that fill up, overflow their buckets, and give slots back. */
#include <string.h>

#include "check.h"
#include "sg_learn.h"

enum { ITEMS = 90 };

static uint32_t supports[ITEMS][ITEMS];
static double weights[ITEMS][ITEMS];

/* A model whose items have the ids 0..ITEMS-1, and whose pairs are raised by hand. */
static sg_items *bare(int decays, sg_level level) {
    sg_items *m;
    CHECK(sg_items_new(50, 50, decays, level, &m) == SG_OK);
    CHECK(sg_pairs_grow(&m->pairs, ITEMS) == SG_OK && sg_topk_grow(&m->topk, ITEMS) == SG_OK);
    memset(supports, 0, sizeof supports);
    memset(weights, 0, sizeof weights);
    for (uint32_t i = 0; i < ITEMS; i++) sg_pairs_raise_norm(&m->pairs, i, 1);
    return m;
}

static void change(sg_items *m, uint32_t i, uint32_t j, int sign, double weight) {
    if (sign > 0) CHECK(m->learn->add(m, i, j, weight) == SG_OK);
    else sg_learn_sub(m, i, j, weight);
    supports[i][j] = supports[j][i] = supports[i][j] + (uint32_t)sign;
    weights[i][j] = weights[j][i] = supports[i][j] ? weights[i][j] + sign * weight : 0;
}

static void compare(const sg_pairs *p) {
    SOUND(sg_pairs, p);
    for (uint32_t i = 0; i < ITEMS; i++) {
        for (uint32_t j = 0; j < ITEMS; j++) {
            const uint64_t *slot = p->row->find(&p->rows[i], j);
            CHECK(sg_pairs_support(p, i, j) == supports[i][j]);
            if (slot && p->decays) CHECK(sg_row_weights(&p->rows[i])[slot - p->rows[i].slots] == weights[i][j]);
            if (slot && !p->decays)
                CHECK(sg_strength(p, &p->rows[i], slot) == (double)supports[i][j] * supports[i][j] / p->norm[j]);
        }
    }
}

/* Item 0 pairs with all: its row is filled to the brim and emptied; weights are powers of two, so that sums are exact.
 */
static void test_random_pairs(int decays, sg_level level) {
    sg_items *m = bare(decays, level);
    for (int step = 0; step < 12000; step++) {
        uint32_t i = below(2) ? 0 : below(ITEMS), j = below(ITEMS);
        int falling = step / 3000 % 2;
        double weight = decays ? 0.25 : 1;
        if (i == j) continue;
        if (supports[i][j] && below(4) < (falling ? 3u : 1u)) change(m, i, j, -1, weight);
        else if (!falling || below(3) == 0) change(m, i, j, +1, weight);
        if (step % 200 == 0) compare(&m->pairs);
    }
    compare(&m->pairs);
    for (uint32_t i = 0; i < ITEMS; i++)
        for (uint32_t j = 0; j < i; j++)
            while (supports[i][j]) change(m, i, j, -1, decays ? 0.25 : 1);
    compare(&m->pairs);
    CHECK(m->pairs.entries == 0);
    sg_items_free(m);
}

static void test_norms_stay_above_zero_while_there_is_support(void) {
    sg_items *m = bare(1, SG_SCALAR);
    sg_pairs_raise_norm(&m->pairs, 0, 0);
    sg_pairs_lower_norm(&m->pairs, 0, 5);
    CHECK(m->pairs.support[0] == 1 && m->pairs.norm[0] > 0);
    sg_pairs_scale(&m->pairs, 0);
    CHECK(m->pairs.norm[0] > 0);
    sg_pairs_lower_norm(&m->pairs, 0, 0);
    CHECK(m->pairs.support[0] == 0 && m->pairs.norm[0] == 0);
    sg_items_free(m);
}

static void test_scaling_by_a_power_of_two_is_exact(void) {
    sg_items *m = bare(1, SG_SCALAR);
    change(m, 1, 2, +1, 0.7);
    change(m, 1, 2, +1, 0.1);
    sg_pairs_scale(&m->pairs, 0x1p-60);
    weights[1][2] = weights[2][1] = (0.7 + 0.1) * 0x1p-60;
    compare(&m->pairs);
    sg_items_free(m);
}

static void test_out_of_memory_changes_nothing(void) {
    int failed = 0;
    sg_items *m = bare(0, SG_SCALAR);
    for (uint32_t j = 1; j < ITEMS; j++) {
        fail_after = 0;
        int rc = m->learn->add(m, 0, j, 1);
        fail_after = -1;
        CHECK(rc == SG_OK || rc == SG_ERR_NOMEM);
        failed += rc != SG_OK;
        if (rc) change(m, 0, j, +1, 1);
        else supports[0][j] = supports[j][0] = 1;
        compare(&m->pairs);
    }
    CHECK(failed > 0);
    sg_items_free(m);
}

int main(void) {
    for (int level = SG_SCALAR; level <= SG_AVX512; level++) {
        if (!sg_simd_has((sg_level)level)) continue;
        test_random_pairs(0, (sg_level)level);
        test_random_pairs(1, (sg_level)level);
    }
    test_norms_stay_above_zero_while_there_is_support();
    test_scaling_by_a_power_of_two_is_exact();
    test_out_of_memory_changes_nothing();
    return 0;
}
