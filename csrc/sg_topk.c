#include "sg_topk.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What an entry was, by key: the entry may have gone and its id be another's. */
typedef struct {
    double strength;
    uint64_t key;
} bound;

struct sg_list {
    double inflation; /* sg_topk's, when the list was made */
    bound bar;        /* an entry must be better than this to be listed */
    bound rejected;   /* no unlisted entry is better than this */
    uint32_t len;
    uint32_t ids[];
};

static const bound NOBODY = {-1, 0};        /* any entry is better */
static const bound ANYBODY = {INFINITY, 0}; /* no entry is better */

static const double SLACK = 1 + 0x1p-40; /* for the roundings of a quotient of norms */

static int beats(const sg_topk *t, sg_candidate c, bound b) {
    return c.strength != b.strength ? c.strength > b.strength : t->keys[c.id] < b.key;
}

static bound bound_of(const sg_topk *t, sg_candidate c) { return (bound){c.strength, t->keys[c.id]}; }

int sg_topk_init(sg_topk *t, sg_pool *pool, uint32_t k) {
    *t = (sg_topk){.pool = pool, .lg = 9, .inflation = 1};
    do {
        t->most = (uint32_t)((((size_t)1 << t->lg) - sizeof(sg_list)) / sizeof(uint32_t));
        t->kept = t->most / 4 * 3;
    } while (t->kept < k + k / 2 && ++t->lg < 30);
    t->scratch_room = t->most > SG_SHORT ? t->most : SG_SHORT;
    t->scratch = malloc(t->scratch_room * sizeof *t->scratch);
    return t->scratch ? SG_OK : SG_ERR_NOMEM;
}

void sg_topk_clear(sg_topk *t) {
    free(t->scratch);
    free(t->fell_from);
    free(t->fallen);
    *t = (sg_topk){0};
}

int sg_topk_grow(sg_topk *t, size_t items) {
    if (items > t->room) {
        size_t room = t->room * 2 > items ? t->room * 2 : items + 16;
        double *fell_from = realloc(t->fell_from, room * sizeof *fell_from);
        if (!fell_from) return SG_ERR_NOMEM;
        t->fell_from = fell_from;
        uint32_t *fallen = realloc(t->fallen, room * sizeof *fallen);
        if (!fallen) return SG_ERR_NOMEM;
        t->fallen = fallen;
        t->room = room;
    }
    for (; t->len < items; t->len++) t->fell_from[t->len] = 0;
    return SG_OK;
}

static void set_gate(sg_row *row) { row->gate = fmin(row->list->bar.strength, row->list->rejected.strength); }

static void rescore(sg_topk *t, sg_pairs *p, const sg_row *row) {
    const sg_list *list = row->list;
    for (uint32_t x = 0; x < list->len; x++) {
        __builtin_prefetch(row->slots + sg_home(list->ids[x], row->lg));
        __builtin_prefetch(&p->norm[list->ids[x]]);
    }
    for (uint32_t x = 0; x < list->len; x++) {
        const uint64_t *slot = p->find(row, list->ids[x]);
        t->scratch[x] = (sg_candidate){sg_strength(p, row, slot), list->ids[x]};
    }
}

/* The list is full: keep the best, and let the best of the others speak for the unlisted. */
static void cut(sg_topk *t, sg_pairs *p, sg_row *row) {
    sg_list *list = row->list;
    rescore(t, p, row);
    sg_best_first(t->keys, t->scratch, list->len, t->kept + 1);
    for (uint32_t x = 0; x < t->kept; x++) list->ids[x] = t->scratch[x].id;
    for (uint32_t x = t->kept; x < list->len; x++) *p->find(row, t->scratch[x].id) &= ~SG_LISTED;
    if (beats(t, t->scratch[t->kept], list->rejected)) list->rejected = bound_of(t, t->scratch[t->kept]);
    list->bar = bound_of(t, t->scratch[t->kept - 1]);
    list->len = t->kept;
    t->stats.cuts++;
}

void sg_topk_offer(sg_topk *t, sg_pairs *p, uint32_t i, uint64_t *slot, double strength) {
    sg_row *row = &p->rows[i];
    sg_list *list = row->list;
    sg_candidate c = {strength, sg_slot_other(*slot)};
    if (beats(t, c, list->bar)) {
        *slot |= SG_LISTED;
        list->ids[list->len++] = c.id;
        t->stats.admitted++;
        if (list->len == t->most) cut(t, p, row);
    } else if (beats(t, c, list->rejected)) {
        list->rejected = bound_of(t, c);
    }
    set_gate(row);
}

void sg_topk_drop(sg_pairs *p, uint32_t i, uint32_t j) {
    sg_list *list = p->rows[i].list;
    uint32_t x = 0;
    while (list->ids[x] != j) x++;
    list->ids[x] = list->ids[--list->len];
}

void sg_topk_release(sg_topk *t, sg_pairs *p, uint32_t i) {
    sg_row *row = &p->rows[i];
    if (!row->list) return;
    sg_pool_give(t->pool, row->list, t->lg);
    row->list = NULL;
    row->gate = 0;
    t->lists--;
}

void sg_topk_fell(sg_topk *t, uint32_t j, double norm_before) {
    if (t->fell_from[j] == 0) t->fallen[t->fallen_len++] = j;
    if (norm_before > t->fell_from[j]) t->fell_from[j] = norm_before;
}

void sg_topk_distrust(sg_topk *t, sg_pairs *p) {
    for (size_t i = 0; i < p->len; i++)
        if (p->rows[i].list) p->rows[i].list->rejected = ANYBODY;
    for (size_t f = 0; f < t->fallen_len; f++) t->fell_from[t->fallen[f]] = 0;
    t->fallen_len = 0;
    t->inflation = 1;
}

/* Entry j has become stronger everywhere. */
static void touch_column(sg_topk *t, sg_pairs *p, uint32_t j) {
    const sg_row *column = &p->rows[j];
    for (size_t at = 0; at < sg_row_slots(column); at++) {
        if (!column->slots[at]) continue;
        uint32_t i = sg_slot_other(column->slots[at]);
        if (!p->rows[i].list) continue;
        sg_topk_touch(t, p, i, p->find(&p->rows[i], j));
        t->stats.touched_again++;
    }
}

void sg_topk_settle(sg_topk *t, sg_pairs *p) {
    for (size_t f = 0; f < t->fallen_len; f++) {
        uint32_t j = t->fallen[f];
        double from = t->fell_from[j], now = p->norm[j];
        t->fell_from[j] = 0;
        if (t->lists == 0 || p->support[j] == 0 || now >= from) continue;
        if (p->support[j] <= SG_RARE) {
            touch_column(t, p, j);
        } else {
            t->inflation *= from / now * SLACK;
            t->stats.inflations++;
        }
    }
    t->fallen_len = 0;
    if (!(t->inflation < 1e200)) sg_topk_distrust(t, p);
}

/* Its first read will rescan. */
static int make_list(sg_topk *t, sg_row *row) {
    sg_list *list = sg_pool_take(t->pool, t->lg);
    if (!list) return SG_ERR_NOMEM;
    *list = (sg_list){.inflation = t->inflation, .bar = NOBODY, .rejected = ANYBODY};
    row->list = list;
    t->lists++;
    set_gate(row);
    return SG_OK;
}

/* Look at every entry of the row again. Afterwards the list's n are the n best, n >= kept or all. */
static void rescan(sg_topk *t, sg_pairs *p, uint32_t i) {
    sg_row *row = &p->rows[i];
    sg_list *list = row->list;
    for (uint32_t x = 0; x < list->len; x++) *p->find(row, list->ids[x]) &= ~SG_LISTED;
    *list = (sg_list){.inflation = t->inflation, .bar = NOBODY, .rejected = NOBODY};
    row->gate = NOBODY.strength;
    for (size_t at = 0; at < sg_row_slots(row); at++)
        if (row->slots[at]) sg_topk_touch(t, p, i, &row->slots[at]);
    t->stats.rescans++;
}

/* Are the k best of the list, which scratch has in order, the k best of the row? */
static int is_exact(const sg_topk *t, const sg_list *list, size_t k) {
    if (list->rejected.strength < 0) return 1; /* all are listed */
    if (list->len < k) return 0;
    if (k == 0) return 1;
    sg_candidate worst = t->scratch[k - 1];
    double rise = t->inflation / list->inflation;
    if (rise > 1) return worst.strength > list->rejected.strength * rise * SLACK;
    if (worst.strength != list->rejected.strength) return worst.strength > list->rejected.strength;
    return t->keys[worst.id] <= list->rejected.key;
}

static int scan(sg_topk *t, sg_pairs *p, const sg_row *row, size_t k) {
    if (row->live > t->scratch_room) {
        sg_candidate *wider = realloc(t->scratch, (size_t)row->live * 2 * sizeof *wider);
        if (!wider) return SG_ERR_NOMEM;
        t->scratch = wider;
        t->scratch_room = (size_t)row->live * 2;
    }
    size_t n = 0;
    for (size_t at = 0; at < sg_row_slots(row); at++)
        if (row->slots[at])
            t->scratch[n++] = (sg_candidate){sg_strength(p, row, &row->slots[at]), sg_slot_other(row->slots[at])};
    sg_best_first(t->keys, t->scratch, n, k);
    return SG_OK;
}

static int read_list(sg_topk *t, sg_pairs *p, uint32_t i, size_t k) {
    sg_row *row = &p->rows[i];
    sg_topk_settle(t, p);
    if (!row->list && make_list(t, row)) return SG_ERR_NOMEM;
    rescore(t, p, row);
    sg_best_first(t->keys, t->scratch, row->list->len, k);
    if (is_exact(t, row->list, k)) return SG_OK;
    rescan(t, p, i);
    rescore(t, p, row);
    sg_best_first(t->keys, t->scratch, row->list->len, k);
    return SG_OK;
}

int sg_topk_read(sg_topk *t, sg_pairs *p, uint32_t i, size_t k, const sg_candidate **out, size_t *n) {
    const sg_row *row = &p->rows[i];
    if (row->live < k) k = row->live;
    int listed = k <= t->kept && (row->list || row->live > SG_SHORT);
    uint64_t *count = listed                 ? &t->stats.list_reads
                      : row->live > SG_SHORT ? &t->stats.full_scans
                                             : &t->stats.short_reads;
    ++*count;
    int rc = listed ? read_list(t, p, i, k) : scan(t, p, row, k);
    *out = t->scratch;
    *n = rc ? 0 : k;
    return rc;
}

size_t sg_topk_nbytes(const sg_topk *t) {
    return (t->lists << t->lg) + t->room * (sizeof *t->fell_from + sizeof *t->fallen) +
           t->scratch_room * sizeof *t->scratch;
}

static int check_row(const sg_topk *t, const sg_pairs *p, const sg_row *row, const char **why) {
    size_t listed = 0;
    for (size_t at = 0; at < sg_row_slots(row); at++) listed += (row->slots[at] & SG_LISTED) != 0;
    *why = "sg_topk I1: listed bits are not the list's ids";
    const sg_list *list = row->list;
    if (!list) return listed == 0;
    if (listed != list->len || list->len >= t->most) return 0;
    for (uint32_t x = 0; x < list->len; x++) {
        const uint64_t *slot = p->find(row, list->ids[x]);
        if (!slot || !(*slot & SG_LISTED)) return 0;
    }
    *why = "sg_topk I2: an unlisted entry is better than the best rejected one";
    double rise = t->inflation / list->inflation;
    for (size_t at = 0; at < sg_row_slots(row); at++) {
        if (!row->slots[at] || row->slots[at] & SG_LISTED) continue;
        sg_candidate c = {sg_strength(p, row, &row->slots[at]), sg_slot_other(row->slots[at])};
        if (rise > 1 ? c.strength > list->rejected.strength * rise * SLACK : beats(t, c, list->rejected)) return 0;
    }
    *why = "sg_topk I3: the gate is above the bar or the best rejected entry";
    return row->gate <= list->bar.strength && row->gate <= list->rejected.strength;
}

int sg_topk_check(sg_topk *t, sg_pairs *p, const char **why) {
    sg_topk_settle(t, p);
    for (size_t i = 0; i < p->len; i++)
        if (!check_row(t, p, &p->rows[i], why)) return SG_ERR_VALUE;
    *why = NULL;
    return SG_OK;
}
