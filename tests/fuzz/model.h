/* What fuzz_items, fuzz_next and fuzz_sessions share: events into and out of a model, beside a log of those that
 * remain. Included once MODEL names it and CHECKED says whether a step is followed by a check. */
#ifndef MODEL_H
#define MODEL_H

#include <math.h>

#include "log.h"

enum { UNITS = 48, ITEMS = 256, FEW = 8, HUBS = 2 };

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define DO(verb) JOIN(MODEL, verb)
#define SOUND_MODEL(type, m) SOUND(type, m)

static MODEL *model;
static double base; /* of the next events' times */

static void settings(void);     /* read from the input */
static int anew(MODEL **out);   /* an empty model of these */
static void own(unsigned what); /* a step of this model only, one of 5 */

static size_t events_of(const MODEL *m) { return m->ledger.history.events; }

/* The events at the log's end are learned; it keeps those that were. */
static void learn(size_t n) {
    int rc = disarm(DO(observe)(model, units + len, items + len, times + len, n));
    CHECK(events_of(model) >= len && (rc || events_of(model) == len + n));
    len = events_of(model);
}

static void observe_few(void) {
    size_t n = 1 + pick(4);
    arm();
    if (len + n > EVENTS) n = 0;
    for (size_t e = len; e < len + n; e++) {
        uint64_t unit = pick(4), item = pick(FEW);
        put(e, unit, item, base + pick(16));
    }
    learn(n);
}

/* From a seed. Stars: every other event is of a hub, which so gets a long row; sweeps: with ever other items. */
static void observe_many(void) {
    enum { LOOSE, STAR, SWEEP } shape = pick(3);
    unsigned n = shape == LOOSE ? 2 * pick(128) : 256 + 2 * pick(128), among = 1 + pick(UNITS);
    arm();
    seed();
    unsigned from = below(ITEMS);
    if (len + n > EVENTS) n = 0;
    for (size_t e = len; e < len + n; e += 2) {
        put(e, below(among), below(shape == LOOSE ? ITEMS : HUBS), base + below(16));
        uint64_t item = shape == SWEEP ? (from + e / 2) % ITEMS : below(ITEMS);
        put(e + 1, shape == LOOSE ? below(among) : units[e], item, base + below(16));
    }
    learn(n);
}

/* Hubs for the most part. */
static uint64_t pick_item(void) { return pick(4) ? pick(HUBS) : pick(ITEMS); }

/* A stretch of the log, or what an item has in it; or an event that hardly is there. */
static void retract(void) {
    uint64_t of[64], what[64], item = pick_item();
    double when[64];
    size_t most = 1 + pick(64), from = len ? pick_wide(EVENTS) % len : 0, n = 0, found, gone = 0;
    int alone = pick(2) > 0;
    arm();
    for (size_t e = from; e < len && n < most; e++) {
        if (alone && items[e] != item) continue;
        of[n] = units[e];
        what[n] = items[e];
        when[n++] = times[e];
    }
    if (n == 0) of[0] = pick(UNITS), what[0] = item, when[n++] = base;
    int rc = disarm(DO(retract)(model, of, what, when, n, &found));
    for (size_t e = 0; e < n && !(rc && gone == found); e++) gone += forget(of[e], what[e], when[e]);
    CHECK(gone == found);
}

/* Until it does not fail, as it goes on where it did. */
static void expire(void) {
    double before = base + pick(17);
    size_t all = 0, gone;
    arm();
    for (int rc = SG_ERR_NOMEM; rc != SG_OK; all += gone) rc = disarm(DO(expire)(model, before, &gone));
    CHECK(forget_before(before, UINT64_MAX) == all);
}

static void refuse(void) {
    const uint64_t keys[] = {1, 2};
    const double bad[] = {base, pick(2) ? NAN : -INFINITY};
    size_t n;
    CHECK(DO(observe)(model, keys, keys, bad, 2) == SG_ERR_VALUE);
    CHECK(DO(retract)(model, keys, keys, bad, 2, &n) == SG_ERR_VALUE && n == 0);
    CHECK(DO(expire)(model, NAN, &n) == SG_ERR_VALUE && n == 0);
}

/* The columns of its ledger are the log, unit by unit. */
static void compare_dump(void) {
    static uint64_t unit_keys[UNITS], item_keys[ITEMS];
    static uint32_t lengths[UNITS], numbers[EVENTS];
    static double when[EVENTS];
    CHECK(events_of(model) == len);
    CHECK(sg_ledger_dump(&model->ledger, unit_keys, lengths, item_keys, numbers, when) == SG_OK);
    for (size_t u = 0, at = 0, end; at < len; u++, at = end) {
        end = at + lengths[u];
        for (size_t e = 0; e < len; e++) {
            if (units[e] != unit_keys[u]) continue;
            CHECK(at < end && item_keys[numbers[at]] == items[e] && when[at] == times[e]);
            at++;
        }
        CHECK(at == end);
    }
}

/* Learned from the log in one go it is the same. */
static void compare_anew(int (*learn_all)(MODEL **, const uint64_t *, const uint64_t *, const double *, size_t)) {
    uint64_t a[2], b[2];
    MODEL *other = NULL;
    CHECK(anew(&other) == SG_OK && learn_all(&other, units, items, times, len) == SG_OK);
    SOUND_MODEL(MODEL, other);
    compare_dump();
    CHECK(DO(checksum)(model, a) == SG_OK && DO(checksum)(other, b) == SG_OK && memcmp(a, b, sizeof a) == 0);
    DO(free)(other);
}

static int by_observing(MODEL **m, const uint64_t *u, const uint64_t *i, const double *t, size_t n) {
    return DO(observe)(*m, u, i, t, n);
}

static void step(unsigned what) {
    if (what < 4) observe_few();
    else if (what < 6) observe_many();
    else if (what < 8) retract();
    else if (what < 9) expire();
    else if (what < 10) compare_anew(by_observing);
    else if (what < 15) own(what - 10);
    else if (pick(2)) refuse();
    else base += pick(128);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    begin(data, size);
    len = 0;
    base = 0;
    settings();
    arm();
    if (disarm(anew(&model))) return 0;
    while (more()) {
        step(pick(16));
        if (CHECKED) SOUND_MODEL(MODEL, model);
    }
    compare_anew(by_observing);
    SOUND_MODEL(MODEL, model);
    DO(free)(model);
    return 0;
}

#endif
