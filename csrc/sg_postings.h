/* sg_postings -- per item the units that hold it, in the order of each unit's last event: "the newest m" of an item.
 *
 *     holders (by unit)   u0: last 50, version 3        u1: last 70, version 1
 *     row of item A       [ 20:u0.1 | 50:u0.3 | 70:u1.1 ]       2 valid, the first is stale; room for 4
 *
 * A unit's last event moves it in all its items' rows at once. Nothing is searched for: the unit gets a new version,
 * and one entry more in each row; entries of another version are stale, and are dropped when a row is full or when a
 * read passes many of them. Versions go on when a unit's id is given again, so an entry never comes back to life.
 *
 * Rows are ascending by `last`, so a read goes backwards from the end; an event that is late moves the entries behind
 * its place. Units whose last events are at the same time are in no order in the row: where the newest m end among
 * such, those of least key are taken.
 *
 * `cap`, where it is not 0: when a row is full, of its valid entries only the newest `cap` are kept
 * (of equal ones, any). A read of the
 * newest m <= cap is the same as without, until more than cap - m of the units that were kept then have let go of the
 * item.
 *
 * Invariants, checked by sg_postings_check() in this order:
 *   I1  a row fits its block and is ascending; its valid entries are `holding` (with a cap: at most), no unit has two.
 *   I2  a valid entry's `last` is its unit's.
 *   I3  bytes is the sum over the rows.
 *
 * Owns its arrays; blocks are the owner's pool's. Cost: an entry O(1) amortised, 16 bytes, at most about four times
 * that in a row with its stale entries and spare room; a late one O(entries behind it); newest m: O(m + stale),
 * amortised. Fails: SG_ERR_NOMEM, nothing changed; sg_postings_put() and sg_postings_newest() after sg_postings_room()
 * cannot. Not thread-safe: reads write. Instead of linked lists: a read of 1,500 would be 1,500 dependent cache misses;
 * instead of removing the old entry: that is a search in each row for every event. */
#ifndef SG_POSTINGS_H
#define SG_POSTINGS_H

#include "sg_best.h"
#include "sg_pool.h"

typedef struct {
    double last;
    uint32_t unit, version;
} sg_posting;

typedef struct {
    sg_posting *entries;
    uint32_t len, holding; /* with and without the stale ones */
    uint8_t lg;
} sg_posting_row;

typedef struct {
    double last;       /* time of the unit's last event */
    double similarity; /* these two are the reader's: all 0 between reads */
    uint32_t version, step;
} sg_holder;

typedef struct {
    sg_pool *pool;
    sg_posting_row *rows; /* by item */
    sg_holder *holders;   /* by unit */
    sg_candidate *picked; /* a read's */
    size_t items, items_room, units, units_room, picked_room;
    size_t bytes; /* of the rows' blocks */
    uint32_t cap; /* the owner sets it */
} sg_postings;

void sg_postings_clear(sg_postings *p); /* the rows go with the pool */

int sg_postings_grow(sg_postings *p, size_t units, size_t items); /* ids below are legal from now on */
int sg_postings_room(sg_postings *p, uint32_t item);              /* the row takes one entry more */

static inline int sg_posting_is_valid(const sg_postings *p, sg_posting e) {
    return p->holders[e.unit].version == e.version;
}

/* The unit, as its holder now says, into a row with room. `holding` is the caller's. */
static inline void sg_postings_put(sg_postings *p, uint32_t item, uint32_t unit) {
    sg_posting_row *row = &p->rows[item];
    sg_posting e = {p->holders[unit].last, unit, p->holders[unit].version};
    if (row->len && row->entries[row->len - 1].unit == unit) row->len--; /* its stale one */
    uint32_t at = row->len++;
    for (; at > 0 && row->entries[at - 1].last > e.last; at--) row->entries[at] = row->entries[at - 1];
    row->entries[at] = e;
}

void sg_postings_release(sg_postings *p, uint32_t item); /* a row that no unit holds gives its block back */

/* The newest m units of a row but for one, in any order; how many. Borrowed until the next call. keys by unit. */
size_t sg_postings_newest(sg_postings *p, uint32_t item, size_t m, uint32_t without, const uint64_t *keys,
                          const sg_candidate **units);

size_t sg_postings_nbytes(const sg_postings *p);
int sg_postings_check(sg_postings *p, const char **why);

#endif
