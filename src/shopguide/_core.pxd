# Declarations of the C core, one block a header. The headers in csrc/ are the documentation.

from libc.stdint cimport int64_t, int8_t, uint8_t, uint32_t, uint64_t

cdef extern from "sg_status.h":
    int SG_OK, SG_ERR_NOMEM, SG_ERR_RANGE, SG_ERR_VALUE
    const char *sg_strerror(int rc) noexcept nogil
