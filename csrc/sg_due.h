/* sg_due -- which units have events old enough to expire: a min-heap of (time, unit).
 *
 *     [ 10:u3 | 40:u1 25:u3 | 90:u2 ]          binary, 4 entries; u3 stands in it twice
 *
 * A promise, not an index: of every unit that has events there is an entry no later than its oldest event. Entries
 * that are too early, of units that have gone or doubled cost a look and are dropped. So nothing has to be found again
 * when a unit changes, and an event in order of time costs nothing here.
 *
 * Invariant, checked by sg_due_check(): no entry is earlier than its parent.
 *
 * Owns its entries. Cost: O(1) expected for times that rise, O(log n) at worst; 16 bytes an entry.
 * Fails: SG_ERR_NOMEM, nothing changed. Not thread-safe.
 * Instead of a calendar of buckets: expiry is exact at any time and never comes in a burst. */
#ifndef SG_DUE_H
#define SG_DUE_H

#include <stddef.h>
#include <stdint.h>

#include "sg_status.h"

typedef struct {
    double time;
    uint32_t unit;
} sg_due_entry;

typedef struct {
    sg_due_entry *entries;
    size_t len, room;
} sg_due;

void sg_due_clear(sg_due *d);

int sg_due_push(sg_due *d, double time, uint32_t unit);
int sg_due_first(const sg_due *d, double before, uint32_t *unit); /* of the earliest entry; 0: none is before that */
void sg_due_pop(sg_due *d);                                       /* it goes */

int sg_due_check(const sg_due *d, const char **why);

#endif
