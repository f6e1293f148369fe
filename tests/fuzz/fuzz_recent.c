/* sg_recent against sums over all observations. Times are whole half-lives near an item's own, so that sums are exact;
 * or so far apart that weights underflow, and then only counts are compared. */
#include <math.h>

#include "fuzz.h"
#include "sg_recent.h"

enum { ITEMS = 48, TIMES = 24, CATEGORIES = 4, SPANS = 4 };

static uint32_t seen[ITEMS][TIMES], counts[ITEMS];
static uint64_t category_of[ITEMS];
static sg_recent *r;
static unsigned apart; /* half-lives: 300, where the landmark has to move and nothing underflows, or more */

static double time_of(uint64_t item, unsigned t) { return (double)(item % SPANS * apart + t); }

static double pick_now(void) { return pick_wide((SPANS - 1) * apart); }

static double expected(uint64_t item, double now) {
    double weight = 0;
    for (unsigned t = 0; t < TIMES; t++) weight += ldexp(seen[item][t], (int)(time_of(item, t) - now));
    return weight;
}

static void observe(uint64_t item, unsigned t, uint32_t weight) {
    double time = time_of(item, t), w = weight;
    if (disarm(sg_recent_observe(r, &item, &time, &w, 1))) return;
    seen[item][t] += weight;
    counts[item]++;
}

/* An observation that was, as far as sums and counts say: all of weight 1 but the last. */
static void retract(uint64_t item, unsigned t) {
    double time = time_of(item, t), w = counts[item] == 1 ? expected(item, time) : 1;
    size_t found;
    if (counts[item] > 1 && seen[item][t] == 0) w = 0;
    CHECK(sg_recent_retract(r, &item, &time, &w, 1, &found) == SG_OK && found == (counts[item] > 0));
    if (counts[item] == 0) return;
    seen[item][t] -= w > 0 && seen[item][t] > 0;
    if (--counts[item] == 0) memset(seen[item], 0, sizeof seen[item]);
}

static void categorise(uint64_t item, uint64_t category) {
    arm();
    if (disarm(sg_recent_categorise(r, &item, &category, 1)) == SG_OK) category_of[item] = category;
}

static void compare_top(void) {
    uint64_t order[ITEMS], top[ITEMS], category = pick(CATEGORIES + 1);
    double weights[ITEMS], now = pick_now();
    size_t n = 0, got, most = pick(ITEMS + 1);
    for (uint64_t item = 0; item < ITEMS; item++) {
        if (counts[item] == 0 || (category && category_of[item] != category)) continue;
        size_t at = n++;
        for (; at > 0 && expected(order[at - 1], now) < expected(item, now); at--) order[at] = order[at - 1];
        order[at] = item;
    }
    arm();
    if (disarm(sg_recent_top(r, most, category, now, top, weights, &got))) return;
    CHECK(got == (most < n ? most : n));
    for (size_t x = 0; x < got && apart == 300; x++) CHECK(top[x] == order[x] && weights[x] == expected(order[x], now));
}

static void compare(void) {
    size_t live = 0;
    double now = pick_now(), weight;
    for (uint64_t item = 0, category; item < ITEMS; item++) {
        live += counts[item] > 0;
        sg_recent_categories(r, &item, 1, &category);
        CHECK(category == category_of[item]);
        CHECK(sg_recent_weights(r, &item, 1, now, &weight) == SG_OK);
        CHECK(apart == 300 ? weight == expected(item, now) : weight >= 0 && isfinite(weight));
    }
    CHECK(sg_recent_live(r) == live);
}

/* Through a snapshot, which goes on in its place. */
static void reload(void) {
    uint64_t items[ITEMS], categories[ITEMS];
    uint32_t each[ITEMS];
    double weights[ITEMS];
    int64_t landmark;
    size_t n = sg_recent_size(r);
    CHECK(n <= ITEMS);
    sg_recent_dump(r, items, each, weights, categories, &landmark);
    sg_recent *again = sg_recent_new(1);
    arm();
    if (disarm(sg_recent_load(again, items, each, weights, categories, n, landmark)) == SG_OK) {
        sg_recent *was = r;
        r = again;
        again = was;
    }
    sg_recent_free(again);
}

static void step(void) {
    unsigned what = pick(16), item = pick(ITEMS), t = pick(TIMES);
    if (what < 4) {
        arm();
        observe(item, t, 1);
    } else if (what < 8) {
        retract(item, t);
    } else if (what < 10) {
        categorise(item, pick(CATEGORIES + 1));
    } else if (what < 11) {
        seed();
        for (unsigned n = pick(256); n > 0; n--) observe(below(ITEMS), below(TIMES), 1);
    } else if (what < 12) {
        seed();
        for (unsigned n = pick(256); n > 0; n--) retract(below(ITEMS), below(TIMES));
    } else if (what < 14) {
        compare_top();
    } else if (what < 15) {
        compare();
    } else {
        reload();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    begin(data, size);
    apart = pick(4) ? 300 : 2000;
    memset(seen, 0, sizeof seen);
    memset(counts, 0, sizeof counts);
    memset(category_of, 0, sizeof category_of);
    arm();
    r = sg_recent_new(1);
    if (disarm(r ? SG_OK : SG_ERR_NOMEM)) return 0;
    while (more()) {
        step();
        SOUND(sg_recent, r);
    }
    compare();
    sg_recent_free(r);
    return 0;
}
