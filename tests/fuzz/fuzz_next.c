/* sg_next, and through it sg_fan and directed sg_pairs, against the transitions that the log's events make. */
#include "sg_next.h"

#define MODEL sg_next
#define CHECKED 1
#include "model.h"

static uint32_t window, steps, k;
static uint32_t weights[ITEMS][ITEMS], norms[ITEMS], supports[ITEMS], *row;

static void settings(void) {
    window = (uint32_t[]){1, 2, 3, 5, 10, 50}[pick(6)];
    steps = 1 + pick(window < SG_NEXT_STEPS ? window : SG_NEXT_STEPS);
    k = (uint32_t[]){1, 5, 20, 100}[pick(4)];
}

static int anew(sg_next **out) { return sg_next_new(window, steps, k, pick_level(), out); }

static void count(void) {
    static uint64_t kept[UNITS][EVENTS];
    size_t n[UNITS] = {0};
    memset(weights, 0, sizeof weights);
    memset(norms, 0, sizeof norms);
    memset(supports, 0, sizeof supports);
    for (size_t e = 0; e < len; e++) {
        uint64_t *of = kept[units[e]], y = items[e];
        size_t end = n[units[e]], x = end > window ? end - window : 0;
        while (x < end && of[x] != y) x++;
        if (x < end) continue;
        for (size_t d = 1; d <= steps && d <= end; d++) {
            weights[of[end - d]][y] += SG_NEXT_UNIT / (uint32_t)d;
            norms[of[end - d]] += SG_NEXT_UNIT / (uint32_t)d;
        }
        supports[y]++;
        of[n[units[e]]++] = y;
    }
}

static int by_weight(const void *a, const void *b) {
    uint64_t y = *(const uint64_t *)a, z = *(const uint64_t *)b;
    return row[y] != row[z] ? (row[y] < row[z] ? 1 : -1) : y < z ? -1 : 1;
}

/* The `most` best followers, in order. */
static size_t followers(uint64_t x, size_t most, uint64_t *order) {
    size_t n = 0;
    row = weights[x];
    for (uint64_t y = 0; y < ITEMS; y++)
        if (row[y]) order[n++] = y;
    qsort(order, n, sizeof *order, by_weight);
    return n < most ? n : most;
}

static void compare_following(void) {
    uint64_t item = pick_item(), order[ITEMS], found[ITEMS];
    double amounts[ITEMS];
    size_t n, most = pick(4) ? pick(32) : pick(ITEMS), live;
    count();
    live = followers(item, ITEMS, order);
    uint32_t id = sg_table_find(model->ledger.items, item);
    if (id == SG_TABLE_NONE) CHECK(supports[item] == 0);
    else CHECK(supports[item] == model->pairs.support[id] && norms[item] == model->pairs.norm[id]);
    CHECK(sg_next_degree(model, item) == live);
    if (disarm(sg_next_following(model, item, most, found, amounts, &n))) return;
    CHECK(n == (live < most ? live : most) && memcmp(found, order, n * sizeof *found) == 0);
    for (size_t x = 0; x < n; x++) CHECK(amounts[x] == weights[item][found[x]] / (double)SG_NEXT_UNIT);
}

static void hop_on(uint64_t x, double w, size_t first, size_t second, double *scores) {
    uint64_t ys[ITEMS], zs[ITEMS];
    size_t n = followers(x, first, ys);
    for (size_t y = 0; y < n; y++) {
        double step = w * (weights[x][ys[y]] / (double)norms[x]) / norms[ys[y]];
        size_t m = followers(ys[y], second, zs);
        for (size_t z = 0; z < m; z++) scores[zs[z]] += step * weights[ys[y]][zs[z]];
    }
}

static void compare_two_hops(void) {
    uint64_t of[4], found[ITEMS];
    double w[4], scores[ITEMS], expected[ITEMS] = {0};
    size_t queried = pick(5), first = pick(16), second = pick(64), most = pick(ITEMS), n, above = 0;
    count();
    for (size_t x = 0; x < queried; x++) {
        of[x] = pick(FEW);
        w[x] = pick(4) / 2.0;
        hop_on(of[x], w[x], first, second, expected);
    }
    if (disarm(sg_next_two_hops(model, of, w, queried, first, second, most, 1, found, scores, &n))) return;
    for (size_t z = 0; z < ITEMS; z++) above += expected[z] > 0;
    CHECK(n == (above < most ? above : most));
    for (size_t x = 0; x < n; x++) {
        size_t better = 0;
        for (size_t z = 0; z < ITEMS; z++)
            better += expected[z] > expected[found[x]] || (expected[z] == expected[found[x]] && z < found[x]);
        CHECK(better == x && scores[x] == expected[found[x]]);
    }
}

static void own(unsigned what) {
    arm();
    if (what < 2) compare_following();
    else if (what < 4) compare_two_hops();
    else disarm(sg_next_compact(&model));
}
