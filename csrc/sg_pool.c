#define _GNU_SOURCE
#include "sg_pool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)1 << 21)
#define FIRST_ARENA ((size_t)1 << 16)
#define LAST_ARENA ((size_t)1 << 25)

typedef struct {
    char *at;
    size_t size;
} mapping;

struct sg_pool {
    void *free[SG_POOL_LARGEST + 1]; /* by lg */
    char *open, *end;                /* the rest of the newest arena */
    size_t arena;                    /* size of the next one */
    mapping *mappings;
    size_t mappings_len, mappings_room;
    size_t taken, mapped;
};

sg_pool *sg_pool_new(void) {
    sg_pool *p = calloc(1, sizeof *p);
    if (p) p->arena = FIRST_ARENA;
    return p;
}

void sg_pool_free(sg_pool *p) {
    if (!p) return;
    for (size_t m = 0; m < p->mappings_len; m++) munmap(p->mappings[m].at, p->mappings[m].size);
    free(p->mappings);
    free(p);
}

/* Zeroed memory; from HUGE_PAGE on it is aligned to huge pages and asks for them. */
static char *map(sg_pool *p, size_t size) {
    if (p->mappings_len == p->mappings_room) {
        size_t room = p->mappings_room ? p->mappings_room * 2 : 8;
        mapping *mappings = realloc(p->mappings, room * sizeof *mappings);
        if (!mappings) return NULL;
        p->mappings = mappings;
        p->mappings_room = room;
    }
    size_t slack = size >= HUGE_PAGE ? HUGE_PAGE : 0;
    char *at = mmap(NULL, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return NULL;
    if (slack) {
        size_t head = (HUGE_PAGE - (uintptr_t)at % HUGE_PAGE) % HUGE_PAGE;
        if (head) munmap(at, head);
        at += head;
        if (slack - head) munmap(at + size, slack - head);
        madvise(at, size, MADV_HUGEPAGE);
    }
    p->mappings[p->mappings_len++] = (mapping){at, size};
    p->mapped += size;
    return at;
}

static void unmap(sg_pool *p, char *at) {
    size_t m = 0;
    while (p->mappings[m].at != at) m++;
    munmap(at, p->mappings[m].size);
    p->mapped -= p->mappings[m].size;
    p->mappings[m] = p->mappings[--p->mappings_len];
}

static void put(sg_pool *p, void *block, unsigned lg) {
    *(void **)block = p->free[lg];
    p->free[lg] = block;
}

/* A new arena; the rest of the old one is cut into the free lists. */
static int open_arena(sg_pool *p, size_t least) {
    size_t size = p->arena;
    while (size < least) size *= 2;
    char *at = map(p, size);
    if (!at) return SG_ERR_NOMEM;
    while (p->end - p->open >= 1 << SG_POOL_SMALLEST) {
        unsigned lg = 63 - (unsigned)__builtin_clzll((unsigned long long)(p->end - p->open));
        put(p, p->open, lg);
        p->open += (size_t)1 << lg;
    }
    p->open = at;
    p->end = at + size;
    p->arena = size < LAST_ARENA ? size * 2 : LAST_ARENA;
    return SG_OK;
}

void *sg_pool_take(sg_pool *p, unsigned lg) {
    if (lg > SG_POOL_LARGEST) return NULL;
    if (lg < SG_POOL_SMALLEST) lg = SG_POOL_SMALLEST;
    size_t size = (size_t)1 << lg;
    char *block = p->free[lg];
    if (block) {
        p->free[lg] = *(void **)block;
        memset(block, 0, size);
    } else if (size >= HUGE_PAGE) {
        block = map(p, size);
        if (!block) return NULL;
    } else {
        if ((size_t)(p->end - p->open) < size && open_arena(p, size)) return NULL;
        block = p->open;
        p->open += size;
    }
    p->taken += size;
    return block;
}

void sg_pool_give(sg_pool *p, void *block, unsigned lg) {
    if (!block) return;
    if (lg < SG_POOL_SMALLEST) lg = SG_POOL_SMALLEST;
    size_t size = (size_t)1 << lg;
    p->taken -= size;
    if (size >= HUGE_PAGE) unmap(p, block);
    else put(p, block, lg);
}

size_t sg_pool_taken(const sg_pool *p) { return p->taken; }

size_t sg_pool_mapped(const sg_pool *p) { return p->mapped; }

static int is_mapped(const sg_pool *p, const char *block, size_t size) {
    for (size_t m = 0; m < p->mappings_len; m++) {
        const mapping *in = &p->mappings[m];
        if (block >= in->at && block + size <= in->at + in->size) return 1;
    }
    return 0;
}

int sg_pool_check(const sg_pool *p, const char **why) {
    size_t free_bytes = 0;
    int inside = 1;
    for (unsigned lg = SG_POOL_SMALLEST; lg <= SG_POOL_LARGEST; lg++) {
        for (void *block = p->free[lg]; block; block = *(void **)block) {
            free_bytes += (size_t)1 << lg;
            inside &= is_mapped(p, block, (size_t)1 << lg);
        }
    }
    *why = "sg_pool I1: taken, free and open bytes are not the mapped ones";
    if (p->taken + free_bytes + (size_t)(p->end - p->open) != p->mapped) return SG_ERR_VALUE;
    *why = "sg_pool I2: a free block lies outside of every mapping";
    if (!inside) return SG_ERR_VALUE;
    *why = NULL;
    return SG_OK;
}
