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
    double inflation;  /* sg_topk's, when the list followed the falls last */
    uint64_t followed; /* how many of them */
    bound bar;         /* an entry must be better than this to be listed */
    bound rejected;    /* no unlisted entry is better than this */
    uint32_t len;
    uint32_t ids[];
};

static const bound NOBODY = {-1, 0};        /* any entry is better */
static const bound ANYBODY = {INFINITY, 0}; /* no entry is better */

static const double SLACK = 1 + 0x1p-40; /* for the roundings of a quotient of norms */
static const double EPOCH = 1.05;        /* the rise that ends one */

static int beats(const sg_topk *t, sg_candidate c, bound b) {
    return c.strength != b.strength ? c.strength > b.strength : t->keys[c.id] < b.key;
}

static bound bound_of(const sg_topk *t, sg_candidate c) { return (bound){c.strength, t->keys[c.id]}; }

int sg_topk_init(sg_topk *t, sg_pool *pool, uint32_t k) {
    *t = (sg_topk){.pool = pool, .lg = 9, .inflation = 1, .rise = 1};
    do {
        t->most = (uint32_t)((((size_t)1 << t->lg) - sizeof(sg_list)) / sizeof(uint32_t) / 8 * 8);
        t->kept = t->most / 4 * 3;
    } while (t->kept < k + k / 2 && ++t->lg < 30);
    t->scratch_room = t->most > SG_SHORT ? t->most : SG_SHORT;
    t->scratch = malloc(t->scratch_room * sizeof *t->scratch);
    t->falls = malloc(SG_FALLS * sizeof *t->falls);
    return t->scratch && t->falls ? SG_OK : SG_ERR_NOMEM;
}

void sg_topk_clear(sg_topk *t) {
    free(t->scratch);
    free(t->fell_from);
    free(t->peak);
    free(t->fallen);
    free(t->peaked);
    free(t->falls);
    *t = (sg_topk){0};
}

static int extend(void *array, size_t room, size_t size) {
    void *moved = realloc(*(void **)array, room * size);
    if (moved) *(void **)array = moved;
    return moved ? SG_OK : SG_ERR_NOMEM;
}

int sg_topk_grow(sg_topk *t, size_t items) {
    if (items > t->room) {
        size_t room = t->room * 2 > items ? t->room * 2 : items + 16;
        int rc = extend(&t->fell_from, room, sizeof *t->fell_from);
        if (!rc) rc = extend(&t->peak, room, sizeof *t->peak);
        if (!rc) rc = extend(&t->fallen, room, sizeof *t->fallen);
        if (!rc) rc = extend(&t->peaked, room, sizeof *t->peaked);
        if (rc) return rc;
        t->room = room;
    }
    for (; t->len < items; t->len++) t->fell_from[t->len] = t->peak[t->len] = 0;
    return SG_OK;
}

static void set_gate(sg_row *row) { row->gate = fmin(row->list->bar.strength, row->list->rejected.strength); }

void sg_topk_fetch(const sg_topk *t, const sg_row *row) {
    const char *from = row->list ? (const char *)row->list : (const char *)row->slots;
    size_t bytes = row->list ? (size_t)1 << t->lg : row->live <= SG_SHORT ? sg_row_slots(row) * sizeof *row->slots : 0;
    for (size_t at = 0; at < bytes; at += 64) __builtin_prefetch(from + at);
    __asm__ volatile("" ::: "memory"); /* or the compiler takes this function for one without effect */
}

/* The list in order, in scratch and in itself, so that it nearly is the next time. Ids whose entries have gone, and
 * those that stand twice because an entry came back, leave it now. */
static void sort_list(sg_topk *t, const sg_pairs *p, const sg_row *row) {
    sg_list *list = row->list;
    sg_candidate *c = t->scratch;
    uint32_t len = list->len, twice = 0;
    p->row->strengths(p, row, list->ids, len, c);
    int moved = sg_best_again(t->keys, c, len);
    while (len && c[len - 1].strength < 0) len--;
    for (uint32_t x = 1; x < len; x++) {
        twice += c[x].id == c[x - 1].id;
        if (twice) c[x - twice] = c[x];
    }
    list->len = len -= twice;
    for (uint32_t x = 0; x < len && (moved || twice); x++) list->ids[x] = c[x].id;
}

/* The list is full: keep the best, and let the best of the others speak for the unlisted. */
static void cut(sg_topk *t, sg_pairs *p, sg_row *row) {
    sg_list *list = row->list;
    sort_list(t, p, row);
    if (list->len <= t->kept) return;
    for (uint32_t x = t->kept; x < list->len; x++) *p->row->find(row, t->scratch[x].id) &= ~SG_LISTED;
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

static void begin_epoch(sg_topk *t, double inflation) {
    for (size_t f = 0; f < t->peaked_len; f++) t->peak[t->peaked[f]] = 0;
    t->peaked_len = 0;
    t->rise = 1;
    t->inflation = inflation;
    t->stats.epochs++;
}

void sg_topk_distrust(sg_topk *t, sg_pairs *p) {
    for (size_t i = 0; i < p->len; i++)
        if (p->rows[i].list) p->rows[i].list->rejected = ANYBODY;
    for (size_t f = 0; f < t->fallen_len; f++) t->fell_from[t->fallen[f]] = 0;
    t->fallen_len = 0;
    begin_epoch(t, 1);
}

/* Row i looks at its entry j again, which has become stronger. */
static void look_again(sg_topk *t, sg_pairs *p, uint32_t i, uint32_t j) {
    uint64_t *slot = p->row->find(&p->rows[i], j);
    if (slot) sg_topk_touch(t, p, i, slot);
}

enum { ROWS_AHEAD = 16, SLOTS_AHEAD = 8 };

static void touch_column(sg_topk *t, sg_pairs *p, uint32_t j) {
    const sg_row *column = &p->rows[j];
    size_t n = sg_row_slots(column);
    for (size_t at = 0; at < n; at++) {
        if (at + ROWS_AHEAD < n && column->slots[at + ROWS_AHEAD])
            __builtin_prefetch(&p->rows[sg_slot_other(column->slots[at + ROWS_AHEAD])]);
        if (at + SLOTS_AHEAD < n && column->slots[at + SLOTS_AHEAD]) {
            const sg_row *row = &p->rows[sg_slot_other(column->slots[at + SLOTS_AHEAD])];
            if (row->list) __builtin_prefetch(row->slots + sg_home(j, row->lg));
        }
        if (!column->slots[at]) continue;
        uint32_t i = sg_slot_other(column->slots[at]);
        if (!p->rows[i].list) continue;
        look_again(t, p, i, j);
        t->stats.touched_again++;
    }
}

/* All rows that hold j are found through row j. */
static int has_whole_column(const sg_pairs *p, uint32_t j) { return !p->cap_lg || p->rows[j].lg < p->cap_lg; }

static void note_fall(sg_topk *t, uint32_t j, double from, double now) {
    if (t->peak[j] == 0) t->peaked[t->peaked_len++] = j;
    t->peak[j] = fmax(t->peak[j], from);
    t->rise = fmax(t->rise, t->peak[j] / now * SLACK);
    t->falls[t->falls_len++ % SG_FALLS] = j;
    if (t->rise > EPOCH) begin_epoch(t, t->inflation * t->rise * SLACK);
}

void sg_topk_settle(sg_topk *t, sg_pairs *p) {
    for (size_t f = 0; f < t->fallen_len; f++) {
        uint32_t j = t->fallen[f];
        double from = t->fell_from[j], now = p->norm[j];
        t->fell_from[j] = 0;
        if (t->lists == 0 || p->support[j] == 0 || now >= from) continue;
        if (p->support[j] <= SG_RARE && has_whole_column(p, j)) touch_column(t, p, j);
        else note_fall(t, j, from, now);
    }
    t->fallen_len = 0;
    if (!(t->inflation < 1e200)) sg_topk_distrust(t, p);
}

static void has_followed(const sg_topk *t, sg_list *list) {
    list->inflation = t->inflation;
    list->followed = t->falls_len;
}

/* By how much an unlisted entry may be stronger than when the list followed the falls. */
static double rise_of(const sg_topk *t, const sg_list *list) {
    return list->followed == t->falls_len ? 1 : t->inflation / list->inflation * t->rise * SLACK;
}

/* The row looks at those of its entries that have become stronger since, unless that is more than the whole row. */
static int follow(sg_topk *t, sg_pairs *p, uint32_t i) {
    const sg_row *row = &p->rows[i];
    uint64_t falls = t->falls_len - row->list->followed;
    if (falls == 0 || falls > SG_FALLS || falls > row->live / 4) return 0;
    for (uint64_t f = row->list->followed; f < t->falls_len; f++) {
        if (f + SLOTS_AHEAD < t->falls_len)
            __builtin_prefetch(row->slots + sg_home(t->falls[(f + SLOTS_AHEAD) % SG_FALLS], row->lg));
        look_again(t, p, i, t->falls[f % SG_FALLS]);
    }
    t->stats.followed += falls;
    has_followed(t, row->list);
    return 1;
}

/* Its first read will rescan. */
static int make_list(sg_topk *t, sg_row *row) {
    sg_list *list = sg_pool_take(t->pool, t->lg);
    if (!list) return SG_ERR_NOMEM;
    *list = (sg_list){.bar = NOBODY, .rejected = ANYBODY};
    has_followed(t, list);
    row->list = list;
    t->lists++;
    set_gate(row);
    return SG_OK;
}

/* Look at every entry of the row again. Afterwards the list's n are the n best, n >= kept or all. */
static void rescan(sg_topk *t, sg_pairs *p, uint32_t i) {
    sg_row *row = &p->rows[i];
    sg_list *list = row->list;
    for (uint32_t x = 0; x < list->len; x++) {
        uint64_t *slot = p->row->find(row, list->ids[x]);
        if (slot) *slot &= ~SG_LISTED;
    }
    *list = (sg_list){.bar = NOBODY, .rejected = NOBODY};
    has_followed(t, list);
    row->gate = NOBODY.strength;
    for (size_t at = 0; at < sg_row_slots(row); at++)
        if (row->slots[at]) sg_topk_touch(t, p, i, &row->slots[at]);
    t->stats.rescans++;
}

/* Are the k best of the list, which scratch has in order, the k best of the row? */
static int is_exact(const sg_topk *t, const sg_list *list, size_t k) {
    if (list->rejected.strength < 0 || k == 0) return 1; /* all are listed, or none is asked for */
    if (list->len < k) return 0;
    sg_candidate worst = t->scratch[k - 1];
    double rise = rise_of(t, list);
    if (rise > 1) return worst.strength > list->rejected.strength * rise;
    if (worst.strength != list->rejected.strength) return worst.strength > list->rejected.strength;
    return t->keys[worst.id] <= list->rejected.key;
}

/* All entries of the row in scratch. */
static int gather(sg_topk *t, const sg_pairs *p, const sg_row *row) {
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
    return SG_OK;
}

int sg_topk_thin(sg_topk *t, sg_pairs *p, uint32_t i) {
    const sg_row *row = &p->rows[i];
    uint32_t n = row->live, kept = n / 4 * 3;
    if (gather(t, p, row)) return SG_ERR_NOMEM;
    sg_best_apart(t->keys, t->scratch, n, kept);
    for (uint32_t x = kept; x < n; x++) { sg_pairs_remove(p, i, t->scratch[x].id); }
    t->stats.thinned += n - kept;
    return SG_OK;
}

static int try_list(sg_topk *t, sg_pairs *p, const sg_row *row, size_t k) {
    sort_list(t, p, row);
    return is_exact(t, row->list, k);
}

static int read_list(sg_topk *t, sg_pairs *p, uint32_t i, size_t k) {
    sg_row *row = &p->rows[i];
    sg_topk_settle(t, p);
    if (!row->list && make_list(t, row)) return SG_ERR_NOMEM;
    if (try_list(t, p, row, k) || (follow(t, p, i) && try_list(t, p, row, k))) return SG_OK;
    rescan(t, p, i);
    try_list(t, p, row, k);
    return SG_OK;
}

static int read_row(sg_topk *t, sg_pairs *p, uint32_t i, size_t k, int in_order, const sg_candidate **out, size_t *n) {
    const sg_row *row = &p->rows[i];
    if (row->live < k) k = row->live;
    int listed = k <= t->kept && (row->list || row->live > SG_SHORT);
    uint64_t *count = listed                 ? &t->stats.list_reads
                      : row->live > SG_SHORT ? &t->stats.full_scans
                                             : &t->stats.short_reads;
    ++*count;
    int rc = listed ? read_list(t, p, i, k) : gather(t, p, row);
    *out = t->scratch;
    *n = rc ? 0 : k;
    if (!listed && !rc) (in_order ? sg_best_first : sg_best_apart)(t->keys, t->scratch, row->live, k);
    return rc;
}

int sg_topk_read(sg_topk *t, sg_pairs *p, uint32_t i, size_t k, const sg_candidate **out, size_t *n) {
    return read_row(t, p, i, k, 1, out, n);
}

int sg_topk_read_set(sg_topk *t, sg_pairs *p, uint32_t i, size_t k, const sg_candidate **out, size_t *n) {
    return read_row(t, p, i, k, 0, out, n);
}

size_t sg_topk_nbytes(const sg_topk *t) {
    return (t->lists << t->lg) + t->room * 2 * (sizeof *t->fell_from + sizeof *t->fallen) +
           SG_FALLS * sizeof *t->falls + t->scratch_room * sizeof *t->scratch;
}

static int check_row(const sg_topk *t, const sg_pairs *p, const sg_row *row, const char **why) {
    size_t listed = 0;
    for (size_t at = 0; at < sg_row_slots(row); at++) listed += (row->slots[at] & SG_LISTED) != 0;
    *why = "sg_topk I1: a listed entry is not in the list";
    const sg_list *list = row->list;
    if (!list) return listed == 0;
    if (list->len >= t->most) return 0;
    for (uint32_t x = 0; x < list->len; x++) {
        const uint64_t *slot = p->row->find(row, list->ids[x]);
        size_t before = 0;
        while (list->ids[before] != list->ids[x]) before++;
        listed -= before == x && slot && *slot & SG_LISTED;
    }
    if (listed) return 0;
    *why = "sg_topk I2: an unlisted entry is better than the best rejected one";
    double rise = rise_of(t, list);
    for (size_t at = 0; at < sg_row_slots(row); at++) {
        if (!row->slots[at] || row->slots[at] & SG_LISTED) continue;
        sg_candidate c = {sg_strength(p, row, &row->slots[at]), sg_slot_other(row->slots[at])};
        if (rise > 1 ? c.strength > list->rejected.strength * rise : beats(t, c, list->rejected)) return 0;
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
