#include "sg_simd.h"

#include <stdlib.h>
#include <string.h>

static const char *const NAMES[] = {"scalar", "avx2", "avx512"};

const char *sg_simd_name(sg_level level) { return NAMES[level]; }

int sg_simd_has(sg_level level) {
#if defined(__x86_64__)
    if (level == SG_AVX512) return __builtin_cpu_supports("avx512f") != 0;
    if (level == SG_AVX2) return __builtin_cpu_supports("avx2") != 0;
#endif
    return level == SG_SCALAR;
}

sg_level sg_simd_choose(void) {
    const char *wanted = getenv("SHOPGUIDE_SIMD");
    for (int level = SG_AVX512; level > SG_SCALAR; level--) {
        if (wanted && strcmp(wanted, NAMES[level]) != 0) continue;
        if (sg_simd_has((sg_level)level)) return (sg_level)level;
    }
    return SG_SCALAR;
}
