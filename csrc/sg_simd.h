/* sg_simd -- eight slots of a cache line compared with one id: AVX-512, AVX2 or plain C, chosen at run time.
 *
 *     bucket  [ id+1 | count ] x 8    64 bytes, aligned;  mask bit x speaks of slot x
 *
 * sg_match_LEVEL: which slots hold the id (at most one). sg_free_LEVEL: which are free (the whole slot is 0).
 * All levels give equal results. sg_simd_choose() takes the best that the processor has, or the one that the
 * environment variable SHOPGUIDE_SIMD = scalar | avx2 | avx512 names, where the processor has it. */
#ifndef SG_SIMD_H
#define SG_SIMD_H

#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { SG_BUCKET = 8 }; /* slots */

typedef enum { SG_SCALAR, SG_AVX2, SG_AVX512 } sg_level;

int sg_simd_has(sg_level level);
sg_level sg_simd_choose(void);
const char *sg_simd_name(sg_level level);

static inline unsigned sg_match_scalar(const uint64_t *bucket, uint32_t id1) {
    unsigned mask = 0;
    for (unsigned x = 0; x < SG_BUCKET; x++) mask |= (unsigned)((uint32_t)bucket[x] == id1) << x;
    return mask;
}

static inline unsigned sg_free_scalar(const uint64_t *bucket) { return sg_match_scalar(bucket, 0); }

#if defined(__x86_64__)
__attribute__((target("avx2"))) static inline unsigned sg_match_avx2(const uint64_t *bucket, uint32_t id1) {
    const __m256i key = _mm256_set1_epi64x((int64_t)id1), low = _mm256_set1_epi64x(UINT32_MAX);
    __m256i a = _mm256_and_si256(_mm256_load_si256((const __m256i *)bucket), low);
    __m256i b = _mm256_and_si256(_mm256_load_si256((const __m256i *)bucket + 1), low);
    unsigned first = (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(a, key)));
    return first | (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(b, key))) << 4;
}

__attribute__((target("avx2"))) static inline unsigned sg_free_avx2(const uint64_t *bucket) {
    return sg_match_avx2(bucket, 0);
}

__attribute__((target("avx512f"))) static inline unsigned sg_match_avx512(const uint64_t *bucket, uint32_t id1) {
    __m512i slots = _mm512_load_si512(bucket), low = _mm512_set1_epi64(UINT32_MAX);
    return _mm512_cmpeq_epi64_mask(_mm512_and_si512(slots, low), _mm512_set1_epi64((int64_t)id1));
}

__attribute__((target("avx512f"))) static inline unsigned sg_free_avx512(const uint64_t *bucket) {
    __m512i slots = _mm512_load_si512(bucket);
    return _mm512_testn_epi64_mask(slots, slots);
}
#endif

#endif
