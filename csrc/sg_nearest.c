#include "sg_nearest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { AHEAD = 6 };

static int is_fine(const sg_query *q) {
    int fine = q->len <= SG_QUERY_MAX && q->k <= SG_NEAREST_MAX && q->idf >= 0 && isfinite(q->idf);
    for (size_t p = 0; p < q->len && fine; p++) {
        fine &= q->weights[p] >= 0 && q->weights[p] <= 1 && q->decays[p] >= 0 && q->decays[p] <= 1;
        for (size_t other = 0; other < p; other++) fine &= q->items[p] != q->items[other];
    }
    return fine;
}

static int is_readable(const sg_reading *r) {
    int fine = r->half_life >= 0 && isfinite(r->half_life);
    for (size_t d = 0; d < r->distances; d++) fine &= r->near[d] >= 0 && r->near[d] <= 1;
    return fine;
}

static double rounded(double fraction) { return floor(fraction * 0x1p16 + 0.5) * 0x1p-16; }

static int make_room(sg_sessions *m) {
    if (m->seen_room < m->postings.units) {
        uint32_t *seen = realloc(m->seen, m->postings.units_room * sizeof *seen);
        if (!seen) return SG_ERR_NOMEM;
        m->seen = seen;
        m->seen_room = m->postings.units_room;
    }
    return sg_tally_grow(&m->tally, m->postings.items);
}

/* sim and step of all units that share an item with the query. */
static void look(sg_sessions *m, const sg_query *q) {
    sg_holder *holders = m->postings.holders;
    const uint64_t *keys = sg_table_keys(m->ledger.units);
    uint32_t without = q->without ? sg_table_find(m->ledger.units, *q->without) : SG_TABLE_NONE;
    m->seen_len = 0;
    for (size_t p = 0; p < q->len; p++) {
        const sg_candidate *units;
        uint32_t item = sg_table_find(m->ledger.items, q->items[p]);
        double weight = rounded(q->weights[p]);
        if (item == SG_TABLE_NONE || weight == 0) continue;
        size_t n = sg_postings_newest(&m->postings, item, q->m, without, keys, &units);
        for (size_t x = 0; x < n; x++) {
            sg_holder *holder = &holders[units[x].id];
            if (holder->similarity == 0) {
                m->seen[m->seen_len++] = units[x].id;
                holder->step = (uint32_t)p;
            }
            holder->similarity += weight;
        }
    }
}

static int nearer(const sg_sessions *m, uint32_t a, uint32_t b) {
    const sg_holder *x = &m->postings.holders[a], *y = &m->postings.holders[b];
    if (x->similarity != y->similarity) return x->similarity > y->similarity;
    if (x->last != y->last) return x->last > y->last;
    return sg_table_keys(m->ledger.units)[a] < sg_table_keys(m->ledger.units)[b];
}

/* A heap of units, the least near on top: the top gives way to `unit`. */
static void sift(const sg_sessions *m, uint32_t *heap, size_t len, uint32_t unit) {
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < len; at = child) {
        child += child + 1 < len && nearer(m, heap[child], heap[child + 1]);
        if (nearer(m, heap[child], unit)) break;
        heap[at] = heap[child];
    }
    heap[at] = unit;
}

static void offer(sg_sessions *m, size_t k, uint32_t unit) {
    uint32_t *heap = m->nearest;
    if (m->nearest_len == k) {
        if (nearer(m, unit, heap[0])) sift(m, heap, k, unit);
        return;
    }
    size_t at = m->nearest_len++;
    for (; at > 0 && nearer(m, heap[(at - 1) / 2], unit); at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
    heap[at] = unit;
}

/* N, in m->nearest, a heap. The seen units' similarities stay until forget(). */
static int find(sg_sessions *m, const sg_query *q) {
    m->nearest_len = 0;
    if (!is_fine(q)) return SG_ERR_VALUE;
    int rc = make_room(m);
    if (rc) return rc;
    look(m, q);
    for (size_t x = 0; x < m->seen_len && q->k; x++) offer(m, q->k, m->seen[x]);
    return SG_OK;
}

static void forget(sg_sessions *m) {
    for (size_t x = 0; x < m->seen_len; x++) {
        m->postings.holders[m->seen[x]].similarity = 0;
        m->postings.holders[m->seen[x]].step = 0;
    }
    m->seen_len = 0;
}

int sg_nearest_units(sg_sessions *m, const sg_query *q, uint64_t *units, double *similarities, size_t *n) {
    int rc = find(m, q);
    *n = m->nearest_len;
    for (size_t left = m->nearest_len; left > 0; left--) {
        uint32_t farthest = m->nearest[0];
        units[left - 1] = sg_table_keys(m->ledger.units)[farthest];
        similarities[left - 1] = m->postings.holders[farthest].similarity;
        sift(m, m->nearest, left - 1, m->nearest[left - 1]);
    }
    if (!rc) forget(m);
    return rc;
}

/* How many of the unit's items stand before the one that it shares. */
static size_t place_of(const uint32_t *items, size_t n, uint32_t shared) {
    size_t at = 0;
    while (at < n && items[at] != shared) at++;
    return at;
}

/* What unit u brings to each of its items. */
static void add_unit(sg_sessions *m, const sg_query *q, const sg_reading *r, const uint32_t *ids, uint32_t u,
                     double newest) {
    const uint32_t *items;
    const sg_holder *holder = &m->postings.holders[u];
    size_t n = sg_sessions_held(m, u, &items);
    double counts = q->decays[holder->step];
    if (r->half_life > 0) counts *= exp2((holder->last - newest) / r->half_life);
    if (!r->distances) {
        double amount = holder->similarity * rounded(counts);
        for (size_t y = 0; y < n; y++) sg_tally_add(&m->tally, items[y], amount);
        return;
    }
    size_t shared = place_of(items, n, ids[holder->step]);
    size_t first = shared < r->distances ? 0 : shared - r->distances + 1;
    for (size_t y = first; y < n && y < shared + r->distances; y++) {
        size_t d = y < shared ? shared - y : y - shared;
        sg_tally_add(&m->tally, items[y], holder->similarity * rounded(counts * r->near[d]));
    }
}

/* ln(units / holding), which few numbers are: remembered while the units are as many. */
static double rarity(sg_sessions *m, double units, uint32_t holding) {
    if (holding >= SG_SESSIONS_RARE) return log(units / holding);
    if (m->rare_of != units) memset(m->rare, 0, sizeof m->rare);
    m->rare_of = units;
    if (m->rare[holding] == 0) m->rare[holding] = log(units / holding);
    return m->rare[holding];
}

static void add_up(sg_sessions *m, const sg_query *q, const sg_reading *r) {
    const sg_unit *units = m->ledger.history.units;
    uint32_t ids[SG_QUERY_MAX];
    double newest = -INFINITY;
    for (size_t p = 0; p < q->len; p++) ids[p] = sg_table_find(m->ledger.items, q->items[p]);
    for (size_t x = 0; x < m->nearest_len; x++) newest = fmax(newest, m->postings.holders[m->nearest[x]].last);
    for (size_t x = 0; x < m->nearest_len; x++) {
        if (x + 2 * AHEAD < m->nearest_len) __builtin_prefetch(&units[m->nearest[x + 2 * AHEAD]]);
        if (x + AHEAD < m->nearest_len) __builtin_prefetch(units[m->nearest[x + AHEAD]].items);
        add_unit(m, q, r, ids, m->nearest[x], newest);
    }
    double all = sg_table_live(m->ledger.units);
    for (size_t x = 0; x < m->tally.len && q->idf > 0; x++) {
        uint32_t item = m->tally.touched[x];
        m->tally.sums[item] *= 1 + q->idf * rarity(m, all, m->postings.rows[item].holding);
    }
}

int sg_nearest_items(sg_sessions *m, const sg_query *q, const sg_reading *readings, size_t count, size_t most,
                     int in_order, uint64_t *items, double *scores, size_t *n) {
    int fine = 1;
    for (size_t x = 0; x < count; x++) n[x] = 0, fine &= is_readable(&readings[x]);
    int rc = fine ? find(m, q) : SG_ERR_VALUE;
    if (rc) return rc;
    const uint64_t *keys = sg_table_keys(m->ledger.items);
    for (size_t x = 0; x < count; x++) {
        const sg_candidate *best;
        add_up(m, q, &readings[x]);
        n[x] = sg_tally_best(&m->tally, keys, most, in_order, &best);
        for (size_t y = 0; y < n[x]; y++) {
            items[x * most + y] = keys[best[y].id];
            scores[x * most + y] = best[y].strength;
        }
    }
    forget(m);
    return SG_OK;
}
