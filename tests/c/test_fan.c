/* sg_fan against a matrix: rows long enough for lists, few amounts, so that most entries are ties. */
#include <string.h>

#include "check.h"
#include "sg_fan.h"

enum { ROWS = 3, ITEMS = 200 };

static uint64_t keys[ITEMS];
static uint32_t amounts[ROWS][ITEMS];

typedef struct {
    sg_pool *pool;
    sg_pairs pairs;
    sg_fan fan;
} model;

static void begin(model *m, uint32_t k, sg_level level) {
    memset(amounts, 0, sizeof amounts);
    m->pool = sg_pool_new();
    sg_pairs_init(&m->pairs, m->pool, 0, level);
    m->pairs.directed = 1;
    CHECK(m->pool && sg_fan_init(&m->fan, m->pool, k) == SG_OK && sg_pairs_grow(&m->pairs, ITEMS) == SG_OK);
    CHECK(m->fan.most >= k + k / 4);
    m->fan.keys = keys;
    for (uint32_t i = 0; i < ROWS; i++) m->pairs.support[i] = 1;
}

static void end(model *m) {
    sg_pairs_clear(&m->pairs);
    sg_fan_clear(&m->fan);
    sg_pool_free(m->pool);
}

static void raise_by(model *m, uint32_t i, uint32_t j, uint32_t amount) {
    sg_pairs *p = &m->pairs;
    if (sg_row_is_full(&p->rows[i]) && sg_pairs_widen(p, &p->rows[i])) return;
    sg_fan_touch(&m->fan, p, i, sg_pairs_raise_by(p, i, j, amount));
    p->norm[i] += amount;
    amounts[i][j] += amount;
}

static void lower_by(model *m, uint32_t i, uint32_t j, uint32_t amount) {
    int was_listed;
    uint32_t left = sg_pairs_lower_by(&m->pairs, i, j, amount, &was_listed);
    amounts[i][j] -= amount;
    CHECK(left == amounts[i][j]);
    if (was_listed) sg_fan_fall(&m->fan, &m->pairs, i, j, amounts[i][j]);
    m->pairs.norm[i] -= amount;
    if (m->pairs.rows[i].live == 0 && below(2)) {
        sg_fan_release(&m->fan, &m->pairs, i);
        sg_pairs_release(&m->pairs, i);
    }
}

static int is_better(uint32_t i, uint32_t a, uint32_t b) {
    return amounts[i][a] != amounts[i][b] ? amounts[i][a] > amounts[i][b] : keys[a] < keys[b];
}

static int read(model *m, uint32_t i, size_t k) {
    const uint32_t *ids, *found;
    size_t n, entries = 0;
    int rc = sg_fan_read(&m->fan, &m->pairs, i, k, &ids, &found, &n);
    if (rc) return rc;
    for (uint32_t j = 0; j < ITEMS; j++) entries += amounts[i][j] > 0;
    CHECK(n == (entries < k ? entries : k));
    for (size_t x = 0; x < n; x++) {
        size_t better = 0;
        for (uint32_t j = 0; j < ITEMS; j++) better += is_better(i, j, ids[x]);
        CHECK(better == x && found[x] == amounts[i][ids[x]] && found[x] > 0);
    }
    return SG_OK;
}

static void step(model *m, int rising) {
    uint32_t i = below(ROWS), j = ROWS + (below(3) ? below(ITEMS - ROWS) : below(20));
    if (below(10) < (rising ? 7u : 3u)) raise_by(m, i, j, 1 + below(3));
    else if (amounts[i][j]) lower_by(m, i, j, below(3) ? 1 : amounts[i][j]);
}

static void test_random_steps(uint32_t k, sg_level level) {
    model m;
    begin(&m, k, level);
    for (int n = 0; n < 20000; n++) {
        step(&m, n / 3000 % 2 == 0);
        if (n % 20 == 0) CHECK(read(&m, below(ROWS), below(4) ? k : below(ITEMS)) == SG_OK);
        if (n % 50 == 0) {
            SOUND(sg_pairs, &m.pairs);
            SOUND(sg_fan, &m.fan, &m.pairs);
        }
    }
    const sg_fan_stats *s = &m.fan.stats;
    CHECK(s->short_reads && s->list_reads && s->rebuilds && s->full_scans && s->admitted);
    CHECK(s->rebuilds < s->list_reads && m.fan.lists <= ROWS);
    end(&m);
}

static void test_out_of_memory_keeps_what_was_there(void) {
    model m;
    int failed = 0;
    begin(&m, 12, sg_simd_choose());
    for (int n = 0; n < 5000; n++) {
        fail_after = below(3);
        step(&m, n / 500 % 2 == 0);
        failed += read(&m, below(ROWS), below(ITEMS)) == SG_ERR_NOMEM;
        fail_after = -1;
        if (n % 20 == 0) SOUND(sg_fan, &m.fan, &m.pairs);
        for (uint32_t i = 0; i < ROWS && n % 100 == 0; i++) CHECK(read(&m, i, 12) == SG_OK);
    }
    CHECK(failed > 3);
    end(&m);
}

int main(void) {
    for (uint64_t j = 0; j < ITEMS; j++) keys[j] = j * 0x9E3779B97F4A7C15u;
    for (int level = SG_SCALAR; level <= SG_AVX512; level++) {
        if (!sg_simd_has((sg_level)level)) continue;
        test_random_steps(1, (sg_level)level);
        test_random_steps(12, (sg_level)level);
        test_random_steps(50, (sg_level)level);
    }
    test_out_of_memory_keeps_what_was_there();
    return 0;
}
