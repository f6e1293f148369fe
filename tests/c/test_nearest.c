/* sg_nearest against the definition of its header, word by word, over a matrix of who holds what. */
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "sg_nearest.h"

enum { UNITS = 40, ITEMS = 12, EVENTS = 300, LEN = 4, READINGS = 3 };

static uint64_t units[EVENTS], items[EVENTS];
static double times[EVENTS];
static int holds[UNITS][ITEMS]; /* the place, from 1; 0: it does not */
static double last[UNITS], sims[UNITS];
static size_t steps[UNITS];

/* Unit keys are their numbers. */
static int is_newer(size_t a, size_t b) { return last[a] != last[b] ? last[a] > last[b] : a < b; }

static int is_nearer(size_t a, size_t b) { return sims[a] != sims[b] ? sims[a] > sims[b] : is_newer(a, b); }

static void similarities(const sg_query *q) {
    for (size_t u = 0; u < UNITS; u++) {
        sims[u] = 0;
        for (size_t p = 0; p < q->len; p++) {
            size_t newer = 0;
            if (q->items[p] >= ITEMS || !holds[u][q->items[p]] || (q->without && u == *q->without)) continue;
            for (size_t other = 0; other < UNITS; other++)
                newer += holds[other][q->items[p]] && (!q->without || other != *q->without) && is_newer(other, u);
            if (newer >= q->m || q->weights[p] == 0) continue;
            if (sims[u] == 0) steps[u] = p;
            sims[u] += q->weights[p];
        }
    }
}

static size_t place(size_t u) {
    size_t n = 0;
    for (size_t other = 0; other < UNITS; other++) n += sims[other] > 0 && is_nearer(other, u);
    return n;
}

static double newest(const sg_query *q) {
    double at = -INFINITY;
    for (size_t u = 0; u < UNITS; u++)
        if (sims[u] > 0 && place(u) < q->k) at = fmax(at, last[u]);
    return at;
}

/* What unit u brings to an item, but for the similarity. */
static double counts(const sg_query *q, const sg_reading *r, size_t u, size_t item) {
    size_t d = (size_t)abs(holds[u][item] - holds[u][q->items[steps[u]]]);
    double near = !r->distances ? 1 : d < r->distances ? r->near[d] : 0;
    double fresh = r->half_life > 0 ? exp2((last[u] - newest(q)) / r->half_life) : 1;
    return holds[u][item] ? floor(q->decays[steps[u]] * fresh * near * 0x1p16 + 0.5) * 0x1p-16 : 0;
}

static void compare_reading(const sg_query *q, const sg_reading *r, size_t most, const uint64_t *found,
                            const double *scores, size_t got) {
    double expected[ITEMS] = {0};
    size_t alive = 0, holders[ITEMS] = {0}, positive = 0;
    for (size_t u = 0; u < UNITS; u++) {
        alive += last[u] >= 0;
        for (size_t i = 0; i < ITEMS; i++) holders[i] += holds[u][i] != 0;
        if (sims[u] == 0 || place(u) >= q->k) continue;
        for (size_t i = 0; i < ITEMS; i++) expected[i] += sims[u] * counts(q, r, u, i);
    }
    for (size_t i = 0; i < ITEMS; i++) {
        if (q->idf > 0 && holders[i]) expected[i] *= 1 + q->idf * log((double)alive / (double)holders[i]);
        positive += expected[i] > 0;
    }
    CHECK(got == (positive < most ? positive : most));
    for (size_t x = 0; x < got; x++) {
        size_t better = 0;
        for (size_t i = 0; i < ITEMS; i++)
            better += expected[i] > expected[found[x]] || (expected[i] == expected[found[x]] && i < found[x]);
        CHECK(better == x && scores[x] == expected[found[x]]);
    }
}

static void compare(sg_sessions *m, const sg_query *q, const sg_reading *readings, size_t count, size_t most) {
    uint64_t near[UNITS], found[READINGS * ITEMS];
    double similar[UNITS], scores[READINGS * ITEMS];
    size_t n, got[READINGS], expected_n = 0;
    similarities(q);
    CHECK(sg_nearest_units(m, q, near, similar, &n) == SG_OK);
    for (size_t u = 0; u < UNITS; u++) {
        if (sims[u] == 0 || place(u) >= q->k) continue;
        expected_n++;
        CHECK(place(u) < n && near[place(u)] == u && similar[place(u)] == sims[u]);
    }
    CHECK(n == expected_n);
    CHECK(sg_nearest_items(m, q, readings, count, most, 1, found, scores, got) == SG_OK);
    for (size_t x = 0; x < count; x++)
        compare_reading(q, &readings[x], most, found + x * most, scores + x * most, got[x]);
}

static void learn(sg_sessions *m, unsigned range) {
    for (size_t u = 0; u < UNITS; u++) {
        last[u] = -1;
        for (size_t i = 0; i < ITEMS; i++) holds[u][i] = 0;
    }
    int held[UNITS] = {0};
    for (size_t e = 0; e < EVENTS; e++) {
        units[e] = below(UNITS);
        items[e] = below(1 + below(ITEMS));
        times[e] = below(range);
        if (!holds[units[e]][items[e]]) holds[units[e]][items[e]] = ++held[units[e]]; /* the window is wide */
        last[units[e]] = fmax(last[units[e]], times[e]);
    }
    CHECK(sg_sessions_observe(m, units, items, times, EVENTS) == SG_OK);
}

static void test_random_queries(unsigned range) {
    sg_sessions *m;
    CHECK(sg_sessions_new(50, &m) == SG_OK);
    learn(m, range);
    for (int trial = 0; trial < 3000; trial++) {
        uint64_t wanted[LEN], without = below(UNITS);
        double weights[LEN], decays[LEN], near[READINGS][LEN];
        sg_reading readings[READINGS];
        size_t len = below(LEN + 1);
        for (size_t x = 0; x < READINGS; x++) {
            for (size_t d = 0; d < LEN; d++) near[x][d] = below(5) / 4.0;
            readings[x] = (sg_reading){near[x], below(LEN + 1), below(2) * (range / 8.0)};
        }
        for (size_t p = 0; p < len; p++) {
            wanted[p] = p * 4 + below(4); /* distinct, some unknown */
            weights[p] = below(5) / 4.0;
            decays[p] = below(5) / 4.0;
        }
        sg_query q = {.items = wanted,
                      .weights = weights,
                      .decays = decays,
                      .len = len,
                      .m = below(12),
                      .k = below(30),
                      .idf = below(2) * 5.0,
                      .without = below(2) ? &without : NULL};
        compare(m, &q, readings, below(READINGS + 1), below(ITEMS));
    }
    SOUND(sg_sessions, m);
    sg_sessions_free(m);
}

static void test_what_is_refused(void) {
    sg_sessions *m;
    uint64_t wanted[SG_QUERY_MAX + 1], out;
    double weights[SG_QUERY_MAX + 1], decays[SG_QUERY_MAX + 1], score;
    size_t n;
    for (size_t p = 0; p <= SG_QUERY_MAX; p++) wanted[p] = p, weights[p] = decays[p] = 1;
    CHECK(sg_sessions_new(50, &m) == SG_OK);
    learn(m, 30);
    sg_query fine = {.items = wanted, .weights = weights, .decays = decays, .len = SG_QUERY_MAX, .m = 1, .k = 1};
    sg_query bad[] = {fine, fine, fine, fine, fine};
    bad[0].len++;
    bad[1].k = SG_NEAREST_MAX + 1;
    bad[2].idf = -1;
    bad[3].idf = INFINITY;
    bad[4].idf = NAN;
    const sg_reading plain = {0}, unreadable[] = {{(double[]){1.001}, 1, 0}, {NULL, 0, -1}, {NULL, 0, NAN}};
    CHECK(sg_nearest_items(m, &fine, &plain, 1, 1, 1, &out, &score, &n) == SG_OK);
    for (size_t x = 0; x < 5; x++)
        CHECK(sg_nearest_items(m, &bad[x], &plain, 1, 1, 1, &out, &score, &n) == SG_ERR_VALUE && n == 0);
    for (size_t x = 0; x < 3; x++)
        CHECK(sg_nearest_items(m, &fine, &unreadable[x], 1, 1, 1, &out, &score, &n) == SG_ERR_VALUE && n == 0);
    for (int x = 0; x < 3; x++) {
        double *out_of_range[] = {weights, decays, weights};
        double values[] = {-0x1p-20, 1.001, NAN};
        out_of_range[x][3] = values[x];
        CHECK(sg_nearest_units(m, &fine, &out, &score, &n) == SG_ERR_VALUE && n == 0);
        out_of_range[x][3] = 1;
    }
    wanted[7] = wanted[2];
    CHECK(sg_nearest_units(m, &fine, &out, &score, &n) == SG_ERR_VALUE);
    wanted[7] = 7;
    SOUND(sg_sessions, m);
    sg_sessions_free(m);
}

static void test_out_of_memory_answers_nothing(void) {
    sg_sessions *m;
    uint64_t wanted = 0, found[ITEMS];
    double weight = 1, scores[ITEMS];
    size_t n;
    int failed = 0, rc;
    sg_query q = {.items = &wanted, .weights = &weight, .decays = &weight, .len = 1, .m = 9, .k = 9};
    const sg_reading plain = {0};
    CHECK(sg_sessions_new(50, &m) == SG_OK);
    learn(m, 30);
    do {
        fail_after = failed;
        rc = sg_nearest_items(m, &q, &plain, 1, ITEMS, 1, found, scores, &n);
        fail_after = -1;
        CHECK(rc == SG_OK || (rc == SG_ERR_NOMEM && n == 0));
        SOUND(sg_sessions, m);
    } while (rc && ++failed < 10);
    CHECK(failed > 0 && n > 0);
    sg_sessions_free(m);
}

int main(void) {
    test_random_queries(6);
    test_random_queries(1000);
    test_what_is_refused();
    test_out_of_memory_answers_nothing();
    return 0;
}
