#include "sg_learn.h"

#include <math.h>

double sg_learn_weight(const sg_items *m, double time) {
    if (m->half_life == 0) return 1;
    double lives = fmin(fmax((time - m->origin) / m->half_life, -0x1p52), 0x1p52);
    double whole = floor(lives);
    return ldexp(exp2(lives - whole), (int)fmin(fmax(whole - m->shift, -2000), 1000));
}

int sg_learn_make_room(sg_items *m, uint32_t i) {
    sg_row *row = &m->pairs.rows[i];
    int at_the_cap = row->slots && row->lg == m->pairs.cap_lg;
    return at_the_cap ? sg_topk_thin(&m->topk, &m->pairs, i) : sg_pairs_widen(&m->pairs, row);
}

void sg_learn_sub(sg_items *m, uint32_t i, uint32_t j, double weight) {
    sg_pairs_lower(&m->pairs, i, j, weight);
    sg_pairs_lower(&m->pairs, j, i, weight);
}

void sg_learn_undo(sg_items *m, uint32_t i, const uint32_t *others, size_t pushed, double weight) {
    sg_queue *q = &m->queue;
    size_t queued = pushed < q->len ? pushed : q->len;
    q->len -= (uint32_t)queued;
    for (size_t x = 0; x < pushed - queued; x++) sg_learn_sub(m, i, others[x], weight);
    sg_topk_fell(&m->topk, i, m->pairs.norm[i]);
    sg_pairs_lower_norm(&m->pairs, i, weight);
}

#define LEVEL scalar
#define TARGET
#include "sg_learn_kernel.h"

#if defined(__x86_64__)
#define LEVEL avx2
#define TARGET __attribute__((target("avx2")))
#include "sg_learn_kernel.h"

#define LEVEL avx512
#define TARGET __attribute__((target("avx512f")))
#include "sg_learn_kernel.h"
#endif

const sg_learn *sg_learn_of(sg_level level) {
#if defined(__x86_64__)
    if (level == SG_AVX512) return &LEARN_avx512;
    if (level == SG_AVX2) return &LEARN_avx2;
#endif
    (void)level;
    return &LEARN_scalar;
}
