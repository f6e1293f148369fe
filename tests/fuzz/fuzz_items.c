/* sg_items, and through it sg_pairs, sg_topk, sg_learn and sg_bulk, against what the log's events make. */
#include "sg_bulk.h"

#define MODEL sg_items
#define CHECKED pick(2) /* not always: a check empties the queue */
#include "model.h"

static uint32_t window, k, cap;
static double half_life, oldest; /* of the times that the model has seen since it was made */

static uint32_t with[ITEMS], alone[ITEMS]; /* supports: of one item with each, of each */
static double weight_with[ITEMS], weight[ITEMS];

static void settings(void) {
    window = (uint32_t[]){1, 2, 3, 5, 8, 100}[pick(6)];
    k = (uint32_t[]){1, 5, 50, 130}[pick(4)];
    half_life = pick(3) == 0;
    cap = pick(4) == 1 && k <= SG_ROW_CAP_LEAST / 4 ? SG_ROW_CAP_LEAST : 0;
    oldest = 0;
}

static int anew(sg_items **out) {
    int rc = sg_items_new(window, k, half_life, pick_level(), out);
    if (!rc && cap) CHECK(sg_items_cap(*out, cap) == SG_OK && sg_items_cap(*out, cap - 1) == SG_ERR_VALUE);
    return rc;
}

/* A pair may count too little. */
static int is_cut(void) { return model->topk.stats.thinned > 0; }

/* Times are whole half-lives: so near to each other every sum of weights is exact. */
static int is_exact(void) {
    if (len == 0) oldest = base;
    return half_life == 0 || base + 16 - oldest <= 40;
}

static void count(uint64_t item) {
    static uint64_t kept[UNITS][EVENTS];
    size_t n[UNITS] = {0};
    for (size_t j = 0; j < ITEMS; j++) with[j] = alone[j] = 0, weight_with[j] = weight[j] = 0;
    for (size_t e = 0; e < len; e++) {
        uint64_t *of = kept[units[e]], j = items[e];
        size_t end = n[units[e]], x = end > window ? end - window : 0, first = x;
        double amount = half_life > 0 && is_exact() ? exp2(times[e] - oldest) : 1;
        while (x < end && of[x] != j) x++;
        if (x < end) continue;
        for (x = first; x < end; x++) {
            if (j != item && of[x] != item) continue;
            with[j == item ? of[x] : j]++;
            weight_with[j == item ? of[x] : j] += amount;
        }
        alone[j]++;
        weight[j] += amount;
        of[n[units[e]]++] = j;
    }
}

static double strength(uint64_t j) { return weight_with[j] * weight_with[j] / weight[j]; }

static int by_strength(const void *a, const void *b) {
    uint64_t i = *(const uint64_t *)a, j = *(const uint64_t *)b;
    return strength(i) != strength(j) ? (strength(i) < strength(j) ? 1 : -1) : i < j ? -1 : 1;
}

/* The item's neighbours, in order. */
static size_t neighbours(uint64_t item, uint64_t *order) {
    size_t n = 0;
    count(item);
    for (uint64_t j = 0; j < ITEMS; j++)
        if (with[j]) order[n++] = j;
    qsort(order, n, sizeof *order, by_strength);
    return n;
}

static double score(uint64_t i, uint64_t j) { return weight_with[j] / sqrt(weight[i] * weight[j]); }

static void compare_similar(void) {
    uint64_t item = pick_item(), order[ITEMS], found[ITEMS];
    uint32_t degree, support, most = pick(4) ? pick(90) : pick(ITEMS);
    float scores[ITEMS];
    size_t n, live = neighbours(item, order);
    sg_items_counts(model, &item, 1, &support);
    CHECK(support == alone[item]);
    arm();
    if (disarm(sg_items_similar(model, item, most, found, scores, &n))) return;
    CHECK(is_cut() ? n <= live && n <= most : n == (live < most ? live : most));
    CHECK(sg_items_degrees(model, &item, 1, most, &degree) == SG_OK && degree == n);
    for (size_t x = 0; x < n; x++) {
        CHECK(sg_items_supports(model, &item, &found[x], 1, &support) == SG_OK && support > 0);
        CHECK(is_cut() ? support <= with[found[x]] : support == with[found[x]]);
        CHECK(scores[x] >= 0 && (x == 0 || scores[x] <= scores[x - 1]));
        if (!is_exact() || is_cut()) continue;
        CHECK(found[x] == order[x] && fabs(scores[x] / score(item, order[x]) - 1) < 1e-6);
    }
}

static void compare_recommended(void) {
    uint64_t of[4], order[ITEMS], found[ITEMS];
    double weights[4], expected[ITEMS] = {0}, scores[ITEMS], least = 0;
    size_t queried = pick(5), most = pick(ITEMS), each = pick(64), n, above = 0, better = 0;
    for (size_t x = 0; x < queried; x++) {
        of[x] = pick(FEW);
        weights[x] = pick(5) / 4.0;
        size_t live = neighbours(of[x], order);
        for (size_t y = 0; y < live && y < each; y++) expected[order[y]] += weights[x] * score(of[x], order[y]);
    }
    arm();
    if (disarm(sg_items_recommend(model, of, weights, queried, each, most, 1, found, scores, &n))) return;
    if (!is_exact() || is_cut()) return;
    for (size_t x = 0; x < n; x++) {
        CHECK(fabs(scores[x] - expected[found[x]]) <= 1e-12 * scores[x]);
        CHECK(x == 0 || scores[x] < scores[x - 1] || (scores[x] == scores[x - 1] && found[x] > found[x - 1]));
        least = scores[x];
    }
    for (size_t j = 0; j < ITEMS; j++) above += expected[j] > 0, better += expected[j] > least * (1 + 1e-12);
    CHECK(n == (above < most ? above : most) && (better < n || n == 0));
}

static void compact(void) {
    arm();
    if (disarm(sg_items_compact(&model))) return;
    oldest = base;
    for (size_t e = 0; e < len; e++) oldest = fmin(oldest, times[e]);
}

/* Events of hubs go and come back, a read between: lists have to follow. */
static void churn(void) {
    seed();
    for (unsigned n = len ? pick(256) : 0; n > 0; n--) {
        size_t e = below((unsigned)len), found;
        uint64_t item, unit;
        for (size_t tries = 0; tries < 4 && items[e] >= HUBS; tries++) e = below((unsigned)len);
        unit = units[e], item = items[e];
        double time = times[e];
        CHECK(sg_items_retract(model, &unit, &item, &time, 1, &found) == SG_OK && found == forget(unit, item, time));
        uint64_t best[2];
        float scores[2];
        CHECK(sg_items_similar(model, below(HUBS), 2, best, scores, &found) == SG_OK);
        put(len, unit, item, time);
        learn(1);
    }
}

static void own(unsigned what) {
    if (what < 1) compare_similar();
    else if (what < 2) compare_recommended();
    else if (what < 3) compact();
    else if (what < 4) compare_anew(sg_items_bulk);
    else churn();
}
