cdef class Next:
    """Which item follows which, exact under adds and retracts, with exact lists at any time.

    An event raises the weight from each of its unit's last ``steps`` kept items to its own by 1 / distance.
    ``history``: an item among a unit's last so many kept ones is skipped, and moves nothing. ``k``: the list length to
    keep ready.
    See csrc/sg_next.h. Any uint64 is a legal unit and item. Reads write to caches: one thread at a time. Raises
    ValueError for a setting out of range.
    """

    cdef sg_next *model

    def __cinit__(self, steps=10, history=50, k=50):
        if not (1 <= history <= 1_000_000 and 1 <= k <= 1_000_000):
            raise ValueError(f"history is {history}, k is {k}; both have to be 1..1000000")
        if not 1 <= steps <= min(SG_NEXT_STEPS, history):
            raise ValueError(f"steps is {steps}; it has to be 1..{SG_NEXT_STEPS}, and at most history")
        check(sg_next_new(history, steps, k, _level(), &self.model))

    def __dealloc__(self):
        sg_next_free(self.model)

    def observe(self, uint64_t unit, uint64_t item, double time):
        """Learn one event (time in epoch s). Raises ValueError on a time that is not finite."""
        check(sg_next_observe(self.model, &unit, &item, &time, 1))

    def observe_many(self, units, items, times):
        """Learn events in order: uint64[n], uint64[n], float64[n] (epoch s).

        Raises ValueError, and nothing is applied, on unequal lengths or a time that is not finite; MemoryError and
        OverflowError (a weight of 2^30 / 2520) leave what came before the failing event applied.
        """
        cdef _Rows of = _Rows(units, items, times)
        check(sg_next_observe(self.model, of.units, of.items, of.times, of.n))

    def retract(self, uint64_t unit, uint64_t item, double time):
        """Take one event back; whether it was there. Raises ValueError on a time that is not finite."""
        cdef size_t found
        check(sg_next_retract(self.model, &unit, &item, &time, 1, &found))
        return found == 1

    def retract_many(self, units, items, times):
        """Take events back, as if they had never been; how many were there. An unknown event changes nothing; of
        equal events the newest is taken. Arrays and errors as in observe_many."""
        cdef _Rows of = _Rows(units, items, times)
        cdef size_t found
        check(sg_next_retract(self.model, of.units, of.items, of.times, of.n, &found))
        return found

    def expire(self, double before):
        """Take all events before a time (epoch s) back; how many. Raises ValueError for NaN."""
        cdef size_t gone
        cdef int rc
        with nogil:
            rc = sg_next_expire(self.model, before, &gone)
        check(rc)
        return gone

    def following(self, uint64_t item, k=50):
        """The k best followers (items uint64[<=k], weights float64[<=k]) by (weight down, key up); an unknown item has
        none."""
        cdef size_t n, most = min(max(k, 0), sg_next_degree(self.model, item))
        items, weights = np.empty(most, np.uint64), np.empty(most, np.float64)
        cdef uint64_t[::1] i = items
        cdef double[::1] w = weights
        check(sg_next_following(self.model, item, most, &i[0], &w[0], &n))
        return items, weights

    def two_hops(self, items, weights, first=12, second=50, limit=50):
        """The ``limit`` best (items uint64[<=limit], scores float64[<=limit]) by (score down, key up): from each of
        ``items``, of weights[x] (float64, finite, at least 0), to its ``first`` best followers and to each one's
        ``second`` best, the product of the shares of weight taken, summed up in the order that csrc/sg_next.h states.
        ``items`` themselves may be among them. Raises ValueError on unequal lengths or a weight out of range."""
        cdef const uint64_t[::1] of = np.ascontiguousarray(items, np.uint64)
        cdef const double[::1] w = np.ascontiguousarray(weights, np.float64)
        cdef size_t m = _of_one_length(of.shape[0], w.shape[0]), got = 0
        cdef size_t hop = max(first, 0), hop_on = max(second, 0), most = max(limit, 0)
        cdef int rc
        most = min(most, sg_table_live(self.model.ledger.items))
        found, scores = np.empty(most, np.uint64), np.empty(most, np.float64)
        cdef uint64_t[::1] i = found
        cdef double[::1] s = scores
        with nogil:
            rc = sg_next_two_hops(self.model, &of[0], &w[0], m, hop, hop_on, most, True, &i[0], &s[0], &got)
        check(rc)
        return found[:got], scores[:got]

    def put(self, Blend blend, uint32_t next, uint32_t hops, Query asked, size_t k, size_t first, size_t second,
            size_t limit):
        """Into a blend, as two signals: the k best followers of the first item asked for, which is their cause, and
        what two_hops() finds. Nothing where there are no items."""
        cdef size_t x, got = 0
        if asked.len == 0:
            return
        k = min(k, sg_next_degree(self.model, asked.items[0]))
        blend.make_room(max(k, limit))
        check(sg_next_following(self.model, asked.items[0], k, blend.found, blend.amounts, &got))
        for x in range(got):
            blend.causes[x] = asked.items[0]
        blend.rows_of(next, blend.found, blend.causes, blend.amounts, got)
        check(sg_next_two_hops(self.model, asked.items, asked.weights, asked.len, first, second, limit, False,
                               blend.found, blend.amounts, &got))
        blend.rows_of(hops, blend.found, NULL, blend.amounts, got)

    def events(self):
        """(units uint64[n], items uint64[n], times float64[n]): every event held, each unit's together and in order.
        A fresh model that observes them has the same checksum."""
        return _events(&self.model.ledger)

    def dump(self):
        """All that the model is made from, as columns, see Items.dump."""
        return _dump(&self.model.ledger)

    def load(self, columns):
        """Learn dumped columns; the model has to be empty. Raises ValueError where it is not, or where they do not fit
        together."""
        cdef _Rows of = _Rows(*_expand(columns))
        cdef int rc
        if self.model.ledger.history.events:
            raise ValueError("the model is not empty")
        with nogil:
            rc = sg_next_observe(self.model, of.units, of.items, of.times, of.n)
        check(rc)

    def compact(self):
        """Learn everything anew from the events held: blocks and lists of what has gone are no more. Takes as long as
        observe_many of all events, and memory for both models."""
        cdef int rc
        with nogil:
            rc = sg_next_compact(&self.model)
        check(rc)

    def checksum(self):
        """32 hex digits, equal for equal counts, weights and units' items in order, whatever the way there."""
        cdef uint64_t[2] total
        cdef int rc
        with nogil:
            rc = sg_next_checksum(self.model, total)
        check(rc)
        return f"{total[0]:016x}{total[1]:016x}"

    def check(self):
        """Raises CoreError naming the first broken invariant."""
        cdef const char *why = NULL
        cdef int rc
        with nogil:
            rc = sg_next_check(self.model, &why)
        if rc == SG_ERR_NOMEM:
            check(rc)
        if rc != SG_OK:
            raise CoreError(why.decode())

    @property
    def nbytes(self):
        """Bytes held, by part."""
        return sg_next_nbytes(self.model)

    def stats(self):
        """Counters: units, items, events, transitions, lists; how lists were read and kept; the SIMD level in use."""
        return {
            "units": sg_table_live(self.model.ledger.units),
            "items": sg_table_live(self.model.ledger.items),
            "events": self.model.ledger.history.events,
            "kept_events": self.model.ledger.history.kept_events,
            "transitions": self.model.pairs.entries,
            "lists": self.model.fan.lists,
            **self.model.fan.stats,
            "simd": sg_simd_name(self.model.level).decode(),
        }
