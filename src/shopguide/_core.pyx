# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The only door to the C core: one class a structure, arrays in, arrays out, the GIL released around loops."""

import numpy as np

from shopguide.errors import CoreError


cdef int check(int rc) except -1:
    """The one place where a status of the core becomes an exception."""
    if rc == SG_OK:
        return 0
    message = sg_strerror(rc).decode()
    if rc == SG_ERR_NOMEM:
        raise MemoryError(message)
    if rc == SG_ERR_RANGE:
        raise OverflowError(message)
    if rc == SG_ERR_VALUE:
        raise ValueError(message)
    raise CoreError(message)


include "_core_table.pxi"
include "_core_ledger.pxi"
include "_core_items.pxi"
include "_core_shoppers.pxi"
include "_core_next.pxi"
include "_core_sessions.pxi"
