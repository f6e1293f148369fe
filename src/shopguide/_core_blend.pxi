cdef void *_larger(void *array, size_t bytes) except NULL:
    cdef void *grown = realloc(array, bytes)
    if grown == NULL:
        raise MemoryError()
    return grown


cdef class Query:
    """What a list is made from: items uint64[n], the newest first, and how much each counts, float64[n]. At most
    SG_QUERY_MAX. Raises ValueError on unequal lengths or more items."""

    cdef uint64_t[SG_QUERY_MAX] items
    cdef double[SG_QUERY_MAX] weights
    cdef size_t len

    def __cinit__(self, items, weights):
        items, weights = _column_of(items, cnp.NPY_UINT64), _column_of(weights, cnp.NPY_DOUBLE)
        self.len = _of_one_length(_length(items), _length(weights))
        if self.len > SG_QUERY_MAX:
            raise ValueError(f"{self.len} items are out of range; at most {SG_QUERY_MAX}")
        memcpy(self.items, _data(items), self.len * sizeof(uint64_t))
        memcpy(self.weights, _data(weights), self.len * sizeof(double))


cdef class Blend:
    """The candidates of one list: rows of ``signals`` signals become scored items, see csrc/sg_blend.h.

    begin(), put() for each signal, then best() and what it says about the best. Raises ValueError where signals is not
    1..64. Not for two threads at once.
    """

    cdef sg_blend *blend
    cdef uint32_t signals
    cdef const double[::1] weights  # of best()
    cdef const sg_candidate *best_places
    cdef size_t best_len
    cdef uint64_t *found  # room for rows on their way, as the three that follow
    cdef uint64_t *causes
    cdef double *amounts
    cdef double *others
    cdef size_t room

    def __cinit__(self, uint32_t signals):
        if not 1 <= signals <= SG_BLEND_SIGNALS:
            raise ValueError(f"signals is {signals}; it has to be 1..{SG_BLEND_SIGNALS}")
        self.signals = signals
        self.blend = sg_blend_new(signals)
        if self.blend == NULL:
            raise MemoryError()

    def __dealloc__(self):
        sg_blend_free(self.blend)
        free(self.found)
        free(self.causes)
        free(self.amounts)
        free(self.others)

    cdef int make_room(self, size_t rows) except -1:
        if rows <= self.room:
            return 0
        self.room = 0
        self.found = <uint64_t *>_larger(self.found, rows * sizeof(uint64_t))
        self.causes = <uint64_t *>_larger(self.causes, rows * sizeof(uint64_t))
        self.amounts = <double *>_larger(self.amounts, rows * sizeof(double))
        self.others = <double *>_larger(self.others, rows * sizeof(double))
        self.room = rows
        return 0

    def begin(self):
        """No rows."""
        sg_blend_begin(self.blend)
        self.best_len = 0

    def put(self, uint32_t signal, items, amounts, because=None):
        """Rows of a signal: items uint64[n], amounts float64[n] (finite, at least 0), because uint64[n] (None: 0).
        Raises ValueError, and nothing is put, on unequal lengths, a signal or an amount out of range."""
        items, amounts = _column_of(items, cnp.NPY_UINT64), _column_of(amounts, cnp.NPY_DOUBLE)
        cdef size_t n = _of_one_length(_length(items), _length(amounts))
        cdef const uint64_t *causes = NULL
        if because is not None:
            because = _column_of(because, cnp.NPY_UINT64)
            _of_one_length(n, _length(because))
            causes = <const uint64_t *>_data(because)
        self.rows_of(signal, <const uint64_t *>_data(items), causes, <const double *>_data(amounts), n)

    def put_because(self, uint32_t signal, items, shares, double weight, uint64_t because):
        """The same of rows that one item is the cause of: amounts are ``weight`` times shares float64[n]."""
        items, shares = _column_of(items, cnp.NPY_UINT64), _column_of(shares, cnp.NPY_DOUBLE)
        cdef size_t x, n = _of_one_length(_length(items), _length(shares))
        cdef const double *s = <const double *>_data(shares)
        self.make_room(n)
        for x in range(n):
            self.causes[x], self.amounts[x] = because, s[x] * weight
        self.rows_of(signal, <const uint64_t *>_data(items), self.causes, self.amounts, n)

    def put_visit(self, signals, items, times, size_t n):
        """Rows of four signals about a visit: of its items uint64[m], newest first, the n first that were looked at in
        it, times uint8[m] above 0. Of the first and of the second 1 each, of the k-th 1 / k, and of each the times that
        the shopper came back to it. Raises ValueError on unequal lengths or a signal out of range."""
        items, times = _column_of(items, cnp.NPY_UINT64), _column_of(times, cnp.NPY_UINT8)
        cdef const uint64_t *i = <const uint64_t *>_data(items)
        cdef const uint8_t *t = <const uint8_t *>_data(times)
        cdef uint32_t current, previous, steps, repeats
        cdef size_t x, step = 0, m = _of_one_length(_length(items), _length(times))
        current, previous, steps, repeats = signals
        for x in range(m):
            if t[x] == 0 or step == n:
                continue
            step += 1
            self.row_of(steps, i[x], 1.0 / step)
            if step <= 2:
                self.row_of(current if step == 1 else previous, i[x], 1)
            if t[x] > 1:
                self.row_of(repeats, i[x], t[x] - 1)

    cdef int row_of(self, uint32_t signal, uint64_t item, double amount) except -1:
        """One row, an item that is its own cause."""
        return self.rows_of(signal, &item, &item, &amount, 1)

    cdef int rows_of(self, uint32_t signal, const uint64_t *items, const uint64_t *because, const double *amounts,
                     size_t n) except -1:
        """What put() does."""
        self.best_len = 0
        return check(sg_blend_put(self.blend, signal, items, because, amounts, n))

    cdef int rows_again(self, uint32_t signal, const double *amounts, size_t n) except -1:
        """Amounts of another signal for the last n rows, which rows_of() has just put."""
        return check(sg_blend_put_again(self.blend, signal, amounts, n))

    def items(self):
        """The items of all rows so far, each once: uint64[n]."""
        cdef size_t x
        found = np.empty(self.blend.places, np.uint64)
        cdef uint64_t[::1] i = found
        for x in range(self.blend.places):
            i[x] = self.blend.items[x]
        return found

    def rows(self):
        """All rows in the order they were put: (signal uint32[n], items, because, amounts)."""
        cdef size_t x, n = self.blend.rows_len
        signal, amounts = np.empty(n, np.uint32), np.empty(n)
        items, because = np.empty(n, np.uint64), np.empty(n, np.uint64)
        cdef uint32_t[::1] s = signal
        cdef uint64_t[::1] i = items, b = because
        cdef double[::1] a = amounts
        for x in range(n):
            s[x], i[x] = self.blend.rows[x].signal, self.blend.items[self.blend.rows[x].place]
            b[x], a[x] = self.blend.rows[x].because, self.blend.rows[x].amount
        return signal, items, because, amounts

    def leave_out(self, Table items):
        """None of these is among the best of this list; what is put later may be."""
        self.best_len = 0
        sg_blend_leave_out(self.blend, items.table)

    def best(self, weights, n):
        """The n best items by (score down, key up): (items uint64[<=n], scores float64[<=n]). weights float64[signals],
        finite, may be negative. Raises ValueError on another length."""
        self.weights = np.ascontiguousarray(weights, np.float64)
        cdef size_t x, most = max(n, 0)
        _of_one_length(self.weights.shape[0], self.signals)
        with nogil:
            self.best_len = sg_blend_best(self.blend, &self.weights[0], most, &self.best_places)
        items, scores = np.empty(self.best_len, np.uint64), np.empty(self.best_len)
        cdef uint64_t[::1] i = items
        cdef double[::1] s = scores
        for x in range(self.best_len):
            i[x] = self.blend.items[self.best_places[x].id]
            s[x] = self.best_places[x].strength
        return items, scores

    def totals(self):
        """(float64[<=n, signals], float64[signals]): each signal's total for the items that best() gave, and the
        largest that it has for any item; what was weighed is the one divided by the other."""
        totals, largest = np.zeros((self.best_len, self.signals)), np.zeros(self.signals)
        cdef double[:, ::1] t = totals
        cdef double[::1] m = largest
        cdef uint32_t s
        if self.best_len:
            sg_blend_totals(self.blend, self.best_places, self.best_len, &t[0, 0])
        for s in range(self.signals):
            m[s] = self.blend.largest[s]
        return totals, largest

    def parts(self, weights=None):
        """What makes the scores of the items that best() gave: (starts uint32[<=n + 1], signal uint8[...],
        because uint64[...], amount float64[...]); those of item x are at starts[x]:starts[x + 1], and add up to its
        score. Worth what best() was told, or what these weights say; what weighs nothing is not among them. Raises
        ValueError on another length, or before best()."""
        cdef const double[::1] w = self.weights if weights is None else np.ascontiguousarray(weights, np.float64)
        _of_one_length(w.shape[0], self.signals)
        starts = np.empty(self.best_len + 1, np.uint32)
        cdef uint32_t[::1] at = starts
        cdef size_t rows = sg_blend_count(self.blend, &w[0], self.best_places, self.best_len, &at[0])
        signal, because, amount = np.empty(rows, np.uint8), np.empty(rows, np.uint64), np.empty(rows)
        cdef uint8_t[::1] s = signal
        cdef uint64_t[::1] b = because
        cdef double[::1] a = amount
        sg_blend_worth(self.blend, &w[0], self.best_places, self.best_len, &at[0], &s[0], &b[0], &a[0])
        return starts, signal, because, amount

    def check(self):
        """Raises CoreError naming the first broken invariant."""
        cdef const char *why = NULL
        if sg_blend_check(self.blend, &why) != SG_OK:
            raise CoreError(why.decode())
