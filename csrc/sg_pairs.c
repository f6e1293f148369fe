#include "sg_pairs.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(FLT_RADIX == 2 && DBL_MIN_EXP == -1021, "the header names it");

#define READER(level, attributes)                                                                                      \
    attributes static inline uint64_t *find_##level(const sg_row *row, uint32_t other) {                               \
        if (!row->slots) return NULL;                                                                                  \
        uint32_t mask = ((uint32_t)1 << row->lg) - 1, at = sg_home(other, row->lg);                                    \
        for (;; at = (at + SG_BUCKET) & mask) {                                                                        \
            unsigned match = sg_match_##level(row->slots + at, other + 1);                                             \
            if (match) return row->slots + at + __builtin_ctz(match);                                                  \
            if (sg_free_##level(row->slots + at)) return NULL;                                                         \
        }                                                                                                              \
    }                                                                                                                  \
    attributes static void strengths_##level(const sg_pairs *p, const sg_row *row, const uint32_t *others, size_t n,   \
                                             sg_candidate *out) {                                                      \
        for (size_t x = 0; x < n; x++) __builtin_prefetch(row->slots + sg_home(others[x], row->lg));                   \
        for (size_t x = 0; x < n; x++) {                                                                               \
            const uint64_t *slot = find_##level(row, others[x]);                                                       \
            double strength = slot && *slot & SG_LISTED ? sg_strength(p, row, slot) : -1;                              \
            out[x] = (sg_candidate){strength, others[x]};                                                              \
        }                                                                                                              \
    }                                                                                                                  \
    static const sg_row_reader READER_##level = {find_##level, strengths_##level};

READER(scalar, )
#if defined(__x86_64__)
READER(avx2, __attribute__((target("avx2"))))
READER(avx512, __attribute__((target("avx512f"))))
static const sg_row_reader *const READERS[] = {&READER_scalar, &READER_avx2, &READER_avx512};
#else
static const sg_row_reader *const READERS[] = {&READER_scalar};
#endif

void sg_pairs_init(sg_pairs *p, sg_pool *pool, int decays, sg_level level) {
    *p = (sg_pairs){.pool = pool, .decays = decays, .row = READERS[level]};
}

void sg_pairs_clear(sg_pairs *p) {
    free(p->rows);
    free(p->norm);
    free(p->support);
    *p = (sg_pairs){0};
}

/* *array has room elements, those from len on zeroed. */
static int extend(void *array, size_t len, size_t room, size_t size) {
    char *moved = realloc(*(void **)array, room * size);
    if (!moved) return SG_ERR_NOMEM;
    memset(moved + len * size, 0, (room - len) * size);
    *(void **)array = moved;
    return SG_OK;
}

int sg_pairs_grow(sg_pairs *p, size_t items) {
    if (items > p->room) {
        size_t room = p->room * 2 > items ? p->room * 2 : items + 16;
        int rc = extend(&p->rows, p->len, room, sizeof *p->rows);
        if (!rc) rc = extend(&p->norm, p->len, room, sizeof *p->norm);
        if (!rc) rc = extend(&p->support, p->len, room, sizeof *p->support);
        if (rc) return rc;
        p->room = room;
    }
    if (items > p->len) p->len = items;
    return SG_OK;
}

static unsigned block_lg(const sg_pairs *p, uint32_t lg) { return lg + 3 + (p->decays ? 1 : 0); }

int sg_pairs_widen(sg_pairs *p, sg_row *row) {
    uint32_t lg = row->slots ? row->lg + 1 : 3;
    sg_row wider = {.lg = lg};
    wider.slots = lg <= 32 ? sg_pool_take(p->pool, block_lg(p, lg)) : NULL;
    if (!wider.slots) return SG_ERR_NOMEM;
    uint32_t mask = (uint32_t)(((uint64_t)1 << lg) - 1);
    for (size_t from = 0; from < sg_row_slots(row); from++) {
        if (!row->slots[from]) continue;
        uint32_t at = sg_home(sg_slot_other(row->slots[from]), lg);
        while (wider.slots[at]) at = (at & 7) == 7 ? (at + 1) & mask : at + 1;
        wider.slots[at] = row->slots[from];
        if (p->decays) sg_row_weights(&wider)[at] = sg_row_weights(row)[from];
    }
    if (row->slots) {
        p->bytes -= (size_t)1 << block_lg(p, row->lg);
        sg_pool_give(p->pool, row->slots, block_lg(p, row->lg));
    }
    p->bytes += (size_t)1 << block_lg(p, lg);
    row->slots = wider.slots;
    row->lg = lg;
    return SG_OK;
}

int sg_pairs_reserve(sg_pairs *p, sg_row *row, uint32_t live) {
    if (live == 0) return SG_OK;
    uint32_t lg = 3;
    while (((uint64_t)1 << lg >> 3) * 7 < live) lg++;
    row->slots = lg <= 32 ? sg_pool_take(p->pool, block_lg(p, lg)) : NULL;
    if (!row->slots) return SG_ERR_NOMEM;
    p->bytes += (size_t)1 << block_lg(p, lg);
    row->lg = lg;
    return SG_OK;
}

uint32_t sg_pairs_support(const sg_pairs *p, uint32_t i, uint32_t j) {
    const uint64_t *slot = p->row->find(&p->rows[i], j);
    if (!slot && p->cap_lg) slot = p->row->find(&p->rows[j], i);
    return slot ? sg_slot_support(*slot) : 0;
}

/* A slot of a bucket after `hole`'s that may move into the hole: its home is not between them. SIZE_MAX: none, the
 * chain ends. */
static size_t follower(const sg_row *row, size_t hole) {
    size_t mask = ((size_t)1 << row->lg) - 1, bucket = hole & ~(size_t)7;
    for (size_t next = (bucket + SG_BUCKET) & mask; next != bucket; next = (next + SG_BUCKET) & mask) {
        int ends = 0;
        for (size_t at = next; at < next + SG_BUCKET; at++) {
            if (!row->slots[at]) ends = 1;
            else if (((next - sg_home(sg_slot_other(row->slots[at]), row->lg)) & mask) >= ((next - bucket) & mask))
                return at;
        }
        if (ends) break;
    }
    return SIZE_MAX;
}

static void remove_slot(sg_pairs *p, sg_row *row, size_t hole) {
    for (;;) {
        size_t bucket = hole & ~(size_t)7;
        int was_full = sg_free_scalar(row->slots + bucket) == 0;
        size_t from = was_full ? follower(row, hole) : SIZE_MAX;
        row->slots[hole] = from == SIZE_MAX ? 0 : row->slots[from];
        if (p->decays) sg_row_weights(row)[hole] = from == SIZE_MAX ? 0 : sg_row_weights(row)[from];
        if (from == SIZE_MAX) break;
        hole = from;
    }
    row->live--;
    p->entries--;
}

static uint32_t lower_slot(sg_pairs *p, sg_row *row, uint64_t *slot, uint32_t support) {
    *slot -= support * SG_ONE;
    uint32_t left = sg_slot_support(*slot);
    if (!left) remove_slot(p, row, (size_t)(slot - row->slots));
    return left;
}

void sg_pairs_lower(sg_pairs *p, uint32_t i, uint32_t j, double weight) {
    sg_row *row = &p->rows[i];
    uint64_t *slot = p->row->find(row, j);
    if (!slot) return;
    if (p->decays) {
        double *w = &sg_row_weights(row)[slot - row->slots];
        *w = *w > weight ? *w - weight : 0;
    }
    lower_slot(p, row, slot, 1);
}

uint32_t sg_pairs_lower_by(sg_pairs *p, uint32_t i, uint32_t j, uint32_t support, int *was_listed) {
    uint64_t *slot = p->row->find(&p->rows[i], j);
    *was_listed = (*slot & SG_LISTED) != 0;
    return lower_slot(p, &p->rows[i], slot, support);
}

void sg_pairs_remove(sg_pairs *p, uint32_t i, uint32_t j) {
    sg_row *row = &p->rows[i];
    remove_slot(p, row, (size_t)(p->row->find(row, j) - row->slots));
}

void sg_pairs_release(sg_pairs *p, uint32_t i) {
    sg_row *row = &p->rows[i];
    if (!row->slots) return;
    p->bytes -= (size_t)1 << block_lg(p, row->lg);
    sg_pool_give(p->pool, row->slots, block_lg(p, row->lg));
    row->slots = NULL;
    row->lg = 0;
}

void sg_pairs_scale(sg_pairs *p, double factor) {
    for (size_t i = 0; i < p->len; i++) {
        sg_row *row = &p->rows[i];
        if (p->support[i]) p->norm[i] = fmax(p->norm[i] * factor, DBL_MIN);
        for (size_t at = 0; at < sg_row_slots(row); at++) sg_row_weights(row)[at] *= factor;
    }
}

size_t sg_pairs_nbytes(const sg_pairs *p) {
    return p->bytes + p->room * (sizeof *p->rows + sizeof *p->norm + sizeof *p->support);
}

static int check_slot(const sg_pairs *p, uint32_t i, size_t at, const char **why) {
    const sg_row *row = &p->rows[i];
    uint64_t slot = row->slots[at];
    uint32_t j = sg_slot_other(slot);
    double weight = p->decays ? sg_row_weights(row)[at] : 0;
    *why = "sg_pairs I2: a slot is not found, counts nothing, or is free with a weight";
    if (!slot) return weight == 0;
    if (j >= p->len || j == i || !sg_slot_support(slot) || p->row->find(row, j) != row->slots + at) return 0;
    if (p->directed) return 1;
    *why = "sg_pairs I3: the two directions of a pair differ";
    const uint64_t *back = p->row->find(&p->rows[j], i);
    if (!back && p->cap_lg) return 1;
    if (!back || sg_slot_support(*back) != sg_slot_support(slot)) return 0;
    return !p->decays || sg_row_weights(&p->rows[j])[back - p->rows[j].slots] == weight;
}

static int norm_fits(const sg_pairs *p, uint32_t i) {
    const sg_row *row = &p->rows[i];
    uint64_t sum = 0;
    for (size_t at = 0; at < sg_row_slots(row); at++) sum += sg_slot_support(row->slots[at]);
    if (!p->support[i] && sum) return 0;
    if (p->directed) return p->norm[i] == (double)sum;
    return p->decays ? (p->norm[i] > 0) == (p->support[i] > 0) : p->norm[i] == p->support[i];
}

int sg_pairs_check(const sg_pairs *p, const char **why) {
    uint64_t entries = 0;
    size_t bytes = 0;
    for (uint32_t i = 0; i < p->len; i++) {
        const sg_row *row = &p->rows[i];
        size_t live = 0;
        for (size_t at = 0; at < sg_row_slots(row); at++) live += row->slots[at] != 0;
        *why = "sg_pairs I1: a row is too full or above the cap, or live is not its slots in use";
        if ((p->cap_lg && row->lg > p->cap_lg) || live != row->live || live * 8 > sg_row_slots(row) * 7)
            return SG_ERR_VALUE;
        for (size_t at = 0; at < sg_row_slots(row); at++)
            if (!check_slot(p, i, at, why)) return SG_ERR_VALUE;
        *why = "sg_pairs I4: a norm does not fit its support, or an item without support has pairs";
        if (!norm_fits(p, i)) return SG_ERR_VALUE;
        entries += live;
        bytes += row->slots ? (size_t)1 << block_lg(p, row->lg) : 0;
    }
    *why = "sg_pairs I5: the sums over the rows are wrong";
    if (entries != p->entries || bytes != p->bytes) return SG_ERR_VALUE;
    *why = NULL;
    return SG_OK;
}
