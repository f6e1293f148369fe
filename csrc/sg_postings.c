#include "sg_postings.h"

#include <stdlib.h>
#include <string.h>

#include "sg_status.h"

enum { AHEAD = 12, LOOKED_AT = 64 };

void sg_postings_clear(sg_postings *p) {
    free(p->rows);
    free(p->holders);
    free(p->picked);
    *p = (sg_postings){0};
}

/* *array has room for `need` elements, the new ones zeroed. */
static int extend(void *array, size_t *room, size_t need, size_t size) {
    if (need <= *room) return SG_OK;
    size_t wider = *room * 2 > need ? *room * 2 : need + 16;
    char *moved = realloc(*(void **)array, wider * size);
    if (!moved) return SG_ERR_NOMEM;
    memset(moved + *room * size, 0, (wider - *room) * size);
    *(void **)array = moved;
    *room = wider;
    return SG_OK;
}

int sg_postings_grow(sg_postings *p, size_t units, size_t items) {
    int rc = extend(&p->rows, &p->items_room, items, sizeof *p->rows);
    if (!rc) rc = extend(&p->holders, &p->units_room, units, sizeof *p->holders);
    if (rc) return rc;
    p->items = items > p->items ? items : p->items;
    p->units = units > p->units ? units : p->units;
    return SG_OK;
}

static size_t room_of(unsigned lg) { return lg ? ((size_t)1 << lg) / sizeof(sg_posting) : 0; }

static void drop_stale(const sg_postings *p, sg_posting_row *row) {
    uint32_t kept = 0;
    for (uint32_t at = 0; at < row->len; at++) {
        if (at + AHEAD < row->len) __builtin_prefetch(&p->holders[row->entries[at + AHEAD].unit]);
        if (sg_posting_is_valid(p, row->entries[at])) row->entries[kept++] = row->entries[at];
    }
    row->len = kept;
}

static void drop_oldest(const sg_postings *p, sg_posting_row *row) {
    if (!p->cap || row->len <= p->cap) return;
    memmove(row->entries, row->entries + (row->len - p->cap), p->cap * sizeof *row->entries);
    row->len = p->cap;
}

int sg_postings_room(sg_postings *p, uint32_t item) {
    sg_posting_row *row = &p->rows[item];
    if (row->len < room_of(row->lg)) return SG_OK;
    drop_stale(p, row);
    drop_oldest(p, row);
    unsigned lg = SG_POOL_SMALLEST;
    while (room_of(lg) / 4 * 3 <= row->len) lg++;
    if (lg == row->lg) return SG_OK;
    if (p->picked_room < room_of(lg)) {
        size_t picked_room = p->picked_room;
        if (extend(&p->picked, &picked_room, room_of(lg), sizeof *p->picked)) return SG_ERR_NOMEM;
        p->picked_room = picked_room;
    }
    sg_posting *entries = sg_pool_take(p->pool, lg);
    if (!entries) return row->len < room_of(row->lg) ? SG_OK : SG_ERR_NOMEM;
    if (row->len) memcpy(entries, row->entries, row->len * sizeof *entries);
    p->bytes += ((size_t)1 << lg) - (row->lg ? (size_t)1 << row->lg : 0);
    if (row->lg) sg_pool_give(p->pool, row->entries, row->lg);
    row->entries = entries;
    row->lg = (uint8_t)lg;
    return SG_OK;
}

void sg_postings_release(sg_postings *p, uint32_t item) {
    sg_posting_row *row = &p->rows[item];
    if (row->lg) sg_pool_give(p->pool, row->entries, row->lg);
    p->bytes -= row->lg ? (size_t)1 << row->lg : 0;
    *row = (sg_posting_row){0};
}

/* Of n picked units, newest first, the last ones are of one time and too many: those of least key come first. */
static void break_tie(sg_postings *p, size_t n, size_t m, const uint64_t *keys) {
    size_t first = n - 1;
    double last = p->picked[first].strength;
    while (first > 0 && p->picked[first - 1].strength == last) first--;
    sg_best_first(keys, p->picked + first, n - first, m - first);
}

size_t sg_postings_newest(sg_postings *p, uint32_t item, size_t m, uint32_t without, const uint64_t *keys,
                          const sg_candidate **units) {
    sg_posting_row *row = &p->rows[item];
    size_t n = 0, at = row->len;
    *units = p->picked;
    if (m == 0) return 0;
    while (at > 0) {
        sg_posting e = row->entries[--at];
        if (at > AHEAD) __builtin_prefetch(&p->holders[row->entries[at - AHEAD].unit], 1);
        if (!sg_posting_is_valid(p, e) || e.unit == without) continue;
        if (n >= m && e.last < p->picked[m - 1].strength) break;
        p->picked[n++] = (sg_candidate){e.last, e.unit};
    }
    if (row->len - at > 4 * n + LOOKED_AT) drop_stale(p, row);
    if (n > m) break_tie(p, n, m, keys);
    return n < m ? n : m;
}

size_t sg_postings_nbytes(const sg_postings *p) {
    return p->bytes + p->items_room * sizeof *p->rows + p->units_room * sizeof *p->holders +
           p->picked_room * sizeof *p->picked;
}

/* Marks the units of the row with its number, so that a second valid entry of one is seen. */
static int check_row(sg_postings *p, uint32_t item, const char **why) {
    const sg_posting_row *row = &p->rows[item];
    uint32_t valid = 0;
    *why = "sg_postings I1: a row does not fit its block, is not ascending, or its valid entries are not its holders";
    if (row->len > room_of(row->lg) || room_of(row->lg) > p->picked_room) return SG_ERR_VALUE;
    for (uint32_t at = 0; at < row->len; at++) {
        sg_posting e = row->entries[at];
        if (e.unit >= p->units || (at && row->entries[at - 1].last > e.last)) return SG_ERR_VALUE;
        if (!sg_posting_is_valid(p, e)) continue;
        if (p->holders[e.unit].step == item + 1) return SG_ERR_VALUE;
        p->holders[e.unit].step = item + 1;
        valid++;
    }
    if (p->cap ? valid > row->holding : valid != row->holding) return SG_ERR_VALUE;
    *why = "sg_postings I2: an entry is not of its unit's last event";
    for (uint32_t at = 0; at < row->len; at++) {
        sg_posting e = row->entries[at];
        if (sg_posting_is_valid(p, e) && p->holders[e.unit].last != e.last) return SG_ERR_VALUE;
    }
    return SG_OK;
}

int sg_postings_check(sg_postings *p, const char **why) {
    size_t bytes = 0;
    int rc = SG_OK;
    for (uint32_t item = 0; item < p->items && !rc; item++) {
        rc = check_row(p, item, why);
        bytes += p->rows[item].lg ? (size_t)1 << p->rows[item].lg : 0;
    }
    for (size_t unit = 0; unit < p->units; unit++) p->holders[unit].step = 0;
    if (rc) return rc;
    *why = "sg_postings I3: the sum over the rows is wrong";
    if (bytes != p->bytes) return SG_ERR_VALUE;
    *why = NULL;
    return SG_OK;
}
