#include "sg_blend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sg_table.h"

enum { FIRST = 256 };

sg_blend *sg_blend_new(uint32_t signals) {
    if (signals < 1 || signals > SG_BLEND_SIGNALS) return NULL;
    sg_blend *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    b->signals = signals;
    return b;
}

void sg_blend_free(sg_blend *b) {
    if (!b) return;
    free(b->slots);
    free(b->items);
    free(b->totals);
    free(b->chains);
    free(b->scored);
    free(b->rows);
    free(b);
}

void sg_blend_begin(sg_blend *b) {
    b->places = b->rows_len = 0;
    memset(b->largest, 0, sizeof b->largest);
    if (b->slots) memset(b->slots, 0, b->slots_len * sizeof *b->slots);
}

static size_t home(const sg_blend *b, uint64_t item) { return sg_mix64(item) & (b->slots_len - 1); }

static uint32_t *slot_of(const sg_blend *b, uint64_t item) {
    size_t at = home(b, item);
    while (b->slots[at] && b->items[b->slots[at] - 1] != item) at = (at + 1) & (b->slots_len - 1);
    return &b->slots[at];
}

static int grow(void **array, size_t n, size_t size) {
    void *grown = realloc(*array, n * size);
    if (!grown) return SG_ERR_NOMEM;
    *array = grown;
    return SG_OK;
}

static int widen(sg_blend *b, size_t places) {
    size_t room = FIRST;
    while (room < places) room *= 2;
    uint32_t *slots = calloc(2 * room, sizeof *slots);
    if (!slots) return SG_ERR_NOMEM;
    if (grow((void **)&b->items, room, sizeof *b->items) || grow((void **)&b->chains, room, sizeof *b->chains) ||
        grow((void **)&b->totals, room * b->signals, sizeof *b->totals) ||
        grow((void **)&b->scored, room, sizeof *b->scored)) {
        free(slots);
        return SG_ERR_NOMEM;
    }
    free(b->slots);
    b->slots = slots;
    b->slots_len = 2 * room;
    b->places_room = room;
    for (size_t place = 0; place < b->places; place++) *slot_of(b, b->items[place]) = (uint32_t)place + 1;
    return SG_OK;
}

static int make_room(sg_blend *b, size_t n) {
    if (b->places + n > b->places_room) {
        int rc = widen(b, b->places + n);
        if (rc) return rc;
    }
    if (b->rows_len + n <= b->rows_room) return SG_OK;
    if (b->rows_len + n >= UINT32_MAX) return SG_ERR_RANGE;
    size_t room = b->rows_room * 2 > b->rows_len + n ? b->rows_room * 2 : b->rows_len + n + FIRST;
    int rc = grow((void **)&b->rows, room, sizeof *b->rows);
    if (!rc) b->rows_room = room;
    return rc;
}

static uint32_t place_of(sg_blend *b, uint64_t item) {
    uint32_t *slot = slot_of(b, item);
    if (*slot) return *slot - 1;
    uint32_t place = (uint32_t)b->places++;
    *slot = place + 1;
    b->items[place] = item;
    b->chains[place] = (sg_blend_chain){0, 0};
    memset(b->totals + (size_t)place * b->signals, 0, b->signals * sizeof *b->totals);
    return place;
}

int sg_blend_put(sg_blend *b, uint32_t signal, const uint64_t *items, const uint64_t *because, const double *amounts,
                 size_t n) {
    int fine = signal < b->signals;
    for (size_t x = 0; x < n; x++) fine &= amounts[x] >= 0 && amounts[x] <= 1e300;
    if (!fine) return SG_ERR_VALUE;
    int rc = n ? make_room(b, n) : SG_OK;
    if (rc) return rc;
    for (size_t x = 0; x < n; x++) {
        uint32_t place = place_of(b, items[x]), row = (uint32_t)b->rows_len++;
        sg_blend_chain *chain = &b->chains[place];
        b->rows[row] = (sg_blend_row){because ? because[x] : 0, amounts[x], place, 0, signal};
        if (chain->tail) {
            b->rows[chain->tail - 1].next = row + 1;
        } else {
            chain->head = row + 1;
        }
        chain->tail = row + 1;
        double total = b->totals[(size_t)place * b->signals + signal] += amounts[x];
        if (total > b->largest[signal]) b->largest[signal] = total;
    }
    return SG_OK;
}

size_t sg_blend_strongest(sg_blend *b, uint32_t signal, size_t n, const sg_candidate **best) {
    size_t found = 0;
    for (size_t place = 0; place < b->places; place++) {
        double total = b->totals[place * b->signals + signal];
        if (total > 0) b->scored[found++] = (sg_candidate){total, (uint32_t)place};
    }
    if (n > found) n = found;
    sg_best_first(b->items, b->scored, found, n);
    *best = b->scored;
    return n;
}

/* What an amount of 1 of each signal is worth. */
static void find_scales(const sg_blend *b, const double *weights, double *scales) {
    for (uint32_t s = 0; s < b->signals; s++) scales[s] = b->largest[s] > 0 ? weights[s] / b->largest[s] : 0;
}

size_t sg_blend_best(sg_blend *b, const double *weights, size_t n, const sg_candidate **best) {
    double scales[SG_BLEND_SIGNALS];
    uint32_t used[SG_BLEND_SIGNALS], len = 0;
    find_scales(b, weights, scales);
    for (uint32_t s = 0; s < b->signals; s++)
        if (scales[s] != 0) used[len++] = s;
    for (size_t place = 0; place < b->places; place++) {
        const double *totals = b->totals + place * b->signals;
        double score = 0;
        for (uint32_t x = 0; x < len; x++) score += totals[used[x]] * scales[used[x]];
        b->scored[place] = (sg_candidate){score, (uint32_t)place};
    }
    if (n > b->places) n = b->places;
    sg_best_first(b->items, b->scored, b->places, n);
    *best = b->scored;
    return n;
}

void sg_blend_totals(const sg_blend *b, const sg_candidate *places, size_t n, double *matrix) {
    for (size_t x = 0; x < n; x++)
        memcpy(matrix + x * b->signals, b->totals + (size_t)places[x].id * b->signals, b->signals * sizeof *matrix);
}

size_t sg_blend_count(const sg_blend *b, const double *weights, const sg_candidate *places, size_t n,
                      uint32_t *starts) {
    uint32_t count = 0;
    for (size_t x = 0; x < n; x++) {
        starts[x] = count;
        for (uint32_t row = b->chains[places[x].id].head; row; row = b->rows[row - 1].next)
            count += weights[b->rows[row - 1].signal] != 0;
    }
    starts[n] = count;
    return count;
}

void sg_blend_worth(const sg_blend *b, const double *weights, const sg_candidate *places, size_t n, uint8_t *signals,
                    uint64_t *because, double *amounts) {
    double scales[SG_BLEND_SIGNALS];
    find_scales(b, weights, scales);
    for (size_t x = 0; x < n; x++) {
        for (uint32_t at = b->chains[places[x].id].head; at; at = b->rows[at - 1].next) {
            const sg_blend_row *row = &b->rows[at - 1];
            if (weights[row->signal] == 0) continue;
            *signals++ = (uint8_t)row->signal;
            *because++ = row->because;
            *amounts++ = row->amount * scales[row->signal];
        }
    }
}

size_t sg_blend_nbytes(const sg_blend *b) {
    size_t place = sizeof *b->items + sizeof *b->chains + sizeof *b->scored + b->signals * sizeof *b->totals;
    return sizeof *b + b->slots_len * sizeof *b->slots + b->places_room * place + b->rows_room * sizeof *b->rows;
}

static int is_chained(const sg_blend *b, size_t place, size_t *rows) {
    double totals[SG_BLEND_SIGNALS] = {0};
    uint32_t last = 0;
    for (uint32_t at = b->chains[place].head; at; at = b->rows[at - 1].next) {
        if (at > b->rows_len || at <= last || b->rows[at - 1].place != place) return 0;
        totals[b->rows[at - 1].signal] += b->rows[at - 1].amount;
        last = at;
        ++*rows;
    }
    return last == b->chains[place].tail &&
           !memcmp(totals, b->totals + place * b->signals, b->signals * sizeof *totals);
}

static int is_largest(const sg_blend *b) {
    double largest[SG_BLEND_SIGNALS] = {0};
    for (size_t at = 0; at < b->places * b->signals; at++)
        largest[at % b->signals] = fmax(largest[at % b->signals], b->totals[at]);
    return !memcmp(largest, b->largest, sizeof largest);
}

int sg_blend_check(const sg_blend *b, const char **why) {
    size_t taken = 0, rows = 0;
    *why = "I1: slots do not lead to the places";
    if (b->slots_len & (b->slots_len - 1) || 2 * b->places > b->slots_len) return SG_ERR_VALUE;
    for (size_t at = 0; at < b->slots_len; at++) taken += b->slots[at] != 0;
    if (taken != b->places) return SG_ERR_VALUE;
    for (size_t place = 0; place < b->places; place++)
        if (*slot_of(b, b->items[place]) != place + 1) return SG_ERR_VALUE;
    *why = "I2, I3: a place's rows or totals are not its own";
    for (size_t place = 0; place < b->places; place++)
        if (!is_chained(b, place, &rows)) return SG_ERR_VALUE;
    if (rows != b->rows_len || !is_largest(b)) return SG_ERR_VALUE;
    *why = NULL;
    return SG_OK;
}
