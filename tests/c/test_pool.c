/* sg_pool: blocks are zeroed, aligned, apart from each other, and come back. */
#include <string.h>

#include "check.h"
#include "sg_pool.h"

enum { BLOCKS = 300 };

typedef struct {
    unsigned char *at;
    unsigned lg;
    unsigned char mark;
} block;

static int filled(const unsigned char *at, size_t n, unsigned char with) {
    for (size_t x = 0; x < n; x++)
        if (at[x] != with) return 0;
    return 1;
}

static void test_random_blocks(void) {
    static block blocks[BLOCKS];
    sg_pool *pool = sg_pool_new();
    size_t taken = 0;
    for (int step = 0; step < 4000; step++) {
        block *b = &blocks[below(BLOCKS)];
        size_t size = (size_t)1 << b->lg;
        if (b->at) {
            CHECK(filled(b->at, size, b->mark));
            sg_pool_give(pool, b->at, b->lg);
            taken -= size;
            b->at = NULL;
        } else {
            b->lg = step % 200 == 0 ? 21 + below(2) : SG_POOL_SMALLEST + below(9);
            size = (size_t)1 << b->lg;
            b->at = sg_pool_take(pool, b->lg);
            CHECK(b->at && (uintptr_t)b->at % 64 == 0 && filled(b->at, size, 0));
            b->mark = (unsigned char)(1 + below(255));
            memset(b->at, b->mark, size);
            taken += size;
        }
        CHECK(sg_pool_taken(pool) == taken);
        if (step % 100 == 0) SOUND(sg_pool, pool);
    }
    sg_pool_free(pool);
}

static void test_what_is_given_back_is_used_again(void) {
    sg_pool *pool = sg_pool_new();
    void *first = sg_pool_take(pool, 12);
    sg_pool_give(pool, first, 12);
    CHECK(sg_pool_take(pool, 12) == first);
    size_t mapped = sg_pool_mapped(pool);
    void *large = sg_pool_take(pool, 22);
    CHECK((uintptr_t)large % ((size_t)1 << 21) == 0);
    sg_pool_give(pool, large, 22);
    CHECK(sg_pool_mapped(pool) == mapped);
    CHECK(!sg_pool_take(pool, SG_POOL_LARGEST + 1));
    sg_pool_free(pool);
}

static void test_out_of_memory_changes_nothing(void) {
    sg_pool *pool = sg_pool_new();
    for (unsigned lg = 6; lg < 23; lg += 8) {
        fail_after = 0;
        CHECK(!sg_pool_take(pool, lg));
        fail_after = -1;
        SOUND(sg_pool, pool);
        CHECK(sg_pool_taken(pool) == 0 && sg_pool_mapped(pool) == 0);
    }
    sg_pool_free(pool);
}

int main(void) {
    test_random_blocks();
    test_what_is_given_back_is_used_again();
    test_out_of_memory_changes_nothing();
    return 0;
}
