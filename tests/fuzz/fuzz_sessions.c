/* sg_sessions, and through it sg_postings and sg_nearest, against who holds what by the log. */
#include "sg_nearest.h"

#define MODEL sg_sessions
#define CHECKED 1
#include "model.h"

static uint32_t window, cap;
static int holds[UNITS][ITEMS];
static double last[UNITS], similar[UNITS]; /* last: of units that have events */
static size_t steps[UNITS], alive, holders[ITEMS];

static void settings(void) {
    window = (uint32_t[]){1, 2, 3, 5, 8, 50}[pick(6)];
    cap = pick(3) ? 0 : 1 + pick(UNITS);
}

static int anew(sg_sessions **out) {
    int rc = sg_sessions_new(window, out);
    if (!rc && cap) CHECK(sg_sessions_cap(*out, cap) == SG_OK && sg_sessions_cap(*out, 0) == SG_ERR_VALUE);
    return rc;
}

static void count(void) {
    static uint64_t kept[UNITS][EVENTS];
    size_t n[UNITS] = {0};
    memset(holds, 0, sizeof holds);
    memset(holders, 0, sizeof holders);
    for (size_t e = 0; e < len; e++) {
        uint64_t u = units[e], *of = kept[u];
        size_t x = n[u] > window ? n[u] - window : 0;
        last[u] = n[u] ? fmax(last[u], times[e]) : times[e];
        while (x < n[u] && of[x] != items[e]) x++;
        if (x == n[u]) of[n[u]++] = items[e];
    }
    alive = 0;
    for (size_t u = 0; u < UNITS; u++) {
        alive += n[u] > 0;
        for (size_t x = n[u] > window ? n[u] - window : 0; x < n[u]; x++) {
            holds[u][kept[u][x]] = 1;
            holders[kept[u][x]]++;
        }
    }
}

static int is_newer(size_t a, size_t b) { return last[a] != last[b] ? last[a] > last[b] : a < b; }

static int is_nearer(size_t a, size_t b) { return similar[a] != similar[b] ? similar[a] > similar[b] : is_newer(a, b); }

static void find_similar(const sg_query *q) {
    for (size_t u = 0; u < UNITS; u++) {
        similar[u] = 0;
        for (size_t p = 0; p < q->len; p++) {
            uint64_t item = q->items[p];
            size_t newer = 0;
            if (!holds[u][item] || (q->without && u == *q->without) || q->weights[p] == 0) continue;
            for (size_t other = 0; other < UNITS; other++)
                newer += holds[other][item] && (!q->without || other != *q->without) && is_newer(other, u);
            if (newer >= q->m) continue;
            if (similar[u] == 0) steps[u] = p;
            similar[u] += q->weights[p];
        }
    }
}

/* Units nearest first; adds what they bring to expected. */
static size_t find_nearest(const sg_query *q, uint64_t *order, double *expected) {
    size_t n = 0;
    find_similar(q);
    for (size_t u = 0; u < UNITS; u++) {
        size_t nearer = 0;
        for (size_t other = 0; other < UNITS; other++) nearer += similar[other] > 0 && is_nearer(other, u);
        if (similar[u] == 0 || nearer >= q->k) continue;
        order[nearer] = u;
        n++;
        for (size_t i = 0; i < ITEMS; i++) expected[i] += holds[u][i] * similar[u] * q->decays[steps[u]];
    }
    for (size_t i = 0; i < ITEMS && q->idf > 0; i++)
        if (holders[i]) expected[i] *= 1 + q->idf * log((double)alive / (double)holders[i]);
    return n;
}

/* With a cap older units may be missed, so that others come in their place. */
static void compare_capped(const sg_query *q, const uint64_t *near, const double *sims, size_t n) {
    CHECK(n <= q->k);
    for (size_t x = 0; x < n; x++) {
        double most = 0;
        for (size_t p = 0; p < q->len; p++) most += holds[near[x]][q->items[p]] ? q->weights[p] : 0;
        CHECK(sims[x] > 0 && sims[x] <= most && !(q->without && near[x] == *q->without));
        CHECK(x == 0 || sims[x] < sims[x - 1] || (sims[x] == sims[x - 1] && is_newer(near[x - 1], near[x])));
    }
}

static void compare_query(const sg_query *q) {
    uint64_t order[UNITS], near[UNITS], found[ITEMS];
    double expected[ITEMS] = {0}, sims[UNITS], scores[ITEMS];
    size_t n = find_nearest(q, order, expected), most = pick(ITEMS), got, above = 0;
    arm();
    if (disarm(sg_nearest_units(model, q, near, sims, &got))) return;
    if (cap) compare_capped(q, near, sims, got);
    if (cap) return;
    CHECK(got == n && memcmp(near, order, n * sizeof *near) == 0);
    for (size_t x = 0; x < n; x++) CHECK(sims[x] == similar[near[x]]);
    arm();
    if (disarm(sg_nearest_items(model, q, &(sg_reading){0}, 1, most, 1, found, scores, &got))) return;
    for (size_t i = 0; i < ITEMS; i++) above += expected[i] > 0;
    CHECK(got == (above < most ? above : most));
    for (size_t x = 0; x < got; x++) {
        size_t better = 0;
        for (size_t i = 0; i < ITEMS; i++)
            better += expected[i] > expected[found[x]] || (expected[i] == expected[found[x]] && i < found[x]);
        CHECK(better == x && scores[x] == expected[found[x]]);
    }
}

static void compare_nearest(void) {
    uint64_t of[8], without = pick(UNITS);
    double weights[8], decays[8];
    size_t queried = pick(9);
    for (size_t p = 0; p < queried; p++) {
        of[p] = p < FEW / 2 ? p * 2 + pick(2) : FEW + p * 16 + pick(16); /* distinct */
        weights[p] = pick(5) / 4.0;
        decays[p] = pick(5) / 4.0;
    }
    sg_query q = {
        .items = of, .weights = weights, .decays = decays, .len = queried, .m = pick(UNITS), .k = pick(UNITS)};
    q.idf = pick(2) * 5.0;
    q.without = pick(2) ? &without : NULL;
    count();
    if (alive != sg_table_live(model->ledger.units)) q.idf = 0; /* keys that a failed call left behind count too */
    compare_query(&q);
    for (uint64_t i = 0; i < ITEMS; i++) {
        uint32_t held;
        sg_sessions_holding(model, &i, 1, &held);
        CHECK(held == holders[i]);
    }
}

static void refuse_query(void) {
    const uint64_t of[] = {1, 1 + pick(2)};
    const double fine[] = {1, 1}, bad[] = {1, pick(2) ? NAN : 1.001};
    uint64_t found;
    double score;
    size_t n, doubled = of[0] == of[1];
    sg_query q = {.items = of, .weights = doubled ? fine : bad, .decays = fine, .len = 2, .m = 1, .k = 1};
    CHECK(sg_nearest_units(model, &q, &found, &score, &n) == SG_ERR_VALUE && n == 0);
    CHECK(sg_nearest_items(model, &q, &(sg_reading){0}, 1, 1, 1, &found, &score, &n) == SG_ERR_VALUE && n == 0);
}

static void own(unsigned what) {
    if (what < 3) compare_nearest();
    else if (what < 4) compare_anew(sg_sessions_bulk);
    else refuse_query();
}
