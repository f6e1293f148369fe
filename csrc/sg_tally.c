#include "sg_tally.h"

#include <stdlib.h>
#include <string.h>

int sg_tally_grow(sg_tally *t, size_t ids) {
    if (ids <= t->room) return SG_OK;
    size_t room = t->room * 2 > ids ? t->room * 2 : ids + 16;
    double *sums = realloc(t->sums, room * sizeof *sums);
    if (!sums) return SG_ERR_NOMEM;
    t->sums = sums;
    uint32_t *touched = realloc(t->touched, (room + 1) * sizeof *touched);
    if (!touched) return SG_ERR_NOMEM;
    t->touched = touched;
    sg_candidate *candidates = realloc(t->candidates, room * sizeof *candidates);
    if (!candidates) return SG_ERR_NOMEM;
    t->candidates = candidates;
    memset(sums + t->room, 0, (room - t->room) * sizeof *sums);
    t->room = room;
    return SG_OK;
}

void sg_tally_clear(sg_tally *t) {
    free(t->sums);
    free(t->touched);
    free(t->candidates);
    *t = (sg_tally){0};
}

size_t sg_tally_best(sg_tally *t, const uint64_t *keys, size_t n, int in_order, const sg_candidate **best) {
    size_t found = sg_best_likely(t->sums, t->touched, t->len, n, 0, t->candidates);
    for (size_t x = 0; x < t->len; x++) t->sums[t->touched[x]] = 0;
    t->len = 0;
    if (n > found) n = found;
    if (in_order) sg_best_first(keys, t->candidates, found, n);
    else sg_best_apart(keys, t->candidates, found, n);
    *best = t->candidates;
    return n;
}

size_t sg_tally_nbytes(const sg_tally *t) {
    return t->room * (sizeof *t->sums + sizeof *t->touched + sizeof *t->candidates);
}
