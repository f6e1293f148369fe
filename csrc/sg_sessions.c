#include "sg_sessions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ITEM = 1, UNITS_AHEAD = 16, ITEMS_AHEAD = 10, ROWS_AHEAD = 6, TAILS_AHEAD = 3 };

int sg_sessions_new(uint32_t window, sg_sessions **out) {
    *out = NULL;
    if (window < 1) return SG_ERR_VALUE;
    sg_sessions *m = calloc(1, sizeof *m);
    if (!m) return SG_ERR_NOMEM;
    int rc = sg_ledger_init(&m->ledger, window);
    m->postings.pool = m->ledger.pool;
    m->was = malloc(window * sizeof *m->was);
    m->nearest = malloc(SG_NEAREST_MAX * sizeof *m->nearest);
    if (!rc && (!m->was || !m->nearest)) rc = SG_ERR_NOMEM;
    if (rc) sg_sessions_free(m);
    else *out = m;
    return rc;
}

int sg_sessions_cap(sg_sessions *m, uint32_t unit_cap) {
    if (m->ledger.history.events || unit_cap < 1) return SG_ERR_VALUE;
    m->postings.cap = unit_cap;
    return SG_OK;
}

void sg_sessions_free(sg_sessions *m) {
    if (!m) return;
    sg_postings_clear(&m->postings);
    sg_tally_clear(&m->tally);
    sg_ledger_clear(&m->ledger);
    free(m->support);
    free(m->seen);
    free(m->nearest);
    free(m->was);
    free(m);
}

static int make_room(sg_sessions *m, size_t n) {
    size_t items = sg_ledger_room(&m->ledger, n), room = m->support_room;
    if (items > room) {
        room = room * 2 > items ? room * 2 : items + 16;
        uint32_t *support = realloc(m->support, room * sizeof *support);
        if (!support) return SG_ERR_NOMEM;
        memset(support + m->support_room, 0, (room - m->support_room) * sizeof *support);
        m->support = support;
        m->support_room = room;
    }
    return sg_postings_grow(&m->postings, (size_t)sg_table_used(m->ledger.units) + n, items);
}

/* The unit's items get entries that say what the holder says now; their rows have room. */
static void put_all(sg_sessions *m, uint32_t unit) {
    const uint32_t *items;
    uint32_t n = sg_sessions_held(m, unit, &items);
    m->postings.holders[unit].version++;
    for (uint32_t x = 0; x < n; x++) sg_postings_put(&m->postings, items[x], unit);
}

static int rooms(sg_sessions *m, const uint32_t *items, uint32_t n) {
    int rc = SG_OK;
    for (uint32_t x = 0; x < n && !rc; x++) rc = sg_postings_room(&m->postings, items[x]);
    return rc;
}

static void let_go(sg_sessions *m, uint32_t item) {
    if (--m->postings.rows[item].holding == 0) sg_postings_release(&m->postings, item);
}

/* The event into the unit's history, kept unless it repeats. */
static int append(sg_sessions *m, uint32_t unit, uint32_t item, double time, int repeats) {
    sg_history *h = &m->ledger.history;
    sg_unit *u = &h->units[unit];
    int rc = sg_history_note(h, unit, time);
    if (!rc && repeats) return sg_history_skip(h, u, item, time);
    if (!rc && m->support[item] == UINT32_MAX) rc = SG_ERR_RANGE;
    if (!rc) rc = sg_history_reserve(h, u, (size_t)u->kept_len + 1);
    if (rc) return rc;
    sg_history_keep_unchecked(h, u, item, time);
    m->support[item]++;
    return SG_OK;
}

static int is_held(const uint32_t *items, uint32_t n, uint32_t item) {
    uint32_t held = 0;
    for (uint32_t x = 0; x < n; x++) held |= items[x] == item;
    return held != 0;
}

static int learn(sg_sessions *m, uint32_t unit, uint32_t item, double time) {
    sg_holder *holder = &m->postings.holders[unit];
    const uint32_t *items;
    uint32_t n = sg_sessions_held(m, unit, &items);
    int repeats = is_held(items, n, item), leaves = !repeats && n == m->ledger.history.window;
    int moves = n == 0 || time > holder->last || leaves;
    if (moves && holder->version == UINT32_MAX) return SG_ERR_RANGE;
    int rc = moves ? rooms(m, items, n) : SG_OK;
    if (!rc && !repeats) rc = sg_postings_room(&m->postings, item);
    uint32_t first = n ? items[0] : 0;
    if (!rc) rc = append(m, unit, item, time, repeats);
    if (rc) return rc;
    if (n == 0 || time > holder->last) holder->last = time;
    if (!repeats) m->postings.rows[item].holding++;
    if (leaves) let_go(m, first);
    if (moves) put_all(m, unit);
    else if (!repeats) sg_postings_put(&m->postings, item, unit);
    return SG_OK;
}

/* What events soon to come will touch, step by step, as each step needs what the one before it has brought. */
static void fetch(const sg_sessions *m, const uint32_t *units, size_t e, size_t n) {
    const uint32_t *items;
    uint32_t len;
    if (e + UNITS_AHEAD < n) {
        __builtin_prefetch(&m->ledger.history.units[units[e + UNITS_AHEAD]], 1);
        __builtin_prefetch(&m->postings.holders[units[e + UNITS_AHEAD]], 1);
    }
    if (e + ITEMS_AHEAD < n && (len = sg_sessions_held(m, units[e + ITEMS_AHEAD], &items)))
        for (uint32_t x = 0; x < len; x += 16) __builtin_prefetch(items + x);
    if (e + ROWS_AHEAD < n && (len = sg_sessions_held(m, units[e + ROWS_AHEAD], &items)))
        for (uint32_t x = 0; x < len; x++) __builtin_prefetch(&m->postings.rows[items[x]], 1);
    if (e + TAILS_AHEAD < n && (len = sg_sessions_held(m, units[e + TAILS_AHEAD], &items)))
        for (uint32_t x = 0; x < len; x++) {
            const sg_posting_row *row = &m->postings.rows[items[x]];
            __builtin_prefetch(row->entries + row->len, 1);
        }
}

static int observe_chunk(sg_sessions *m, const uint64_t *units, const uint64_t *items, const double *times, size_t n) {
    uint32_t unit_ids[SG_CHUNK], item_ids[SG_CHUNK];
    int rc = make_room(m, n);
    if (!rc) rc = sg_ledger_index(&m->ledger, units, items, n, unit_ids, item_ids);
    for (size_t e = 0; e < n && !rc; e++) {
        fetch(m, unit_ids, e, n);
        rc = learn(m, unit_ids[e], item_ids[e], times[e]);
    }
    return rc;
}

int sg_sessions_observe(sg_sessions *m, const uint64_t *units, const uint64_t *items, const double *times, size_t n) {
    if (!sg_all_finite(times, n)) return SG_ERR_VALUE;
    int rc = SG_OK;
    for (size_t at = 0; at < n && !rc; at += SG_CHUNK)
        rc = observe_chunk(m, units + at, items + at, times + at, n - at < SG_CHUNK ? n - at : SG_CHUNK);
    return rc;
}

static double newest(const sg_unit *u) {
    double time = -INFINITY;
    for (uint32_t k = 0; k < u->kept_len; k++) time = fmax(time, sg_unit_times(u)[k]);
    for (uint32_t s = 0; s < u->skipped_len; s++) time = fmax(time, u->skipped[s].time);
    return time;
}

/* Rows for what the unit will hold once the plan is committed. */
static int plan_rooms(sg_sessions *m, uint32_t unit) {
    const sg_unit *u = &m->ledger.history.units[unit];
    size_t from, n, to;
    const uint32_t *anew = sg_history_planned(&m->ledger.history, &from, &n, &to);
    size_t len = from + n + u->kept_len - to,
           first = len > m->ledger.history.window ? len - m->ledger.history.window : 0;
    int rc = SG_OK;
    for (size_t x = first; x < len && !rc; x++) {
        uint32_t item = x < from ? u->items[x] : x < from + n ? anew[x - from] : u->items[to + x - from - n];
        rc = sg_postings_room(&m->postings, item);
    }
    return rc;
}

/* What the plan says is done; all or nothing. */
static int apply(void *owner, uint32_t unit, const sg_plan *plan) {
    sg_sessions *m = owner;
    const uint32_t *items;
    sg_unit *u = &m->ledger.history.units[unit];
    sg_holder *holder = &m->postings.holders[unit];
    if (holder->version >= UINT32_MAX - 1) return SG_ERR_RANGE;
    int rc = plan_rooms(m, unit);
    if (rc) return rc;
    uint32_t n = sg_sessions_held(m, unit, &items);
    if (n) memcpy(m->was, items, n * sizeof *items);
    sg_history_commit(&m->ledger.history);
    for (size_t d = 0; d < plan->len; d++)
        if (plan->deltas[d].other == SG_TABLE_NONE) m->support[plan->deltas[d].item] += (uint32_t)plan->deltas[d].sign;
    uint32_t now = sg_sessions_held(m, unit, &items);
    for (uint32_t x = 0; x < now; x++) m->postings.rows[items[x]].holding++;
    holder->last = newest(u);
    put_all(m, unit);
    for (uint32_t x = 0; x < n; x++) let_go(m, m->was[x]);
    for (size_t d = plan->added; d < plan->len; d++) {
        const sg_delta *delta = &plan->deltas[d];
        if (delta->other == SG_TABLE_NONE && !m->support[delta->item] && sg_ledger_has_item(&m->ledger, delta->item))
            sg_ledger_release_item(&m->ledger, delta->item);
    }
    if (u->kept_len == 0) sg_ledger_release_unit(&m->ledger, unit);
    return SG_OK;
}

static void fetch_item(const void *owner, uint32_t item) {
    const sg_sessions *m = owner;
    __builtin_prefetch(&m->postings.rows[item], 1);
}

static const sg_taker TAKER = {apply, fetch_item};

int sg_sessions_retract(sg_sessions *m, const uint64_t *units, const uint64_t *items, const double *times, size_t n,
                        size_t *found) {
    return sg_ledger_retract(&m->ledger, units, items, times, n, &TAKER, m, found);
}

int sg_sessions_expire(sg_sessions *m, double before, size_t *gone) {
    return sg_ledger_expire(&m->ledger, before, &TAKER, m, gone);
}

static int enter_chunk(sg_sessions *m, const uint64_t *units, const uint64_t *items, const double *times, size_t n) {
    uint32_t unit_ids[SG_CHUNK], item_ids[SG_CHUNK];
    int rc = make_room(m, n);
    if (!rc) rc = sg_ledger_index(&m->ledger, units, items, n, unit_ids, item_ids);
    for (size_t e = 0; e < n && !rc; e++) {
        const uint32_t *held;
        uint32_t len = sg_sessions_held(m, unit_ids[e], &held);
        rc = append(m, unit_ids[e], item_ids[e], times[e], is_held(held, len, item_ids[e]));
    }
    return rc;
}

static int by_time(const void *a, const void *b) {
    double x = ((const sg_due_entry *)a)->time, y = ((const sg_due_entry *)b)->time;
    return x < y ? -1 : x > y;
}

/* All units into the rows of what they hold, in the order of their last events. */
static int put_units(sg_sessions *m) {
    const sg_history *h = &m->ledger.history;
    sg_due_entry *order = malloc((h->len + 1) * sizeof *order);
    if (!order) return SG_ERR_NOMEM;
    for (uint32_t u = 0; u < h->len; u++) order[u] = (sg_due_entry){newest(&h->units[u]), u};
    qsort(order, h->len, sizeof *order, by_time);
    int rc = SG_OK;
    for (size_t x = 0; x < h->len && !rc; x++) {
        const uint32_t *items;
        uint32_t unit = order[x].unit, n = sg_sessions_held(m, unit, &items);
        if (n == 0) continue;
        rc = rooms(m, items, n);
        for (uint32_t y = 0; y < n && !rc; y++) m->postings.rows[items[y]].holding++;
        m->postings.holders[unit].last = order[x].time;
        if (!rc) put_all(m, unit);
    }
    free(order);
    return rc;
}

int sg_sessions_bulk(sg_sessions **model, const uint64_t *units, const uint64_t *items, const double *times, size_t n) {
    sg_sessions *m = *model, *fresh;
    if (m->ledger.history.events || !sg_all_finite(times, n)) return SG_ERR_VALUE;
    int rc = sg_sessions_new(m->ledger.history.window, &fresh);
    if (rc) return rc;
    fresh->postings.cap = m->postings.cap;
    for (size_t at = 0; at < n && !rc; at += SG_CHUNK)
        rc = enter_chunk(fresh, units + at, items + at, times + at, n - at < SG_CHUNK ? n - at : SG_CHUNK);
    if (!rc) rc = put_units(fresh);
    if (!rc) *model = fresh;
    sg_sessions_free(rc ? fresh : m);
    return rc;
}

void sg_sessions_holding(const sg_sessions *m, const uint64_t *items, size_t n, uint32_t *counts) {
    for (size_t e = 0; e < n; e++) {
        uint32_t id = sg_table_find(m->ledger.items, items[e]);
        counts[e] = id == SG_TABLE_NONE ? 0 : m->postings.rows[id].holding;
    }
}

int sg_sessions_checksum(const sg_sessions *m, uint64_t sum[2]) {
    const uint64_t *keys = sg_table_keys(m->ledger.items);
    sum[0] = sum[1] = 0;
    for (uint32_t i = 0; i < m->postings.items; i++)
        if (m->support[i]) sg_sum_add(sum, ITEM, keys[i], m->support[i], m->postings.rows[i].holding);
    return sg_ledger_sum(&m->ledger, sum);
}

sg_sessions_nbytes_of sg_sessions_nbytes(const sg_sessions *m) {
    sg_sessions_nbytes_of b = {
        .tables = sg_ledger_tables_nbytes(&m->ledger) + m->support_room * sizeof *m->support,
        .events = sg_history_nbytes(&m->ledger.history),
        .postings = sg_postings_nbytes(&m->postings),
        .reads = sg_tally_nbytes(&m->tally) + m->seen_room * sizeof *m->seen + SG_NEAREST_MAX * sizeof *m->nearest,
        .pool_rest = sg_pool_mapped(m->ledger.pool) - sg_pool_taken(m->ledger.pool),
    };
    return b;
}

/* Every valid entry is of a unit that holds the item, and there are as many as units hold items. */
static int check_held(const sg_sessions *m) {
    uint64_t valid = 0, held_by_all = 0;
    const uint32_t *items;
    for (uint32_t unit = 0; unit < m->ledger.history.len; unit++) {
        uint32_t n = sg_sessions_held(m, unit, &items);
        held_by_all += n;
        if (n && m->postings.holders[unit].last != newest(&m->ledger.history.units[unit])) return 0;
    }
    for (uint32_t i = 0; i < m->postings.items; i++) {
        const sg_posting_row *row = &m->postings.rows[i];
        valid += row->holding;
        for (uint32_t at = 0; at < row->len; at++) {
            if (!sg_posting_is_valid(&m->postings, row->entries[at])) continue;
            uint32_t n = sg_sessions_held(m, row->entries[at].unit, &items);
            if (!is_held(items, n, i)) return 0;
        }
    }
    return valid == held_by_all;
}

static int check_supports(const sg_sessions *m) {
    int64_t *counts = calloc(m->support_room + 1, sizeof *counts), wrong = 0;
    if (!counts) return SG_ERR_NOMEM;
    for (size_t u = 0; u < m->ledger.history.len; u++)
        for (uint32_t k = 0; k < m->ledger.history.units[u].kept_len; k++)
            counts[m->ledger.history.units[u].items[k]]++;
    for (size_t i = 0; i < m->support_room; i++) wrong |= counts[i] - m->support[i];
    free(counts);
    return wrong ? SG_ERR_VALUE : SG_OK;
}

int sg_sessions_check(sg_sessions *m, const char **why) {
    int rc = sg_ledger_check(&m->ledger, why);
    if (!rc) rc = sg_postings_check(&m->postings, why);
    if (rc) return rc;
    *why = "sg_sessions I1: postings has no room for an id, or an item has support and no key";
    uint32_t items = sg_table_used(m->ledger.items);
    if (m->postings.items < items || m->postings.units < sg_table_used(m->ledger.units)) return SG_ERR_VALUE;
    for (uint32_t i = 0; i < items; i++)
        if (m->support[i] && !sg_ledger_has_item(&m->ledger, i)) return SG_ERR_VALUE;
    *why = "sg_sessions I2: supports are not the kept events";
    rc = check_supports(m);
    if (rc) return rc;
    *why = "sg_sessions I3: a row's entries are not the units that hold its item";
    if (!check_held(m)) return SG_ERR_VALUE;
    *why = NULL;
    return SG_OK;
}
