/* sg_audience -- who touched an item: item -> {user: count}. Answers "how many shoppers are behind both".
 *
 * A crowd an item (sg_crowd.h), of dense user ids. The distinct users of two items are those that their crowds have in
 * common. For the causes of a list's items the users of each cause are marked once, in a bitmap of its own, and each
 * item's crowd is held against those of its causes; where one of two is much the larger, it is probed instead.
 *
 * Invariants, checked by sg_audience_check() in this order:
 *   I1  an item has a key exactly if its crowd has users, a user exactly if they are in a crowd; their count of crowds
 *       is right.
 *   (each crowd's own)
 *   I2  pairs = sum of the crowds' users.
 *   I3  between calls nobody is marked.
 *
 * Owns everything; arrays are borrowed until return. Not thread-safe. The id of an item or user that is in no pair any
 * more goes to the next new one: memory is that of the most there were at once.
 * Cost: add and sub O(1) expected; shared as sg_crowd_both(); behind O(slots, or words of its bitmap, of each item's
 *   crowd times its causes, and of each cause's once).
 *   11-22 bytes a pair of item and user while it grows, up to a quarter more in bitmaps, plus 24 an item, 6 a user and
 *   the two tables.
 * Fails: SG_ERR_NOMEM, SG_ERR_RANGE (2^32 - 1 of a pair) leave the earlier rows of the call applied, the failing one
 * not. A touch of a pair that is there asks for no memory. */
#ifndef SG_AUDIENCE_H
#define SG_AUDIENCE_H

#include <stddef.h>
#include <stdint.h>

#include "sg_status.h"

enum { SG_AUDIENCE_MOST = 8 };

typedef struct sg_audience sg_audience;

sg_audience *sg_audience_new(void); /* NULL where memory runs out */
void sg_audience_free(sg_audience *a);

/* Adds counts[i] (NULL: 1) touches of items[i] by users[i]. A count of 0 is SG_ERR_VALUE, and nothing is applied. */
int sg_audience_add(sg_audience *a, const uint64_t *items, const uint64_t *users, const uint32_t *counts, size_t n);

/* Takes one touch of each pair out; unknown pairs are no-ops. How many were found. */
size_t sg_audience_sub(sg_audience *a, const uint64_t *items, const uint64_t *users, size_t n);

/* Distinct users of each item. */
void sg_audience_count(const sg_audience *a, const uint64_t *items, size_t n, uint32_t *counts);

/* shared[i] = distinct users of both item and others[i]; where limit > 0 no more than limit are counted. */
void sg_audience_shared(const sg_audience *a, uint64_t item, const uint64_t *others, size_t n, uint32_t limit,
                        uint32_t *shared);

/* What the parts of n items' sums share with them: those of items[x] are at starts[x]..starts[x + 1], each with its
 * cause, an item. shared[r] = distinct users of the item and of causes[r], for the parts of the `most` causes whose
 * largest amounts are largest (of equals the first; never more than SG_AUDIENCE_MOST); 0 for other parts, where the
 * cause is 0, or is the item. */
void sg_audience_behind(const sg_audience *a, const uint64_t *items, size_t n, const uint32_t *starts,
                        const uint64_t *causes, const double *amounts, unsigned most, uint32_t *shared);

/* All pairs, item by item: sg_audience_pairs() of each array. Adding them to an empty audience restores this one. */
size_t sg_audience_pairs(const sg_audience *a);
void sg_audience_dump(const sg_audience *a, uint64_t *items, uint64_t *users, uint32_t *counts);

size_t sg_audience_nbytes(const sg_audience *a);

/* SG_OK, or SG_ERR_VALUE and *why names the first broken invariant, or that there is no memory to find out. */
int sg_audience_check(const sg_audience *a, const char **why);

#endif
