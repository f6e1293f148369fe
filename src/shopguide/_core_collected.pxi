cdef class Collected:
    """The best of lists, one list behind the other, in columns that grow: what made each item's score is at
    starts[x]:starts[x + 1] of signal, because and amount. For one thread at a time."""

    cdef uint32_t *look  # by item, as the three that follow
    cdef uint64_t *item
    cdef double *score
    cdef uint32_t *starts
    cdef uint8_t *signal  # by part, as the two that follow
    cdef uint64_t *because
    cdef double *amount
    cdef size_t lists, items, items_room, parts, parts_room

    def __cinit__(self):
        self.room_for(64, 512)
        self.starts[0] = 0

    def __dealloc__(self):
        free(self.look)
        free(self.item)
        free(self.score)
        free(self.starts)
        free(self.signal)
        free(self.because)
        free(self.amount)

    cdef int room_for(self, size_t items, size_t parts) except -1:
        """For so many more."""
        items, parts = self.items + items, self.parts + parts
        if items > self.items_room:
            items = max(items, 2 * self.items_room)
            self.look = <uint32_t *>_larger(self.look, items * sizeof(uint32_t))
            self.item = <uint64_t *>_larger(self.item, items * sizeof(uint64_t))
            self.score = <double *>_larger(self.score, items * sizeof(double))
            self.starts = <uint32_t *>_larger(self.starts, (items + 1) * sizeof(uint32_t))
            self.items_room = items
        if parts > self.parts_room:
            parts = max(parts, 2 * self.parts_room)
            self.signal = <uint8_t *>_larger(self.signal, parts)
            self.because = <uint64_t *>_larger(self.because, parts * sizeof(uint64_t))
            self.amount = <double *>_larger(self.amount, parts * sizeof(double))
            self.parts_room = parts
        return 0

    def add(self, Blend blend, weights, size_t n):
        """What best() and parts() of a blend say, as one more list. Raises ValueError as these."""
        weights = _column_of(weights, cnp.NPY_DOUBLE)
        cdef const double *w = <const double *>_data(weights)
        cdef const sg_candidate *best
        cdef uint32_t *starts
        cdef size_t x, got, parts
        _of_one_length(_length(weights), blend.signals)
        blend.best_len = 0
        got = sg_blend_best(blend.blend, w, n, &best)
        self.room_for(got, 0)
        starts = self.starts + self.items
        parts = sg_blend_count(blend.blend, w, best, got, starts)
        self.room_for(0, parts)
        sg_blend_worth(blend.blend, w, best, got, starts, self.signal + self.parts, self.because + self.parts,
                       self.amount + self.parts)
        for x in range(got):
            self.look[self.items + x] = self.lists
            self.item[self.items + x], self.score[self.items + x] = blend.blend.items[best[x].id], best[x].strength
        for x in range(got + 1):
            starts[x] += self.parts
        self.lists, self.items, self.parts = self.lists + 1, self.items + got, self.parts + parts

    def put(self, item, score, starts, signal, because, amount):
        """One more list, as columns. Raises ValueError on unequal lengths."""
        cdef const uint64_t[::1] i = np.ascontiguousarray(item, np.uint64)
        cdef const double[::1] s = np.ascontiguousarray(score, np.float64)
        cdef const uint32_t[::1] at = np.ascontiguousarray(starts, np.uint32)
        cdef const uint8_t[::1] of = np.ascontiguousarray(signal, np.uint8)
        cdef const uint64_t[::1] b = np.ascontiguousarray(because, np.uint64)
        cdef const double[::1] a = np.ascontiguousarray(amount, np.float64)
        cdef size_t x, n = _of_one_length(i.shape[0], s.shape[0], at.shape[0] - 1)
        cdef size_t parts = _of_one_length(of.shape[0], b.shape[0], a.shape[0], at[n])
        self.room_for(n, parts)
        for x in range(n):
            self.look[self.items + x], self.item[self.items + x] = self.lists, i[x]
            self.score[self.items + x], self.starts[self.items + x + 1] = s[x], self.parts + at[x + 1]
        for x in range(parts):
            self.signal[self.parts + x], self.because[self.parts + x] = of[x], b[x]
            self.amount[self.parts + x] = a[x]
        self.lists, self.items, self.parts = self.lists + 1, self.items + n, self.parts + parts

    def take(self):
        """The columns: (look uint32[n], which list each item is of; item uint64[n], score float64[n],
        starts uint32[n + 1], signal uint8[m], because uint64[m], amount float64[m]). Nothing is left."""
        cdef size_t n = self.items, m = self.parts
        self.lists = self.items = self.parts = 0
        return (
            _copied(self.look, n, cnp.NPY_UINT32),
            _copied(self.item, n, cnp.NPY_UINT64),
            _copied(self.score, n, cnp.NPY_FLOAT64),
            _copied(self.starts, n + 1, cnp.NPY_UINT32),
            _copied(self.signal, m, cnp.NPY_UINT8),
            _copied(self.because, m, cnp.NPY_UINT64),
            _copied(self.amount, m, cnp.NPY_FLOAT64),
        )
