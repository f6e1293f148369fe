/* sg_pool: blocks are zeroed, aligned and apart from each other, whatever is given back between. */
#include "fuzz.h"
#include "sg_pool.h"

enum { BLOCKS = 64, LARGE = 21 };

static struct {
    unsigned char *at, mark;
    unsigned lg;
} blocks[BLOCKS];

static size_t taken;
static unsigned spare[SG_POOL_LARGEST + 1]; /* blocks given back and not taken again, by lg */

static size_t size_of(unsigned lg) { return (size_t)1 << (lg < SG_POOL_SMALLEST ? SG_POOL_SMALLEST : lg); }

/* Both ends of a block, so that large ones are not read as a whole. */
static int is_filled(const unsigned char *at, size_t size, unsigned char with) {
    for (size_t x = 0; x < 64; x++)
        if (at[x] != with || at[size - 1 - x] != with) return 0;
    return 1;
}

static void take(sg_pool *pool, unsigned b, unsigned lg) {
    size_t mapped = sg_pool_mapped(pool), size = size_of(lg);
    arm();
    unsigned char *at = sg_pool_take(pool, lg);
    if (disarm(at ? SG_OK : SG_ERR_NOMEM)) {
        CHECK(sg_pool_mapped(pool) == mapped);
        return;
    }
    CHECK((uintptr_t)at % 64 == 0 && is_filled(at, size, 0));
    if (lg >= LARGE) CHECK((uintptr_t)at % ((size_t)1 << LARGE) == 0);
    if (spare[lg]) {
        CHECK(sg_pool_mapped(pool) == mapped);
        spare[lg]--;
    }
    taken += size;
    blocks[b].at = at;
    blocks[b].lg = lg;
    blocks[b].mark = (unsigned char)(b + 1);
    memset(at, blocks[b].mark, 64);
    memset(at + size - 64, blocks[b].mark, 64);
}

static void give(sg_pool *pool, unsigned b) {
    unsigned lg = blocks[b].lg;
    size_t mapped = sg_pool_mapped(pool), size = size_of(lg);
    sg_pool_give(pool, blocks[b].at, lg);
    CHECK(sg_pool_mapped(pool) == mapped - (lg >= LARGE ? size : 0));
    spare[lg] += lg < LARGE;
    taken -= size;
    blocks[b].at = NULL;
}

static void step(sg_pool *pool) {
    unsigned b = pick(BLOCKS), lg = pick(64);
    if (blocks[b].at) give(pool, b);
    else if (lg == 63) CHECK(sg_pool_take(pool, SG_POOL_LARGEST + 1) == NULL);
    else take(pool, b, lg > 60 ? LARGE + lg - 61 : SG_POOL_SMALLEST + lg % 14);
    for (b = 0; b < BLOCKS; b++) CHECK(!blocks[b].at || is_filled(blocks[b].at, size_of(blocks[b].lg), blocks[b].mark));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    begin(data, size);
    memset(blocks, 0, sizeof blocks);
    memset(spare, 0, sizeof spare);
    taken = 0;
    arm();
    sg_pool *pool = sg_pool_new();
    if (disarm(pool ? SG_OK : SG_ERR_NOMEM)) return 0;
    sg_pool_give(pool, NULL, 9);
    while (more()) {
        step(pool);
        SOUND(sg_pool, pool);
        CHECK(sg_pool_taken(pool) == taken && sg_pool_mapped(pool) >= taken);
    }
    sg_pool_free(pool);
    return 0;
}
