#include "sg_ledger.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { AHEAD = 16, ITEMS_AHEAD = 6, MOST_FETCHED = 32, UNIT = 3 };

int sg_ledger_init(sg_ledger *l, uint32_t window) {
    *l = (sg_ledger){.pool = sg_pool_new(), .units = sg_table_new(), .items = sg_table_new()};
    int rc = sg_history_init(&l->history, l->pool, window);
    return rc ? rc : l->pool && l->units && l->items ? SG_OK : SG_ERR_NOMEM;
}

void sg_ledger_clear(sg_ledger *l) {
    sg_history_clear(&l->history);
    sg_table_free(l->units);
    sg_table_free(l->items);
    sg_pool_free(l->pool);
}

int sg_all_finite(const double *times, size_t n) {
    int finite = 1;
    for (size_t e = 0; e < n; e++) finite &= isfinite(times[e]) != 0;
    return finite;
}

size_t sg_ledger_room(const sg_ledger *l, size_t n) { return (size_t)sg_table_used(l->items) + n; }

/* The slots of the first keys, then of the later ones, and of those whose slots are here the keys. */
static inline void fetch_keys(const sg_table *table, const uint64_t *keys, size_t e, size_t n) {
    for (size_t x = 0; e == 0 && x < n && x < AHEAD; x++) sg_table_prefetch(table, keys[x]);
    for (size_t x = 0; e == 0 && x < n && x < AHEAD / 2; x++) sg_table_prefetch_key(table, keys[x]);
    if (e + AHEAD < n) sg_table_prefetch(table, keys[e + AHEAD]);
    if (e + AHEAD / 2 < n) sg_table_prefetch_key(table, keys[e + AHEAD / 2]);
}

static int index_keys(sg_table *table, const uint64_t *keys, size_t n, uint32_t *ids) {
    for (size_t e = 0; e < n; e++) {
        fetch_keys(table, keys, e, n);
        if (e && keys[e] == keys[e - 1]) {
            ids[e] = ids[e - 1];
            continue;
        }
        int rc = sg_table_index(table, keys[e], &ids[e], NULL);
        if (rc) return rc;
    }
    return SG_OK;
}

int sg_ledger_index(sg_ledger *l, const uint64_t *units, const uint64_t *items, size_t n, uint32_t *unit_ids,
                    uint32_t *item_ids) {
    int rc = sg_history_grow(&l->history, sg_table_used(l->units) + n, sg_ledger_room(l, n));
    if (!rc) rc = index_keys(l->units, units, n, unit_ids);
    return rc ? rc : index_keys(l->items, items, n, item_ids);
}

static void find_keys(const sg_table *table, const uint64_t *keys, size_t n, uint32_t *ids) {
    for (size_t e = 0; e < n; e++) {
        fetch_keys(table, keys, e, n);
        ids[e] = sg_table_find(table, keys[e]);
    }
}

/* All units of a chunk on their way: the headers, then what they lead to. */
__attribute__((always_inline)) static inline void fetch_units(const sg_history *h, const uint32_t *units, size_t n) {
    for (size_t e = 0; e < n; e++)
        if (units[e] != SG_TABLE_NONE) __builtin_prefetch(&h->units[units[e]], 1);
    for (size_t e = 0; e < n; e++) {
        if (units[e] == SG_TABLE_NONE) continue;
        const sg_unit *u = &h->units[units[e]];
        size_t bytes = u->lg ? (size_t)1 << u->lg : 0;
        for (size_t at = 0; at < bytes && at < 512; at += 64) __builtin_prefetch((const char *)u->items + at, 1);
        if (u->skipped_len) __builtin_prefetch(u->skipped + u->skipped_len - 1, 1);
    }
}

static void fetch_items(const sg_history *h, uint32_t unit, const sg_taker *taker, const void *owner) {
    const sg_unit *u = &h->units[unit];
    for (uint32_t k = 0; k < u->kept_len && k < MOST_FETCHED; k++) taker->fetch(owner, u->items[k]);
}

/* Ids found at first stay true: an id that is given back on the way names nothing then. */
static int retract_chunk(sg_ledger *l, const uint64_t *units, const uint64_t *items, const double *times, size_t n,
                         const sg_taker *taker, void *owner, size_t *found) {
    uint32_t unit_ids[SG_CHUNK + ITEMS_AHEAD], item_ids[SG_CHUNK];
    int rc = SG_OK;
    find_keys(l->units, units, n, unit_ids);
    find_keys(l->items, items, n, item_ids);
    fetch_units(&l->history, unit_ids, n);
    for (size_t e = n; e < n + ITEMS_AHEAD; e++) unit_ids[e] = SG_TABLE_NONE;
    for (size_t e = 0; e < ITEMS_AHEAD; e++)
        if (unit_ids[e] != SG_TABLE_NONE) fetch_items(&l->history, unit_ids[e], taker, owner);
    for (size_t e = 0; e < n && !rc; e++) {
        int there = 0;
        sg_plan plan;
        uint32_t soon = unit_ids[e + ITEMS_AHEAD];
        if (soon != SG_TABLE_NONE) fetch_items(&l->history, soon, taker, owner);
        if (unit_ids[e] == SG_TABLE_NONE || item_ids[e] == SG_TABLE_NONE) continue;
        rc = sg_history_plan(&l->history, unit_ids[e], item_ids[e], times[e], &there, &plan);
        if (!rc && there) rc = taker->apply(owner, unit_ids[e], &plan);
        if (!rc) *found += (size_t)there;
    }
    return rc;
}

int sg_ledger_retract(sg_ledger *l, const uint64_t *units, const uint64_t *items, const double *times, size_t n,
                      const sg_taker *taker, void *owner, size_t *found) {
    int rc = sg_all_finite(times, n) ? SG_OK : SG_ERR_VALUE;
    *found = 0;
    for (size_t at = 0; at < n && !rc; at += SG_CHUNK)
        rc = retract_chunk(l, units + at, items + at, times + at, n - at < SG_CHUNK ? n - at : SG_CHUNK, taker, owner,
                           found);
    return rc;
}

int sg_ledger_expire(sg_ledger *l, double before, const sg_taker *taker, void *owner, size_t *gone) {
    uint32_t unit;
    *gone = 0;
    int rc = isnan(before) ? SG_ERR_VALUE : sg_history_expires(&l->history);
    while (!rc && sg_history_due(&l->history, before, &unit)) {
        size_t found;
        sg_plan plan;
        rc = sg_history_plan_expiry(&l->history, unit, before, &found, &plan);
        if (!rc && found) rc = taker->apply(owner, unit, &plan);
        if (rc) break;
        sg_history_settled(&l->history, unit);
        *gone += found;
    }
    return rc;
}

int sg_ledger_has_item(const sg_ledger *l, uint32_t item) {
    return sg_table_find(l->items, sg_table_keys(l->items)[item]) == item;
}

void sg_ledger_release_unit(sg_ledger *l, uint32_t unit) {
    sg_history_release(&l->history, unit);
    sg_table_remove(l->units, sg_table_keys(l->units)[unit]);
}

void sg_ledger_release_item(sg_ledger *l, uint32_t item) { sg_table_remove(l->items, sg_table_keys(l->items)[item]); }

static size_t length(const sg_unit *u) { return (size_t)u->kept_len + u->skipped_len; }

/* Room for the events of any unit. */
static int unit_room(const sg_ledger *l, uint32_t **items, double **times) {
    size_t most = 1;
    for (size_t id = 0; id < l->history.len; id++) {
        size_t n = length(&l->history.units[id]);
        most = n > most ? n : most;
    }
    *items = malloc(most * sizeof **items);
    *times = malloc(most * sizeof **times);
    return *items && *times ? SG_OK : SG_ERR_NOMEM;
}

int sg_ledger_dump(const sg_ledger *l, uint64_t *unit_keys, uint32_t *lengths, uint64_t *item_keys, uint32_t *items,
                   double *times) {
    uint32_t used = sg_table_used(l->items), n = 0;
    uint32_t *numbers = malloc((used + 1) * sizeof *numbers);
    if (!numbers) return SG_ERR_NOMEM;
    for (uint32_t id = 0; id < used; id++) {
        if (!sg_ledger_has_item(l, id)) continue;
        item_keys[n] = sg_table_keys(l->items)[id];
        numbers[id] = n++;
    }
    for (size_t id = 0, at = 0, u = 0; id < l->history.len; id++) {
        size_t len = length(&l->history.units[id]);
        if (!len) continue;
        sg_history_events(&l->history.units[id], items + at, times + at);
        for (size_t e = at; e < at + len; e++) items[e] = numbers[items[e]];
        unit_keys[u] = sg_table_keys(l->units)[id];
        lengths[u++] = (uint32_t)len;
        at += len;
    }
    free(numbers);
    return SG_OK;
}

int sg_ledger_events(const sg_ledger *l, uint64_t *units, uint64_t *items, double *times) {
    const uint64_t *unit_keys = sg_table_keys(l->units), *item_keys = sg_table_keys(l->items);
    uint32_t *ids;
    double *unit_times;
    int rc = unit_room(l, &ids, &unit_times);
    for (size_t id = 0, at = 0; id < l->history.len && !rc; id++) {
        size_t n = length(&l->history.units[id]);
        sg_history_events(&l->history.units[id], ids, unit_times);
        for (size_t e = 0; e < n; e++, at++) {
            units[at] = unit_keys[id];
            items[at] = item_keys[ids[e]];
            times[at] = unit_times[e];
        }
    }
    free(ids);
    free(unit_times);
    return rc;
}

void sg_sum_add(uint64_t sum[2], uint64_t kind, uint64_t a, uint64_t b, uint64_t c) {
    for (uint64_t half = 0; half < 2; half++) { /* independent hashes */
        uint64_t h = sg_mix64((kind << 1 | half) * 0x9E3779B97F4A7C15u);
        h = sg_mix64(h + a);
        h = sg_mix64(h * 3 + b);
        sum[half] += sg_mix64(h * 5 + c);
    }
}

int sg_ledger_sum(const sg_ledger *l, uint64_t sum[2]) {
    const uint64_t *keys = sg_table_keys(l->items);
    uint32_t *ids;
    double *times;
    int rc = unit_room(l, &ids, &times);
    for (size_t id = 0; id < l->history.len && !rc; id++) {
        size_t n = length(&l->history.units[id]);
        uint64_t chain = 0;
        sg_history_events(&l->history.units[id], ids, times);
        for (size_t e = 0; e < n; e++) chain = sg_mix64(chain * 3 + keys[ids[e]] + 1);
        if (n) sg_sum_add(sum, UNIT, sg_table_keys(l->units)[id], n, chain);
    }
    free(ids);
    free(times);
    return rc;
}

size_t sg_ledger_tables_nbytes(const sg_ledger *l) { return sg_table_nbytes(l->units) + sg_table_nbytes(l->items); }

int sg_ledger_check(const sg_ledger *l, const char **why) {
    int rc = sg_pool_check(l->pool, why);
    if (!rc) rc = sg_table_check(l->units, why);
    if (!rc) rc = sg_table_check(l->items, why);
    if (!rc) rc = sg_history_check(&l->history, why);
    if (rc) return rc;
    *why = "sg_ledger L1: history has no room for an id, or a unit with events has no key";
    if (l->history.len < sg_table_used(l->units)) return SG_ERR_VALUE;
    for (uint32_t id = 0; id < l->history.len; id++)
        if (length(&l->history.units[id]) &&
            (id >= sg_table_used(l->units) || sg_table_find(l->units, sg_table_keys(l->units)[id]) != id))
            return SG_ERR_VALUE;
    *why = NULL;
    return SG_OK;
}
