/* sg_ledger: keys come and go with their events; what is dumped, listed and summed is what was appended. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "sg_ledger.h"

enum { UNITS = 6, EVENTS = 40 };

/* In the order of arrival. */
typedef struct {
    uint64_t unit, item;
    double time;
} event;

static void append(sg_ledger *l, event e) {
    uint32_t unit, item;
    CHECK(sg_ledger_index(l, &e.unit, &e.item, 1, &unit, &item) == SG_OK);
    sg_unit *u = &l->history.units[unit];
    int repeats = u->kept_len && u->items[u->kept_len - 1] == item; /* the window is 1 */
    if (repeats) CHECK(sg_history_skip(&l->history, u, item, e.time) == SG_OK);
    if (!repeats) CHECK(sg_history_reserve(&l->history, u, (size_t)u->kept_len + 1) == SG_OK);
    if (!repeats) sg_history_keep_unchecked(&l->history, u, item, e.time);
}

static void compare(const sg_ledger *l, const event *events, size_t n) {
    uint64_t units[EVENTS], items[EVENTS], unit_keys[UNITS], item_keys[EVENTS];
    uint32_t lengths[UNITS], numbers[EVENTS];
    double times[EVENTS], dumped[EVENTS];
    size_t live = sg_table_live(l->units);
    CHECK(sg_ledger_events(l, units, items, times) == SG_OK && l->history.events == n);
    CHECK(sg_ledger_dump(l, unit_keys, lengths, item_keys, numbers, dumped) == SG_OK);
    for (size_t u = 0, at = 0; u < live; u++)
        for (size_t e = 0, x = 0; x < lengths[u]; e++) {
            CHECK(e < n);
            if (events[e].unit != unit_keys[u]) continue;
            CHECK(units[at] == events[e].unit && items[at] == events[e].item && times[at] == events[e].time);
            CHECK(item_keys[numbers[at]] == events[e].item && dumped[at] == events[e].time);
            x++;
            at++;
        }
}

/* All of a unit's events, and those items that no other names. */
static size_t take_out(sg_ledger *l, event *events, size_t n, uint64_t unit) {
    uint32_t id = sg_table_find(l->units, unit);
    size_t found, left = 0;
    sg_plan plan;
    if (id == SG_TABLE_NONE) return n;
    CHECK(sg_history_plan_expiry(&l->history, id, INFINITY, &found, &plan) == SG_OK);
    sg_history_commit(&l->history);
    sg_ledger_release_unit(l, id);
    CHECK(sg_table_find(l->units, unit) == SG_TABLE_NONE);
    for (size_t e = 0; e < n; e++)
        if (events[e].unit != unit) events[left++] = events[e];
    CHECK(found == n - left);
    for (uint64_t item = 0; item < 12; item++) {
        uint32_t number = sg_table_find(l->items, item);
        int named = 0;
        for (size_t e = 0; e < left; e++) named |= events[e].item == item;
        if (named || number == SG_TABLE_NONE) continue;
        CHECK(sg_ledger_has_item(l, number));
        sg_ledger_release_item(l, number);
        CHECK(!sg_ledger_has_item(l, number));
    }
    return left;
}

static void test_sums_do_not_depend_on_the_order_of_units(void) {
    event a = {1, 7, 1}, b = {1, 8, 2}, c = {2, 7, 3};
    event orders[4][3] = {{a, b, c}, {c, a, b}, {a, c, b}, {b, a, c}};
    uint64_t sums[4][2] = {{0}};
    for (int x = 0; x < 4; x++) {
        sg_ledger l;
        CHECK(sg_ledger_init(&l, 1) == SG_OK);
        for (int e = 0; e < 3; e++) append(&l, orders[x][e]);
        CHECK(sg_ledger_sum(&l, sums[x]) == SG_OK);
        sg_ledger_clear(&l);
    }
    CHECK(memcmp(sums[0], sums[1], 16) == 0 && memcmp(sums[0], sums[2], 16) == 0);
    CHECK(memcmp(sums[0], sums[3], 16) != 0);
}

int main(void) {
    for (int trial = 0; trial < 200; trial++) {
        event events[EVENTS];
        size_t n = 0;
        sg_ledger l;
        CHECK(sg_ledger_init(&l, 1) == SG_OK);
        for (int step = 0; step < 100; step++) {
            if (n < EVENTS && below(8)) {
                events[n] = (event){below(UNITS), below(12), below(9)};
                append(&l, events[n++]);
            } else {
                n = take_out(&l, events, n, below(UNITS));
            }
            SOUND(sg_ledger, &l);
            compare(&l, events, n);
        }
        sg_ledger_clear(&l);
    }
    test_sums_do_not_depend_on_the_order_of_units();
    return 0;
}
