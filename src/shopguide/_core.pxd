# Declarations of the C core, one block a header. The headers in csrc/ are the documentation.

from libc.stdint cimport SIZE_MAX, int16_t, int32_t, int64_t, int8_t, uint8_t, uint32_t, uint64_t
from libc.math cimport INFINITY, fabs, floor, isfinite
from libc.stdlib cimport free, malloc, qsort, realloc

cdef extern from "sg_status.h":
    int SG_OK, SG_ERR_NOMEM, SG_ERR_RANGE, SG_ERR_VALUE
    const char *sg_strerror(int rc) noexcept nogil

cdef extern from "sg_table.h":
    ctypedef struct sg_table:
        pass
    uint32_t SG_TABLE_NONE
    sg_table *sg_table_new() noexcept nogil
    void sg_table_free(sg_table *t) noexcept nogil
    int sg_table_index(sg_table *t, uint64_t key, uint32_t *id, int *fresh) noexcept nogil
    uint32_t sg_table_find(const sg_table *t, uint64_t key) noexcept nogil
    uint32_t sg_table_live(const sg_table *t) noexcept nogil
    uint32_t sg_table_used(const sg_table *t) noexcept nogil
    uint32_t sg_table_remove(sg_table *t, uint64_t key) noexcept nogil
    const uint64_t *sg_table_keys(const sg_table *t) noexcept nogil
    size_t sg_table_nbytes(const sg_table *t) noexcept nogil
    int sg_table_check(const sg_table *t, const char **why) noexcept nogil

cdef extern from "sg_recent.h":
    ctypedef struct sg_recent:
        pass
    sg_recent *sg_recent_new(double half_life) noexcept nogil
    void sg_recent_free(sg_recent *r) noexcept nogil
    int sg_recent_observe(sg_recent *r, const uint64_t *items, const double *times, const double *weights,
                          size_t n) noexcept nogil
    int sg_recent_retract(sg_recent *r, const uint64_t *items, const double *times, const double *weights, size_t n,
                          size_t *found) noexcept nogil
    int sg_recent_categorise(sg_recent *r, const uint64_t *items, const uint64_t *categories, size_t n) noexcept nogil
    void sg_recent_categories(const sg_recent *r, const uint64_t *items, size_t n, uint64_t *categories) noexcept nogil
    int sg_recent_weights(const sg_recent *r, const uint64_t *items, size_t n, double now,
                          double *weights) noexcept nogil
    int sg_recent_top(const sg_recent *r, size_t n, uint64_t category, double now, uint64_t *items, double *weights,
                      size_t *got) noexcept nogil
    size_t sg_recent_live(const sg_recent *r) noexcept nogil
    size_t sg_recent_size(const sg_recent *r) noexcept nogil
    void sg_recent_dump(const sg_recent *r, uint64_t *items, uint32_t *counts, double *weights, uint64_t *categories,
                        int64_t *landmark) noexcept nogil
    int sg_recent_load(sg_recent *r, const uint64_t *items, const uint32_t *counts, const double *weights,
                       const uint64_t *categories, size_t n, int64_t landmark) noexcept nogil
    size_t sg_recent_nbytes(const sg_recent *r) noexcept nogil
    int sg_recent_check(const sg_recent *r, const char **why) noexcept nogil

cdef extern from "sg_users.h":
    ctypedef struct sg_event:
        uint64_t item
        double time
        uint64_t session
        uint8_t kind
        uint32_t context
    ctypedef struct sg_move:
        pass
    ctypedef struct sg_users:
        pass
    sg_users *sg_users_new(double gap) noexcept nogil
    void sg_users_free(sg_users *u) noexcept nogil
    int sg_users_observe(sg_users *u, const uint64_t *users, const uint64_t *items, const double *times,
                         const uint64_t *sessions, const uint8_t *kinds, const int64_t *offsets,
                         const uint64_t *events, const uint32_t *contexts, size_t n,
                         uint64_t *resolved) noexcept nogil
    const sg_event *sg_users_events(const sg_users *u, uint64_t user, size_t *n) noexcept nogil
    int64_t sg_users_newest(const sg_users *u, uint64_t user, uint64_t item, uint32_t kind_mask) noexcept nogil
    int64_t sg_users_find(const sg_users *u, uint64_t user, uint64_t event) noexcept nogil
    int sg_users_remove(sg_users *u, uint64_t user, size_t index) noexcept nogil
    int sg_users_expire(sg_users *u, const uint64_t *users, size_t n, int64_t before, double since, int by_session,
                        const sg_move **moves, size_t *told) noexcept nogil
    size_t sg_users_drop(sg_users *u, uint64_t user) noexcept nogil
    size_t sg_users_count(const sg_users *u) noexcept nogil
    size_t sg_users_total(const sg_users *u) noexcept nogil
    void sg_users_list(const sg_users *u, uint64_t *keys, uint64_t *starts) noexcept nogil
    size_t sg_users_nbytes(const sg_users *u) noexcept nogil
    int sg_users_check(const sg_users *u, const char **why) noexcept nogil

cdef extern from "sg_audience.h":
    ctypedef struct sg_audience:
        pass
    sg_audience *sg_audience_new() noexcept nogil
    void sg_audience_free(sg_audience *a) noexcept nogil
    int sg_audience_add(sg_audience *a, const uint64_t *items, const uint64_t *users, const uint32_t *counts,
                        size_t n) noexcept nogil
    size_t sg_audience_sub(sg_audience *a, const uint64_t *items, const uint64_t *users, size_t n) noexcept nogil
    void sg_audience_count(const sg_audience *a, const uint64_t *items, size_t n, uint32_t *counts) noexcept nogil
    void sg_audience_shared(const sg_audience *a, uint64_t item, const uint64_t *others, size_t n, uint32_t limit,
                            uint32_t *shared) noexcept nogil
    void sg_audience_behind(const sg_audience *a, const uint64_t *items, size_t n, const uint32_t *starts,
                            const uint64_t *causes, const double *amounts, unsigned most, uint32_t *shared) noexcept nogil
    size_t sg_audience_pairs(const sg_audience *a) noexcept nogil
    void sg_audience_dump(const sg_audience *a, uint64_t *items, uint64_t *users, uint32_t *counts) noexcept nogil
    size_t sg_audience_nbytes(const sg_audience *a) noexcept nogil
    int sg_audience_check(const sg_audience *a, const char **why) noexcept nogil

cdef extern from "sg_simd.h":
    ctypedef enum sg_level:
        SG_SCALAR, SG_AVX2, SG_AVX512
    int sg_simd_has(sg_level level) noexcept nogil
    sg_level sg_simd_choose() noexcept nogil
    const char *sg_simd_name(sg_level level) noexcept nogil

cdef extern from "sg_history.h":
    ctypedef struct sg_history:
        uint64_t events, kept_events
        uint32_t window

cdef extern from "sg_ledger.h":
    ctypedef struct sg_ledger:
        sg_table *units
        sg_table *items
        sg_history history
    int sg_ledger_dump(const sg_ledger *l, uint64_t *unit_keys, uint32_t *lengths, uint64_t *item_keys,
                       uint32_t *items, double *times) noexcept nogil
    int sg_ledger_events(const sg_ledger *l, uint64_t *units, uint64_t *items, double *times) noexcept nogil

cdef extern from "sg_pairs.h":
    ctypedef struct sg_pairs:
        uint64_t entries

cdef extern from "sg_topk.h":
    ctypedef struct sg_topk_stats:
        uint64_t short_reads, list_reads, rescans, full_scans, cuts, admitted, touched_again, followed, epochs, thinned
    ctypedef struct sg_topk:
        size_t lists
        sg_topk_stats stats

cdef extern from "sg_items.h":
    uint32_t SG_ROW_CAP_LEAST
    ctypedef struct sg_items:
        sg_ledger ledger
        sg_pairs pairs
        sg_topk topk
        sg_level level
    ctypedef struct sg_items_nbytes_of:
        size_t tables, events, pairs, lists, pool_rest
    int sg_items_new(uint32_t window, uint32_t k, double half_life, sg_level level, sg_items **out) noexcept nogil
    int sg_items_cap(sg_items *m, uint32_t row_cap) noexcept nogil
    void sg_items_free(sg_items *m) noexcept nogil
    int sg_items_observe(sg_items *m, const uint64_t *units, const uint64_t *items, const double *times,
                         size_t n) noexcept nogil
    int sg_items_retract(sg_items *m, const uint64_t *units, const uint64_t *items, const double *times, size_t n,
                         size_t *found) noexcept nogil
    int sg_items_expire(sg_items *m, double before, size_t *gone) noexcept nogil
    int sg_items_degrees(sg_items *m, const uint64_t *items, size_t n, size_t k, uint32_t *degrees) noexcept nogil
    int sg_items_similar(sg_items *m, uint64_t item, size_t k, uint64_t *out_items, float *out_scores,
                         size_t *n) noexcept nogil
    int sg_items_recommend(sg_items *m, const uint64_t *items, const double *weights, size_t len, size_t k, size_t n,
                           int in_order, uint64_t *out_items, double *out_scores, size_t *got) noexcept nogil
    int sg_items_neighbours(sg_items *m, const uint64_t *items, size_t n, size_t k, int in_order,
                            uint32_t *starts, uint64_t *out_items, double *cosines, double *rules) noexcept nogil
    int sg_items_supports(sg_items *m, const uint64_t *a, const uint64_t *b, size_t n,
                          uint32_t *supports) noexcept nogil
    void sg_items_counts(const sg_items *m, const uint64_t *items, size_t n, uint32_t *counts) noexcept nogil
    int sg_items_checksum(sg_items *m, uint64_t *total) noexcept nogil
    sg_items_nbytes_of sg_items_nbytes(const sg_items *m) noexcept nogil
    int sg_items_check(sg_items *m, const char **why) noexcept nogil

cdef extern from "sg_bulk.h":
    int sg_items_bulk(sg_items **m, const uint64_t *units, const uint64_t *items, const double *times,
                      size_t n) noexcept nogil
    int sg_items_compact(sg_items **m) noexcept nogil

cdef extern from "sg_fan.h":
    ctypedef struct sg_fan_stats:
        uint64_t short_reads, list_reads, rebuilds, full_scans, admitted
    ctypedef struct sg_fan:
        size_t lists
        sg_fan_stats stats

cdef extern from "sg_next.h":
    uint32_t SG_NEXT_STEPS
    ctypedef struct sg_next:
        sg_ledger ledger
        sg_pairs pairs
        sg_fan fan
        sg_level level
    ctypedef struct sg_next_nbytes_of:
        size_t tables, events, pairs, lists, pool_rest
    int sg_next_new(uint32_t window, uint32_t steps, uint32_t k, sg_level level, sg_next **out) noexcept nogil
    void sg_next_free(sg_next *m) noexcept nogil
    int sg_next_observe(sg_next *m, const uint64_t *units, const uint64_t *items, const double *times,
                        size_t n) noexcept nogil
    int sg_next_retract(sg_next *m, const uint64_t *units, const uint64_t *items, const double *times, size_t n,
                        size_t *found) noexcept nogil
    int sg_next_expire(sg_next *m, double before, size_t *gone) noexcept nogil
    size_t sg_next_degree(const sg_next *m, uint64_t item) noexcept nogil
    int sg_next_following(sg_next *m, uint64_t item, size_t k, uint64_t *out_items, double *out_weights,
                          size_t *n) noexcept nogil
    int sg_next_two_hops(sg_next *m, const uint64_t *items, const double *weights, size_t len, size_t first,
                         size_t second, size_t limit, int in_order, uint64_t *out_items, double *out_scores,
                         size_t *n) noexcept nogil
    int sg_next_compact(sg_next **m) noexcept nogil
    int sg_next_checksum(const sg_next *m, uint64_t *total) noexcept nogil
    sg_next_nbytes_of sg_next_nbytes(const sg_next *m) noexcept nogil
    int sg_next_check(sg_next *m, const char **why) noexcept nogil

cdef extern from "sg_postings.h":
    ctypedef struct sg_postings:
        uint32_t cap

cdef extern from "sg_sessions.h":
    ctypedef struct sg_sessions:
        sg_ledger ledger
        sg_postings postings
    ctypedef struct sg_sessions_nbytes_of:
        size_t tables, events, postings, reads, pool_rest
    int sg_sessions_new(uint32_t window, sg_sessions **out) noexcept nogil
    int sg_sessions_cap(sg_sessions *m, uint32_t unit_cap) noexcept nogil
    void sg_sessions_free(sg_sessions *m) noexcept nogil
    int sg_sessions_observe(sg_sessions *m, const uint64_t *units, const uint64_t *items, const double *times,
                            size_t n) noexcept nogil
    int sg_sessions_bulk(sg_sessions **m, const uint64_t *units, const uint64_t *items, const double *times,
                         size_t n) noexcept nogil
    int sg_sessions_retract(sg_sessions *m, const uint64_t *units, const uint64_t *items, const double *times,
                            size_t n, size_t *found) noexcept nogil
    int sg_sessions_expire(sg_sessions *m, double before, size_t *gone) noexcept nogil
    void sg_sessions_holding(const sg_sessions *m, const uint64_t *items, size_t n, uint32_t *counts) noexcept nogil
    int sg_sessions_checksum(const sg_sessions *m, uint64_t *total) noexcept nogil
    sg_sessions_nbytes_of sg_sessions_nbytes(const sg_sessions *m) noexcept nogil
    int sg_sessions_check(sg_sessions *m, const char **why) noexcept nogil

cdef extern from "sg_nearest.h":
    enum: SG_QUERY_MAX
    ctypedef struct sg_query:
        const uint64_t *items
        const double *weights
        const double *decays
        size_t len, m, k
        double idf
        const uint64_t *without
    ctypedef struct sg_reading:
        const double *near
        size_t distances
        double half_life
    int sg_nearest_units(sg_sessions *m, const sg_query *q, uint64_t *units, double *similarities,
                         size_t *n) noexcept nogil
    int sg_nearest_items(sg_sessions *m, const sg_query *q, const sg_reading *readings, size_t count, size_t most,
                         int in_order, uint64_t *items, double *scores, size_t *n) noexcept nogil

cdef extern from "sg_best.h":
    ctypedef struct sg_candidate:
        double strength
        uint32_t id

cdef extern from "sg_tally.h":
    ctypedef struct sg_tally:
        double *sums
        uint32_t *touched
        size_t len
    int sg_tally_grow(sg_tally *t, size_t ids) noexcept nogil
    void sg_tally_clear(sg_tally *t) noexcept nogil
    void sg_tally_add(sg_tally *t, uint32_t id, double amount) noexcept nogil
    size_t sg_tally_best(sg_tally *t, const uint64_t *keys, size_t n, int in_order,
                         const sg_candidate **best) noexcept nogil

cdef extern from "sg_blend.h":
    uint32_t SG_BLEND_SIGNALS
    ctypedef struct sg_blend_row:
        uint64_t because
        double amount
        uint32_t place, signal
    ctypedef struct sg_blend:
        uint64_t *items
        sg_blend_row *rows
        size_t rows_len
        double *largest
        size_t places
    sg_blend *sg_blend_new(uint32_t signals) noexcept nogil
    void sg_blend_free(sg_blend *b) noexcept nogil
    void sg_blend_begin(sg_blend *b) noexcept nogil
    int sg_blend_put(sg_blend *b, uint32_t signal, const uint64_t *items, const uint64_t *because,
                     const double *amounts, size_t n) noexcept nogil
    int sg_blend_put_at(sg_blend *b, uint32_t signal, const uint32_t *places, const double *amounts,
                        size_t n) noexcept nogil
    int sg_blend_put_again(sg_blend *b, uint32_t signal, const double *amounts, size_t n) noexcept nogil
    const double *sg_blend_totals_of(const sg_blend *b, uint32_t signal) noexcept nogil
    size_t sg_blend_strongest(sg_blend *b, uint32_t signal, size_t n, const sg_candidate **best) noexcept nogil
    void sg_blend_leave_out(sg_blend *b, const sg_table *items) noexcept nogil
    size_t sg_blend_best(sg_blend *b, const double *weights, size_t n, const sg_candidate **best) noexcept nogil
    void sg_blend_totals(const sg_blend *b, const sg_candidate *places, size_t n, double *matrix) noexcept nogil
    size_t sg_blend_count(sg_blend *b, const double *weights, const sg_candidate *places, size_t n,
                          uint32_t *starts) noexcept nogil
    void sg_blend_worth(sg_blend *b, const double *weights, const sg_candidate *places, size_t n,
                        const uint32_t *starts, uint8_t *signals, uint64_t *because, double *amounts) noexcept nogil
    int sg_blend_check(const sg_blend *b, const char **why) noexcept nogil

cdef extern from "sg_trees.h":
    ctypedef struct sg_trees:
        pass
    int SG_TREES_FEATURES
    ctypedef struct sg_trees_arrays:
        size_t features, trees, nodes
        const int32_t *roots
        const int32_t *feature
        const int32_t *left
        const int32_t *right
        const double *threshold
        const double *value
        const double *cover
    int sg_trees_new(const sg_trees_arrays *arrays, sg_trees **trees, const char **why) noexcept nogil
    void sg_trees_free(sg_trees *t) noexcept nogil
    int sg_trees_predict(const sg_trees *t, const double *x, size_t n, double *sums) noexcept nogil
    int sg_trees_explain(const sg_trees *t, const double *x, size_t n, double *amounts) noexcept nogil
    size_t sg_trees_features(const sg_trees *t) noexcept nogil
    size_t sg_trees_count(const sg_trees *t) noexcept nogil
    size_t sg_trees_nbytes(const sg_trees *t) noexcept nogil
    int sg_trees_check(const sg_trees *t, const char **why) noexcept nogil

cdef extern from "sg_key.h":
    Py_ssize_t SG_KEY_LONGEST
    uint64_t sg_key(const unsigned char *bytes, size_t n, uint64_t seed) noexcept nogil
