/* sg_history, owned as a model owns it, against lists that are run anew. */
#include "log.h"
#include "sg_history.h"

enum { UNITS = 3, ITEMS = 8, MOST = 300 };

/* supports[i][i]: kept events of i; supports[i][j]: pairs, i the newer. weights: the sums of their times. */
typedef struct {
    int supports[ITEMS][ITEMS];
    double weights[ITEMS][ITEMS];
    size_t kept, events;
} sums;

static int is_due; /* expiry has begun */

static sums run(uint64_t unit, uint32_t window) {
    sums s = {0};
    uint64_t kept[MOST];
    for (size_t e = 0; e < len; e++) {
        size_t first = s.kept > window ? s.kept - window : 0, x = first;
        uint64_t item = items[e];
        if (units[e] != unit) continue;
        s.events++;
        while (x < s.kept && kept[x] != item) x++;
        if (x < s.kept) continue;
        for (x = first; x < s.kept; x++) {
            s.supports[item][kept[x]]++;
            s.weights[item][kept[x]] += times[e];
        }
        s.supports[item][item]++;
        s.weights[item][item] += times[e];
        kept[s.kept++] = item;
    }
    return s;
}

static void append(sg_history *h, uint32_t unit, uint32_t item, double time) {
    sg_unit *u = &h->units[unit];
    int repeats = 0;
    if (len == MOST || disarm(sg_history_note(h, unit, time))) return;
    for (uint32_t x = u->kept_len - sg_unit_window(u, h->window); x < u->kept_len; x++) repeats |= u->items[x] == item;
    arm();
    if (disarm(repeats ? sg_history_skip(h, u, item, time) : sg_history_reserve(h, u, (size_t)u->kept_len + 1))) return;
    if (!repeats) sg_history_keep_unchecked(h, u, item, time);
    put(len++, unit, item, time);
}

/* What the plan says is what the unit's events have become. */
static void commit(sg_history *h, uint32_t unit, sums *s, const sg_plan *plan) {
    for (size_t d = 0; d < plan->len; d++) {
        const sg_delta *delta = &plan->deltas[d];
        CHECK((delta->sign > 0) == (d < plan->added));
        uint32_t other = delta->other == SG_TABLE_NONE ? delta->item : delta->other;
        s->supports[delta->item][other] += delta->sign;
        s->weights[delta->item][other] += delta->sign * delta->time;
    }
    sums expected = run(unit, h->window);
    CHECK(memcmp(s->supports, expected.supports, sizeof s->supports) == 0);
    CHECK(memcmp(s->weights, expected.weights, sizeof s->weights) == 0);
    size_t from, n, to;
    sg_history_planned(h, &from, &n, &to);
    CHECK(from + n + h->units[unit].kept_len - to == expected.kept);
    sg_history_commit(h);
    CHECK(h->units[unit].kept_len == expected.kept);
    if (expected.events == 0) sg_history_release(h, unit);
}

static void retract(sg_history *h, uint32_t unit, uint32_t item, double time) {
    int found;
    sg_plan plan;
    sums s = run(unit, h->window);
    arm();
    if (disarm(sg_history_plan(h, unit, item, time, &found, &plan))) return;
    CHECK((size_t)found == forget(unit, item, time));
    if (found) commit(h, unit, &s, &plan);
}

static void expire(sg_history *h, double before) {
    uint32_t unit;
    arm();
    if (disarm(sg_history_expires(h))) return;
    is_due = 1;
    while (sg_history_due(h, before, &unit)) {
        size_t found;
        sg_plan plan;
        sums s = run(unit, h->window);
        arm();
        if (disarm(sg_history_plan_expiry(h, unit, before, &found, &plan))) return;
        CHECK(found == forget_before(before, unit));
        if (found) commit(h, unit, &s, &plan);
        sg_history_settled(h, unit);
    }
    CHECK(forget_before(before, UINT64_MAX) == 0);
}

static void step(sg_history *h) {
    unsigned what = pick(16), unit = pick(UNITS), item = pick(ITEMS), time = pick(8);
    if (what == 0) {
        expire(h, time);
    } else if (what == 1) {
        seed();
        for (unsigned n = pick(64), few = 1 + item; n > 0; n--) append(h, unit, below(few), below(8));
    } else if (what < 9) {
        append(h, unit, item, time);
    } else if (what < 15 && len) {
        size_t e = pick_wide(MOST) % len;
        retract(h, (uint32_t)units[e], (uint32_t)items[e], times[e]);
    } else {
        retract(h, unit, item, time);
    }
}

static void compare(const sg_history *h) {
    uint32_t of[MOST];
    double when[MOST];
    SOUND(sg_history, h);
    CHECK(h->events == len && h->expires == is_due);
    for (uint32_t unit = 0; unit < UNITS; unit++) {
        size_t n = 0;
        sg_history_events(&h->units[unit], of, when);
        for (size_t e = 0; e < len; e++) {
            if (units[e] != unit) continue;
            CHECK(of[n] == items[e] && when[n] == times[e]);
            n++;
        }
        CHECK((size_t)h->units[unit].kept_len + h->units[unit].skipped_len == n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sg_history h;
    begin(data, size);
    len = 0;
    is_due = 0;
    sg_pool *pool = sg_pool_new();
    arm();
    int rc = disarm(sg_history_init(&h, pool, 1 + pick(10)));
    if (!rc) rc = sg_history_grow(&h, UNITS, ITEMS);
    while (!rc && more()) {
        step(&h);
        compare(&h);
    }
    sg_history_clear(&h);
    sg_pool_free(pool);
    return 0;
}
