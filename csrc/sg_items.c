#include "sg_items.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sg_learn.h"

enum { ITEM = 1, PAIR = 2 };

int sg_items_new(uint32_t window, uint32_t k, double half_life, sg_level level, sg_items **out) {
    *out = NULL;
    if (window < 1 || k < 1 || !(half_life >= 0) || !isfinite(half_life)) return SG_ERR_VALUE;
    sg_items *m = calloc(1, sizeof *m);
    if (!m) return SG_ERR_NOMEM;
    m->level = level;
    m->learn = sg_learn_of(level);
    m->k = k;
    m->half_life = half_life;
    int rc = sg_ledger_init(&m->ledger, window);
    sg_pairs_init(&m->pairs, m->ledger.pool, half_life > 0, level);
    if (!rc) rc = sg_topk_init(&m->topk, m->ledger.pool, k);
    if (rc) sg_items_free(m);
    else *out = m;
    return rc;
}

int sg_items_cap(sg_items *m, uint32_t row_cap) {
    if (m->ledger.history.events || row_cap < SG_ROW_CAP_LEAST || row_cap / 4 < m->k) return SG_ERR_VALUE;
    uint32_t lg = 3;
    while (lg < 32 && ((uint64_t)2 << lg >> 3) * 7 <= row_cap) lg++;
    m->pairs.cap_lg = lg;
    return SG_OK;
}

void sg_items_free(sg_items *m) {
    if (!m) return;
    sg_pairs_clear(&m->pairs);
    sg_topk_clear(&m->topk);
    sg_tally_clear(&m->tally);
    sg_ledger_clear(&m->ledger);
    free(m);
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

static int observe_chunk(sg_items *m, const uint64_t *units, const uint64_t *items, const double *times, size_t n) {
    uint32_t unit_ids[SG_CHUNK], item_ids[SG_CHUNK];
    size_t room = sg_ledger_room(&m->ledger, n);
    int rc = sg_pairs_grow(&m->pairs, room);
    if (!rc) rc = sg_topk_grow(&m->topk, room);
    if (!rc) rc = sg_ledger_index(&m->ledger, units, items, n, unit_ids, item_ids);
    m->topk.keys = sg_table_keys(m->ledger.items);
    return rc ? rc : m->learn->observe(m, unit_ids, item_ids, times, n);
}

int sg_items_observe(sg_items *m, const uint64_t *units, const uint64_t *items, const double *times, size_t n) {
    if (!sg_all_finite(times, n)) return SG_ERR_VALUE;
    int rc = move_landmark(m, times, n);
    for (size_t at = 0; at < n && !rc; at += SG_CHUNK)
        rc = observe_chunk(m, units + at, items + at, times + at, n - at < SG_CHUNK ? n - at : SG_CHUNK);
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

/* An item that no event names gives all back. */
static void release(sg_items *m, uint32_t item) {
    if (m->pairs.support[item] || !sg_ledger_has_item(&m->ledger, item)) return;
    sg_topk_release(&m->topk, &m->pairs, item);
    sg_pairs_release(&m->pairs, item);
    sg_ledger_release_item(&m->ledger, item);
}

/* All that a plan changes, on its way at once; the rows are here already (fetch_item). */
__attribute__((always_inline)) static inline void fetch(const sg_items *m, const sg_plan *plan) {
    const sg_pairs *p = &m->pairs;
    for (size_t d = 0; d < plan->len; d++) {
        uint32_t i = plan->deltas[d].item, j = plan->deltas[d].other;
        if (j == SG_TABLE_NONE) {
            __builtin_prefetch(&p->norm[i], 1);
            __builtin_prefetch(&p->support[i], 1);
            __builtin_prefetch(&m->topk.fell_from[i], 1);
            continue;
        }
        const sg_row *row_i = &p->rows[i], *row_j = &p->rows[j];
        __builtin_prefetch(row_i->slots + sg_home(j, row_i->lg), 1);
        __builtin_prefetch(row_j->slots + sg_home(i, row_j->lg), 1);
        if (!p->decays) continue;
        __builtin_prefetch(sg_row_weights(row_i) + sg_home(j, row_i->lg), 1);
        __builtin_prefetch(sg_row_weights(row_j) + sg_home(i, row_j->lg), 1);
    }
}

/* What the plan says is done to pairs and history; all or nothing. */
static int apply(void *owner, uint32_t unit, const sg_plan *plan) {
    sg_items *m = owner;
    size_t d = 0;
    int rc = SG_OK;
    fetch(m, plan);
    while (d < plan->added && !rc) rc = apply_raised(m, &plan->deltas[d++]);
    if (rc) {
        for (d--; d > 0; d--) apply_lowered(m, &plan->deltas[d - 1]);
        return rc;
    }
    for (; d < plan->len; d++) apply_lowered(m, &plan->deltas[d]);
    sg_history_commit(&m->ledger.history);
    for (d = plan->added; d < plan->len; d++)
        if (plan->deltas[d].other == SG_TABLE_NONE) release(m, plan->deltas[d].item);
    if (m->ledger.history.units[unit].kept_len == 0) sg_ledger_release_unit(&m->ledger, unit);
    return SG_OK;
}

static void fetch_item(const void *owner, uint32_t item) {
    const sg_items *m = owner;
    __builtin_prefetch(&m->pairs.rows[item], 1);
}

static const sg_taker TAKER = {apply, fetch_item};

int sg_items_retract(sg_items *m, const uint64_t *units, const uint64_t *items, const double *times, size_t n,
                     size_t *found) {
    *found = 0;
    int rc = m->learn->drain(m);
    return rc ? rc : sg_ledger_retract(&m->ledger, units, items, times, n, &TAKER, m, found);
}

int sg_items_expire(sg_items *m, double before, size_t *gone) {
    *gone = 0;
    int rc = m->learn->drain(m);
    return rc ? rc : sg_ledger_expire(&m->ledger, before, &TAKER, m, gone);
}

int sg_items_degrees(sg_items *m, const uint64_t *items, size_t n, size_t k, uint32_t *degrees) {
    int rc = m->learn->drain(m);
    for (size_t e = 0; e < n && !rc; e++) {
        uint32_t id = sg_table_find(m->ledger.items, items[e]);
        uint32_t degree = id == SG_TABLE_NONE ? 0 : m->pairs.rows[id].live;
        degrees[e] = degree < k ? degree : (uint32_t)k;
    }
    return rc;
}

int sg_items_similar(sg_items *m, uint64_t item, size_t k, uint64_t *out_items, float *out_scores, size_t *n) {
    const sg_candidate *best;
    *n = 0;
    uint32_t id = sg_table_find(m->ledger.items, item);
    if (id == SG_TABLE_NONE) return SG_OK;
    int rc = m->learn->drain(m);
    if (!rc) rc = sg_topk_read(&m->topk, &m->pairs, id, k, &best, n);
    if (rc) return rc;
    const uint64_t *keys = sg_table_keys(m->ledger.items);
    double norm = m->pairs.norm[id];
    for (size_t x = 0; x < *n; x++) {
        out_items[x] = keys[best[x].id];
        out_scores[x] = (float)fmin(sqrt(best[x].strength / norm), FLT_MAX);
    }
    return SG_OK;
}

static int all_weights(const double *weights, size_t n) {
    int fine = 1;
    for (size_t x = 0; x < n; x++) fine &= weights[x] >= 0 && weights[x] <= FLT_MAX;
    return fine;
}

/* The neighbours of up to SG_CHUNK items, each read while those of the next are on their way. */
static int add_neighbours(sg_items *m, const uint64_t *items, const double *weights, size_t len, size_t k) {
    uint32_t ids[SG_CHUNK];
    const sg_row *rows = m->pairs.rows;
    const sg_candidate *best;
    int rc = SG_OK;
    size_t n = 0; /* those known */
    double of[SG_CHUNK];
    for (size_t x = 0; x < len; x++) {
        ids[n] = sg_table_find(m->ledger.items, items[x]);
        of[n] = weights[x];
        if (ids[n] != SG_TABLE_NONE) __builtin_prefetch(&rows[ids[n++]]);
    }
    for (size_t x = 0; x < n && x < 2; x++) sg_topk_fetch(&m->topk, &rows[ids[x]]);
    for (size_t x = 0; x < n && !rc; x++) {
        size_t found;
        if (x + 2 < n) sg_topk_fetch(&m->topk, &rows[ids[x + 2]]);
        rc = sg_topk_read_set(&m->topk, &m->pairs, ids[x], k, &best, &found);
        double scale = 1 / sqrt(m->pairs.norm[ids[x]]);
        for (size_t y = 0; y < found && !rc; y++) {
            double cosine = sqrt(best[y].strength) * scale;
            sg_tally_add(&m->tally, best[y].id, of[x] * (cosine < FLT_MAX ? cosine : FLT_MAX));
        }
    }
    return rc;
}

int sg_items_recommend(sg_items *m, const uint64_t *items, const double *weights, size_t len, size_t k, size_t n,
                       int in_order, uint64_t *out_items, double *out_scores, size_t *got) {
    const uint64_t *keys = sg_table_keys(m->ledger.items);
    const sg_candidate *best;
    *got = 0;
    if (!all_weights(weights, len)) return SG_ERR_VALUE;
    int rc = m->learn->drain(m);
    if (!rc) rc = sg_tally_grow(&m->tally, m->pairs.len);
    for (size_t at = 0; at < len && !rc; at += SG_CHUNK)
        rc = add_neighbours(m, items + at, weights + at, len - at < SG_CHUNK ? len - at : SG_CHUNK, k);
    n = sg_tally_best(&m->tally, keys, n, in_order, &best);
    for (size_t x = 0; x < n && !rc; x++) {
        out_items[x] = keys[best[x].id];
        out_scores[x] = best[x].strength;
    }
    *got = rc ? 0 : n;
    return rc;
}

int sg_items_neighbours(sg_items *m, const uint64_t *items, size_t n, size_t k, int in_order, uint32_t *starts,
                        uint64_t *out_items, double *cosines, double *rules) {
    const uint64_t *keys = sg_table_keys(m->ledger.items);
    int rc = m->learn->drain(m);
    uint32_t at = 0;
    for (size_t x = 0; x < n && !rc; x++) {
        const sg_candidate *best;
        size_t found = 0;
        uint32_t id = sg_table_find(m->ledger.items, items[x]);
        starts[x] = at;
        if (id != SG_TABLE_NONE)
            rc = (in_order ? sg_topk_read : sg_topk_read_set)(&m->topk, &m->pairs, id, k, &best, &found);
        double norm = id == SG_TABLE_NONE ? 0 : m->pairs.norm[id];
        for (size_t y = 0; y < found && !rc; y++, at++) {
            out_items[at] = keys[best[y].id];
            double cosine = sqrt(best[y].strength / norm);
            double rule = sqrt(best[y].strength * m->pairs.norm[best[y].id]) / norm;
            cosines[at] = cosine < FLT_MAX ? cosine : FLT_MAX;
            rules[at] = rule < FLT_MAX ? rule : FLT_MAX;
        }
    }
    starts[n] = at;
    return rc;
}

int sg_items_supports(sg_items *m, const uint64_t *a, const uint64_t *b, size_t n, uint32_t *supports) {
    int rc = m->learn->drain(m);
    for (size_t e = 0; e < n && !rc; e++) {
        uint32_t i = sg_table_find(m->ledger.items, a[e]), j = sg_table_find(m->ledger.items, b[e]);
        supports[e] = i == SG_TABLE_NONE || j == SG_TABLE_NONE ? 0 : sg_pairs_support(&m->pairs, i, j);
    }
    return rc;
}

void sg_items_counts(const sg_items *m, const uint64_t *items, size_t n, uint32_t *counts) {
    for (size_t e = 0; e < n; e++) {
        uint32_t id = sg_table_find(m->ledger.items, items[e]);
        counts[e] = id == SG_TABLE_NONE ? 0 : m->pairs.support[id];
    }
}

static void sum_item(const sg_items *m, uint32_t i, uint64_t sum[2]) {
    const uint64_t *keys = sg_table_keys(m->ledger.items);
    const sg_row *row = &m->pairs.rows[i];
    if (m->pairs.support[i]) sg_sum_add(sum, ITEM, keys[i], m->pairs.support[i], 0);
    for (size_t at = 0; at < sg_row_slots(row) && !m->pairs.cap_lg; at++) {
        if (!row->slots[at]) continue;
        uint64_t other = keys[sg_slot_other(row->slots[at])];
        if (keys[i] < other) sg_sum_add(sum, PAIR, keys[i], other, sg_slot_support(row->slots[at]));
    }
}

int sg_items_checksum(sg_items *m, uint64_t sum[2]) {
    sum[0] = sum[1] = 0;
    int rc = m->learn->drain(m);
    for (uint32_t i = 0; i < m->pairs.len && !rc; i++) sum_item(m, i, sum);
    return rc ? rc : sg_ledger_sum(&m->ledger, sum);
}

sg_items_nbytes_of sg_items_nbytes(const sg_items *m) {
    sg_items_nbytes_of b = {
        .tables = sg_ledger_tables_nbytes(&m->ledger),
        .events = sg_history_nbytes(&m->ledger.history),
        .pairs = sg_pairs_nbytes(&m->pairs),
        .lists = sg_topk_nbytes(&m->topk) + sg_tally_nbytes(&m->tally),
        .pool_rest = sg_pool_mapped(m->ledger.pool) - sg_pool_taken(m->ledger.pool),
    };
    return b;
}

/* The supports that the kept events of the units make, against those that the pairs hold. */
static int check_sums(const sg_items *m) {
    uint64_t kept = 0, pairs = 0, supports = 0, slots = 0;
    for (size_t id = 0; id < m->ledger.history.len; id++) {
        uint64_t n = m->ledger.history.units[id].kept_len, w = m->ledger.history.window;
        kept += n;
        pairs += n <= w ? n * (n - (n > 0)) / 2 : w * (w - 1) / 2 + (n - w) * w;
    }
    for (size_t i = 0; i < m->pairs.len; i++) {
        const sg_row *row = &m->pairs.rows[i];
        supports += m->pairs.support[i];
        for (size_t at = 0; at < sg_row_slots(row); at++) slots += sg_slot_support(row->slots[at]);
    }
    return kept == supports && (m->pairs.cap_lg ? slots <= 2 * pairs : slots == 2 * pairs);
}

int sg_items_check(sg_items *m, const char **why) {
    *why = "sg_items: the queue cannot be emptied, memory is out";
    int rc = m->learn->drain(m);
    if (!rc) rc = sg_ledger_check(&m->ledger, why);
    if (!rc) rc = sg_pairs_check(&m->pairs, why);
    if (!rc) rc = sg_topk_check(&m->topk, &m->pairs, why);
    if (rc) return rc;
    *why = "sg_items I1: a part has no room for an id, or an item has support and no key";
    size_t items = sg_table_used(m->ledger.items);
    if (m->pairs.len < items || m->topk.len < items) return SG_ERR_VALUE;
    for (uint32_t i = 0; i < items; i++)
        if (m->pairs.support[i] && !sg_ledger_has_item(&m->ledger, i)) return SG_ERR_VALUE;
    *why = "sg_items I2: supports are not those of the kept events";
    if (!check_sums(m)) return SG_ERR_VALUE;
    *why = NULL;
    return SG_OK;
}
