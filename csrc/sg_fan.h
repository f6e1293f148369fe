/* sg_fan -- the strongest entries of directed rows, in order at any time: what a walk from item to item reads.
 *
 * Entries of a row are ordered by (amount down, key up). A row of at most SG_FAN_SHORT entries is sorted on read; a
 * longer one gets a list at its first read, and every change of the row is made in it too:
 *
 *     ids      [ y1 y2 ....... yn | room ]     exactly the n best of the row, in order; the slots' "listed" bit
 *     amounts  [ 9  7  ....... 2  | room ]     says who they are
 *
 *     raised    listed: it moves up. Unlisted: it comes in if it is better than the last, who goes if there is no room
 *     lowered   listed: it moves down, and out where it would be the last, as an unlisted one may be better
 *
 * So a list only ever shrinks by what is taken back; a read that asks for more than it has makes it anew from the row.
 * The lists' room is 2^lg bytes, a quarter more than k entries.
 *
 * Invariants, checked by sg_fan_check() in this order:
 *   I1  a row's listed bits are exactly its list's ids, each found with its amount; rows without a list have none.
 *   I2  a list is in order, and no unlisted entry is better than its last.
 *   I3  an unlisted entry whose amount is below the row's gate is not better than the last.
 *
 * Uses sg_row's gate and list. Owns its arrays; lists are the pool's. `keys` is borrowed: the owner renews it when
 * items are added. Cost: update O(1) where the entry stays unlisted, else O(what it passes + list); read O(1) a listed
 * entry, else O(row). Fails: a read that makes a list or needs room, SG_ERR_NOMEM, nothing changed. Not thread-safe:
 * reads write. Instead of sg_topk, whose strengths depend on other rows: these change only with their own entry, so a
 * list can be kept in order, and a read need not look up its entries and sort them. */
#ifndef SG_FAN_H
#define SG_FAN_H

#include "sg_best.h"
#include "sg_pairs.h"

enum { SG_FAN_SHORT = 32 };

typedef struct {
    uint64_t short_reads, list_reads, rebuilds, full_scans, admitted;
} sg_fan_stats;

typedef struct {
    sg_pool *pool;
    const uint64_t *keys;
    unsigned lg;   /* of a list's block */
    uint32_t most; /* entries of a list */
    size_t lists;
    sg_candidate *scratch;
    uint32_t *ids, *amounts; /* what a read without a list gives */
    size_t room;             /* of all three */
    sg_fan_stats stats;
} sg_fan;

int sg_fan_init(sg_fan *f, sg_pool *pool, uint32_t k); /* lists are made so that k is served from them */
void sg_fan_clear(sg_fan *f);

/* The k best entries of the row, or all if there are fewer, in order, borrowed until the next call or change. */
int sg_fan_read(sg_fan *f, sg_pairs *p, uint32_t i, size_t k, const uint32_t **ids, const uint32_t **amounts,
                size_t *n);

void sg_fan_rise(sg_fan *f, sg_pairs *p, uint32_t i, uint64_t *slot);
void sg_fan_fall(sg_fan *f, sg_pairs *p, uint32_t i, uint32_t j, uint32_t amount); /* a listed entry, to so much */
void sg_fan_release(sg_fan *f, sg_pairs *p, uint32_t i);                           /* the row's list is given back */

/* The entry's amount has been raised. */
static inline void sg_fan_touch(sg_fan *f, sg_pairs *p, uint32_t i, uint64_t *slot) {
    const sg_row *row = &p->rows[i];
    if (row->list && (*slot & SG_LISTED || sg_slot_support(*slot) >= row->gate)) sg_fan_rise(f, p, i, slot);
}

size_t sg_fan_nbytes(const sg_fan *f);
int sg_fan_check(const sg_fan *f, const sg_pairs *p, const char **why);

#endif
