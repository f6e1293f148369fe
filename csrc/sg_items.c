#include "sg_items.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sg_learn.h"

enum { CHUNK = 256, AHEAD = 16 };

int sg_items_new(uint32_t window, uint32_t k, double half_life, sg_level level, sg_items **out) {
    *out = NULL;
    if (window < 1 || k < 1 || !(half_life >= 0) || !isfinite(half_life)) return SG_ERR_VALUE;
    sg_items *m = calloc(1, sizeof *m);
    if (!m) return SG_ERR_NOMEM;
    m->pool = sg_pool_new();
    m->units = sg_table_new();
    m->items = sg_table_new();
    m->level = level;
    m->learn = sg_learn_of(level);
    m->k = k;
    m->half_life = half_life;
    sg_pairs_init(&m->pairs, m->pool, half_life > 0, level);
    int rc = sg_history_init(&m->history, m->pool, window);
    if (!rc) rc = sg_topk_init(&m->topk, m->pool, k);
    if (!rc && (!m->pool || !m->units || !m->items)) rc = SG_ERR_NOMEM;
    if (rc) sg_items_free(m);
    else *out = m;
    return rc;
}

void sg_items_free(sg_items *m) {
    if (!m) return;
    sg_history_clear(&m->history);
    sg_pairs_clear(&m->pairs);
    sg_topk_clear(&m->topk);
    sg_table_free(m->units);
    sg_table_free(m->items);
    sg_pool_free(m->pool);
    free(m);
}

static int all_finite(const double *times, size_t n) {
    int finite = 1;
    for (size_t e = 0; e < n; e++) finite &= isfinite(times[e]) != 0;
    return finite;
}

/* Moves the landmark so that the latest of the times is near it. */
static int move_landmark(sg_items *m, const double *times, size_t n) {
    if (m->half_life == 0 || n == 0) return SG_OK;
    if (!m->has_origin) m->origin = times[0];
    m->has_origin = 1;
    double latest = times[0];
    for (size_t e = 1; e < n; e++) latest = fmax(latest, times[e]);
    double shift = floor(fmin((latest - m->origin) / m->half_life, 0x1p52));
    if (shift - m->shift <= SG_SHIFT_AT) return SG_OK;
    int rc = m->learn->drain(m);
    if (rc) return rc;
    sg_pairs_scale(&m->pairs, ldexp(1, (int)fmax(m->shift - shift, -2000)));
    sg_topk_distrust(&m->topk, &m->pairs);
    m->shift = shift;
    return SG_OK;
}

static int index_keys(sg_table *table, const uint64_t *keys, size_t n, uint32_t *ids) {
    for (size_t e = 0; e < n && e < AHEAD; e++) sg_table_prefetch(table, keys[e]);
    for (size_t e = 0; e < n; e++) {
        if (e + AHEAD < n) sg_table_prefetch(table, keys[e + AHEAD]);
        int rc = sg_table_index(table, keys[e], &ids[e], NULL);
        if (rc) return rc;
    }
    return SG_OK;
}

/* Room for the ids that the keys may get, before they get them. */
static int make_room(sg_items *m, size_t n) {
    size_t units = sg_table_live(m->units) + n, items = sg_table_live(m->items) + n;
    int rc = sg_history_grow(&m->history, units, items);
    if (!rc) rc = sg_pairs_grow(&m->pairs, items);
    if (!rc) rc = sg_topk_grow(&m->topk, items);
    return rc;
}

static int observe_chunk(sg_items *m, const uint64_t *units, const uint64_t *items, const double *times, size_t n) {
    uint32_t unit_ids[CHUNK], item_ids[CHUNK];
    int rc = make_room(m, n);
    if (!rc) rc = index_keys(m->units, units, n, unit_ids);
    if (!rc) rc = index_keys(m->items, items, n, item_ids);
    m->topk.keys = sg_table_keys(m->items);
    return rc ? rc : m->learn->observe(m, unit_ids, item_ids, times, n);
}

int sg_items_observe(sg_items *m, const uint64_t *units, const uint64_t *items, const double *times, size_t n) {
    if (!all_finite(times, n)) return SG_ERR_VALUE;
    int rc = move_landmark(m, times, n);
    for (size_t at = 0; at < n && !rc; at += CHUNK)
        rc = observe_chunk(m, units + at, items + at, times + at, n - at < CHUNK ? n - at : CHUNK);
    return rc;
}

static void apply_lowered(sg_items *m, const sg_delta *d) {
    double weight = sg_learn_weight(m, d->time);
    if (d->other != SG_TABLE_NONE) {
        sg_learn_sub(m, d->item, d->other, weight);
        return;
    }
    sg_topk_fell(&m->topk, d->item, m->pairs.norm[d->item]);
    sg_pairs_lower_norm(&m->pairs, d->item, weight);
}

static int apply_raised(sg_items *m, const sg_delta *d) {
    double weight = sg_learn_weight(m, d->time);
    if (d->other != SG_TABLE_NONE) return m->learn->add(m, d->item, d->other, weight);
    sg_pairs_raise_norm(&m->pairs, d->item, weight);
    return SG_OK;
}

static int retract_one(sg_items *m, uint32_t unit, uint32_t item, double time, int *found) {
    sg_plan plan;
    int rc = sg_history_plan(&m->history, unit, item, time, found, &plan);
    if (rc || !*found) return rc;
    size_t d = 0;
    while (d < plan.added && !rc) rc = apply_raised(m, &plan.deltas[d++]);
    if (rc) {
        for (d--; d > 0; d--) apply_lowered(m, &plan.deltas[d - 1]);
        return rc;
    }
    for (; d < plan.len; d++) apply_lowered(m, &plan.deltas[d]);
    sg_history_commit(&m->history);
    return SG_OK;
}

int sg_items_retract(sg_items *m, const uint64_t *units, const uint64_t *items, const double *times, size_t n,
                     size_t *found) {
    *found = 0;
    if (!all_finite(times, n)) return SG_ERR_VALUE;
    int rc = m->learn->drain(m);
    for (size_t e = 0; e < n && !rc; e++) {
        uint32_t unit = sg_table_find(m->units, units[e]), item = sg_table_find(m->items, items[e]);
        int there = 0;
        if (unit == SG_TABLE_NONE || item == SG_TABLE_NONE) continue;
        rc = retract_one(m, unit, item, times[e], &there);
        if (!rc) *found += (size_t)there;
    }
    return rc;
}

int sg_items_degrees(sg_items *m, const uint64_t *items, size_t n, size_t k, uint32_t *degrees) {
    int rc = m->learn->drain(m);
    for (size_t e = 0; e < n && !rc; e++) {
        uint32_t id = sg_table_find(m->items, items[e]);
        uint32_t degree = id == SG_TABLE_NONE ? 0 : m->pairs.rows[id].live;
        degrees[e] = degree < k ? degree : (uint32_t)k;
    }
    return rc;
}

int sg_items_similar(sg_items *m, uint64_t item, size_t k, uint64_t *out_items, float *out_scores, size_t *n) {
    const sg_candidate *best;
    *n = 0;
    uint32_t id = sg_table_find(m->items, item);
    if (id == SG_TABLE_NONE) return SG_OK;
    int rc = m->learn->drain(m);
    if (!rc) rc = sg_topk_read(&m->topk, &m->pairs, id, k, &best, n);
    if (rc) return rc;
    const uint64_t *keys = sg_table_keys(m->items);
    double norm = m->pairs.norm[id];
    for (size_t x = 0; x < *n; x++) {
        out_items[x] = keys[best[x].id];
        out_scores[x] = (float)fmin(sqrt(best[x].strength / norm), FLT_MAX);
    }
    return SG_OK;
}

int sg_items_supports(sg_items *m, const uint64_t *a, const uint64_t *b, size_t n, uint32_t *supports) {
    int rc = m->learn->drain(m);
    for (size_t e = 0; e < n && !rc; e++) {
        uint32_t i = sg_table_find(m->items, a[e]), j = sg_table_find(m->items, b[e]);
        supports[e] = i == SG_TABLE_NONE || j == SG_TABLE_NONE ? 0 : sg_pairs_support(&m->pairs, i, j);
    }
    return rc;
}

void sg_items_counts(const sg_items *m, const uint64_t *items, size_t n, uint32_t *counts) {
    for (size_t e = 0; e < n; e++) {
        uint32_t id = sg_table_find(m->items, items[e]);
        counts[e] = id == SG_TABLE_NONE ? 0 : m->pairs.support[id];
    }
}

/* Room for the events of any unit. */
static int unit_room(const sg_items *m, uint32_t **items, double **times) {
    size_t most = 1;
    for (size_t id = 0; id < m->history.len; id++) {
        size_t n = (size_t)m->history.units[id].kept_len + m->history.units[id].skipped_len;
        most = n > most ? n : most;
    }
    *items = malloc(most * sizeof **items);
    *times = malloc(most * sizeof **times);
    return *items && *times ? SG_OK : SG_ERR_NOMEM;
}

int sg_items_events(const sg_items *m, uint64_t *units, uint64_t *items, double *times) {
    const uint64_t *unit_keys = sg_table_keys(m->units), *item_keys = sg_table_keys(m->items);
    uint32_t *ids;
    double *unit_times;
    int rc = unit_room(m, &ids, &unit_times);
    for (size_t id = 0, at = 0; id < m->history.len && !rc; id++) {
        const sg_unit *u = &m->history.units[id];
        sg_history_events(u, ids, unit_times);
        for (size_t e = 0; e < (size_t)u->kept_len + u->skipped_len; e++, at++) {
            units[at] = unit_keys[id];
            items[at] = item_keys[ids[e]];
            times[at] = unit_times[e];
        }
    }
    free(ids);
    free(unit_times);
    return rc;
}

int sg_items_compact(sg_items **model) {
    sg_items *m = *model, *fresh;
    size_t n = m->history.events;
    int rc = sg_items_new(m->history.window, m->k, m->half_life, m->level, &fresh);
    if (rc) return rc;
    uint64_t *units = malloc((n + 1) * sizeof *units), *items = malloc((n + 1) * sizeof *items);
    double *times = malloc((n + 1) * sizeof *times);
    rc = units && items && times ? sg_items_events(m, units, items, times) : SG_ERR_NOMEM;
    if (!rc) rc = sg_items_observe(fresh, units, items, times, n);
    if (!rc) rc = fresh->learn->drain(fresh);
    free(units);
    free(items);
    free(times);
    if (!rc) *model = fresh;
    sg_items_free(rc ? fresh : m);
    return rc;
}

/* What the checksum adds up: independent 64-bit hashes of (kind, a, b, c), one for each half. */
enum { ITEM = 1, PAIR = 2, UNIT = 3 };

static void add_hash(uint64_t sum[2], uint64_t kind, uint64_t a, uint64_t b, uint64_t c) {
    for (uint64_t half = 0; half < 2; half++) {
        uint64_t h = sg_mix64((kind << 1 | half) * 0x9E3779B97F4A7C15u);
        h = sg_mix64(h + a);
        h = sg_mix64(h * 3 + b);
        sum[half] += sg_mix64(h * 5 + c);
    }
}

static void sum_item(const sg_items *m, uint32_t i, uint64_t sum[2]) {
    const uint64_t *keys = sg_table_keys(m->items);
    const sg_row *row = &m->pairs.rows[i];
    if (m->pairs.support[i]) add_hash(sum, ITEM, keys[i], m->pairs.support[i], 0);
    for (size_t at = 0; at < sg_row_slots(row); at++) {
        if (!row->slots[at]) continue;
        uint64_t other = keys[sg_slot_other(row->slots[at])];
        if (keys[i] < other) add_hash(sum, PAIR, keys[i], other, sg_slot_support(row->slots[at]));
    }
}

int sg_items_checksum(sg_items *m, uint64_t sum[2]) {
    uint32_t *ids;
    double *times;
    sum[0] = sum[1] = 0;
    int rc = m->learn->drain(m);
    if (rc) return rc;
    for (uint32_t i = 0; i < m->pairs.len; i++) sum_item(m, i, sum);
    rc = unit_room(m, &ids, &times);
    for (size_t id = 0; id < m->history.len && !rc; id++) {
        const sg_unit *u = &m->history.units[id];
        size_t n = (size_t)u->kept_len + u->skipped_len;
        uint64_t chain = 0;
        sg_history_events(u, ids, times);
        for (size_t e = 0; e < n; e++) chain = sg_mix64(chain * 3 + sg_table_keys(m->items)[ids[e]] + 1);
        if (n) add_hash(sum, UNIT, sg_table_keys(m->units)[id], n, chain);
    }
    free(ids);
    free(times);
    return rc;
}

sg_items_nbytes_of sg_items_nbytes(const sg_items *m) {
    sg_items_nbytes_of b = {
        .tables = sg_table_nbytes(m->units) + sg_table_nbytes(m->items),
        .events = sg_history_nbytes(&m->history),
        .pairs = sg_pairs_nbytes(&m->pairs),
        .lists = sg_topk_nbytes(&m->topk),
        .pool_rest = sg_pool_mapped(m->pool) - sg_pool_taken(m->pool),
    };
    return b;
}

/* The supports that the kept events of the units make, against those that the pairs hold. */
static int check_sums(const sg_items *m) {
    uint64_t kept = 0, pairs = 0, supports = 0, slots = 0;
    for (size_t id = 0; id < m->history.len; id++) {
        uint64_t n = m->history.units[id].kept_len, w = m->history.window;
        kept += n;
        pairs += n <= w ? n * (n - (n > 0)) / 2 : w * (w - 1) / 2 + (n - w) * w;
    }
    for (size_t i = 0; i < m->pairs.len; i++) {
        const sg_row *row = &m->pairs.rows[i];
        supports += m->pairs.support[i];
        for (size_t at = 0; at < sg_row_slots(row); at++) slots += sg_slot_support(row->slots[at]);
    }
    return kept == supports && 2 * pairs == slots;
}

int sg_items_check(sg_items *m, const char **why) {
    *why = "sg_items: the queue cannot be emptied, memory is out";
    int rc = m->learn->drain(m);
    if (!rc) rc = sg_pool_check(m->pool, why);
    if (!rc) rc = sg_table_check(m->units, why);
    if (!rc) rc = sg_table_check(m->items, why);
    if (!rc) rc = sg_history_check(&m->history, why);
    if (!rc) rc = sg_pairs_check(&m->pairs, why);
    if (!rc) rc = sg_topk_check(&m->topk, &m->pairs, why);
    if (rc) return rc;
    *why = "sg_items I1: a part has no room for an id";
    size_t items = sg_table_live(m->items);
    if (m->history.len < sg_table_live(m->units) || m->pairs.len < items || m->topk.len < items) return SG_ERR_VALUE;
    *why = "sg_items I2: supports are not those of the kept events";
    if (!check_sums(m)) return SG_ERR_VALUE;
    *why = NULL;
    return SG_OK;
}
