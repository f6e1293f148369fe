/* sg_topk -- the k strongest entries of any row, exactly, without scanning long rows.
 *
 * Entries of row i are ordered by (strength down, key of j up): a total order, sg_best. A row of at most
 * SG_SHORT entries is scanned on read. A longer one gets a list at its first read: candidates (the "listed" bit in
 * their slots), an admission bar, and `rejected`, the best that any unlisted entry of the row has been since it was
 * last looked at. The lists' room is 2^lg bytes, candidates are cut down to 3/4 of it when it is full:
 *
 *     best ........ k-th ........ worst listed | rejected ........ unlisted
 *
 * strength(i, j) = amount^2 / norm(j) of an unlisted entry only falls until (i, j) itself is updated, as norm(j) grows;
 * and the update looks at it (sg_topk_touch). So a read rescores the candidates and is exact if the k-th is not below
 * `rejected`; else it rescans the row. Taking back is the one thing that lowers norm(j) and so raises strengths in all
 * rows that hold j. These items are noted, and settled at the next read:
 *
 *   rare j (support at most SG_RARE, its row not cut by a cap): every row that holds j looks at its entry j again.
 *   common j: it goes to the end of `falls`, a ring. A list remembers how far it has followed the ring. If it has not
 * to its end, a read multiplies `rejected` by a bound on what may have happened since; where that leaves a doubt, the
 *     row looks at its entries of the items that fell since, and follows the ring, or is rescanned if that is shorter.
 *
 * The bound: `rise` is the most that any one item's norm has fallen by within this epoch, as a quotient; an epoch ends
 * when it passes 1.05, and `inflation` is the product over the epochs. (A product over all falls, the first thing
 * tried, is past every list's reserve within ten retracts.)
 *
 * Invariants, checked by sg_topk_check() (which settles first) in this order:
 *   I1  the entries with a listed bit are in their row's list; rows without a list have none. The list may also have
 *       ids whose entries have gone, and ids twice: the next read or cut takes them out, removal need not look for
 * them. I2  no unlisted entry of a row with a list is better than its `rejected`, by the bound on its rise. I3  gate <=
 * the strengths of bar and rejected: an unlisted entry below the gate need not be looked at.
 *
 * Bounds are kept by key, not by id, since ids are given again. Owns its arrays; lists are the pool's. `keys` is
 * borrowed: the owner renews it when items are added. Cost: update O(1), cut O(room) every room/4 admissions; read
 * O(room) where nothing interfered, else O(row). Fails: a read that makes or needs room, SG_ERR_NOMEM, nothing changed
 * but that what was to settle is settled. Not thread-safe: reads write. Instead of scores alone: equal scores at the
 * bar cause a rescan at nearly every read of a flat row; with the total order they do not. */
#ifndef SG_TOPK_H
#define SG_TOPK_H

#include "sg_best.h"
#include "sg_pairs.h"

enum { SG_SHORT = 128, SG_RARE = 64, SG_FALLS = 1024 };

typedef struct {
    uint64_t short_reads, list_reads, rescans, full_scans, cuts, admitted, touched_again, followed, epochs, thinned;
} sg_topk_stats;

typedef struct {
    sg_pool *pool;
    const uint64_t *keys;
    unsigned lg;         /* of a list's block */
    uint32_t most, kept; /* candidates: when the list is cut, and to what */
    size_t lists;
    sg_candidate *scratch;
    size_t scratch_room;
    double *fell_from; /* by item: its norm before it fell; 0: it did not */
    double *peak;      /* by item: the highest norm that it fell from in this epoch; 0: it did not */
    uint32_t *fallen;  /* items with a fell_from */
    uint32_t *peaked;  /* items with a peak */
    size_t len, room, fallen_len, peaked_len;
    uint32_t *falls; /* the last SG_FALLS */
    uint64_t falls_len;
    double inflation, rise;
    sg_topk_stats stats;
} sg_topk;

int sg_topk_init(sg_topk *t, sg_pool *pool, uint32_t k); /* lists are made so that k is served from them */
void sg_topk_clear(sg_topk *t);
int sg_topk_grow(sg_topk *t, size_t items);

/* The k best entries of the row, or all if there are fewer: *out, in order, borrowed until the next call. */
int sg_topk_read(sg_topk *t, sg_pairs *p, uint32_t i, size_t k, const sg_candidate **out, size_t *n);
/* The same in any order. */
int sg_topk_read_set(sg_topk *t, sg_pairs *p, uint32_t i, size_t k, const sg_candidate **out, size_t *n);

/* A read of the row comes soon: its list is wanted, or its slots if it is short. */
void sg_topk_fetch(const sg_topk *t, const sg_row *row);

void sg_topk_offer(sg_topk *t, sg_pairs *p, uint32_t i, uint64_t *slot, double strength); /* of an unlisted entry */
void sg_topk_release(sg_topk *t, sg_pairs *p, uint32_t i); /* a row without entries gives its list back */
/* Of a full row the strongest three quarters are left, in this direction. SG_ERR_NOMEM: nothing is changed. */
int sg_topk_thin(sg_topk *t, sg_pairs *p, uint32_t i);
void sg_topk_fell(sg_topk *t, uint32_t j, double norm_before);
void sg_topk_settle(sg_topk *t, sg_pairs *p);
void sg_topk_distrust(sg_topk *t, sg_pairs *p); /* every list is rescanned at its next read */

/* The entry's support or weight has been raised. */
static inline void sg_topk_touch(sg_topk *t, sg_pairs *p, uint32_t i, uint64_t *slot) {
    const sg_row *row = &p->rows[i];
    if (!row->list || *slot & SG_LISTED) return;
    double strength = sg_strength(p, row, slot);
    if (strength >= row->gate) sg_topk_offer(t, p, i, slot, strength);
}

size_t sg_topk_nbytes(const sg_topk *t);
int sg_topk_check(sg_topk *t, sg_pairs *p, const char **why);

#endif
