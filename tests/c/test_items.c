/* sg_items against what its definition says, learned anew from the events that remain. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "sg_bulk.h"

enum { UNITS = 5, ITEMS = 40, EVENTS = 400 };

typedef struct {
    uint64_t units[EVENTS], items[EVENTS];
    double times[EVENTS];
    size_t n;
} list;

static uint32_t supports[ITEMS][ITEMS]; /* [i][i]: n_i */
static double weights[ITEMS][ITEMS];

static void learn(const list *l, size_t window, double half_life) {
    static uint64_t kept[UNITS][EVENTS];
    size_t n[UNITS] = {0};
    memset(supports, 0, sizeof supports);
    memset(weights, 0, sizeof weights);
    for (size_t e = 0; e < l->n; e++) {
        uint64_t unit = l->units[e], i = l->items[e];
        size_t first = n[unit] > window ? n[unit] - window : 0, x = first;
        double weight = half_life > 0 ? exp2(l->times[e] / half_life) : 1;
        while (x < n[unit] && kept[unit][x] != i) x++;
        if (x < n[unit]) continue;
        for (x = first; x < n[unit]; x++) {
            uint64_t j = kept[unit][x];
            supports[i][j] = ++supports[j][i];
            weights[i][j] = weights[j][i] += weight;
        }
        supports[i][i]++;
        weights[i][i] += weight;
        kept[unit][n[unit]++] = i;
    }
}

static void compare(sg_items *m, const list *l) {
    SOUND(sg_items, m);
    learn(l, m->ledger.history.window, m->half_life);
    CHECK(m->ledger.history.events == l->n);
    for (uint64_t i = 0; i < ITEMS; i++) {
        uint64_t found[ITEMS];
        float scores[ITEMS];
        size_t n, degree = 0;
        uint32_t count;
        for (uint64_t j = 0; j < ITEMS; j++) degree += j != i && supports[i][j] > 0;
        sg_items_counts(m, &i, 1, &count);
        CHECK(count == supports[i][i]);
        CHECK(sg_items_similar(m, i, ITEMS, found, scores, &n) == SG_OK && n == degree);
        for (size_t x = 0; x < n; x++) {
            uint64_t j = found[x];
            uint32_t support;
            CHECK(sg_items_supports(m, &i, &j, 1, &support) == SG_OK && support == supports[i][j]);
            double score = weights[i][j] / sqrt(weights[i][i] * weights[j][j]);
            CHECK(fabs(scores[x] - score) < 1e-5 * (1 + score));
            CHECK(x == 0 || scores[x - 1] > scores[x] ||
                  (scores[x - 1] == scores[x] && (m->half_life > 0 || found[x - 1] < j)));
        }
    }
}

static void observe(sg_items *m, list *l) {
    size_t n = below(30), at = l->n;
    if (at + n > EVENTS) return;
    for (; l->n < at + n; l->n++) {
        l->units[l->n] = below(UNITS);
        l->items[l->n] = below(4) ? below(8) : below(ITEMS);
        l->times[l->n] = below(20);
    }
    CHECK(sg_items_observe(m, l->units + at, l->items + at, l->times + at, n) == SG_OK);
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

static int retract(sg_items *m, list *l, size_t e) {
    size_t found;
    uint64_t unit = l->units[e], item = l->items[e];
    double time = l->times[e];
    int rc = sg_items_retract(m, &unit, &item, &time, 1, &found);
    CHECK(found == (rc == SG_OK));
    if (found) drop(l, e);
    return rc;
}

static void expire(sg_items *m, list *l, double before) {
    size_t gone, n = 0;
    for (size_t e = 0; e < l->n; e++) {
        l->units[n] = l->units[e];
        l->items[n] = l->items[e];
        l->times[n] = l->times[e];
        n += l->times[e] >= before;
    }
    CHECK(sg_items_expire(m, before, &gone) == SG_OK && gone == l->n - n);
    l->n = n;
}

static void test_random_steps(uint32_t window, double half_life, sg_level level) {
    static list l;
    sg_items *m;
    l.n = 0;
    CHECK(sg_items_new(window, 50, half_life, level, &m) == SG_OK);
    for (int step = 0; step < 300; step++) {
        if (below(3) == 0) observe(m, &l);
        else if (below(12) == 0) expire(m, &l, below(20));
        else if (l.n) CHECK(retract(m, &l, below((unsigned)l.n)) == SG_OK);
        if (step % 100 == 99) CHECK(sg_items_compact(&m) == SG_OK);
        if (step % 5 == 0) compare(m, &l);
    }
    expire(m, &l, INFINITY);
    compare(m, &l);
    CHECK(m->pairs.entries == 0 && sg_table_live(m->ledger.units) == 0 && sg_table_live(m->ledger.items) == 0);
    sg_items_free(m);
}

static void test_out_of_memory_keeps_what_was_there(double half_life) {
    static list l;
    sg_items *m;
    int failed = 0;
    l.n = 0;
    CHECK(sg_items_new(3, 50, half_life, sg_simd_choose(), &m) == SG_OK);
    for (int step = 0; step < 1500; step++) {
        if (l.n < 100) observe(m, &l);
        fail_after = below(6);
        int rc = below(20) ? retract(m, &l, below((unsigned)l.n)) : sg_items_compact(&m);
        fail_after = -1;
        CHECK(rc == SG_OK || rc == SG_ERR_NOMEM);
        failed += rc != SG_OK;
        if (rc || step % 50 == 0) compare(m, &l);
    }
    CHECK(failed > 10);
    sg_items_free(m);
    for (fail_after = 0;; fail_after++) {
        long after = fail_after;
        int rc = sg_items_new(3, 50, half_life, SG_SCALAR, &m);
        if (rc == SG_OK) break;
        CHECK(rc == SG_ERR_NOMEM && m == NULL);
        fail_after = after;
    }
    fail_after = -1;
    sg_items_free(m);
}

/* Rows of 14 entries, of up to 39: no pair counts too much, and nothing is left of what has gone. */
static void test_capped_rows_never_count_too_much(double half_life) {
    static list l;
    sg_items *m;
    uint64_t thinned = 0;
    l.n = 0;
    CHECK(sg_items_new(50, 2, half_life, sg_simd_choose(), &m) == SG_OK);
    m->pairs.cap_lg = 4;
    for (int step = 0; step < 1000; step++) {
        if (below(3) == 0) observe(m, &l);
        else if (below(12) == 0) expire(m, &l, below(20));
        else if (l.n) CHECK(retract(m, &l, below((unsigned)l.n)) == SG_OK);
        thinned += m->topk.stats.thinned; /* compacting begins anew */
        if (step % 100 == 99) CHECK(sg_items_compact(&m) == SG_OK && m->pairs.cap_lg == 4);
        SOUND(sg_items, m);
        learn(&l, m->ledger.history.window, half_life);
        for (uint64_t i = 0; i < ITEMS; i++)
            for (uint64_t j = 0; j < ITEMS; j++) {
                uint32_t support;
                CHECK(sg_items_supports(m, &i, &j, 1, &support) == SG_OK && (i == j || support <= supports[i][j]));
            }
    }
    CHECK(thinned > 0);
    expire(m, &l, INFINITY);
    SOUND(sg_items, m);
    CHECK(m->pairs.entries == 0 && sg_table_live(m->ledger.items) == 0);
    sg_items_free(m);
}

static void test_what_is_refused(void) {
    sg_items *m;
    uint64_t one = 1, pair[] = {1, 2};
    double times[] = {1, NAN};
    size_t found;
    CHECK(sg_items_new(0, 50, 0, SG_SCALAR, &m) == SG_ERR_VALUE &&
          sg_items_new(1, 0, 0, SG_SCALAR, &m) == SG_ERR_VALUE);
    CHECK(sg_items_new(1, 1, -1, SG_SCALAR, &m) == SG_ERR_VALUE &&
          sg_items_new(1, 1, NAN, SG_SCALAR, &m) == SG_ERR_VALUE);
    CHECK(sg_items_new(50, 50, 0, SG_SCALAR, &m) == SG_OK);
    CHECK(sg_items_observe(m, pair, pair, times, 2) == SG_ERR_VALUE && m->ledger.history.events == 0);
    CHECK(sg_items_retract(m, pair, pair, times, 2, &found) == SG_ERR_VALUE && found == 0);
    CHECK(sg_items_observe(m, &one, &one, times, 1) == SG_OK);
    m->pairs.support[0] = SG_SUPPORT_MAX; /* as after 2^30 events */
    CHECK(sg_items_observe(m, pair + 1, &one, times, 1) == SG_ERR_RANGE && m->ledger.history.events == 1);
    CHECK(sg_items_cap(m, 1000) == SG_ERR_VALUE); /* it has events */
    sg_items_free(m);
    CHECK(sg_items_new(50, 100, 0, SG_SCALAR, &m) == SG_OK);
    CHECK(sg_items_cap(m, 255) == SG_ERR_VALUE && sg_items_cap(m, 399) == SG_ERR_VALUE && m->pairs.cap_lg == 0);
    CHECK(sg_items_cap(m, 895) == SG_OK && m->pairs.cap_lg == 9);
    CHECK(sg_items_cap(m, 896) == SG_OK && m->pairs.cap_lg == 10);
    sg_items_free(m);
}

int main(void) {
    for (int level = SG_SCALAR; level <= SG_AVX512; level++) {
        if (!sg_simd_has((sg_level)level)) continue;
        for (uint32_t window = 1; window <= 50; window += window < 3 ? 1 : 47) {
            test_random_steps(window, 0, (sg_level)level);
            test_random_steps(window, 5, (sg_level)level);
        }
    }
    test_out_of_memory_keeps_what_was_there(0);
    test_out_of_memory_keeps_what_was_there(5);
    test_capped_rows_never_count_too_much(0);
    test_capped_rows_never_count_too_much(5);
    test_what_is_refused();
    return 0;
}
