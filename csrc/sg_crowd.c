#include "sg_crowd.h"

#include <stdlib.h>
#include <string.h>

#define SMALLEST 2 /* bits of the smallest row: 4 slots */
#define LARGEST 31

#define HOLDS(condition, text)                                                                                         \
    if (!(condition)) {                                                                                                \
        *why = text;                                                                                                   \
        return SG_ERR_VALUE;                                                                                           \
    }

static uint32_t mask(const sg_crowd *c) { return (uint32_t)sg_crowd_capacity(c) - 1; }

static uint32_t home(const sg_crowd *c, uint32_t user) { return user * 0x9E3779B1u >> (32 - c->bits); }

/* The slot that holds the user, or the free one where it belongs. The row has slots. */
static uint32_t locate(const sg_crowd *c, uint32_t user) {
    uint32_t at = home(c, user);
    while (c->slots[at] && c->slots[at] != user + 1) at = (at + 1) & mask(c);
    return at;
}

static bool has_bit(const sg_crowd *c, uint32_t slot) {
    return slot / 64 < c->words && sg_crowd_bitmap(c)[slot / 64] >> slot % 64 & 1;
}

static void flip(const sg_crowd *c, uint32_t slot) {
    if (c->words) sg_crowd_bitmap(c)[slot / 64] ^= (uint64_t)1 << slot % 64;
}

static int resize(sg_crowd *c, uint32_t bits, size_t room) {
    if (bits > LARGEST) return SG_ERR_RANGE;
    size_t words = (size_t)SG_CROWD_SPREAD << bits >= room ? sg_crowd_words(room) : 0;
    sg_crowd to = {NULL, c->live, bits, (uint32_t)words};
    to.slots = calloc(1, ((size_t)2 << bits) * sizeof *to.slots + words * sizeof(uint64_t));
    if (to.slots == NULL) return SG_ERR_NOMEM;
    for (size_t at = 0; at < sg_crowd_capacity(c); at++) {
        if (!c->slots[at]) continue;
        uint32_t moved = locate(&to, c->slots[at] - 1);
        to.slots[moved] = c->slots[at];
        sg_crowd_counts(&to)[moved] = sg_crowd_counts(c)[at];
        flip(&to, c->slots[at]);
    }
    free(c->slots);
    *c = to;
    return SG_OK;
}

/* A slot and a bit for one user more. */
static int make_room(sg_crowd *c, uint32_t user, size_t room) {
    if (4 * ((size_t)c->live + 1) > 3 * sg_crowd_capacity(c)) return resize(c, c->slots ? c->bits + 1 : SMALLEST, room);
    if (c->words && (user + 1) / 64 >= c->words) return resize(c, c->bits, room);
    return SG_OK;
}

int sg_crowd_touch(sg_crowd *c, uint32_t user, uint32_t count, size_t room, bool *fresh) {
    uint32_t at = c->slots ? locate(c, user) : 0;
    *fresh = c->slots == NULL || c->slots[at] == 0;
    if (*fresh) {
        int rc = make_room(c, user, room);
        if (rc != SG_OK) return rc;
        at = locate(c, user);
        c->slots[at] = user + 1;
        c->live++;
        flip(c, user + 1);
    }
    uint32_t *had = &sg_crowd_counts(c)[at];
    if (*had > UINT32_MAX - count) return SG_ERR_RANGE;
    *had += count;
    return SG_OK;
}

/* Frees a slot and closes its probe run: every later entry of the run that may stand nearer its home moves back. */
static void clear(sg_crowd *c, uint32_t hole, size_t room) {
    uint32_t *counts = sg_crowd_counts(c);
    flip(c, c->slots[hole]);
    for (uint32_t at = (hole + 1) & mask(c); c->slots[at]; at = (at + 1) & mask(c)) {
        if (((at - home(c, c->slots[at] - 1)) & mask(c)) < ((at - hole) & mask(c))) continue;
        c->slots[hole] = c->slots[at];
        counts[hole] = counts[at];
        hole = at;
    }
    c->slots[hole] = counts[hole] = 0;
    if (--c->live == 0) {
        sg_crowd_free(c);
    } else if (c->bits > SMALLEST && 8 * (size_t)c->live <= sg_crowd_capacity(c)) {
        resize(c, c->bits - 1, room); /* where memory has run out it stays as large as it is */
    }
}

bool sg_crowd_leave(sg_crowd *c, uint32_t user, size_t room, bool *gone) {
    uint32_t at = c->slots ? locate(c, user) : 0;
    *gone = false;
    if (c->slots == NULL || c->slots[at] == 0) return false;
    *gone = --sg_crowd_counts(c)[at] == 0;
    if (*gone) clear(c, at, room);
    return true;
}

#define COMMON(level, attributes)                                                                                      \
    attributes static uint32_t common_##level(const uint64_t *a, const uint64_t *b, size_t words) {                    \
        uint32_t common = 0;                                                                                           \
        for (size_t at = 0; at < words; at++) common += (uint32_t)__builtin_popcountll(a[at] & b[at]);                 \
        return common;                                                                                                 \
    }

COMMON(plain, )
#if defined(__x86_64__)
COMMON(popcnt, __attribute__((target("popcnt"))))
#endif

uint32_t sg_crowd_common(const uint64_t *a, const uint64_t *b, size_t words) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("popcnt")) return common_popcnt(a, b, words);
#endif
    return common_plain(a, b, words);
}

/* Users of the slots of one that the other has. */
static uint32_t probed(const sg_crowd *small, const sg_crowd *large, uint32_t limit) {
    uint32_t both = 0;
    for (size_t at = 0; at < sg_crowd_capacity(small); at++) {
        uint32_t slot = small->slots[at];
        if (slot == 0 || !(large->words ? has_bit(large, slot) : large->slots[locate(large, slot - 1)])) continue;
        if (++both == limit) break;
    }
    return both;
}

uint32_t sg_crowd_both(const sg_crowd *a, const sg_crowd *b, uint32_t limit) {
    const sg_crowd *small = a->live <= b->live ? a : b, *large = small == a ? b : a;
    size_t words = a->words < b->words ? a->words : b->words;
    if (small->live == 0) return 0;
    if (words == 0 || words > sg_crowd_capacity(small)) return probed(small, large, limit);
    uint32_t both = sg_crowd_common(sg_crowd_bitmap(a), sg_crowd_bitmap(b), words);
    return limit && both > limit ? limit : both;
}

void sg_crowd_free(sg_crowd *c) {
    free(c->slots);
    *c = (sg_crowd){0};
}

size_t sg_crowd_nbytes(const sg_crowd *c) {
    return sg_crowd_capacity(c) * 2 * sizeof *c->slots + c->words * sizeof(uint64_t);
}

int sg_crowd_check(const sg_crowd *c, const char **why) {
    size_t live = 0, bits = 0;
    for (size_t at = 0; at < sg_crowd_capacity(c); at++) {
        live += c->slots[at] > 0;
        HOLDS(!c->slots[at] == !sg_crowd_counts(c)[at],
              "sg_crowd I1: a slot is free, and has a count, or the other way round");
    }
    HOLDS(live == c->live && 4 * live <= 3 * sg_crowd_capacity(c) && (live > 0 || c->slots == NULL),
          "sg_crowd I1: a row's live slots are miscounted, or too many or too few for its capacity");
    for (size_t at = 0; at < sg_crowd_capacity(c); at++) {
        uint32_t slot = c->slots[at];
        HOLDS(slot == 0 || locate(c, slot - 1) == at, "sg_crowd I2: a user is not found from its home");
        HOLDS(slot == 0 || c->words == 0 || has_bit(c, slot), "sg_crowd I3: a user of a slot has no bit");
    }
    for (size_t at = 0; at < c->words; at++) bits += (size_t)__builtin_popcountll(sg_crowd_bitmap(c)[at]);
    HOLDS(c->words == 0 || bits == live, "sg_crowd I3: a bit that is no user's");
    return SG_OK;
}
