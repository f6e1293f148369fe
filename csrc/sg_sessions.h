/* sg_sessions -- which units hold which items, by each unit's last event: what VMIS-kNN reads (sg_nearest). Units are
 * sessions, or users for user-based collaborative filtering.
 *
 *     event (unit, item, time)
 *        ids; unit's events              sg_ledger
 *        who holds an item, newest last  sg_postings
 *
 * A unit holds the last `window` of its kept items; its `last` is the time of its newest event, kept or not. All is a
 * function of the units' events, so taking back and expiry leave what would be if those had never been.
 *
 * Invariants, checked by sg_sessions_check() in this order: those of the parts, in the order above; then
 *   I1  postings has room for every id; an item with support has a key.
 *   I2  support(i) is the number of kept events of i.
 *   I3  a row's valid entries are exactly the units that hold the item, and a holder's `last` is its newest event's.
 *
 * Owns everything; arrays are borrowed until return. Cost: an event, 16 bytes to the end of each row of the unit's
 * items. Fails: SG_ERR_VALUE before anything is applied. SG_ERR_NOMEM and SG_ERR_RANGE (2^32 - 1 changes of a unit):
 * events before the failing one are applied, it and those after it are not. Not thread-safe: reads write.
 * Instead of evicting an item's oldest units: forgetting a newer one could then not bring back what was evicted. */
#ifndef SG_SESSIONS_H
#define SG_SESSIONS_H

#include "sg_ledger.h"
#include "sg_postings.h"
#include "sg_tally.h"

enum { SG_NEAREST_MAX = 1 << 14 };

enum { SG_SESSIONS_RARE = 1024 };

typedef struct {
    sg_ledger ledger;
    sg_postings postings;
    uint32_t *support; /* kept events, by item */
    size_t support_room;
    uint32_t *was;     /* what a unit held before a change */
    sg_tally tally;    /* sg_nearest's, as those that follow */
    uint32_t *seen;    /* units with a similarity; by room */
    uint32_t *nearest; /* a heap of SG_NEAREST_MAX */
    size_t seen_len, seen_room, nearest_len;
    double rare[SG_SESSIONS_RARE]; /* ln(rare_of / units that hold an item), by these; 0: not worked out yet */
    double rare_of;
} sg_sessions;

typedef struct {
    size_t tables, events, postings, reads, pool_rest;
} sg_sessions_nbytes_of;

/* *out: a new model. window >= 1, else SG_ERR_VALUE. */
int sg_sessions_new(uint32_t window, sg_sessions **out);
/* An item's row keeps only its newest so many units, see sg_postings: reads may miss some that are older, until the
 * model is learned anew; all else, the checksum too, is as without. At least 1, of a model without events, else
 * SG_ERR_VALUE. */
int sg_sessions_cap(sg_sessions *m, uint32_t unit_cap);
void sg_sessions_free(sg_sessions *m);

int sg_sessions_observe(sg_sessions *m, const uint64_t *units, const uint64_t *items, const double *times, size_t n);
/* Many events into a model that has none, else SG_ERR_VALUE: each unit is entered once, after its last. Where it fails
 * *m is as it was, else it becomes another. */
int sg_sessions_bulk(sg_sessions **m, const uint64_t *units, const uint64_t *items, const double *times, size_t n);
/* *found: how many of the events there were. The newest of equal events is taken. */
int sg_sessions_retract(sg_sessions *m, const uint64_t *units, const uint64_t *items, const double *times, size_t n,
                        size_t *found);
/* All events before a time are taken back; *gone: how many. Where it fails, what has gone has gone whole. */
int sg_sessions_expire(sg_sessions *m, double before, size_t *gone);

static inline uint32_t sg_sessions_held(const sg_sessions *m, uint32_t unit, const uint32_t **items) {
    const sg_unit *u = &m->ledger.history.units[unit];
    uint32_t n = sg_unit_window(u, m->ledger.history.window);
    *items = u->items + (u->kept_len - n);
    return n;
}

void sg_sessions_holding(const sg_sessions *m, const uint64_t *items, size_t n, uint32_t *counts); /* units, by item */

int sg_sessions_checksum(const sg_sessions *m, uint64_t sum[2]);
sg_sessions_nbytes_of sg_sessions_nbytes(const sg_sessions *m);
int sg_sessions_check(sg_sessions *m, const char **why);

#endif
