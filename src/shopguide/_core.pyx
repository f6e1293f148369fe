# cython: language_level=3, embedsignature=True, boundscheck=False, wraparound=False, initializedcheck=False
"""The only door to the C core: one class a structure, arrays in, arrays out, the GIL released around long loops."""

import os

import numpy as np

cimport numpy as cnp

from shopguide.errors import CoreError, SettingError


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


def simd_levels():
    """The SIMD levels that this processor has, best last."""
    return [sg_simd_name(level).decode() for level in (SG_SCALAR, SG_AVX2, SG_AVX512) if sg_simd_has(level)]


cdef sg_level _level() except *:
    """The best level, or the one that SHOPGUIDE_SIMD names. Raises SettingError where it is not to be had."""
    wanted = os.environ.get("SHOPGUIDE_SIMD")
    if wanted is not None and wanted not in simd_levels():
        raise SettingError(f"SHOPGUIDE_SIMD = {wanted!r}: this processor has {', '.join(simd_levels())}")
    return sg_simd_choose()


include "_core_arrays.pxi"
include "_core_table.pxi"
include "_core_ledger.pxi"
include "_core_blend.pxi"
include "_core_collected.pxi"
include "_core_tally.pxi"
include "_core_items.pxi"
include "_core_shoppers.pxi"
include "_core_looks.pxi"
include "_core_parts.pxi"
include "_core_next.pxi"
include "_core_sessions.pxi"
include "_core_trees.pxi"
include "_core_rows.pxi"
