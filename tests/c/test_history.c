/* sg_history against lists that are run anew: what is kept, what is skipped, and what a retract changes. */
#include <string.h>

#include "check.h"
#include "sg_history.h"

enum { ITEMS = 6, EVENTS = 60 };

typedef struct {
    uint32_t items[EVENTS];
    double times[EVENTS];
    size_t n;
} list;

/* supports[i][i]: kept events of i; supports[i][j]: pairs, i the newer. weights: the sum of their times. */
typedef struct {
    int supports[ITEMS][ITEMS];
    double weights[ITEMS][ITEMS];
} sums;

static sums run(const list *l, uint32_t window) {
    sums s = {0};
    uint32_t kept[EVENTS];
    size_t n = 0;
    for (size_t e = 0; e < l->n; e++) {
        size_t first = n > window ? n - window : 0, x = first;
        uint32_t item = l->items[e];
        while (x < n && kept[x] != item) x++;
        if (x < n) continue;
        for (x = first; x < n; x++) {
            s.supports[item][kept[x]]++;
            s.weights[item][kept[x]] += l->times[e];
        }
        s.supports[item][item]++;
        s.weights[item][item] += l->times[e];
        kept[n++] = item;
    }
    return s;
}

static void append(sg_history *h, list *l, uint32_t item, double time) {
    sg_unit *u = &h->units[0];
    int repeats = 0;
    CHECK(sg_history_note(h, 0, time) == SG_OK);
    for (uint32_t x = u->kept_len - sg_unit_window(u, h->window); x < u->kept_len; x++) repeats |= u->items[x] == item;
    if (repeats) {
        CHECK(sg_history_skip(h, u, item, time) == SG_OK);
    } else {
        CHECK(sg_history_reserve(h, u, (size_t)u->kept_len + 1) == SG_OK);
        sg_history_keep_unchecked(h, u, item, time);
    }
    l->items[l->n] = item;
    l->times[l->n++] = time;
}

static void compare(const sg_history *h, const list *l) {
    uint32_t items[EVENTS];
    double times[EVENTS];
    const sg_unit *u = &h->units[0];
    SOUND(sg_history, h);
    CHECK((size_t)u->kept_len + u->skipped_len == l->n && h->events == l->n);
    sg_history_events(u, items, times);
    CHECK(memcmp(items, l->items, l->n * sizeof *items) == 0);
    CHECK(memcmp(times, l->times, l->n * sizeof *times) == 0);
}

static void apply(sums *s, const sg_plan *plan) {
    for (size_t d = 0; d < plan->len; d++) {
        const sg_delta *delta = &plan->deltas[d];
        CHECK((delta->sign > 0) == (d < plan->added));
        uint32_t other = delta->other == SG_TABLE_NONE ? delta->item : delta->other;
        s->supports[delta->item][other] += delta->sign;
        s->weights[delta->item][other] += delta->sign * delta->time;
    }
}

static size_t newest(const list *l, uint32_t item, double time) {
    size_t e = l->n;
    while (e > 0 && (l->items[e - 1] != item || l->times[e - 1] != time)) e--;
    return e;
}

static void retract(sg_history *h, list *l, uint32_t item, double time) {
    int found;
    sg_plan plan;
    size_t e = newest(l, item, time);
    sums s = run(l, h->window);
    CHECK(sg_history_plan(h, 0, item, time, &found, &plan) == SG_OK && found == (e > 0));
    if (!found) return;
    l->n--;
    memmove(l->items + e - 1, l->items + e, (l->n - e + 1) * sizeof *l->items);
    memmove(l->times + e - 1, l->times + e, (l->n - e + 1) * sizeof *l->times);
    apply(&s, &plan);
    sums expected = run(l, h->window);
    CHECK(memcmp(&s, &expected, sizeof s) == 0);
    sg_history_commit(h);
}

static void expire(sg_history *h, list *l, double before) {
    size_t found, n = 0;
    uint32_t unit;
    sg_plan plan;
    sums s = run(l, h->window);
    for (size_t e = 0; e < l->n; e++) {
        l->items[n] = l->items[e];
        l->times[n] = l->times[e];
        n += l->times[e] >= before;
    }
    CHECK(sg_history_expires(h) == SG_OK);
    CHECK(sg_history_due(h, before, &unit) || n == l->n);
    CHECK(sg_history_plan_expiry(h, 0, before, &found, &plan) == SG_OK && found == l->n - n);
    l->n = n;
    if (found == 0) return;
    apply(&s, &plan);
    sums expected = run(l, h->window);
    CHECK(memcmp(&s, &expected, sizeof s) == 0);
    sg_history_commit(h);
    while (sg_history_due(h, before, &unit)) sg_history_settled(h, unit);
    if (n == 0) sg_history_release(h, 0);
}

static void test_random_units(uint32_t window) {
    for (int trial = 0; trial < 60; trial++) {
        sg_pool *pool = sg_pool_new();
        sg_history h;
        list l = {0};
        CHECK(sg_history_init(&h, pool, window) == SG_OK && sg_history_grow(&h, 1, ITEMS) == SG_OK);
        for (int step = 0; step < 150; step++) {
            if (below(12) == 0) expire(&h, &l, below(5));
            else if (l.n < EVENTS && below(3)) append(&h, &l, below(ITEMS), below(4));
            else if (l.n && below(4)) retract(&h, &l, l.items[below((unsigned)l.n)], below(4));
            else retract(&h, &l, below(ITEMS), below(4));
            compare(&h, &l);
        }
        sg_history_clear(&h);
        sg_pool_free(pool);
    }
}

static void test_the_example_of_the_header(void) {
    sg_pool *pool = sg_pool_new();
    sg_history h;
    list l = {0};
    CHECK(sg_history_init(&h, pool, 2) == SG_OK && sg_history_grow(&h, 1, ITEMS) == SG_OK);
    for (size_t e = 0; e < 5; e++) append(&h, &l, (uint32_t)"\0\1\0\2\0"[e], (double)e);
    CHECK(h.units[0].kept_len == 4 && h.units[0].skipped_len == 1 && h.units[0].skipped[0].after == 2);
    retract(&h, &l, 0, 2); /* the skipped one: nothing else moves */
    CHECK(h.units[0].kept_len == 4 && h.units[0].skipped_len == 0);
    retract(&h, &l, 2, 3); /* without c the last a repeats the first */
    CHECK(h.units[0].kept_len == 2 && h.units[0].skipped_len == 1);
    compare(&h, &l);
    sg_history_clear(&h);
    sg_pool_free(pool);
}

static void test_out_of_memory_changes_nothing(void) {
    for (long after = 0; after < 12; after++) {
        sg_pool *pool = sg_pool_new();
        sg_history h;
        list l = {0};
        CHECK(sg_history_init(&h, pool, 3) == SG_OK && sg_history_grow(&h, 1, ITEMS) == SG_OK);
        for (int e = 0; e < 40; e++) append(&h, &l, below(ITEMS), e);
        fail_after = after;
        int found;
        sg_plan plan;
        int rc = sg_history_plan(&h, 0, l.items[1], 1, &found, &plan);
        fail_after = -1;
        CHECK(rc == SG_OK || rc == SG_ERR_NOMEM);
        compare(&h, &l);
        retract(&h, &l, l.items[1], 1);
        compare(&h, &l);
        sg_history_clear(&h);
        sg_pool_free(pool);
    }
}

int main(void) {
    test_the_example_of_the_header();
    test_random_units(1);
    test_random_units(2);
    test_random_units(4);
    test_random_units(50);
    test_out_of_memory_changes_nothing();
    return 0;
}
