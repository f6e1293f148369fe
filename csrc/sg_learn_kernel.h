/* The body of sg_learn.c, included once a level: LEVEL is the suffix, TARGET the attribute. No include guard. */

#define JOIN_(a, b) a##_##b
#define JOIN(a, b) JOIN_(a, b)
#define FN(name) JOIN(name, LEVEL)
#define INLINE TARGET static inline __attribute__((always_inline))

/* The entry of `other`, one support and `weight` more. The row is not full. */
INLINE uint64_t *FN(raise)(sg_pairs *p, sg_row *row, uint32_t other, double weight, const int decays) {
    uint32_t mask = ((uint32_t)1 << row->lg) - 1, at = sg_home(other, row->lg);
    uint64_t *slot;
    for (;; at = (at + SG_BUCKET) & mask) {
        unsigned found = FN(sg_match)(row->slots + at, other + 1);
        if (__builtin_expect(found != 0, 1)) {
            slot = row->slots + at + __builtin_ctz(found);
            *slot += SG_ONE;
            break;
        }
        found = FN(sg_free)(row->slots + at);
        if (found) {
            slot = row->slots + at + __builtin_ctz(found);
            *slot = SG_ONE | (other + 1);
            row->live++;
            p->entries++;
            break;
        }
    }
    if (decays) sg_row_weights(row)[slot - row->slots] += weight;
    return slot;
}

INLINE int FN(add)(sg_items *m, uint32_t i, uint32_t j, double weight, const int decays) {
    sg_pairs *p = &m->pairs;
    sg_row *row_i = &p->rows[i], *row_j = &p->rows[j];
    if (__builtin_expect(sg_row_is_full(row_i), 0) && sg_learn_make_room(m, i)) return SG_ERR_NOMEM;
    if (__builtin_expect(sg_row_is_full(row_j), 0) && sg_learn_make_room(m, j)) return SG_ERR_NOMEM;
    uint64_t *slot_i = FN(raise)(p, row_i, j, weight, decays);
    if (__builtin_expect(p->cap_lg == 0, 1)) {
        sg_topk_touch(&m->topk, p, i, slot_i);
        sg_topk_touch(&m->topk, p, j, FN(raise)(p, row_j, i, weight, decays));
        return SG_OK;
    }
    uint64_t *slot_j = FN(raise)(p, row_j, i, weight, decays);
    sg_pairs_agree(p, row_i, slot_i, row_j, slot_j);
    sg_topk_touch(&m->topk, p, i, slot_i);
    sg_topk_touch(&m->topk, p, j, slot_j);
    return SG_OK;
}

INLINE int FN(pop)(sg_items *m, const int decays) {
    sg_queue *q = &m->queue;
    uint64_t pair = q->pairs[q->head];
    int rc = FN(add)(m, (uint32_t)(pair >> 32), (uint32_t)pair, decays ? q->weights[q->head] : 1, decays);
    if (rc) return rc;
    q->head = (q->head + 1) % SG_QUEUE;
    q->len--;
    return SG_OK;
}

INLINE int FN(push)(sg_items *m, uint32_t i, uint32_t j, double weight, const int decays) {
    sg_queue *q = &m->queue;
    const sg_row *row_i = &m->pairs.rows[i], *row_j = &m->pairs.rows[j];
    uint32_t at_i = sg_home(j, row_i->lg), at_j = sg_home(i, row_j->lg);
    __builtin_prefetch(row_i->slots + at_i, 1);
    __builtin_prefetch(row_j->slots + at_j, 1);
    if (decays) {
        __builtin_prefetch(sg_row_weights(row_i) + at_i, 1);
        __builtin_prefetch(sg_row_weights(row_j) + at_j, 1);
    }
    if (q->len == SG_QUEUE) {
        int rc = FN(pop)(m, decays);
        if (rc) return rc;
    }
    uint32_t at = (q->head + q->len++) % SG_QUEUE;
    q->pairs[at] = (uint64_t)i << 32 | j;
    if (decays) q->weights[at] = weight;
    return SG_OK;
}

INLINE int FN(event)(sg_items *m, uint32_t unit, uint32_t item, double time, const int decays) {
    sg_history *h = &m->ledger.history;
    sg_unit *u = &h->units[unit];
    uint32_t n = sg_unit_window(u, h->window), repeats = 0;
    if (__builtin_expect(h->expires, 0) && sg_history_note(h, unit, time)) return SG_ERR_NOMEM;
    const uint32_t *others = u->items + (u->kept_len - n);
    for (uint32_t x = 0; x < n; x++) repeats |= others[x] == item;
    if (repeats) return sg_history_skip(h, u, item, time);
    if (m->pairs.support[item] >= SG_SUPPORT_MAX) return SG_ERR_RANGE;
    if (u->kept_len >= sg_unit_room(u->lg)) {
        int rc = sg_history_reserve(h, u, (size_t)u->kept_len + 1);
        if (rc) return rc;
        others = u->items + (u->kept_len - n);
    }
    double weight = decays ? sg_learn_weight(m, time) : 1;
    sg_pairs_raise_norm(&m->pairs, item, weight);
    for (uint32_t x = 0; x < n; x++) {
        int rc = FN(push)(m, item, others[x], weight, decays);
        if (rc) {
            sg_learn_undo(m, item, others, x, weight);
            return rc;
        }
    }
    sg_history_keep_unchecked(h, u, item, time);
    return SG_OK;
}

/* The unit of an event that comes soon: its header, then what the header leads to. */
INLINE void FN(fetch)(const sg_items *m, const uint32_t *units, size_t e, size_t n) {
    if (e + 16 < n) __builtin_prefetch(&m->ledger.history.units[units[e + 16]], 1);
    if (e + 6 >= n) return;
    const sg_unit *u = &m->ledger.history.units[units[e + 6]];
    if (!u->lg) return;
    const char *begin = (const char *)(u->items + (u->kept_len - sg_unit_window(u, m->ledger.history.window)));
    const char *end = (const char *)(u->items + u->kept_len);
    for (; begin < end; begin += 64) __builtin_prefetch(begin, 1);
    __builtin_prefetch(sg_unit_times(u) + u->kept_len, 1);
}

INLINE int FN(run)(sg_items *m, const uint32_t *units, const uint32_t *items, const double *times, size_t n,
                   const int decays) {
    for (size_t e = 0; e < n; e++) {
        FN(fetch)(m, units, e, n);
        int rc = FN(event)(m, units[e], items[e], times[e], decays);
        if (rc) return rc;
    }
    return SG_OK;
}

TARGET static int FN(observe)(sg_items *m, const uint32_t *units, const uint32_t *items, const double *times,
                              size_t n) {
    return m->pairs.decays ? FN(run)(m, units, items, times, n, 1) : FN(run)(m, units, items, times, n, 0);
}

TARGET static int FN(drain)(sg_items *m) {
    while (m->queue.len) {
        int rc = m->pairs.decays ? FN(pop)(m, 1) : FN(pop)(m, 0);
        if (rc) return rc;
    }
    return SG_OK;
}

TARGET static int FN(add_now)(sg_items *m, uint32_t i, uint32_t j, double weight) {
    return FN(add)(m, i, j, weight, m->pairs.decays);
}

static const sg_learn FN(LEARN) = {FN(observe), FN(drain), FN(add_now)};

#undef JOIN_
#undef JOIN
#undef FN
#undef INLINE
#undef LEVEL
#undef TARGET
