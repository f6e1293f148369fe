/* sg_crowd -- the users of one item, each with a count. Answers "how many users have two crowds in common".
 *
 * A hash row over dense user ids (open addressing, linear probing, Fibonacci hashing of the id, capacity a power of
 * two, at most 3/4 full); a slot is a user id + 1, 0 where it is free, and the counts stand behind all slots: most
 * reads ask only who. Behind these, where there were at most SG_CROWD_SPREAD users in all for each slot when the row
 * got its capacity, a bitmap with a bit for each value of a slot. Touched once by user 5 and three times by user 9:
 *
 *     [ 10 ] [ - ] [ 6 ] [ - ]   3 0 1 0   { bits 6, 10 }      live 2, words 2
 *
 * A slot that becomes free is closed by shifting the probe run back, so there are no dead slots, and a row that has
 * become 1/8 full halves.
 *
 * Invariants, checked by sg_crowd_check() in this order:
 *   I1  live = number of slots with a user, at most 3/4 of the capacity; these and no others have a count; a crowd
 *       without users has no slots.
 *   I2  every user of a slot is found by probing from its home: no free slot lies between.
 *   I3  where there is a bitmap it has the bits of the slots' users and no others; bit 0 is nobody's.
 *
 * Owns its slots. Not thread-safe. Cost: touch and leave O(1) expected; both O(slots of the smaller row), or O(words)
 * where each has a bitmap. 11-22 bytes a user while it grows, a quarter more at most with its bitmap, and 24.
 * Fails: SG_ERR_NOMEM, SG_ERR_RANGE (2^32 - 1 touches of a user) leave the crowd as it was.
 * Instead of bitmaps alone: counts are needed to take one of several touches back, and most rows are short. */
#ifndef SG_CROWD_H
#define SG_CROWD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sg_status.h"

enum { SG_CROWD_SPREAD = 16 };

typedef struct {
    uint32_t *slots;
    uint32_t live;
    uint32_t bits;  /* of the capacity; meaningless without slots */
    uint32_t words; /* of the bitmap; 0: there is none */
} sg_crowd;

static inline size_t sg_crowd_capacity(const sg_crowd *c) { return c->slots ? (size_t)1 << c->bits : 0; }

static inline uint32_t *sg_crowd_counts(const sg_crowd *c) { return c->slots + sg_crowd_capacity(c); }

static inline uint64_t *sg_crowd_bitmap(const sg_crowd *c) {
    return (uint64_t *)(void *)(c->slots + 2 * sg_crowd_capacity(c));
}

/* Words of a bitmap of all users, ids 0..room - 1; room is a multiple of 64. */
static inline size_t sg_crowd_words(size_t room) { return room / 64 + 1; }

/* Adds touches of a user below room; *fresh: whether the user is new here. */
int sg_crowd_touch(sg_crowd *c, uint32_t user, uint32_t count, size_t room, bool *fresh);

/* Takes one touch out; whether there was any. *gone: it was the user's last. */
bool sg_crowd_leave(sg_crowd *c, uint32_t user, size_t room, bool *gone);

/* Distinct users of both; where limit > 0 no more than limit are counted. */
uint32_t sg_crowd_both(const sg_crowd *a, const sg_crowd *b, uint32_t limit);

/* Bits that two bitmaps have in common. */
uint32_t sg_crowd_common(const uint64_t *a, const uint64_t *b, size_t words);

void sg_crowd_free(sg_crowd *c);
size_t sg_crowd_nbytes(const sg_crowd *c); /* beside the struct */
int sg_crowd_check(const sg_crowd *c, const char **why);

#endif
