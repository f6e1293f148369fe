/* sg_learn -- the hot path of sg_items: events into history, pairs and lists. Compiled once a level of sg_simd.
 *
 *     event -> window: pairs (i, j) -> queue of 64 -> rows i and j, two slots
 *                      |                  |
 *                      prefetch both      by now both cache lines are here
 *
 * A queued pair counts as learned: a read drains the queue first. Where memory fails, the pair at the head stays there,
 * the event that was being pushed is undone, and nothing is lost; so the model is consistent as soon as the queue can
 * be drained. */
#ifndef SG_LEARN_H
#define SG_LEARN_H

#include "sg_items.h"

struct sg_learn {
    /* Events of known unit and item ids; weights may be NULL without decay. */
    int (*observe)(sg_items *m, const uint32_t *units, const uint32_t *items, const double *times, size_t n);
    int (*drain)(sg_items *m);
    int (*add)(sg_items *m, uint32_t i, uint32_t j, double weight); /* one pair, now; the queue is empty */
};

const sg_learn *sg_learn_of(sg_level level);

double sg_learn_weight(const sg_items *m, double time); /* of an event; 1 without decay */

int sg_learn_make_room(sg_items *m, uint32_t i); /* a full row becomes wider, or loses its weakest at the cap */

/* One pair less, now; the queue is empty and the pair is there. */
void sg_learn_sub(sg_items *m, uint32_t i, uint32_t j, double weight);
/* The last `pushed` pairs, which were pushed by one event, are unlearned; those still queued are dropped. */
void sg_learn_undo(sg_items *m, uint32_t i, const uint32_t *others, size_t pushed, double weight);

#endif
