/* In place of sg_pool.c, for all targets but sg_pool's: each block is an allocation of its own, so that ASan knows
 * where it ends and when it is given back. */
#include <stdlib.h>
#include <string.h>

#include "../c/check.h"
#include "sg_pool.h"

typedef struct {
    void *at;
    size_t size;
} block;

struct sg_pool {
    block *blocks;
    size_t len, room, taken;
};

static size_t size_of(unsigned lg) { return (size_t)1 << (lg < SG_POOL_SMALLEST ? SG_POOL_SMALLEST : lg); }

sg_pool *sg_pool_new(void) { return calloc(1, sizeof(sg_pool)); }

void sg_pool_free(sg_pool *p) {
    if (!p) return;
    for (size_t b = 0; b < p->len; b++) free(p->blocks[b].at);
    free(p->blocks);
    free(p);
}

void *sg_pool_take(sg_pool *p, unsigned lg) {
    if (lg > SG_POOL_LARGEST) return NULL;
    if (p->len == p->room) {
        block *blocks = realloc(p->blocks, (p->room * 2 + 64) * sizeof *blocks);
        if (!blocks) return NULL;
        p->blocks = blocks;
        p->room = p->room * 2 + 64;
    }
    void *at = aligned_alloc(64, size_of(lg));
    if (!at) return NULL;
    p->blocks[p->len++] = (block){memset(at, 0, size_of(lg)), size_of(lg)};
    p->taken += size_of(lg);
    return at;
}

void sg_pool_give(sg_pool *p, void *at, unsigned lg) {
    size_t b = p->len;
    if (!at) return;
    while (b > 0 && p->blocks[b - 1].at != at) b--;
    CHECK(b > 0 && p->blocks[b - 1].size == size_of(lg));
    p->taken -= size_of(lg);
    p->blocks[b - 1] = p->blocks[--p->len];
    free(at);
}

size_t sg_pool_taken(const sg_pool *p) { return p->taken; }

size_t sg_pool_mapped(const sg_pool *p) { return p->taken; }

int sg_pool_check(const sg_pool *p, const char **why) {
    (void)p;
    *why = NULL;
    return SG_OK;
}
