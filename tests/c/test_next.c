/* sg_next against what its definition says, learned anew from the events that remain. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "sg_next.h"

enum { UNITS = 5, ITEMS = 40, EVENTS = 400 };

typedef struct {
    uint64_t units[EVENTS], items[EVENTS];
    double times[EVENTS];
    size_t n;
} list;

static uint32_t weights[ITEMS][ITEMS], norms[ITEMS], supports[ITEMS];

static void learn(const list *l, size_t window, size_t steps) {
    static uint64_t kept[UNITS][EVENTS];
    size_t n[UNITS] = {0};
    memset(weights, 0, sizeof weights);
    memset(norms, 0, sizeof norms);
    memset(supports, 0, sizeof supports);
    for (size_t e = 0; e < l->n; e++) {
        uint64_t unit = l->units[e], i = l->items[e];
        size_t x = n[unit] > window ? n[unit] - window : 0;
        while (x < n[unit] && kept[unit][x] != i) x++;
        if (x < n[unit]) continue;
        for (size_t d = 1; d <= steps && d <= n[unit]; d++) {
            weights[kept[unit][n[unit] - d]][i] += 2520 / (uint32_t)d;
            norms[kept[unit][n[unit] - d]] += 2520 / (uint32_t)d;
        }
        supports[i]++;
        kept[unit][n[unit]++] = i;
    }
}

/* y is the x-th of those that follow i. */
static int is_best(uint64_t i, uint64_t y, size_t x) {
    size_t better = 0;
    for (uint64_t j = 0; j < ITEMS; j++)
        better += weights[i][j] > weights[i][y] || (weights[i][j] == weights[i][y] && j < y);
    return weights[i][y] > 0 && better == x;
}

static void compare(sg_next *m, const list *l) {
    SOUND(sg_next, m);
    learn(l, m->ledger.history.window, m->steps);
    CHECK(m->ledger.history.events == l->n);
    for (uint64_t i = 0; i < ITEMS; i++) {
        uint64_t found[ITEMS];
        double amounts[ITEMS];
        size_t n, degree = 0;
        uint32_t id = sg_table_find(m->ledger.items, i);
        CHECK(id == SG_TABLE_NONE ? supports[i] == 0 : supports[i] == m->pairs.support[id]);
        CHECK(id == SG_TABLE_NONE ? norms[i] == 0 : norms[i] == m->pairs.norm[id]);
        for (uint64_t j = 0; j < ITEMS; j++) degree += weights[i][j] > 0;
        CHECK(sg_next_following(m, i, ITEMS, found, amounts, &n) == SG_OK && n == degree);
        CHECK(sg_next_degree(m, i) == degree);
        for (size_t x = 0; x < n; x++) CHECK(is_best(i, found[x], x) && amounts[x] == weights[i][found[x]] / 2520.0);
    }
}

/* scores[z] of two hops, from the lists that `following` gives. */
static void hop(sg_next *m, const uint64_t *items, const double *w, size_t len, size_t first, size_t second,
                double scores[ITEMS]) {
    memset(scores, 0, ITEMS * sizeof *scores);
    for (size_t x = 0; x < len; x++) {
        uint64_t ys[ITEMS], zs[ITEMS];
        double to_y[ITEMS], to_z[ITEMS];
        size_t n, found;
        CHECK(sg_next_following(m, items[x], first, ys, to_y, &n) == SG_OK);
        for (size_t y = 0; y < n; y++) {
            CHECK(sg_next_following(m, ys[y], second, zs, to_z, &found) == SG_OK);
            for (size_t z = 0; z < found; z++)
                scores[zs[z]] +=
                    w[x] * (weights[items[x]][ys[y]] / (double)norms[items[x]]) / norms[ys[y]] * weights[ys[y]][zs[z]];
        }
    }
}

static void compare_two_hops(sg_next *m, const list *l) {
    uint64_t items[6], found[ITEMS];
    double w[6], scores[ITEMS], expected[ITEMS];
    size_t len = below(7), first = below(ITEMS), second = below(ITEMS), limit = below(ITEMS + 1), n, above = 0;
    learn(l, m->ledger.history.window, m->steps);
    for (size_t x = 0; x < len; x++) {
        items[x] = below(ITEMS);
        w[x] = below(4) / 2.0;
    }
    hop(m, items, w, len, first, second, expected);
    CHECK(sg_next_two_hops(m, items, w, len, first, second, limit, 1, found, scores, &n) == SG_OK);
    for (uint64_t z = 0; z < ITEMS; z++) above += expected[z] > 0;
    CHECK(n == (above < limit ? above : limit));
    for (size_t x = 0; x < n; x++) {
        size_t better = 0;
        for (uint64_t z = 0; z < ITEMS; z++)
            better += expected[z] > expected[found[x]] || (expected[z] == expected[found[x]] && z < found[x]);
        CHECK(better == x && scores[x] == expected[found[x]]);
    }
}

static int observe(sg_next *m, list *l) {
    size_t n = below(30), at = l->n;
    if (at + n > EVENTS) return SG_OK;
    for (size_t e = at; e < at + n; e++) {
        l->units[e] = below(UNITS);
        l->items[e] = below(4) ? below(8) : below(ITEMS);
        l->times[e] = below(20);
    }
    int rc = sg_next_observe(m, l->units + at, l->items + at, l->times + at, n);
    CHECK(rc ? m->ledger.history.events < at + n : m->ledger.history.events == at + n);
    l->n = m->ledger.history.events; /* where it failed, the events before that one are learned */
    return rc;
}

static void drop(list *l, size_t e) {
    for (size_t later = e + 1; later < l->n; later++) {
        int same = l->units[e] == l->units[later] && l->items[e] == l->items[later] && l->times[e] == l->times[later];
        if (same) e = later;
    }
    l->n--;
    memmove(l->units + e, l->units + e + 1, (l->n - e) * sizeof *l->units);
    memmove(l->items + e, l->items + e + 1, (l->n - e) * sizeof *l->items);
    memmove(l->times + e, l->times + e + 1, (l->n - e) * sizeof *l->times);
}

static int retract(sg_next *m, list *l, size_t e) {
    size_t found;
    uint64_t unit = l->units[e], item = l->items[e];
    double time = l->times[e];
    int rc = sg_next_retract(m, &unit, &item, &time, 1, &found);
    CHECK(found == (rc == SG_OK));
    if (found) drop(l, e);
    return rc;
}

/* Until it does not fail, as it goes on where it did. */
static int expire(sg_next *m, list *l, double before) {
    size_t gone, all = 0, n = 0;
    int failed = 0;
    for (int rc = SG_ERR_NOMEM; rc != SG_OK; failed += rc != SG_OK) {
        rc = sg_next_expire(m, before, &gone);
        CHECK(rc == SG_OK || rc == SG_ERR_NOMEM);
        if (rc) SOUND(sg_next, m);
        all += gone;
    }
    for (size_t e = 0; e < l->n; e++) {
        l->units[n] = l->units[e];
        l->items[n] = l->items[e];
        l->times[n] = l->times[e];
        n += l->times[e] >= before;
    }
    CHECK(all == l->n - n);
    l->n = n;
    return failed ? SG_ERR_NOMEM : SG_OK;
}

static void test_random_steps(uint32_t window, uint32_t steps, sg_level level) {
    static list l;
    sg_next *m;
    l.n = 0;
    CHECK(sg_next_new(window, steps, 50, level, &m) == SG_OK);
    for (int step = 0; step < 300; step++) {
        if (below(3) == 0) CHECK(observe(m, &l) == SG_OK);
        else if (below(12) == 0) CHECK(expire(m, &l, below(20)) == SG_OK);
        else if (l.n) CHECK(retract(m, &l, below((unsigned)l.n)) == SG_OK);
        if (step % 100 == 99) CHECK(sg_next_compact(&m) == SG_OK);
        if (step % 5 == 0) compare(m, &l);
        if (step % 5 == 1) compare_two_hops(m, &l);
    }
    CHECK(expire(m, &l, 20) == SG_OK);
    compare(m, &l);
    uint64_t sum[2];
    CHECK(sg_table_live(m->ledger.items) == 0 && sg_table_live(m->ledger.units) == 0 && m->pairs.entries == 0);
    CHECK(sg_next_checksum(m, sum) == SG_OK && sum[0] == 0 && sum[1] == 0);
    sg_next_free(m);
}

static int step_that_may_fail(sg_next **m, list *l) {
    unsigned what = below(20);
    size_t n;
    uint64_t item = below(8), found[ITEMS];
    double w = 1, scores[ITEMS];
    if (what == 0) return sg_next_compact(m);
    if (what < 2) return expire(*m, l, below(8));
    if (what < 4) return sg_next_two_hops(*m, &item, &w, 1, 12, 50, ITEMS, 1, found, scores, &n);
    if (what < 8 || l->n < 100) return observe(*m, l);
    return retract(*m, l, below((unsigned)l->n));
}

static void test_out_of_memory_keeps_what_was_there(void) {
    static list l;
    sg_next *m;
    int failed = 0;
    CHECK(sg_next_new(4, 3, 50, sg_simd_choose(), &m) == SG_OK);
    for (int step = 0; step < 3000; step++) {
        fail_after = below(6);
        int rc = step_that_may_fail(&m, &l);
        fail_after = -1;
        CHECK(rc == SG_OK || rc == SG_ERR_NOMEM);
        failed += rc != SG_OK;
        if (rc || step % 50 == 0) compare(m, &l);
    }
    CHECK(failed > 20);
    sg_next_free(m);
    for (fail_after = 0;; fail_after++) {
        long after = fail_after;
        int rc = sg_next_new(3, 3, 50, SG_SCALAR, &m);
        if (rc == SG_OK) break;
        CHECK(rc == SG_ERR_NOMEM && m == NULL);
        fail_after = after;
    }
    fail_after = -1;
    sg_next_free(m);
}

/* Rows long enough to have lists, against a scan of the matrix. */
static void test_long_rows(void) {
    enum { WIDE = 600, STEPS = 4000 };
    static uint32_t follows[WIDE];
    sg_next *m;
    uint64_t found[WIDE];
    double amounts[WIDE];
    size_t n;
    CHECK(sg_next_new(2, 1, 20, sg_simd_choose(), &m) == SG_OK);
    for (uint64_t step = 0; step < STEPS; step++) { /* unit `step` goes from item WIDE to another */
        uint64_t units[2] = {step, step}, items[2] = {WIDE, below(3) ? below(WIDE) : below(30)};
        double times[2] = {0, (double)items[1]};
        CHECK(sg_next_observe(m, units, items, times, 2) == SG_OK);
        follows[items[1]]++;
        if (step > 2000 && below(2)) {
            uint64_t unit = below((unsigned)step), item = WIDE;
            double time = 0;
            if (sg_next_retract(m, &unit, &item, &time, 1, &n) == SG_OK && n) {
                const sg_unit *u = &m->ledger.history.units[sg_table_find(m->ledger.units, unit)];
                follows[sg_table_keys(m->ledger.items)[u->items[0]]]--;
            }
        }
        if (step % 50) continue;
        CHECK(sg_next_following(m, WIDE, 20, found, amounts, &n) == SG_OK && n <= 20);
        for (size_t x = 0; x < n; x++) {
            size_t better = 0;
            for (uint64_t j = 0; j < WIDE; j++)
                better += follows[j] > follows[found[x]] || (follows[j] == follows[found[x]] && j < found[x]);
            CHECK(better == x && amounts[x] == follows[found[x]]);
        }
        SOUND(sg_next, m);
    }
    CHECK(m->fan.stats.list_reads > 20 && m->fan.lists == 1);
    sg_next_free(m);
}

static void test_what_is_refused(void) {
    sg_next *m;
    uint64_t one = 1, pair[] = {1, 2}, found[4];
    double times[] = {1, NAN}, scores[4];
    size_t n;
    CHECK(sg_next_new(0, 0, 50, SG_SCALAR, &m) == SG_ERR_VALUE && sg_next_new(3, 4, 50, SG_SCALAR, &m) == SG_ERR_VALUE);
    CHECK(sg_next_new(50, 11, 50, SG_SCALAR, &m) == SG_ERR_VALUE);
    CHECK(sg_next_new(1, 1, 0, SG_SCALAR, &m) == SG_ERR_VALUE && m == NULL);
    CHECK(sg_next_new(50, 10, 50, SG_SCALAR, &m) == SG_OK);
    CHECK(sg_next_observe(m, pair, pair, times, 2) == SG_ERR_VALUE && m->ledger.history.events == 0);
    CHECK(sg_next_retract(m, pair, pair, times, 2, &n) == SG_ERR_VALUE && n == 0);
    CHECK(sg_next_expire(m, NAN, &n) == SG_ERR_VALUE && n == 0);
    for (double bad = -1; bad < 1; bad += 0.5)
        CHECK(sg_next_two_hops(m, &one, &(double){bad < 0 ? bad : NAN}, 1, 1, 1, 4, 1, found, scores, &n) ==
              SG_ERR_VALUE);
    CHECK(sg_next_two_hops(m, &one, &(double){INFINITY}, 1, 1, 1, 4, 1, found, scores, &n) == SG_ERR_VALUE && n == 0);
    sg_next_free(m);
}

/* A weight that is nearly full: its slot and norm are set by hand. */
static void test_a_full_weight(void) {
    sg_next *m;
    const uint64_t units[] = {1, 1, 2, 2, 2}, items[] = {7, 8, 7, 9, 8};
    const double times[] = {0, 0, 0, 0, 0};
    size_t n;
    CHECK(sg_next_new(50, 10, 50, SG_SCALAR, &m) == SG_OK);
    CHECK(sg_next_observe(m, units, items, times, 2) == SG_OK);
    uint32_t more = ((uint32_t)1 << 30) - 2520;
    *m->pairs.row->find(&m->pairs.rows[0], 1) += more * SG_ONE;
    m->pairs.norm[0] += more;
    CHECK(sg_next_observe(m, units + 2, items + 2, times, 2) == SG_OK); /* another weight of the row */
    CHECK(sg_next_observe(m, units + 4, items + 4, times, 1) == SG_ERR_RANGE && m->ledger.history.events == 4);
    *m->pairs.row->find(&m->pairs.rows[0], 1) -= 1260 * SG_ONE;
    m->pairs.norm[0] -= 1260;
    CHECK(sg_next_observe(m, units + 4, items + 4, times, 1) == SG_OK);
    CHECK(sg_next_retract(m, units + 3, items + 3, times, 1, &n) == SG_OK && n == 1); /* may pass 2^30 */
    CHECK(m->pairs.norm[0] == (1 << 30) + 1260);
    *m->pairs.row->find(&m->pairs.rows[0], 1) -= (more - 1260) * SG_ONE;
    m->pairs.norm[0] -= more - 1260;
    SOUND(sg_next, m);
    sg_next_free(m);
}

int main(void) {
    for (int level = SG_SCALAR; level <= SG_AVX512; level++) {
        if (!sg_simd_has((sg_level)level)) continue;
        test_random_steps(1, 1, (sg_level)level);
        test_random_steps(2, 1, (sg_level)level);
        test_random_steps(3, 3, (sg_level)level);
        test_random_steps(5, 2, (sg_level)level);
        test_random_steps(50, 10, (sg_level)level);
    }
    test_out_of_memory_keeps_what_was_there();
    test_long_rows();
    test_what_is_refused();
    test_a_full_weight();
    return 0;
}
