/* sg_topk against a full sort, in rows that are long and full of ties, through rises and falls. */
#include <string.h>

#include "check.h"
#include "sg_learn.h"

enum { ITEMS = 500 };

static uint64_t keys[ITEMS];
static uint32_t supports[ITEMS][ITEMS];

/* Row 0 (and any other) is raised and lowered by hand; norms too. */
static sg_items *bare(uint32_t k, sg_level level) {
    sg_items *m;
    CHECK(sg_items_new(50, k, 0, level, &m) == SG_OK);
    CHECK(sg_pairs_grow(&m->pairs, ITEMS) == SG_OK && sg_topk_grow(&m->topk, ITEMS) == SG_OK);
    memset(supports, 0, sizeof supports);
    for (uint32_t i = 0; i < ITEMS; i++) {
        keys[i] = (uint64_t)i * 0x9E3779B97F4A7C15u;
        sg_pairs_raise_norm(&m->pairs, i, 1);
    }
    m->topk.keys = keys;
    return m;
}

static void raise_pair(sg_items *m, uint32_t i, uint32_t j) {
    CHECK(m->learn->add(m, i, j, 1) == SG_OK);
    supports[i][j] = ++supports[j][i];
}

static void lower_pair(sg_items *m, uint32_t i, uint32_t j) {
    sg_learn_sub(m, i, j, 1);
    supports[i][j] = --supports[j][i];
}

static void lower_norm(sg_items *m, uint32_t j) {
    sg_topk_fell(&m->topk, j, m->pairs.norm[j]);
    sg_pairs_lower_norm(&m->pairs, j, 1);
}

static const sg_items *sorted_in;
static uint32_t sorted_row;

static int by_score_and_key(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    double cx = supports[sorted_row][x], cy = supports[sorted_row][y];
    double sx = cx * cx / sorted_in->pairs.norm[x], sy = cy * cy / sorted_in->pairs.norm[y];
    if (sx != sy) return sx < sy ? 1 : -1;
    return keys[x] < keys[y] ? -1 : keys[x] > keys[y];
}

static void compare(sg_items *m, uint32_t i, size_t k) {
    uint32_t expected[ITEMS];
    size_t live = 0, n;
    const sg_candidate *best;
    for (uint32_t j = 0; j < ITEMS; j++)
        if (supports[i][j]) expected[live++] = j;
    sorted_in = m;
    sorted_row = i;
    qsort(expected, live, sizeof *expected, by_score_and_key);
    CHECK(sg_topk_read(&m->topk, &m->pairs, i, k, &best, &n) == SG_OK);
    CHECK(n == (live < k ? live : k));
    for (size_t x = 0; x < n; x++) CHECK(best[x].id == expected[x]);
}

static void random_step(sg_items *m, uint32_t rows, int falling) {
    uint32_t i = below(rows), j = below(ITEMS);
    unsigned what = below(10);
    if (i == j) return;
    if (what < 5 && !(falling && below(2))) raise_pair(m, i, j);
    else if (what < 7) sg_pairs_raise_norm(&m->pairs, below(3) ? j : i, 1);
    else if (what < 8 && m->pairs.support[j] > 1) lower_norm(m, j);
    else if (supports[i][j]) lower_pair(m, i, j);
}

static void test_random_steps(uint32_t k, sg_level level) {
    sg_items *m = bare(k, level);
    for (int step = 0; step < 30000; step++) {
        random_step(m, 4, step / 8000 % 2);
        if (step % 40 == 0) compare(m, below(4), (size_t[]){k, 1, k / 2, 200, ITEMS}[below(5)]);
        if (step % 1000 == 0) SOUND(sg_topk, &m->topk, &m->pairs);
        if (step % 7000 == 6999) sg_topk_distrust(&m->topk, &m->pairs);
    }
    SOUND(sg_pairs, &m->pairs);
    CHECK(m->topk.lists > 0 && m->topk.stats.rescans > 0 && (m->topk.stats.cuts > 0 || m->topk.most > ITEMS - 10));
    sg_items_free(m);
}

/* 400 equal entries: with the total order a change in one of them rescans nothing. */
static void test_a_flat_row_is_read_without_rescans(void) {
    sg_items *m = bare(50, SG_SCALAR);
    for (uint32_t j = 1; j <= 400; j++) raise_pair(m, 0, j);
    compare(m, 0, 50);
    uint64_t rescans = m->topk.stats.rescans;
    for (int step = 0; step < 300; step++) {
        uint32_t j = 1 + below(ITEMS - 1);
        if (!supports[0][j]) raise_pair(m, 0, j);
        compare(m, 0, 50);
    }
    CHECK(m->topk.stats.rescans == rescans);
    sg_items_free(m);
}

/* A common item falls far, so that it should enter lists that never look at it. */
static void test_a_common_item_that_falls_is_found(void) {
    sg_items *m = bare(50, SG_SCALAR);
    for (int n = 0; n < 1000; n++) sg_pairs_raise_norm(&m->pairs, 300, 1);
    for (uint32_t j = 1; j <= 400; j++)
        for (int n = 0; n < (j == 300 ? 9 : 2); n++) raise_pair(m, 0, j);
    compare(m, 0, 50);
    while (m->pairs.support[300] > 2) {
        for (int n = 0; n < 5 && m->pairs.support[300] > 2; n++) lower_norm(m, 300);
        SOUND(sg_topk, &m->topk, &m->pairs);
        compare(m, 0, 50);
    }
    CHECK(m->topk.stats.epochs > 0 && m->topk.stats.followed > 0 && m->topk.stats.touched_again > 0);
    sg_items_free(m);
}

/* Rows of at most 224 entries. Without what takes back, row 0 has the true support of every pair that it holds, since
 * the other rows are whole, and its list is the k best of all pairs. */
static void test_a_capped_row_keeps_its_strongest(int falling) {
    sg_items *m = bare(50, sg_simd_choose());
    const sg_candidate *best;
    size_t n;
    m->pairs.cap_lg = 8;
    for (int step = 0; step < 20000; step++) {
        uint32_t j = 1 + below(below(2) ? 60 : ITEMS - 1);
        unsigned what = below(10);
        if (what == 0) sg_pairs_raise_norm(&m->pairs, j, 1);
        else if (what == 1 && falling && m->pairs.support[j] > 1) lower_norm(m, j);
        else if (what == 2 && falling && supports[0][j]) lower_pair(m, 0, j);
        else raise_pair(m, 0, j);
        CHECK(m->pairs.rows[0].live <= 224 && sg_pairs_support(&m->pairs, 0, j) == supports[0][j]);
        if (step % 40 == 0 && !falling) compare(m, 0, (size_t[]){50, 1, 25}[below(3)]);
        if (step % 40 == 0) CHECK(sg_topk_read(&m->topk, &m->pairs, 0, 50, &best, &n) == SG_OK);
        if (step % 40 == 0) CHECK(sg_pairs_support(&m->pairs, j, 0) == supports[0][j]);
        if (step % 500 == 0) {
            SOUND(sg_topk, &m->topk, &m->pairs);
            SOUND(sg_pairs, &m->pairs);
        }
    }
    CHECK(m->topk.stats.thinned > 0 && m->topk.lists > 0);
    sg_items_free(m);
}

static void test_out_of_memory_fails_the_read_only(size_t k) {
    sg_items *m = bare(50, SG_SCALAR);
    const sg_candidate *best;
    size_t n;
    for (uint32_t j = 1; j <= 400; j++) raise_pair(m, 0, j);
    fail_after = 0;
    CHECK(sg_topk_read(&m->topk, &m->pairs, 0, k, &best, &n) == SG_ERR_NOMEM && n == 0);
    fail_after = -1;
    SOUND(sg_topk, &m->topk, &m->pairs);
    compare(m, 0, k);
    sg_items_free(m);
}

int main(void) {
    for (int level = SG_SCALAR; level <= SG_AVX512; level++)
        if (sg_simd_has((sg_level)level)) test_random_steps(50, (sg_level)level);
    test_random_steps(3, SG_SCALAR);
    test_random_steps(150, SG_SCALAR);
    test_a_flat_row_is_read_without_rescans();
    test_a_common_item_that_falls_is_found();
    test_a_capped_row_keeps_its_strongest(0);
    test_a_capped_row_keeps_its_strongest(1);
    test_out_of_memory_fails_the_read_only(50);
    test_out_of_memory_fails_the_read_only(400);
    return 0;
}
