/* sg_history -- each unit's events, and which of them the model keeps.
 *
 * A unit's kept history is FIFO: an event whose item is among the unit's last `window` kept items is skipped and moves
 * nothing, any other is kept. Both stay in the event list, for what is taken back later. Window 2, items a b a c a:
 *
 *     kept      a  b     c  a          items   uint32[room], then times double[room], in one pool block
 *     skipped        a                 {item a, after 2, time}: came after 2 kept events; only units with repeats
 *
 * So the last items kept stand side by side, and the whole event list is a merge of the two.
 *
 * Taking an event back is planned first (sg_history_plan: what changes in supports and pairs, as deltas), then applied
 * by the owner to its structures, then committed (which cannot fail). The plan runs the unit again from the event on,
 * with the window as it was and as it will be side by side, and stops where both are equal; so a skipped event costs
 * its own entry, the newest event its own pairs, and any other at most `window` later events and what repeats among
 * them. Where the unit never filled its window and the item is not repeated, as in most sessions, an event just takes
 * its own pairs along, and nothing is run.
 *
 * Expiry takes all events of a unit out that are before a time: the same plan, of many events; where they are the
 * unit's oldest, as is usual, it stops a window behind the last. Which units are due is kept in sg_due once
 * sg_history_expires() was called.
 *
 * Invariants, checked by sg_history_check() in this order:
 *   I1  a unit's kept and skipped events fit their blocks; `after` never falls and is at most the kept events.
 *   I2  running the events again keeps and skips exactly these.
 *   I3  events and kept_events are the sums over the units.
 *   I4  where units expire, each with events has an entry in `due` that is no later than its oldest.
 *
 * Owns its units; blocks come from the owner's pool. A plan is borrowed until the next call.
 * Cost: append O(1) amortised; 12 bytes a kept event, 16 a skipped one, 32 a unit, and up to twice that in block sizes.
 * Fails: SG_ERR_NOMEM leaves every unit as it was. Not thread-safe.
 * Instead of a ring of kept items beside one list of all events: one block and one cache miss less in the usual unit,
 * which repeats nothing, and a unit that repeats one item for ever costs nothing to scan. */
#ifndef SG_HISTORY_H
#define SG_HISTORY_H

#include "sg_due.h"
#include "sg_pool.h"
#include "sg_table.h"

typedef struct {
    uint32_t item;
    uint32_t after; /* kept events before it */
    double time;
} sg_skipped;

typedef struct {
    uint32_t *items; /* block of 2^lg bytes: items, then times */
    sg_skipped *skipped;
    uint32_t kept_len, skipped_len;
    uint8_t lg, skipped_lg;
} sg_unit;

/* other == SG_TABLE_NONE: support(item) += sign. Else support(item, other) += sign; `item` is the newer one, of weight
 * `time`. */
typedef struct {
    uint32_t item, other;
    int32_t sign;
    double time;
} sg_delta;

typedef struct {
    sg_delta *deltas;
    size_t len;
    size_t added; /* the deltas of sign +1 stand first */
} sg_plan;

typedef struct sg_rerun sg_rerun;

typedef struct {
    sg_pool *pool;
    sg_unit *units;
    size_t len, room; /* units */
    uint32_t window;
    uint64_t events, kept_events;
    size_t bytes; /* of the units' blocks */
    sg_rerun *rerun;
    sg_due due;
    int expires;
} sg_history;

int sg_history_init(sg_history *h, sg_pool *pool, uint32_t window); /* window >= 1 */
void sg_history_clear(sg_history *h);                               /* the blocks go with the pool */

int sg_history_grow(sg_history *h, size_t units, size_t items); /* ids below these are legal from now on */

static inline size_t sg_unit_room(unsigned lg) { return lg ? (((size_t)1 << lg) - 4) / 12 : 0; }

static inline double *sg_unit_times(const sg_unit *u) {
    return (double *)(void *)((char *)u->items + ((sg_unit_room(u->lg) * 4 + 7) & ~(size_t)7));
}

static inline uint32_t sg_unit_window(const sg_unit *u, uint32_t window) {
    return u->kept_len < window ? u->kept_len : window;
}

int sg_history_reserve(sg_history *h, sg_unit *u, size_t kept); /* room for so many kept events */

/* The unit's next event is at that time: to be said before it is kept or skipped. */
static inline int sg_history_note(sg_history *h, uint32_t unit, double time) {
    const sg_unit *u = &h->units[unit];
    if (!h->expires || (u->kept_len && time >= sg_unit_times(u)[u->kept_len - 1])) return SG_OK;
    return sg_due_push(&h->due, time, unit);
}

/* The unit has room, and the item is in its window or is not, as the name says. */
static inline void sg_history_keep_unchecked(sg_history *h, sg_unit *u, uint32_t item, double time) {
    sg_unit_times(u)[u->kept_len] = time;
    u->items[u->kept_len++] = item;
    h->events++;
    h->kept_events++;
}
int sg_history_skip(sg_history *h, sg_unit *u, uint32_t item, double time);

/* What it takes to have the newest event of (item, time) out of the unit again. *found says whether it is there. */
int sg_history_plan(sg_history *h, uint32_t unit, uint32_t item, double time, int *found, sg_plan *plan);
/* The same for all events of the unit that are before a time; *found: how many. */
int sg_history_plan_expiry(sg_history *h, uint32_t unit, double before, size_t *found, sg_plan *plan);
/* The kept events as they will be: from *from on, items[n], then those that stand at *to and later now. Borrowed. */
const uint32_t *sg_history_planned(const sg_history *h, size_t *from, size_t *n, size_t *to);
void sg_history_commit(sg_history *h); /* the last plan that found something */

int sg_history_expires(sg_history *h); /* from now on units come up when they are due */
/* A unit that may have events before that time; 0: there is none. It comes up until it is settled. */
int sg_history_due(const sg_history *h, double before, uint32_t *unit);
void sg_history_settled(sg_history *h, uint32_t unit); /* the last that came up: it will at its oldest event */

void sg_history_release(sg_history *h, uint32_t unit); /* a unit without events gives its blocks back */

/* The unit's events in order; items and times have room for kept_len + skipped_len. */
void sg_history_events(const sg_unit *u, uint32_t *items, double *times);

size_t sg_history_nbytes(const sg_history *h);
int sg_history_check(const sg_history *h, const char **why);

#endif
