#include "sg_table.h"

#include <stdlib.h>
#include <string.h>

#include "sg_status.h"

struct sg_table {
    uint32_t *slots; /* id + 1; 0 is free */
    uint64_t *keys;
    size_t capacity; /* slots */
    size_t room;     /* keys */
    uint32_t live;
};

enum { SMALLEST = 8 };

sg_table *sg_table_new(void) {
    sg_table *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    t->slots = calloc(SMALLEST, sizeof *t->slots);
    t->keys = malloc(SMALLEST * sizeof *t->keys);
    if (!t->slots || !t->keys) {
        sg_table_free(t);
        return NULL;
    }
    t->capacity = t->room = SMALLEST;
    return t;
}

void sg_table_free(sg_table *t) {
    if (!t) return;
    free(t->slots);
    free(t->keys);
    free(t);
}

/* The slot that holds the key, or the free one where it belongs. */
static size_t locate(const sg_table *t, uint64_t key) {
    size_t at = sg_mix64(key) & (t->capacity - 1);
    while (t->slots[at] && t->keys[t->slots[at] - 1] != key) at = (at + 1) & (t->capacity - 1);
    return at;
}

static int grow_slots(sg_table *t) {
    size_t capacity = t->capacity * 2;
    uint32_t *slots = calloc(capacity, sizeof *slots);
    if (!slots) return SG_ERR_NOMEM;
    for (uint32_t id = 0; id < t->live; id++) {
        size_t at = sg_mix64(t->keys[id]) & (capacity - 1);
        while (slots[at]) at = (at + 1) & (capacity - 1);
        slots[at] = id + 1;
    }
    free(t->slots);
    t->slots = slots;
    t->capacity = capacity;
    return SG_OK;
}

static int grow_keys(sg_table *t) {
    uint64_t *keys = realloc(t->keys, t->room * 2 * sizeof *keys);
    if (!keys) return SG_ERR_NOMEM;
    t->keys = keys;
    t->room *= 2;
    return SG_OK;
}

int sg_table_index(sg_table *t, uint64_t key, uint32_t *id, int *fresh) {
    size_t at = locate(t, key);
    if (fresh) *fresh = !t->slots[at];
    if (t->slots[at]) {
        *id = t->slots[at] - 1;
        return SG_OK;
    }
    if (t->live >= SG_TABLE_NONE - 1) return SG_ERR_RANGE;
    if (t->live == t->room && grow_keys(t)) return SG_ERR_NOMEM;
    if (8 * ((size_t)t->live + 1) > 7 * t->capacity) {
        if (grow_slots(t)) return SG_ERR_NOMEM;
        at = locate(t, key);
    }
    t->keys[t->live] = key;
    *id = t->live++;
    t->slots[at] = t->live;
    return SG_OK;
}

uint32_t sg_table_find(const sg_table *t, uint64_t key) {
    uint32_t slot = t->slots[locate(t, key)];
    return slot ? slot - 1 : SG_TABLE_NONE;
}

void sg_table_prefetch(const sg_table *t, uint64_t key) {
    __builtin_prefetch(t->slots + (sg_mix64(key) & (t->capacity - 1)));
}

uint32_t sg_table_live(const sg_table *t) { return t->live; }

const uint64_t *sg_table_keys(const sg_table *t) { return t->keys; }

size_t sg_table_nbytes(const sg_table *t) {
    return sizeof *t + t->capacity * sizeof *t->slots + t->room * sizeof *t->keys;
}

int sg_table_check(const sg_table *t, const char **why) {
    *why = "sg_table I1: capacity is no power of two, or too full";
    if (t->capacity & (t->capacity - 1) || 8 * (size_t)t->live > 7 * t->capacity) return SG_ERR_VALUE;
    *why = "sg_table I2: taken slots are not the live ids";
    size_t taken = 0;
    for (size_t at = 0; at < t->capacity; at++) {
        taken += t->slots[at] != 0;
        if (t->slots[at] > t->live) return SG_ERR_VALUE;
    }
    if (taken != t->live) return SG_ERR_VALUE;
    *why = "sg_table I3: a key is not found under its id";
    for (uint32_t id = 0; id < t->live; id++)
        if (sg_table_find(t, t->keys[id]) != id) return SG_ERR_VALUE;
    *why = NULL;
    return SG_OK;
}
