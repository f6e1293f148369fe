# Declarations of the C core, one block a header. The headers in csrc/ are the documentation.

from libc.stdint cimport int64_t, int8_t, uint8_t, uint32_t, uint64_t

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
    const uint64_t *sg_table_keys(const sg_table *t) noexcept nogil
    size_t sg_table_nbytes(const sg_table *t) noexcept nogil
    int sg_table_check(const sg_table *t, const char **why) noexcept nogil
