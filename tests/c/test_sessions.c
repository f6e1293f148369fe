/* sg_sessions: whatever the way, it is what the remaining events make in one go. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "sg_sessions.h"

enum { UNITS = 6, ITEMS = 9, EVENTS = 120 };

typedef struct {
    uint64_t units[EVENTS], items[EVENTS];
    double times[EVENTS];
    size_t n;
} list;

static void compare(sg_sessions *m, const list *l) {
    sg_sessions *anew;
    uint64_t x[2], y[2];
    SOUND(sg_sessions, m);
    CHECK(m->ledger.history.events == l->n);
    CHECK(sg_sessions_new(m->ledger.history.window, &anew) == SG_OK);
    if (below(2)) CHECK(sg_sessions_observe(anew, l->units, l->items, l->times, l->n) == SG_OK);
    else CHECK(sg_sessions_bulk(&anew, l->units, l->items, l->times, l->n) == SG_OK);
    SOUND(sg_sessions, anew);
    CHECK(sg_sessions_checksum(m, x) == SG_OK && sg_sessions_checksum(anew, y) == SG_OK);
    CHECK(memcmp(x, y, sizeof x) == 0);
    for (uint64_t item = 0; item < ITEMS; item++) {
        uint32_t a, b;
        sg_sessions_holding(m, &item, 1, &a);
        sg_sessions_holding(anew, &item, 1, &b);
        CHECK(a == b);
    }
    sg_sessions_free(anew);
}

static int observe(sg_sessions *m, list *l, unsigned most) {
    size_t n = below(most), at = l->n;
    if (at + n > EVENTS) return SG_OK;
    for (size_t e = at; e < at + n; e++) {
        l->units[e] = below(UNITS);
        l->items[e] = below(ITEMS);
        l->times[e] = below(30);
    }
    int rc = sg_sessions_observe(m, l->units + at, l->items + at, l->times + at, n);
    l->n = m->ledger.history.events;
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

static int retract(sg_sessions *m, list *l, size_t e) {
    size_t found;
    uint64_t unit = l->units[e], item = l->items[e];
    double time = l->times[e];
    int rc = sg_sessions_retract(m, &unit, &item, &time, 1, &found);
    CHECK(found == (rc == SG_OK));
    if (found) drop(l, e);
    return rc;
}

static void expire(sg_sessions *m, list *l, double before) {
    size_t gone, n = 0;
    for (size_t e = 0; e < l->n; e++) {
        l->units[n] = l->units[e];
        l->items[n] = l->items[e];
        l->times[n] = l->times[e];
        n += l->times[e] >= before;
    }
    CHECK(sg_sessions_expire(m, before, &gone) == SG_OK && gone == l->n - n);
    l->n = n;
}

static void test_random_steps(uint32_t window) {
    static list l;
    sg_sessions *m;
    l.n = 0;
    CHECK(sg_sessions_new(window, &m) == SG_OK);
    for (int step = 0; step < 1500; step++) {
        if (below(3) == 0) CHECK(observe(m, &l, 20) == SG_OK);
        else if (below(20) == 0) expire(m, &l, below(30));
        else if (l.n) CHECK(retract(m, &l, below((unsigned)l.n)) == SG_OK);
        compare(m, &l);
    }
    expire(m, &l, INFINITY);
    compare(m, &l);
    CHECK(sg_table_live(m->ledger.units) == 0 && sg_table_live(m->ledger.items) == 0 && m->postings.bytes == 0);
    sg_sessions_free(m);
}

static void test_out_of_memory_keeps_what_was_there(void) {
    static list l;
    sg_sessions *m;
    int failed = 0;
    l.n = 0;
    CHECK(sg_sessions_new(4, &m) == SG_OK);
    for (int step = 0; step < 3000; step++) {
        if (step % 300 == 0) expire(m, &l, INFINITY);
        fail_after = below(4);
        int rc = below(3) || !l.n ? observe(m, &l, 3) : retract(m, &l, below((unsigned)l.n));
        fail_after = -1;
        CHECK(rc == SG_OK || rc == SG_ERR_NOMEM);
        failed += rc != SG_OK;
        if (rc || step % 50 == 0) compare(m, &l);
    }
    CHECK(failed > 10);
    for (fail_after = 0;; fail_after++) {
        long after = fail_after;
        sg_sessions *other;
        int rc = sg_sessions_new(3, &other);
        if (rc == SG_OK) rc = sg_sessions_bulk(&other, l.units, l.items, l.times, l.n);
        if (rc == SG_OK) {
            sg_sessions_free(other);
            break;
        }
        CHECK(rc == SG_ERR_NOMEM && (!other || other->ledger.history.events == 0));
        sg_sessions_free(other);
        fail_after = after;
    }
    fail_after = -1;
    sg_sessions_free(m);
}

/* The newest cap units of an item, whatever comes, as long as nothing is taken back. */
static void test_a_capped_row_has_the_newest(void) {
    enum { CAP = 5, MANY = 400 };
    static double last[MANY];
    sg_sessions *m, *whole;
    uint64_t item = 0;
    CHECK(sg_sessions_new(3, &m) == SG_OK && sg_sessions_new(3, &whole) == SG_OK);
    CHECK(sg_sessions_cap(m, 0) == SG_ERR_VALUE && sg_sessions_cap(m, CAP) == SG_OK);
    for (int step = 0; step < 3000; step++) {
        uint64_t unit = below(MANY);
        double time = (step + below(20)) * 4096.0 + step; /* no two are equal */
        const sg_candidate *some, *all;
        CHECK(sg_sessions_observe(m, &unit, &item, &time, 1) == SG_OK);
        CHECK(sg_sessions_observe(whole, &unit, &item, &time, 1) == SG_OK);
        SOUND(sg_sessions, m);
        const uint64_t *keys = sg_table_keys(m->ledger.units);
        size_t n = sg_postings_newest(&m->postings, 0, CAP, SG_TABLE_NONE, keys, &some);
        CHECK(n == sg_postings_newest(&whole->postings, 0, CAP, SG_TABLE_NONE, keys, &all));
        for (size_t x = 0; x < n; x++) last[some[x].id] += 1;
        for (size_t x = 0; x < n; x++) last[all[x].id] -= 1; /* the same units, the same ids */
        for (size_t u = 0; u < MANY; u++) CHECK(last[u] == 0);
    }
    CHECK(m->postings.rows[0].holding > 100 && m->postings.rows[0].lg <= 8);
    CHECK(sg_sessions_cap(m, CAP) == SG_ERR_VALUE);
    sg_sessions_free(m);
    sg_sessions_free(whole);
}

static void test_what_is_refused(void) {
    sg_sessions *m;
    uint64_t pair[] = {1, 2};
    double times[] = {1, NAN};
    size_t found;
    CHECK(sg_sessions_new(0, &m) == SG_ERR_VALUE && sg_sessions_new(2, &m) == SG_OK);
    CHECK(sg_sessions_observe(m, pair, pair, times, 2) == SG_ERR_VALUE && m->ledger.history.events == 0);
    CHECK(sg_sessions_bulk(&m, pair, pair, times, 2) == SG_ERR_VALUE);
    CHECK(sg_sessions_retract(m, pair, pair, times, 2, &found) == SG_ERR_VALUE && found == 0);
    CHECK(sg_sessions_expire(m, NAN, &found) == SG_ERR_VALUE);
    CHECK(sg_sessions_observe(m, pair, pair, times, 1) == SG_OK);
    CHECK(sg_sessions_bulk(&m, pair, pair, times, 1) == SG_ERR_VALUE);
    m->postings.holders[0].version = UINT32_MAX; /* as after so many changes */
    times[1] = 5;
    CHECK(sg_sessions_observe(m, pair, pair + 1, times + 1, 1) == SG_ERR_RANGE && m->ledger.history.events == 1);
    sg_sessions_free(m);
}

int main(void) {
    test_random_steps(1);
    test_random_steps(3);
    test_random_steps(50);
    test_out_of_memory_keeps_what_was_there();
    test_a_capped_row_has_the_newest();
    test_what_is_refused();
    return 0;
}
