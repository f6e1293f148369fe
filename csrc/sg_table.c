#include "sg_table.h"

#include <stdlib.h>
#include <string.h>

#include "sg_status.h"

struct sg_table {
    uint32_t *slots; /* id + 1; 0 is free */
    uint64_t *keys;
    size_t capacity; /* slots */
    size_t room;     /* keys */
    uint32_t live, used;
    uint32_t free; /* the first free id, or SG_TABLE_NONE */
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
    t->free = SG_TABLE_NONE;
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
    for (size_t from = 0; from < t->capacity; from++) {
        if (!t->slots[from]) continue;
        size_t at = sg_mix64(t->keys[t->slots[from] - 1]) & (capacity - 1);
        while (slots[at]) at = (at + 1) & (capacity - 1);
        slots[at] = t->slots[from];
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
    if (t->free == SG_TABLE_NONE && t->used == t->room && grow_keys(t)) return SG_ERR_NOMEM;
    if (8 * ((size_t)t->live + 1) > 5 * t->capacity) {
        if (grow_slots(t)) return SG_ERR_NOMEM;
        at = locate(t, key);
    }
    *id = t->free == SG_TABLE_NONE ? t->used++ : t->free;
    if (*id == t->free) t->free = (uint32_t)t->keys[*id];
    t->keys[*id] = key;
    t->slots[at] = *id + 1;
    t->live++;
    return SG_OK;
}

uint32_t sg_table_remove(sg_table *t, uint64_t key) {
    size_t mask = t->capacity - 1, hole = locate(t, key);
    if (!t->slots[hole]) return SG_TABLE_NONE;
    uint32_t id = t->slots[hole] - 1;
    for (size_t at = (hole + 1) & mask; t->slots[at]; at = (at + 1) & mask) {
        size_t home = sg_mix64(t->keys[t->slots[at] - 1]) & mask;
        if (((at - home) & mask) < ((at - hole) & mask)) continue; /* it would stand before its home */
        t->slots[hole] = t->slots[at];
        hole = at;
    }
    t->slots[hole] = 0;
    t->keys[id] = t->free;
    t->free = id;
    t->live--;
    return id;
}

uint32_t sg_table_find(const sg_table *t, uint64_t key) {
    uint32_t slot = t->slots[locate(t, key)];
    return slot ? slot - 1 : SG_TABLE_NONE;
}

/* Or the compiler takes a function that only prefetches for one without effect. */
#define HAS_EFFECT() __asm__ volatile("" ::: "memory")

void sg_table_prefetch(const sg_table *t, uint64_t key) {
    __builtin_prefetch(t->slots + (sg_mix64(key) & (t->capacity - 1)));
    HAS_EFFECT();
}

void sg_table_prefetch_key(const sg_table *t, uint64_t key) {
    uint32_t slot = t->slots[sg_mix64(key) & (t->capacity - 1)];
    if (slot) __builtin_prefetch(t->keys + (slot - 1));
    HAS_EFFECT();
}

uint32_t sg_table_live(const sg_table *t) { return t->live; }

uint32_t sg_table_used(const sg_table *t) { return t->used; }

const uint64_t *sg_table_keys(const sg_table *t) { return t->keys; }

size_t sg_table_nbytes(const sg_table *t) {
    return sizeof *t + t->capacity * sizeof *t->slots + t->room * sizeof *t->keys;
}

int sg_table_check(const sg_table *t, const char **why) {
    *why = "sg_table I1: capacity is no power of two, or too full";
    if (t->capacity & (t->capacity - 1) || 8 * (size_t)t->live > 5 * t->capacity) return SG_ERR_VALUE;
    *why = "sg_table I2: taken slots are not the live ids, or a key is not found under its id";
    size_t taken = 0;
    for (size_t at = 0; at < t->capacity; at++) {
        if (!t->slots[at]) continue;
        if (t->slots[at] > t->used || locate(t, t->keys[t->slots[at] - 1]) != at) return SG_ERR_VALUE;
        taken++;
    }
    if (taken != t->live) return SG_ERR_VALUE;
    *why = "sg_table I3: the free ids are not those that no key has";
    size_t free_ids = 0;
    for (uint32_t id = t->free; id != SG_TABLE_NONE; id = (uint32_t)t->keys[id])
        if (id >= t->used || ++free_ids > t->used) return SG_ERR_VALUE;
    if (free_ids + t->live != t->used) return SG_ERR_VALUE;
    *why = NULL;
    return SG_OK;
}
