#include "sg_next.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ITEM = 1, PAIR = 2 }; /* of the checksum */

static const uint32_t WEIGHTS[SG_NEXT_STEPS + 1] = {0, 2520, 1260, 840, 630, 504, 420, 360, 315, 280, 252};

static const uint32_t LEARNED_MAX = (uint32_t)1 << 30, MAX = ((uint32_t)1 << 31) - 1;

int sg_next_new(uint32_t window, uint32_t steps, uint32_t k, sg_level level, sg_next **out) {
    *out = NULL;
    if (steps < 1 || steps > SG_NEXT_STEPS || steps > window || k < 1) return SG_ERR_VALUE;
    sg_next *m = calloc(1, sizeof *m);
    if (!m) return SG_ERR_NOMEM;
    m->level = level;
    m->steps = steps;
    m->k = k;
    int rc = sg_ledger_init(&m->ledger, window);
    sg_pairs_init(&m->pairs, m->ledger.pool, 0, level);
    m->pairs.directed = 1;
    if (!rc) rc = sg_fan_init(&m->fan, m->ledger.pool, k);
    if (rc) sg_next_free(m);
    else *out = m;
    return rc;
}

void sg_next_free(sg_next *m) {
    if (!m) return;
    sg_pairs_clear(&m->pairs);
    sg_fan_clear(&m->fan);
    sg_tally_clear(&m->tally);
    sg_ledger_clear(&m->ledger);
    free(m->hop);
    free(m);
}

/* Room for weight(x -> y) to grow by so much, up to `most`. */
static int reserve(sg_next *m, uint32_t x, uint32_t y, uint32_t weight, uint32_t most) {
    sg_pairs *p = &m->pairs;
    if (__builtin_expect(sg_row_is_full(&p->rows[x]), 0) && sg_pairs_widen(p, &p->rows[x])) return SG_ERR_NOMEM;
    if (__builtin_expect(p->norm[x] + weight <= most, 1)) return SG_OK; /* no weight of the row is more */
    return (uint64_t)sg_pairs_support(p, x, y) + weight <= most ? SG_OK : SG_ERR_RANGE;
}

static void raise_reserved(sg_next *m, uint32_t x, uint32_t y, uint32_t weight) {
    m->pairs.norm[x] += weight;
    sg_fan_touch(&m->fan, &m->pairs, x, sg_pairs_raise_by(&m->pairs, x, y, weight));
}

static void lower(sg_next *m, uint32_t x, uint32_t y, uint32_t weight) {
    int was_listed;
    uint32_t left = sg_pairs_lower_by(&m->pairs, x, y, weight, &was_listed);
    if (was_listed) sg_fan_fall(&m->fan, &m->pairs, x, y, left);
    m->pairs.norm[x] -= weight;
}

static int learn(sg_next *m, uint32_t unit, uint32_t item, double time) {
    sg_history *h = &m->ledger.history;
    sg_unit *u = &h->units[unit];
    uint32_t n = sg_unit_window(u, h->window), repeats = 0;
    const uint32_t *window = u->items + (u->kept_len - n);
    int rc = sg_history_note(h, unit, time);
    if (rc) return rc;
    for (uint32_t x = 0; x < n; x++) repeats |= window[x] == item;
    if (repeats) return sg_history_skip(h, u, item, time);
    if (m->pairs.support[item] >= SG_SUPPORT_MAX) return SG_ERR_RANGE;
    rc = sg_history_reserve(h, u, (size_t)u->kept_len + 1);
    const uint32_t *newest = u->items + u->kept_len;
    if (n > m->steps) n = m->steps;
    for (uint32_t d = 1; d <= n && !rc; d++) rc = reserve(m, *(newest - d), item, WEIGHTS[d], LEARNED_MAX);
    if (rc) return rc;
    for (uint32_t d = 1; d <= n; d++) raise_reserved(m, *(newest - d), item, WEIGHTS[d]);
    m->pairs.support[item]++;
    sg_history_keep_unchecked(h, u, item, time);
    return SG_OK;
}

enum { UNIT_AHEAD = 16, ITEMS_AHEAD = 10, ROWS_AHEAD = 5, SLOTS_AHEAD = 2 };

static const uint32_t *last_steps(const sg_next *m, uint32_t unit, const uint32_t **end) {
    const sg_unit *u = &m->ledger.history.units[unit];
    *end = u->items + u->kept_len;
    return *end - sg_unit_window(u, m->steps);
}

/* What events soon to come will touch, as far as their units' items are known by now: step by step, as each step needs
 * what the one before it has brought. */
__attribute__((always_inline)) static inline void fetch(const sg_next *m, const uint32_t *units, const uint32_t *items,
                                                        size_t e, size_t n) {
    const sg_history *h = &m->ledger.history;
    const uint32_t *at, *end;
    if (e + UNIT_AHEAD < n) __builtin_prefetch(&h->units[units[e + UNIT_AHEAD]], 1);
    if (e + ITEMS_AHEAD < n && h->units[units[e + ITEMS_AHEAD]].lg) {
        const sg_unit *u = &h->units[units[e + ITEMS_AHEAD]];
        const char *from = (const char *)(u->items + (u->kept_len - sg_unit_window(u, h->window)));
        for (; from < (const char *)(u->items + u->kept_len); from += 64) __builtin_prefetch(from, 1);
        __builtin_prefetch(sg_unit_times(u) + u->kept_len, 1);
    }
    if (e + ROWS_AHEAD < n)
        for (at = last_steps(m, units[e + ROWS_AHEAD], &end); at < end; at++)
            __builtin_prefetch(&m->pairs.rows[*at], 1), __builtin_prefetch(&m->pairs.norm[*at], 1);
    if (e + SLOTS_AHEAD < n)
        for (at = last_steps(m, units[e + SLOTS_AHEAD], &end); at < end; at++) {
            const sg_row *row = &m->pairs.rows[*at];
            __builtin_prefetch(row->slots + sg_home(items[e + SLOTS_AHEAD], row->lg), 1);
        }
}

static int observe_chunk(sg_next *m, const uint64_t *units, const uint64_t *items, const double *times, size_t n) {
    uint32_t unit_ids[SG_CHUNK], item_ids[SG_CHUNK];
    size_t room = sg_ledger_room(&m->ledger, n);
    int rc = sg_pairs_grow(&m->pairs, room);
    if (!rc) rc = sg_ledger_index(&m->ledger, units, items, n, unit_ids, item_ids);
    m->fan.keys = sg_table_keys(m->ledger.items);
    for (size_t e = 0; e < n && !rc; e++) {
        fetch(m, unit_ids, item_ids, e, n);
        rc = learn(m, unit_ids[e], item_ids[e], times[e]);
    }
    return rc;
}

int sg_next_observe(sg_next *m, const uint64_t *units, const uint64_t *items, const double *times, size_t n) {
    if (!sg_all_finite(times, n)) return SG_ERR_VALUE;
    int rc = SG_OK;
    for (size_t at = 0; at < n && !rc; at += SG_CHUNK)
        rc = observe_chunk(m, units + at, items + at, times + at, n - at < SG_CHUNK ? n - at : SG_CHUNK);
    return rc;
}

/* A unit's kept items: `before` up to position `from`, then middle[n], then `after`. */
typedef struct {
    const uint32_t *before, *middle, *after;
    size_t from, n, len; /* len: of all */
} stretch;

static uint32_t item_at(const stretch *s, size_t p) {
    if (p < s->from) return s->before[p];
    return p - s->from < s->n ? s->middle[p - s->from] : s->after[p - s->from - s->n];
}

/* The transitions that have to do with the middle, the first `most` of them: 1 up, 0 down, which cannot fail. */
static int walk(sg_next *m, const stretch *s, int up, size_t most, size_t *done) {
    size_t end = s->from + s->n;
    *done = 0;
    for (size_t p = s->from; p < s->len && p < end + m->steps; p++)
        for (size_t d = p < end ? 1 : p - end + 1; d <= m->steps && d <= p; d++) {
            if (*done == most) return SG_OK;
            uint32_t x = item_at(s, p - d), y = item_at(s, p);
            int rc = up ? reserve(m, x, y, WEIGHTS[d], MAX) : SG_OK;
            if (rc) return rc;
            if (up) raise_reserved(m, x, y, WEIGHTS[d]);
            else lower(m, x, y, WEIGHTS[d]);
            ++*done;
        }
    return SG_OK;
}

/* The unit's kept items as they are and as they are planned; what both have at the middle's ends is not in it. */
static void plan_stretches(const sg_next *m, uint32_t unit, stretch *was, stretch *will) {
    const sg_unit *u = &m->ledger.history.units[unit];
    size_t from, n, to;
    const uint32_t *planned = sg_history_planned(&m->ledger.history, &from, &n, &to);
    *was = (stretch){u->items, u->items + from, u->items + to, from, to - from, u->kept_len};
    *will = (stretch){u->items, planned, u->items + to, from, n, u->kept_len - to + from + n};
    while (was->n && will->n && was->middle[was->n - 1] == will->middle[will->n - 1]) {
        was->n--;
        will->n--;
        was->after--;
    }
    will->after = was->after;
    while (was->n && will->n && was->middle[0] == will->middle[0]) {
        was->n--;
        will->n--;
        was->middle++;
        will->middle++;
        will->from = ++was->from;
    }
}

/* An item that no event names gives all back. */
static void release(sg_next *m, uint32_t item) {
    if (m->pairs.support[item] || !sg_ledger_has_item(&m->ledger, item)) return;
    sg_fan_release(&m->fan, &m->pairs, item);
    sg_pairs_release(&m->pairs, item);
    sg_ledger_release_item(&m->ledger, item);
}

/* What is planned for the unit is done; all or nothing. */
static int apply(void *owner, uint32_t unit, const sg_plan *plan) {
    sg_next *m = owner;
    stretch was, will;
    size_t done;
    plan_stretches(m, unit, &was, &will);
    int rc = walk(m, &will, 1, SIZE_MAX, &done);
    walk(m, rc ? &will : &was, 0, rc ? done : SIZE_MAX, &done);
    if (rc) return rc;
    sg_history_commit(&m->ledger.history);
    for (size_t d = 0; d < plan->len; d++)
        if (plan->deltas[d].other == SG_TABLE_NONE)
            m->pairs.support[plan->deltas[d].item] += (uint32_t)plan->deltas[d].sign;
    for (size_t d = plan->added; d < plan->len; d++)
        if (plan->deltas[d].other == SG_TABLE_NONE) release(m, plan->deltas[d].item);
    if (m->ledger.history.units[unit].kept_len == 0) sg_ledger_release_unit(&m->ledger, unit);
    return SG_OK;
}

static void fetch_item(const void *owner, uint32_t item) {
    const sg_next *m = owner;
    __builtin_prefetch(&m->pairs.rows[item], 1);
}

static const sg_taker TAKER = {apply, fetch_item};

int sg_next_retract(sg_next *m, const uint64_t *units, const uint64_t *items, const double *times, size_t n,
                    size_t *found) {
    return sg_ledger_retract(&m->ledger, units, items, times, n, &TAKER, m, found);
}

int sg_next_expire(sg_next *m, double before, size_t *gone) {
    return sg_ledger_expire(&m->ledger, before, &TAKER, m, gone);
}

size_t sg_next_degree(const sg_next *m, uint64_t item) {
    uint32_t id = sg_table_find(m->ledger.items, item);
    return id == SG_TABLE_NONE ? 0 : m->pairs.rows[id].live;
}

int sg_next_following(sg_next *m, uint64_t item, size_t k, uint64_t *out_items, double *out_weights, size_t *n) {
    const uint32_t *ids, *amounts;
    *n = 0;
    uint32_t id = sg_table_find(m->ledger.items, item);
    if (id == SG_TABLE_NONE) return SG_OK;
    int rc = sg_fan_read(&m->fan, &m->pairs, id, k, &ids, &amounts, n);
    for (size_t x = 0; x < *n; x++) {
        out_items[x] = sg_table_keys(m->ledger.items)[ids[x]];
        out_weights[x] = (double)amounts[x] / SG_NEXT_UNIT;
    }
    return rc;
}

/* The best followers of one item: m->hop[n], then their amounts. */
static int read_hop(sg_next *m, uint32_t x, size_t first, size_t *n) {
    const uint32_t *ids, *amounts;
    if (sg_fan_read(&m->fan, &m->pairs, x, first, &ids, &amounts, n)) return SG_ERR_NOMEM;
    if (*n > m->hop_room) {
        uint32_t *wider = realloc(m->hop, *n * 4 * sizeof *wider);
        if (!wider) return SG_ERR_NOMEM;
        m->hop = wider;
        m->hop_room = *n * 2;
    }
    for (size_t y = 0; y < *n; y++) {
        __builtin_prefetch(&m->pairs.rows[ids[y]]);
        m->hop[y] = ids[y];
        m->hop[*n + y] = amounts[y];
    }
    return SG_OK;
}

/* Adds what the best followers of y bring, each times `step`. */
static int add_hop(sg_next *m, uint32_t y, double step, size_t second) {
    const sg_row *row = &m->pairs.rows[y];
    const uint32_t *ids, *amounts;
    size_t n;
    if (!row->list && row->live <= second) { /* all of them, in any order */
        for (size_t at = 0; at < sg_row_slots(row); at++) {
            uint64_t slot = row->slots[at] + !row->slots[at]; /* a free one is nothing of item 0, and no branch */
            sg_tally_add(&m->tally, sg_slot_other(slot), step * sg_slot_support(slot));
        }
        return SG_OK;
    }
    if (sg_fan_read(&m->fan, &m->pairs, y, second, &ids, &amounts, &n)) return SG_ERR_NOMEM;
    for (size_t z = 0; z < n; z++) sg_tally_add(&m->tally, ids[z], step * amounts[z]);
    return SG_OK;
}

/* Inlined, or the compiler takes a function that only prefetches for one without effect. */
static inline __attribute__((always_inline)) void fetch_row(const sg_row *row) {
    const char *from = row->list ? (const char *)row->list : (const char *)row->slots;
    for (size_t line = 0; line < 8; line++) __builtin_prefetch(from + 64 * line);
}

static int hop_on(sg_next *m, uint32_t x, double weight, size_t first, size_t second) {
    const double *norm = m->pairs.norm;
    size_t n;
    int rc = read_hop(m, x, first, &n);
    for (size_t at = 0; at < n && !rc; at++) {
        uint32_t y = m->hop[at];
        double step = weight * (m->hop[n + at] / norm[x]) / norm[y];
        if (at + 2 < n) fetch_row(&m->pairs.rows[m->hop[at + 2]]);
        if (norm[y] > 0) rc = add_hop(m, y, step, second);
    }
    return rc;
}

static int all_weights(const double *weights, size_t n) {
    int fine = 1;
    for (size_t x = 0; x < n; x++) fine &= weights[x] >= 0 && isfinite(weights[x]);
    return fine;
}

int sg_next_two_hops(sg_next *m, const uint64_t *items, const double *weights, size_t len, size_t first, size_t second,
                     size_t limit, int in_order, uint64_t *out_items, double *out_scores, size_t *n) {
    const uint64_t *keys = sg_table_keys(m->ledger.items);
    const sg_candidate *best;
    *n = 0;
    if (!all_weights(weights, len)) return SG_ERR_VALUE;
    int rc = sg_tally_grow(&m->tally, m->pairs.len);
    for (size_t x = 0; x < len && !rc; x++) {
        uint32_t id = sg_table_find(m->ledger.items, items[x]);
        if (id != SG_TABLE_NONE) rc = hop_on(m, id, weights[x], first, second);
    }
    size_t found = sg_tally_best(&m->tally, keys, limit, in_order, &best); /* it is empty again, whatever failed */
    if (rc) return rc;
    for (size_t x = 0; x < found; x++) {
        out_items[x] = keys[best[x].id];
        out_scores[x] = best[x].strength;
    }
    *n = found;
    return SG_OK;
}

int sg_next_compact(sg_next **model) {
    sg_next *m = *model, *fresh;
    size_t n = m->ledger.history.events;
    int rc = sg_next_new(m->ledger.history.window, m->steps, m->k, m->level, &fresh);
    if (rc) return rc;
    uint64_t *units = malloc((n + 1) * sizeof *units), *items = malloc((n + 1) * sizeof *items);
    double *times = malloc((n + 1) * sizeof *times);
    rc = units && items && times ? sg_ledger_events(&m->ledger, units, items, times) : SG_ERR_NOMEM;
    if (!rc) rc = sg_next_observe(fresh, units, items, times, n);
    free(units);
    free(items);
    free(times);
    if (!rc) *model = fresh;
    sg_next_free(rc ? fresh : m);
    return rc;
}

static void sum_item(const sg_next *m, uint32_t i, uint64_t sum[2]) {
    const uint64_t *keys = sg_table_keys(m->ledger.items);
    const sg_row *row = &m->pairs.rows[i];
    if (m->pairs.support[i]) sg_sum_add(sum, ITEM, keys[i], m->pairs.support[i], (uint64_t)m->pairs.norm[i]);
    for (size_t at = 0; at < sg_row_slots(row); at++)
        if (row->slots[at])
            sg_sum_add(sum, PAIR, keys[i], keys[sg_slot_other(row->slots[at])], sg_slot_support(row->slots[at]));
}

int sg_next_checksum(const sg_next *m, uint64_t sum[2]) {
    sum[0] = sum[1] = 0;
    for (uint32_t i = 0; i < m->pairs.len; i++) sum_item(m, i, sum);
    return sg_ledger_sum(&m->ledger, sum);
}

sg_next_nbytes_of sg_next_nbytes(const sg_next *m) {
    sg_next_nbytes_of b = {
        .tables = sg_ledger_tables_nbytes(&m->ledger),
        .events = sg_history_nbytes(&m->ledger.history),
        .pairs = sg_pairs_nbytes(&m->pairs),
        .lists = sg_fan_nbytes(&m->fan) + sg_tally_nbytes(&m->tally) + m->hop_room * 2 * sizeof *m->hop,
        .pool_rest = sg_pool_mapped(m->ledger.pool) - sg_pool_taken(m->ledger.pool),
    };
    return b;
}

/* The transitions that the kept events of the units make, against the norms, which are the sums of the rows. */
static int check_sums(const sg_next *m) {
    uint64_t kept = 0, weights = 0, supports = 0;
    double norms = 0; /* exact, below 2^53 */
    for (size_t id = 0; id < m->ledger.history.len; id++) {
        uint64_t n = m->ledger.history.units[id].kept_len;
        kept += n;
        for (uint64_t d = 1; d <= m->steps && d < n; d++) weights += (n - d) * WEIGHTS[d];
    }
    for (size_t i = 0; i < m->pairs.len; i++) {
        supports += m->pairs.support[i];
        norms += m->pairs.norm[i];
    }
    return kept == supports && (double)weights == norms;
}

int sg_next_check(sg_next *m, const char **why) {
    int rc = sg_ledger_check(&m->ledger, why);
    if (!rc) rc = sg_pairs_check(&m->pairs, why);
    if (!rc) rc = sg_fan_check(&m->fan, &m->pairs, why);
    if (rc) return rc;
    *why = "sg_next I1: a part has no room for an id, or an item has support and no key";
    size_t items = sg_table_used(m->ledger.items);
    if (m->pairs.len < items) return SG_ERR_VALUE;
    for (uint32_t i = 0; i < items; i++)
        if (m->pairs.support[i] && !sg_ledger_has_item(&m->ledger, i)) return SG_ERR_VALUE;
    *why = "sg_next I2: supports are not the kept events, or norms not the transitions that they make";
    if (!check_sums(m)) return SG_ERR_VALUE;
    *why = NULL;
    return SG_OK;
}
