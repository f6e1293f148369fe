/* sg_bulk -- a whole history into a model at once: row by row instead of event by event.
 *
 *     events -> ledger -> where[item]: (unit, kept position) ...    counting sort
 *     row i:  for each (u, p) of i, for each q within `window` of p in u:  count[kept item q]++
 *             then count -> slots, each written once
 *
 * This is Gustavson's sparse product (ACM TOMS 4(3), 1978) of the units' histories with themselves, banded by the
 * window. Support is counted from both of a pair's sides, so each row is written once, in order, while it is in the
 * cache; event by event every pair costs two slots somewhere in memory. The model has the checksum that observing the
 * same events in the same order gives.
 *
 * With a half-life the events are observed one by one: a weight is a sum of doubles, and from its two sides they would
 * be added in another order, so that the two directions of a pair would differ in the last bit. So are they with a row
 * cap, which is there because the whole rows would not fit.
 *
 * Cost: O(events + pairs counted); at its height 8 bytes an event and 8 an item beside the model.
 * Fails: as sg_items_observe; the model is then as it was. SG_ERR_VALUE: the model is not empty. */
#ifndef SG_BULK_H
#define SG_BULK_H

#include "sg_items.h"

/* *m, which has no events, becomes another model of the same settings. */
int sg_items_bulk(sg_items **m, const uint64_t *units, const uint64_t *items, const double *times, size_t n);

/* Learned anew from its own events: ids, blocks, lists and rounding errors of what has gone are no more. Needs memory
 * for both models while it runs. */
int sg_items_compact(sg_items **m);

#endif
