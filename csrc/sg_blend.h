/* sg_blend -- the candidates of one list: rows of signals become scored items, each score a sum of its rows.
 *
 *     rows       signal 0: A .5 (because x)   B .2 (x)   A .5 (y)          signal 1: B 40   C 10
 *     places     A B C              items in the order of their first row, found by a table of slots
 *     totals     [ 1 0 | .2 40 | 0 10 ]      place by signal
 *     largest    [ 1 40 ]                    by signal, over the places
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
 *   I2  the rows of a place are its chain, from head to tail, and each row is in one chain.
 *   I3  a total is the sum of its rows' amounts, in their order; largest is the largest total of a signal.
 *
 * Owns its arrays, which grow and are used again. Cost: a row O(1), best O(places + k log k); 28 bytes a row, 24 + 8 a
 * signal a place. Fails: SG_ERR_VALUE (an amount below 0 or not finite, a signal out of range), SG_ERR_NOMEM; rows of
 * the failing call are then not there. Not thread-safe.
 * Instead of sorting the rows by item: two passes over memory and a sort for what one probe a row does. */
#ifndef SG_BLEND_H
#define SG_BLEND_H

#include "sg_best.h"
#include "sg_status.h"

enum { SG_BLEND_SIGNALS = 64 };

typedef struct {
    uint64_t because;
    double amount;
    uint32_t place, next; /* next: row + 1 of the same place; 0: the last */
    uint32_t signal;
} sg_blend_row;

typedef struct {
    uint32_t head, tail; /* row + 1 */
} sg_blend_chain;

typedef struct {
    uint32_t signals;
    uint32_t *slots; /* place + 1; 0: free */
    size_t slots_len;
    uint64_t *items; /* by place, as the three that follow */
    double *totals;
    sg_blend_chain *chains;
    sg_candidate *scored;
    size_t places, places_room;
    sg_blend_row *rows;
    size_t rows_len, rows_room;
    double largest[SG_BLEND_SIGNALS];
} sg_blend;

sg_blend *sg_blend_new(uint32_t signals); /* 1..SG_BLEND_SIGNALS; NULL: out of memory, or out of range */
void sg_blend_free(sg_blend *b);

void sg_blend_begin(sg_blend *b); /* no rows */
/* Rows of one signal. because NULL: 0 for all. */
int sg_blend_put(sg_blend *b, uint32_t signal, const uint64_t *items, const uint64_t *because, const double *amounts,
                 size_t n);

/* The n places with the largest totals of a signal, if above 0, by (total down, key up), as their ids; how many.
 * Borrowed until the next call. */
size_t sg_blend_strongest(sg_blend *b, uint32_t signal, size_t n, const sg_candidate **best);

/* Scores all places, weights by signal: *best are places (its ids), by (score down, key up), the first n in order; how
 * many. Borrowed until the next call. */
size_t sg_blend_best(sg_blend *b, const double *weights, size_t n, const sg_candidate **best);

/* The totals of places, [n * signals]; those divided by `largest` are what is weighed. */
void sg_blend_totals(const sg_blend *b, const sg_candidate *places, size_t n, double *matrix);

/* How many rows these places have of signals that weigh something, and the rows, place by place, worth what the
 * weights say. */
size_t sg_blend_count(const sg_blend *b, const double *weights, const sg_candidate *places, size_t n, uint32_t *starts);
void sg_blend_worth(const sg_blend *b, const double *weights, const sg_candidate *places, size_t n, uint8_t *signals,
                    uint64_t *because, double *amounts);

size_t sg_blend_nbytes(const sg_blend *b);
int sg_blend_check(const sg_blend *b, const char **why);

#endif
