#include "sg_fan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint32_t len, most;
    uint32_t ids[]; /* most ids, then as many amounts */
} list;

static list *list_of(const sg_row *row) { return (list *)(void *)row->list; }

static uint32_t *amounts_of(list *l) { return l->ids + l->most; }

int sg_fan_init(sg_fan *f, sg_pool *pool, uint32_t k) {
    *f = (sg_fan){.pool = pool, .lg = SG_POOL_SMALLEST};
    do f->most = (uint32_t)((((size_t)1 << ++f->lg) - sizeof(list)) / (2 * sizeof(uint32_t)));
    while (f->most < k + k / 4 && f->lg < 30);
    return SG_OK;
}

void sg_fan_clear(sg_fan *f) {
    free(f->scratch);
    free(f->ids);
    free(f->amounts);
    *f = (sg_fan){0};
}

static int better(const sg_fan *f, uint32_t amount, uint32_t id, uint32_t than_amount, uint32_t than_id) {
    return amount != than_amount ? amount > than_amount : f->keys[id] < f->keys[than_id];
}

/* Below the gate an unlisted entry need not be looked at: there are others that are not listed, and it is worse than
 * the last listed. */
static void set_gate(sg_row *row) {
    list *l = list_of(row);
    row->gate = l->len == row->live ? 0 : l->len ? amounts_of(l)[l->len - 1] : INFINITY;
}

/* The entry that stands at `at` or is to stand there, moved up to where it belongs. */
static void move_up(const sg_fan *f, list *l, uint32_t at, uint32_t id, uint32_t amount) {
    uint32_t *ids = l->ids, *amounts = amounts_of(l);
    for (; at > 0 && better(f, amount, id, amounts[at - 1], ids[at - 1]); at--) {
        ids[at] = ids[at - 1];
        amounts[at] = amounts[at - 1];
    }
    ids[at] = id;
    amounts[at] = amount;
}

static void unlist(sg_pairs *p, const sg_row *row, uint32_t id) { *p->row->find(row, id) &= ~SG_LISTED; }

void sg_fan_rise(sg_fan *f, sg_pairs *p, uint32_t i, uint64_t *slot) {
    sg_row *row = &p->rows[i];
    list *l = list_of(row);
    uint32_t id = sg_slot_other(*slot), amount = sg_slot_support(*slot), at = 0, last = l->len - 1;
    if (*slot & SG_LISTED) {
        while (l->ids[at] != id) at++;
    } else {
        int is_better = l->len && better(f, amount, id, amounts_of(l)[last], l->ids[last]);
        int is_last = row->live - l->len == 1 && l->len < l->most; /* it was all that is not listed */
        if (is_better && l->len == l->most) unlist(p, row, l->ids[at = last]);
        else if (is_better || is_last) at = l->len++;
        if (!is_better && !is_last) {
            set_gate(row);
            return;
        }
        *slot |= SG_LISTED;
        f->stats.admitted++;
    }
    move_up(f, l, at, id, amount);
    set_gate(row);
}

void sg_fan_fall(sg_fan *f, sg_pairs *p, uint32_t i, uint32_t j, uint32_t amount) {
    sg_row *row = &p->rows[i];
    list *l = list_of(row);
    uint32_t *ids = l->ids, *amounts = amounts_of(l), at = 0;
    while (ids[at] != j) at++;
    for (; at + 1 < l->len && (amount == 0 || better(f, amounts[at + 1], ids[at + 1], amount, j)); at++) {
        ids[at] = ids[at + 1];
        amounts[at] = amounts[at + 1];
    }
    ids[at] = j;
    amounts[at] = amount;
    if (amount == 0) {
        l->len--;
    } else if (at + 1 == l->len && l->len < row->live) {
        l->len--;
        unlist(p, row, j);
    }
    set_gate(row);
}

void sg_fan_release(sg_fan *f, sg_pairs *p, uint32_t i) {
    sg_row *row = &p->rows[i];
    if (!row->list) return;
    sg_pool_give(f->pool, row->list, f->lg);
    row->list = NULL;
    f->lists--;
}

/* Room for every entry of the row. */
static int reserve(sg_fan *f, size_t n) {
    if (n <= f->room) return SG_OK;
    sg_candidate *scratch = realloc(f->scratch, 2 * n * sizeof *scratch);
    if (scratch) f->scratch = scratch;
    uint32_t *ids = realloc(f->ids, 2 * n * sizeof *ids);
    if (ids) f->ids = ids;
    uint32_t *amounts = realloc(f->amounts, 2 * n * sizeof *amounts);
    if (amounts) f->amounts = amounts;
    if (!scratch || !ids || !amounts) return SG_ERR_NOMEM;
    f->room = 2 * n;
    return SG_OK;
}

/* The k best of the row, in order, into ids and amounts. */
static void sort_row(sg_fan *f, const sg_row *row, size_t k, uint32_t *ids, uint32_t *amounts) {
    size_t n = 0;
    for (size_t at = 0; at < sg_row_slots(row); at++)
        if (row->slots[at])
            f->scratch[n++] = (sg_candidate){sg_slot_support(row->slots[at]), sg_slot_other(row->slots[at])};
    sg_best_first(f->keys, f->scratch, n, k);
    for (size_t x = 0; x < k; x++) {
        ids[x] = f->scratch[x].id;
        amounts[x] = (uint32_t)f->scratch[x].strength;
    }
}

/* As long as it can be; what is listed already stays, as the best. */
static int make_list(sg_fan *f, sg_pairs *p, sg_row *row) {
    list *l = row->list ? list_of(row) : sg_pool_take(f->pool, f->lg);
    if (!l) return SG_ERR_NOMEM;
    f->lists += row->list == NULL;
    row->list = (sg_list *)(void *)l;
    l->most = f->most;
    l->len = row->live < l->most ? row->live : l->most;
    sort_row(f, row, l->len, l->ids, amounts_of(l));
    for (uint32_t x = 0; x < l->len; x++) *p->row->find(row, l->ids[x]) |= SG_LISTED;
    set_gate(row);
    f->stats.rebuilds++;
    return SG_OK;
}

int sg_fan_read(sg_fan *f, sg_pairs *p, uint32_t i, size_t k, const uint32_t **ids, const uint32_t **amounts,
                size_t *n) {
    sg_row *row = &p->rows[i];
    size_t wanted = k < row->live ? k : row->live;
    int listed = wanted <= f->most && (row->list || row->live > SG_FAN_SHORT);
    *n = 0;
    if (!listed || !row->list || list_of(row)->len < wanted) {
        if (reserve(f, row->live) || (listed && make_list(f, p, row))) return SG_ERR_NOMEM;
        if (!listed) sort_row(f, row, wanted, f->ids, f->amounts);
    }
    ++*(listed ? &f->stats.list_reads : row->live > SG_FAN_SHORT ? &f->stats.full_scans : &f->stats.short_reads);
    *ids = listed ? list_of(row)->ids : f->ids;
    *amounts = listed ? amounts_of(list_of(row)) : f->amounts;
    *n = wanted;
    return SG_OK;
}

size_t sg_fan_nbytes(const sg_fan *f) { return (f->lists << f->lg) + f->room * (sizeof *f->scratch + 8); }

static int check_row(const sg_fan *f, const sg_pairs *p, const sg_row *row, const char **why) {
    list *l = row->list ? list_of(row) : NULL;
    size_t listed = 0;
    for (size_t at = 0; at < sg_row_slots(row); at++) listed += (row->slots[at] & SG_LISTED) != 0;
    *why = "sg_fan I1: listed bits are not the list's ids, or have another amount";
    if (!l) return listed == 0;
    if (listed != l->len || l->len > l->most) return 0;
    for (uint32_t x = 0; x < l->len; x++) {
        const uint64_t *slot = p->row->find(row, l->ids[x]);
        if (!slot || !(*slot & SG_LISTED) || sg_slot_support(*slot) != amounts_of(l)[x]) return 0;
    }
    *why = "sg_fan I2: a list is out of order, or an unlisted entry is better than its last";
    const uint32_t *ids = l->ids, *amounts = amounts_of(l);
    for (uint32_t x = 1; x < l->len; x++)
        if (!better(f, amounts[x - 1], ids[x - 1], amounts[x], ids[x])) return 0;
    for (size_t at = 0; at < sg_row_slots(row) && l->len; at++) {
        uint64_t slot = row->slots[at];
        if (slot && !(slot & SG_LISTED) &&
            better(f, sg_slot_support(slot), sg_slot_other(slot), amounts[l->len - 1], ids[l->len - 1]))
            return 0;
    }
    *why = "sg_fan I3: the gate is above the last listed entry";
    return l->len == 0 || row->gate <= amounts[l->len - 1];
}

int sg_fan_check(const sg_fan *f, const sg_pairs *p, const char **why) {
    for (size_t i = 0; i < p->len; i++)
        if (!check_row(f, p, &p->rows[i], why)) return SG_ERR_VALUE;
    *why = NULL;
    return SG_OK;
}
