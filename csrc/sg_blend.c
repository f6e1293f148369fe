#include "sg_blend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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
    free(b->scores);
    free(b->scored);
    free(b->asked);
    free(b->left_out);
    free(b->totals);
    free(b->rows);
    free(b->picked);
    free(b);
}

static double *totals_of(sg_blend *b, uint32_t signal) { return b->totals + b->places_room * signal; }

void sg_blend_begin(sg_blend *b) {
    for (uint32_t s = 0; s < b->signals; s++)
        if (b->largest[s] > 0) memset(totals_of(b, s), 0, b->places * sizeof *b->totals);
    memset(b->largest, 0, sizeof b->largest);
    if (b->slots) memset(b->slots, 0, b->slots_len * sizeof *b->slots);
    if (b->leaves_out) memset(b->left_out, 0, b->places);
    b->leaves_out = 0;
    b->places = b->rows_len = 0;
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
    double *totals = calloc(room * b->signals, sizeof *totals);
    if (!slots || !totals || grow((void **)&b->items, room, sizeof *b->items) ||
        grow((void **)&b->scores, room, sizeof *b->scores) || grow((void **)&b->scored, room, sizeof *b->scored) ||
        grow((void **)&b->asked, room, sizeof *b->asked) || grow((void **)&b->left_out, room, 1)) {
        free(slots);
        free(totals);
        return SG_ERR_NOMEM;
    }
    for (uint32_t s = 0; s < b->signals && b->places; s++)
        memcpy(totals + room * s, totals_of(b, s), b->places * sizeof *totals);
    memset(b->asked + b->places_room, 0, (room - b->places_room) * sizeof *b->asked);
    memset(b->left_out + b->places_room, 0, room - b->places_room);
    free(b->slots);
    free(b->totals);
    b->slots = slots;
    b->slots_len = 2 * room;
    b->totals = totals;
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
    if (!rc) rc = grow((void **)&b->picked, room, sizeof *b->picked);
    if (!rc) b->rows_room = room;
    return rc;
}

static uint32_t place_of(sg_blend *b, uint64_t item) {
    uint32_t *slot = slot_of(b, item);
    if (*slot) return *slot - 1;
    uint32_t place = (uint32_t)b->places++;
    *slot = place + 1;
    b->items[place] = item;
    return place;
}

static int are_fine(const sg_blend *b, uint32_t signal, const double *amounts, size_t n) {
    int fine = signal < b->signals;
    for (size_t x = 0; x < n; x++) fine &= amounts[x] >= 0 && amounts[x] <= 1e300;
    return fine;
}

/* Room for n rows of a signal; where the first one goes. */
static int begin_rows(sg_blend *b, uint32_t signal, const double *amounts, size_t n, sg_blend_row **rows) {
    if (!are_fine(b, signal, amounts, n)) return SG_ERR_VALUE;
    int rc = n ? make_room(b, n) : SG_OK;
    *rows = b->rows + b->rows_len;
    return rc;
}

/* The n rows are there, all of one signal. */
static int add_up(sg_blend *b, uint32_t signal, const sg_blend_row *rows, size_t n) {
    if (!n) return SG_OK;
    double *totals = totals_of(b, signal), largest = b->largest[signal];
    for (size_t x = 0; x < n; x++) {
        double total = totals[rows[x].place] += rows[x].amount;
        largest = total > largest ? total : largest;
    }
    b->largest[signal] = largest;
    b->rows_len += n;
    return SG_OK;
}

int sg_blend_put(sg_blend *b, uint32_t signal, const uint64_t *items, const uint64_t *because, const double *amounts,
                 size_t n) {
    sg_blend_row *rows;
    int rc = begin_rows(b, signal, amounts, n, &rows);
    for (size_t x = 0; x < n && !rc; x++)
        rows[x] = (sg_blend_row){because ? because[x] : 0, amounts[x], place_of(b, items[x]), signal};
    return rc ? rc : add_up(b, signal, rows, n);
}

int sg_blend_put_at(sg_blend *b, uint32_t signal, const uint32_t *places, const double *amounts, size_t n) {
    sg_blend_row *rows;
    int rc = begin_rows(b, signal, amounts, n, &rows);
    for (size_t x = 0; x < n && !rc; x++) rows[x] = (sg_blend_row){0, amounts[x], places[x], signal};
    return rc ? rc : add_up(b, signal, rows, n);
}

int sg_blend_put_again(sg_blend *b, uint32_t signal, const double *amounts, size_t n) {
    sg_blend_row *rows;
    int rc = begin_rows(b, signal, amounts, n, &rows);
    for (size_t x = 0; x < n && !rc; x++) {
        const sg_blend_row *had = rows + x - n;
        rows[x] = (sg_blend_row){had->because, amounts[x], had->place, signal};
    }
    return rc ? rc : add_up(b, signal, rows, n);
}

size_t sg_blend_strongest(sg_blend *b, uint32_t signal, size_t n, const sg_candidate **best) {
    size_t found = sg_best_likely(sg_blend_totals_of(b, signal), NULL, b->places, n, 0, b->scored);
    if (n > found) n = found;
    sg_best_first(b->items, b->scored, found, n);
    *best = b->scored;
    return n;
}

/* What an amount of 1 of each signal is worth. */
static void find_scales(const sg_blend *b, const double *weights, double *scales) {
    for (uint32_t s = 0; s < b->signals; s++) scales[s] = b->largest[s] > 0 ? weights[s] / b->largest[s] : 0;
}

void sg_blend_leave_out(sg_blend *b, const sg_table *items) {
    for (size_t place = 0; sg_table_live(items) && place < b->places; place++) {
        b->left_out[place] |= sg_table_find(items, b->items[place]) != SG_TABLE_NONE;
        b->leaves_out |= b->left_out[place];
    }
}

size_t sg_blend_best(sg_blend *b, const double *weights, size_t n, const sg_candidate **best) {
    double scales[SG_BLEND_SIGNALS];
    find_scales(b, weights, scales);
    if (b->places) memset(b->scores, 0, b->places * sizeof *b->scores);
    for (uint32_t s = 0; s < b->signals; s++) {
        const double *totals = sg_blend_totals_of(b, s);
        if (scales[s] == 0) continue;
        for (size_t place = 0; place < b->places; place++) b->scores[place] += totals[place] * scales[s];
    }
    for (size_t place = 0; b->leaves_out && place < b->places; place++)
        if (b->left_out[place]) b->scores[place] = -INFINITY;
    if (n > b->places) n = b->places;
    size_t found = sg_best_likely(b->scores, NULL, b->places, n, -INFINITY, b->scored);
    if (n > found) n = found;
    sg_best_first(b->items, b->scored, found, n);
    *best = b->scored;
    return n;
}

void sg_blend_totals(const sg_blend *b, const sg_candidate *places, size_t n, double *matrix) {
    for (uint32_t s = 0; s < b->signals; s++) {
        const double *totals = sg_blend_totals_of(b, s);
        for (size_t x = 0; x < n; x++) matrix[x * b->signals + s] = totals[places[x].id];
    }
}

size_t sg_blend_count(sg_blend *b, const double *weights, const sg_candidate *places, size_t n, uint32_t *starts) {
    memset(starts, 0, (n + 1) * sizeof *starts);
    b->picked_len = 0;
    for (size_t x = 0; x < n; x++) b->asked[places[x].id] = (uint32_t)x + 1;
    for (size_t row = 0; row < b->rows_len; row++) { /* which are asked for is no branch */
        b->picked[b->picked_len] = (uint32_t)row;
        b->picked_len += (b->asked[b->rows[row].place] != 0) & (weights[b->rows[row].signal] != 0);
    }
    for (size_t x = 0; x < b->picked_len; x++) starts[b->asked[b->rows[b->picked[x]].place]]++;
    for (size_t x = 0; x < n; x++) {
        b->asked[places[x].id] = 0;
        starts[x + 1] += starts[x];
    }
    return starts[n];
}

void sg_blend_worth(sg_blend *b, const double *weights, const sg_candidate *places, size_t n, const uint32_t *starts,
                    uint8_t *signals, uint64_t *because, double *amounts) {
    double scales[SG_BLEND_SIGNALS];
    find_scales(b, weights, scales);
    for (size_t x = 0; x < n; x++) b->asked[places[x].id] = starts[x];
    for (size_t x = 0; x < b->picked_len; x++) {
        const sg_blend_row *row = &b->rows[b->picked[x]];
        uint32_t at = b->asked[row->place]++;
        signals[at] = (uint8_t)row->signal;
        because[at] = row->because;
        amounts[at] = row->amount * scales[row->signal];
    }
    for (size_t x = 0; x < n; x++) b->asked[places[x].id] = 0;
}

size_t sg_blend_nbytes(const sg_blend *b) {
    size_t place = sizeof *b->items + sizeof *b->scores + sizeof *b->scored + sizeof *b->asked + sizeof *b->left_out +
                   b->signals * sizeof *b->totals;
    return sizeof *b + b->slots_len * sizeof *b->slots + b->places_room * place +
           b->rows_room * (sizeof *b->rows + sizeof *b->picked);
}

static int is_added_up(const sg_blend *b, uint32_t signal, size_t place) {
    double total = 0;
    for (size_t row = 0; row < b->rows_len; row++)
        if (b->rows[row].place == place && b->rows[row].signal == signal) total += b->rows[row].amount;
    return total == sg_blend_totals_of(b, signal)[place];
}

static int is_signal(const sg_blend *b, uint32_t signal) {
    double largest = 0;
    for (size_t place = 0; place < b->places_room; place++) {
        if (place < b->places ? !is_added_up(b, signal, place) : sg_blend_totals_of(b, signal)[place] != 0) return 0;
        largest = fmax(largest, sg_blend_totals_of(b, signal)[place]);
    }
    return largest == b->largest[signal];
}

int sg_blend_check(const sg_blend *b, const char **why) {
    size_t taken = 0;
    *why = "I1: slots do not lead to the places";
    if (b->slots_len & (b->slots_len - 1) || 2 * b->places > b->slots_len) return SG_ERR_VALUE;
    for (size_t at = 0; at < b->slots_len; at++) taken += b->slots[at] != 0;
    if (taken != b->places) return SG_ERR_VALUE;
    for (size_t place = 0; place < b->places; place++)
        if (*slot_of(b, b->items[place]) != place + 1) return SG_ERR_VALUE;
    *why = "I2: a total is not that of its rows, or largest is not the largest";
    for (size_t row = 0; row < b->rows_len; row++)
        if (b->rows[row].place >= b->places) return SG_ERR_VALUE;
    for (uint32_t s = 0; s < b->signals; s++)
        if (!is_signal(b, s)) return SG_ERR_VALUE;
    *why = "I3: a place is still asked for, or left out";
    for (size_t place = 0; place < b->places_room; place++)
        if (b->asked[place] || b->left_out[place] > b->leaves_out) return SG_ERR_VALUE;
    *why = NULL;
    return SG_OK;
}
