cdef class _Rows:
    """Events as columns: units uint64[n], items uint64[n], times float64[n]. Raises ValueError on unequal lengths."""

    cdef object columns
    cdef const uint64_t *units
    cdef const uint64_t *items
    cdef const double *times
    cdef size_t n

    def __cinit__(self, units, items, times):
        units, items = _column_of(units, cnp.NPY_UINT64), _column_of(items, cnp.NPY_UINT64)
        times = _column_of(times, cnp.NPY_DOUBLE)
        self.n = _of_one_length(_length(units), _length(items), _length(times))
        self.units, self.items = <const uint64_t *>_data(units), <const uint64_t *>_data(items)
        self.times = <const double *>_data(times)
        self.columns = units, items, times


cdef dict _dump(const sg_ledger *ledger):
    """A model's events as columns, see sg_ledger.h."""
    cdef size_t events = ledger.history.events
    unit_keys = np.zeros(sg_table_live(ledger.units), np.uint64)
    lengths = np.zeros(len(unit_keys), np.uint32)
    item_keys = np.empty(sg_table_live(ledger.items), np.uint64)
    items, times = np.empty(events, np.uint32), np.empty(events, np.float64)
    cdef uint64_t[::1] u = unit_keys, k = item_keys
    cdef uint32_t[::1] n = lengths, i = items
    cdef double[::1] t = times
    cdef int rc
    with nogil:
        rc = sg_ledger_dump(ledger, &u[0], &n[0], &k[0], &i[0], &t[0])
    check(rc)
    return {"unit_keys": unit_keys, "lengths": lengths, "item_keys": item_keys, "items": items, "times": times}


def _expand(columns):
    """(units, items, times) of dumped columns. Raises ValueError where one is missing or of another type, or where they
    do not fit together."""
    unit_keys, lengths = _column(columns, "unit_keys", np.uint64), _column(columns, "lengths", np.uint32)
    item_keys, items = _column(columns, "item_keys", np.uint64), _column(columns, "items", np.uint32)
    times = _column(columns, "times", np.float64)
    n = _of_one_length(items.shape[0], times.shape[0])
    _of_one_length(unit_keys.shape[0], lengths.shape[0])
    if lengths.sum(dtype=np.uint64) != n:
        raise ValueError(f"the units' lengths do not add up to {n} events")
    if n and items.max() >= len(item_keys):
        raise ValueError(f"item {items.max()} of {len(item_keys)}")
    if len(np.unique(unit_keys)) != len(unit_keys) or len(np.unique(item_keys)) != len(item_keys):
        raise ValueError("a key stands twice")
    return np.repeat(unit_keys, lengths), item_keys[items], times


cdef tuple _events(const sg_ledger *ledger):
    cdef size_t n = ledger.history.events
    units, items, times = np.empty(n, np.uint64), np.empty(n, np.uint64), np.empty(n, np.float64)
    cdef uint64_t[::1] u = units, i = items
    cdef double[::1] t = times
    cdef int rc
    with nogil:
        rc = sg_ledger_events(ledger, &u[0], &i[0], &t[0])
    check(rc)
    return units, items, times
