/* sg_simd: every level finds the same slots. */
#define _DEFAULT_SOURCE
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "sg_simd.h"

static void test_levels_agree(void) {
    _Alignas(64) uint64_t bucket[SG_BUCKET];
    for (int step = 0; step < 20000; step++) {
        for (unsigned x = 0; x < SG_BUCKET; x++)
            bucket[x] = below(3) ? (uint64_t)rand() << 33 | (uint64_t)below(2) << 32 | (1 + x * 7 + below(7)) : 0;
        uint32_t id1 = 1 + below(60);
        unsigned match = 0, free = 0;
        for (unsigned x = 0; x < SG_BUCKET; x++) {
            match |= (unsigned)((uint32_t)bucket[x] == id1) << x;
            free |= (unsigned)(bucket[x] == 0) << x;
        }
        CHECK(sg_match_scalar(bucket, id1) == match && sg_free_scalar(bucket) == free);
#if defined(__x86_64__)
        if (sg_simd_has(SG_AVX2)) CHECK(sg_match_avx2(bucket, id1) == match && sg_free_avx2(bucket) == free);
        if (sg_simd_has(SG_AVX512)) CHECK(sg_match_avx512(bucket, id1) == match && sg_free_avx512(bucket) == free);
#endif
    }
}

static void test_the_environment_chooses(void) {
    sg_level best = sg_simd_choose();
    CHECK(sg_simd_has(best) && sg_simd_has(SG_SCALAR));
    for (int level = SG_SCALAR; level <= SG_AVX512; level++) {
        setenv("SHOPGUIDE_SIMD", sg_simd_name((sg_level)level), 1);
        CHECK(sg_simd_choose() == (sg_simd_has((sg_level)level) ? (sg_level)level : SG_SCALAR));
    }
}

int main(void) {
    test_levels_agree();
    test_the_environment_chooses();
    return 0;
}
