/* sg_blend against tables that are searched from end to end. */
#include <string.h>

#include "check.h"
#include "sg_blend.h"

enum { ITEMS = 40, SIGNALS = 4, ROWS = 300 };

typedef struct {
    uint64_t item, because;
    double amount;
    unsigned signal;
} plain_row;

static plain_row rows[ROWS];
static size_t len;
static int out[ITEMS]; /* what is left out */

static double total(uint64_t item, unsigned signal) {
    double sum = 0;
    for (size_t x = 0; x < len; x++)
        if (rows[x].item == item && rows[x].signal == signal) sum += rows[x].amount;
    return sum;
}

static double score(uint64_t item, const double *weights, double *largest) {
    double sum = 0;
    for (unsigned s = 0; s < SIGNALS; s++) {
        largest[s] = 0;
        for (uint64_t other = 0; other < ITEMS; other++)
            if (total(other, s) > largest[s]) largest[s] = total(other, s);
        if (largest[s] > 0) sum += total(item, s) * (weights[s] / largest[s]);
    }
    return sum;
}

static int has(uint64_t item) {
    for (size_t x = 0; x < len; x++)
        if (rows[x].item == item) return 1;
    return 0;
}

static void again(sg_blend *b, size_t n) {
    double amounts[12];
    unsigned signal = below(SIGNALS);
    if (len + n > ROWS) n = 0;
    for (size_t x = 0; x < n; x++, len++) {
        amounts[x] = below(9) / 4.0;
        rows[len] = (plain_row){rows[len - n].item, rows[len - n].because, amounts[x], signal};
    }
    CHECK(sg_blend_put_again(b, signal, amounts, n) == SG_OK);
}

static void put(sg_blend *b) {
    uint64_t items[12], because[12];
    double amounts[12];
    unsigned signal = below(SIGNALS), none = below(2);
    size_t n = below(12);
    for (size_t x = 0; x < n && len < ROWS; x++) {
        items[x] = below(ITEMS);
        because[x] = below(5);
        amounts[x] = below(9) / 4.0;
        rows[len++] = (plain_row){items[x], none ? 0 : because[x], amounts[x], signal};
    }
    CHECK(sg_blend_put(b, signal, items, none ? NULL : because, amounts, n) == SG_OK);
    if (below(2)) again(b, n);
    SOUND(sg_blend, b);
}

static void compare(sg_blend *b, size_t n) {
    double weights[SIGNALS], largest[SIGNALS], totals[ITEMS * SIGNALS], amounts[ROWS];
    uint32_t starts[ITEMS + 1];
    uint64_t because[ROWS];
    uint8_t signals[ROWS];
    const sg_candidate *best;
    for (unsigned s = 0; s < SIGNALS; s++) weights[s] = below(9) / 4.0 - 0.5;
    size_t got = sg_blend_best(b, weights, n, &best), items = 0;
    for (uint64_t item = 0; item < ITEMS; item++) items += (size_t)(has(item) && !out[item]);
    CHECK(got == (n < items ? n : items));
    sg_blend_totals(b, best, got, totals);
    CHECK(sg_blend_count(b, weights, best, got, starts) == starts[got]);
    sg_blend_worth(b, weights, best, got, starts, signals, because, amounts);
    for (size_t x = 0; x < got; x++) {
        uint64_t item = b->items[best[x].id];
        double sum = 0, expected = score(item, weights, largest);
        CHECK(has(item) && !out[item] && best[x].strength - expected < 1e-12 && expected - best[x].strength < 1e-12);
        if (x)
            CHECK(best[x - 1].strength > best[x].strength ||
                  (best[x - 1].strength == best[x].strength && b->items[best[x - 1].id] < item));
        for (unsigned s = 0; s < SIGNALS; s++)
            CHECK(totals[x * SIGNALS + s] == total(item, s) && b->largest[s] == largest[s]);
        for (uint32_t row = starts[x]; row < starts[x + 1]; row++) sum += amounts[row];
        CHECK(sum - expected < 1e-12 && expected - sum < 1e-12);
    }
}

/* All that have a place now: what is put later is not meant. */
static void leave_out(sg_blend *b) {
    sg_table *t = sg_table_new();
    for (unsigned x = below(ITEMS); x > 0; x--) {
        uint64_t item = below(ITEMS);
        uint32_t id;
        CHECK(sg_table_index(t, item, &id, NULL) == SG_OK);
        out[item] |= has(item);
    }
    sg_blend_leave_out(b, t);
    sg_table_free(t);
    SOUND(sg_blend, b);
}

static void compare_strongest(sg_blend *b, unsigned signal, size_t n) {
    const sg_candidate *best;
    size_t got = sg_blend_strongest(b, signal, n, &best), above = 0;
    for (uint64_t item = 0; item < ITEMS; item++) above += total(item, signal) > 0;
    CHECK(got == (n < above ? n : above));
    for (size_t x = 0; x < got; x++) {
        uint64_t item = b->items[best[x].id];
        size_t before = 0;
        for (uint64_t other = 0; other < ITEMS; other++)
            before += total(other, signal) > total(item, signal) ||
                      (total(other, signal) == total(item, signal) && other < item);
        CHECK(before == x && best[x].strength == total(item, signal));
    }
}

int main(void) {
    const double bad[] = {-1, 1e301, 0.0 / 0.0};
    uint64_t item = 7;
    double fine = 1;
    CHECK(!sg_blend_new(0) && !sg_blend_new(SG_BLEND_SIGNALS + 1));
    sg_blend *b = sg_blend_new(SIGNALS);
    for (int x = 0; x < 3; x++) CHECK(sg_blend_put(b, 0, &item, NULL, &bad[x], 1) == SG_ERR_VALUE);
    CHECK(sg_blend_put(b, SIGNALS, &item, NULL, &fine, 1) == SG_ERR_VALUE && b->rows_len == 0);
    for (int after = 0; after < 7; after++) {
        fail_after = after;
        CHECK(sg_blend_put(b, 0, &item, NULL, &fine, 1) == SG_ERR_NOMEM && b->rows_len == 0);
        SOUND(sg_blend, b);
        sg_blend_free(b);
        fail_after = -1;
        b = sg_blend_new(SIGNALS);
    }
    for (int trial = 0; trial < 300; trial++) {
        sg_blend_begin(b);
        SOUND(sg_blend, b);
        len = 0;
        memset(out, 0, sizeof out);
        for (int x = 0; x < 20 && len + 24 < ROWS; x++) put(b);
        compare_strongest(b, below(SIGNALS), below(ITEMS + 10));
        compare(b, below(ITEMS + 10));
        for (int x = below(3); x > 0; x--) leave_out(b);
        compare(b, below(ITEMS + 10));
        if (len + 24 < ROWS) put(b);
        compare(b, below(ITEMS + 10));
    }
    sg_blend_begin(b);
    for (uint64_t many = 0; many < 2000; many++) CHECK(sg_blend_put(b, 1, &many, &many, &fine, 1) == SG_OK);
    SOUND(sg_blend, b);
    CHECK(sg_blend_nbytes(b) > 2000 * sizeof(sg_blend_row));
    sg_blend_free(b);
    return 0;
}
