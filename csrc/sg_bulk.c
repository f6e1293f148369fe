#include "sg_bulk.h"

#include <stdlib.h>

#include "sg_learn.h"

enum { AHEAD = 8 };

typedef struct {
    uint32_t unit, position;
} place;

typedef struct {
    place *places;     /* kept events by item, then by unit and position */
    size_t *begin;     /* by item; one more */
    uint32_t *count;   /* by item, all 0 between rows */
    uint32_t *touched; /* items that the row has */
} work;

static int append(sg_history *h, uint32_t unit, uint32_t item, double time) {
    sg_unit *u = &h->units[unit];
    uint32_t n = sg_unit_window(u, h->window), repeats = 0;
    const uint32_t *others = u->items + (u->kept_len - n);
    for (uint32_t x = 0; x < n; x++) repeats |= others[x] == item;
    if (repeats) return sg_history_skip(h, u, item, time);
    int rc = sg_history_reserve(h, u, (size_t)u->kept_len + 1);
    if (!rc) sg_history_keep_unchecked(h, u, item, time);
    return rc;
}

/* The events in the ledger, and room for their items everywhere. */
static int enter(sg_items *m, const uint64_t *units, const uint64_t *items, const double *times, size_t n) {
    uint32_t unit_ids[SG_CHUNK], item_ids[SG_CHUNK];
    size_t room = sg_ledger_room(&m->ledger, n);
    int rc = sg_pairs_grow(&m->pairs, room);
    if (!rc) rc = sg_topk_grow(&m->topk, room);
    if (!rc) rc = sg_ledger_index(&m->ledger, units, items, n, unit_ids, item_ids);
    m->topk.keys = sg_table_keys(m->ledger.items);
    for (size_t e = 0; e < n && !rc; e++) {
        if (e + AHEAD < n) __builtin_prefetch(&m->ledger.history.units[unit_ids[e + AHEAD]], 1);
        rc = append(&m->ledger.history, unit_ids[e], item_ids[e], times[e]);
    }
    return rc;
}

/* Where each item stands; supports by the way. */
static int locate(sg_items *m, work *w) {
    const sg_history *h = &m->ledger.history;
    size_t items = m->pairs.len;
    w->places = malloc((h->kept_events + 1) * sizeof *w->places);
    w->begin = calloc(items + 2, sizeof *w->begin);
    w->count = calloc(items + 1, sizeof *w->count);
    w->touched = malloc((items + 1) * sizeof *w->touched);
    if (!w->places || !w->begin || !w->count || !w->touched) return SG_ERR_NOMEM;
    for (size_t u = 0; u < h->len; u++)
        for (uint32_t k = 0; k < h->units[u].kept_len; k++) w->begin[h->units[u].items[k] + 2]++;
    for (size_t i = 0; i < items; i++) {
        size_t n = w->begin[i + 2];
        if (n > SG_SUPPORT_MAX) return SG_ERR_RANGE;
        m->pairs.support[i] = (uint32_t)n;
        m->pairs.norm[i] = (double)n;
        w->begin[i + 2] += w->begin[i + 1];
    }
    for (uint32_t u = 0; u < h->len; u++)
        for (uint32_t k = 0; k < h->units[u].kept_len; k++)
            w->places[w->begin[h->units[u].items[k] + 1]++] = (place){u, k};
    return SG_OK;
}

static void fetch(const sg_history *h, const place *at, const place *end) {
    if (at + 2 * AHEAD < end) __builtin_prefetch(&h->units[at[2 * AHEAD].unit]);
    if (at + AHEAD < end) __builtin_prefetch(h->units[at[AHEAD].unit].items + at[AHEAD].position);
}

/* count[j] of all items that stand near item i; how many they are. */
static uint32_t count_row(const sg_history *h, const work *w, size_t i) {
    uint32_t n = 0;
    const place *end = w->places + w->begin[i + 1];
    for (const place *at = w->places + w->begin[i]; at < end; at++) {
        fetch(h, at, end);
        const sg_unit *u = &h->units[at->unit];
        uint32_t from = at->position > h->window ? at->position - h->window : 0, to = u->kept_len;
        if (to - at->position > h->window + 1) to = at->position + h->window + 1;
        for (uint32_t q = from; q < to; q++) {
            uint32_t j = u->items[q];
            if (j == i) continue;
            w->touched[n] = j;
            n += w->count[j]++ == 0;
        }
    }
    return n;
}

static int write_row(sg_items *m, const work *w, size_t i, uint32_t n) {
    sg_row *row = &m->pairs.rows[i];
    int rc = sg_pairs_reserve(&m->pairs, row, n);
    if (rc) return rc;
    uint32_t mask = n ? ((uint32_t)1 << row->lg) - 1 : 0;
    for (uint32_t x = 0; x < n; x++) {
        uint32_t j = w->touched[x], at = sg_home(j, row->lg);
        while (row->slots[at]) at = (at + 1) & mask;
        row->slots[at] = SG_ONE * w->count[j] | (j + 1);
        w->count[j] = 0;
    }
    row->live = n;
    m->pairs.entries += n;
    return SG_OK;
}

static int load(sg_items *m, const uint64_t *units, const uint64_t *items, const double *times, size_t n) {
    work w = {0};
    int rc = SG_OK;
    for (size_t at = 0; at < n && !rc; at += SG_CHUNK)
        rc = enter(m, units + at, items + at, times + at, n - at < SG_CHUNK ? n - at : SG_CHUNK);
    if (!rc) rc = locate(m, &w);
    for (size_t i = 0; i < m->pairs.len && !rc; i++) rc = write_row(m, &w, i, count_row(&m->ledger.history, &w, i));
    free(w.places);
    free(w.begin);
    free(w.count);
    free(w.touched);
    return rc;
}

/* An empty model of the same settings. */
static int new_like(const sg_items *m, sg_items **fresh) {
    int rc = sg_items_new(m->ledger.history.window, m->k, m->half_life, m->level, fresh);
    if (!rc) (*fresh)->pairs.cap_lg = m->pairs.cap_lg;
    return rc;
}

int sg_items_bulk(sg_items **model, const uint64_t *units, const uint64_t *items, const double *times, size_t n) {
    sg_items *m = *model, *fresh;
    if (m->ledger.history.events || !sg_all_finite(times, n)) return SG_ERR_VALUE;
    int rc = new_like(m, &fresh);
    if (rc) return rc;
    if (m->half_life > 0 || m->pairs.cap_lg) rc = sg_items_observe(fresh, units, items, times, n);
    else rc = load(fresh, units, items, times, n);
    if (!rc) rc = fresh->learn->drain(fresh);
    if (!rc && m->ledger.history.expires) rc = sg_history_expires(&fresh->ledger.history);
    if (!rc) *model = fresh;
    sg_items_free(rc ? fresh : m);
    return rc;
}

int sg_items_compact(sg_items **model) {
    sg_items *m = *model, *fresh;
    size_t n = m->ledger.history.events;
    int rc = new_like(m, &fresh);
    if (rc) return rc;
    fresh->ledger.history.expires = m->ledger.history.expires;
    uint64_t *units = malloc((n + 1) * sizeof *units), *items = malloc((n + 1) * sizeof *items);
    double *times = malloc((n + 1) * sizeof *times);
    rc = units && items && times ? sg_ledger_events(&m->ledger, units, items, times) : SG_ERR_NOMEM;
    if (!rc) rc = sg_items_bulk(&fresh, units, items, times, n);
    free(units);
    free(items);
    free(times);
    if (!rc) *model = fresh;
    sg_items_free(rc ? fresh : m);
    return rc;
}
