/* sg_blend -- the candidates of one list: rows of signals become scored items, each score a sum of its rows.
 *
 *     rows       signal 0: A .5 (because x)   B .2 (x)   A .5 (y)          signal 1: B 40   C 10
 *     places     A B C              items in the order of their first row, found by a table of slots
 *     totals     [ 1 .2 0 .. | 0 40 10 .. ]      signal by place, with room for more places
 *     largest    [ 1 40 ]                        by signal, over the places
 *
 * With weight w(s) of each signal, an amount a of signal s is worth w(s) * a / largest(s), and
 *
 *     score(i) = sum over s of w(s) * total(i, s) / largest(s)
 *
 * which is the sum of what i's rows are worth, but for rounding. Dividing by the largest (per-query normalisation)
 * makes weights compare signals of different scale; amounts are not negative, weights may be.
 *
 * Invariants, checked by sg_blend_check() in this order:
 *   I1  slots are a power of two and at most half taken; every place is found by its item.
 *   I2  a total is the sum of its rows' amounts, in their order, and 0 behind the places; largest is the largest total
 *       of a signal.
 *   I3  between calls no place is asked for; where nothing was left out no place is.
 *
 * Owns its arrays, which grow and are used again. Cost: a row O(1), best O(places + k log k), what makes the best
 * O(rows); 28 bytes a row, 41 + 8 a signal a place. Fails: SG_ERR_VALUE (an amount below 0 or not finite, a signal out
 * of range), SG_ERR_NOMEM; rows of the failing call are then not there. Not thread-safe.
 * Instead of sorting the rows by item: two passes over memory and a sort for what one probe a row does. Instead of
 * totals place by signal: a signal's rows come together, and then write to a few lines of the cache, not to one a
 * place. Instead of chaining a place's rows: few places are asked for, once, and chains are kept for all. */
#ifndef SG_BLEND_H
#define SG_BLEND_H

#include "sg_best.h"
#include "sg_status.h"
#include "sg_table.h"

enum { SG_BLEND_SIGNALS = 64 };

typedef struct {
    uint64_t because;
    double amount;
    uint32_t place, signal;
} sg_blend_row;

typedef struct {
    uint32_t signals;
    uint32_t *slots; /* place + 1; 0: free */
    size_t slots_len;
    uint64_t *items; /* by place, as the four that follow */
    double *scores;
    sg_candidate *scored;
    uint32_t *asked;   /* where the rows of a place go, + 1; 0: nowhere */
    uint8_t *left_out; /* 1: never among the best */
    int leaves_out;    /* whether there is such a place */
    double *totals;    /* those of a signal are at places_room times the signal */
    size_t places, places_room;
    sg_blend_row *rows;
    uint32_t *picked; /* rows of the places asked for last */
    size_t rows_len, rows_room, picked_len;
    double largest[SG_BLEND_SIGNALS];
} sg_blend;

sg_blend *sg_blend_new(uint32_t signals); /* 1..SG_BLEND_SIGNALS; NULL: out of memory, or out of range */
void sg_blend_free(sg_blend *b);

void sg_blend_begin(sg_blend *b); /* no rows */
/* Rows of one signal. because NULL: 0 for all. */
int sg_blend_put(sg_blend *b, uint32_t signal, const uint64_t *items, const uint64_t *because, const double *amounts,
                 size_t n);
/* Of items that have a place, by these, without a cause. */
int sg_blend_put_at(sg_blend *b, uint32_t signal, const uint32_t *places, const double *amounts, size_t n);
/* Of the items and causes of the last n rows, amounts of another signal. */
int sg_blend_put_again(sg_blend *b, uint32_t signal, const double *amounts, size_t n);

/* A signal's totals, by place. */
static inline const double *sg_blend_totals_of(const sg_blend *b, uint32_t signal) {
    return b->totals + b->places_room * signal;
}

/* The n places with the largest totals of a signal, if above 0, by (total down, key up), as their ids; how many.
 * Borrowed until the next call. */
size_t sg_blend_strongest(sg_blend *b, uint32_t signal, size_t n, const sg_candidate **best);

/* The items that are in the table are none of the best of this list; of those whose rows come later nothing is said. */
void sg_blend_leave_out(sg_blend *b, const sg_table *items);

/* Scores all places, weights by signal: *best are places (its ids), by (score down, key up), the first n in order; how
 * many. Borrowed until the next call. */
size_t sg_blend_best(sg_blend *b, const double *weights, size_t n, const sg_candidate **best);

/* The totals of places, [n * signals]; those divided by `largest` are what is weighed. */
void sg_blend_totals(const sg_blend *b, const sg_candidate *places, size_t n, double *matrix);

/* How many rows these places have of signals that weigh something: those of places[x] go to starts[x]..starts[x + 1]
 * (n + 1 of them). And, after this alone, the rows, worth what the weights say. */
size_t sg_blend_count(sg_blend *b, const double *weights, const sg_candidate *places, size_t n, uint32_t *starts);
void sg_blend_worth(sg_blend *b, const double *weights, const sg_candidate *places, size_t n, const uint32_t *starts,
                    uint8_t *signals, uint64_t *because, double *amounts);

size_t sg_blend_nbytes(const sg_blend *b);
int sg_blend_check(const sg_blend *b, const char **why);

#endif
