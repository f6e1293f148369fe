cdef class Items:
    """Item-item collaborative filtering, exact under adds and retracts, with exact lists at any time.

    ``history``: how many of a unit's last kept items a new one pairs with; an item among them is skipped. ``k``: the
    list length to keep ready. ``half_life`` in seconds; None: no decay. Score: support(i, j) / sqrt(n_i n_j), or with
    decay w(i, j) / sqrt(w_i w_j), where an event at time t weighs 2^(t / half_life) (csrc/sg_items.h). ``row_cap``: an
    item keeps at most so many pairs (at least 256 and 4 k), the strongest, which makes its list approximate; None: all.
    Any uint64 is a legal unit and item. Reads write to caches: one thread at a time. Raises ValueError for a setting
    out of range.
    """

    cdef sg_items *model

    def __cinit__(self, history=50, k=50, half_life=None, row_cap=None):
        if not (1 <= history <= 1_000_000 and 1 <= k <= 1_000_000):
            raise ValueError(f"history is {history}, k is {k}; both have to be 1..1000000")
        if half_life is not None and not 0 < half_life < float("inf"):
            raise ValueError(f"half_life is {half_life}; it has to be finite and above 0, or None")
        check(sg_items_new(history, k, half_life or 0, _level(), &self.model))
        if row_cap is not None:
            if not max(SG_ROW_CAP_LEAST, 4 * k) <= row_cap < 2**32:
                raise ValueError(f"row_cap is {row_cap}; it has to be at least {SG_ROW_CAP_LEAST} and 4 k, or None")
            check(sg_items_cap(self.model, row_cap))

    def __dealloc__(self):
        sg_items_free(self.model)

    def observe(self, uint64_t unit, uint64_t item, double time):
        """Learn one event (time in epoch s). Raises ValueError on a time that is not finite."""
        check(sg_items_observe(self.model, &unit, &item, &time, 1))

    def observe_many(self, units, items, times):
        """Learn events in order: uint64[n], uint64[n], float64[n] (epoch s).

        Raises ValueError, and nothing is applied, on unequal lengths or a time that is not finite; MemoryError and
        OverflowError (2^30 events of one item) leave what came before the failing event applied.
        """
        cdef _Rows of = _Rows(units, items, times)
        check(sg_items_observe(self.model, of.units, of.items, of.times, of.n))

    def bulk(self, units, items, times):
        """Learn a whole history at once, row by row: what observe_many would do, several times as fast where the events
        come unit by unit and there is no half-life. The model has to be empty, else ValueError; other errors and
        arrays as in observe_many, but a failure leaves the model empty."""
        cdef _Rows of = _Rows(units, items, times)
        cdef int rc
        if self.model.ledger.history.events:
            raise ValueError("the model is not empty")
        with nogil:
            rc = sg_items_bulk(&self.model, of.units, of.items, of.times, of.n)
        check(rc)

    def retract(self, uint64_t unit, uint64_t item, double time):
        """Take one event back; whether it was there. Raises ValueError on a time that is not finite."""
        cdef size_t found
        check(sg_items_retract(self.model, &unit, &item, &time, 1, &found))
        return found == 1

    def retract_many(self, units, items, times):
        """Take events back, as if they had never been; how many were there. An unknown event changes nothing; of
        equal events the newest is taken. Arrays and errors as in observe_many."""
        cdef _Rows of = _Rows(units, items, times)
        cdef size_t found
        check(sg_items_retract(self.model, of.units, of.items, of.times, of.n, &found))
        return found

    def expire(self, double before):
        """Take all events before a time (epoch s) back; how many. Raises ValueError for NaN."""
        cdef size_t gone
        cdef int rc
        with nogil:
            rc = sg_items_expire(self.model, before, &gone)
        check(rc)
        return gone

    def recommend(self, items, weights, n=20, k=50):
        """The n best (items uint64[<=n], scores float64[<=n]) by (score down, key up), where an item's score is the sum
        of weights[x] (float64, at least 0) times its score among the k neighbours of items[x]; ``items`` themselves may
        be among them. Raises ValueError on unequal lengths or a weight out of range."""
        cdef const uint64_t[::1] of = np.ascontiguousarray(items, np.uint64)
        cdef const double[::1] w = np.ascontiguousarray(weights, np.float64)
        cdef size_t m = _of_one_length(of.shape[0], w.shape[0]), most = max(n, 0), each = max(k, 0), got = 0
        cdef int rc
        found, scores = np.empty(most, np.uint64), np.empty(most, np.float64)
        cdef uint64_t[::1] i = found
        cdef double[::1] s = scores
        with nogil:
            rc = sg_items_recommend(self.model, &of[0], &w[0], m, each, most, True, &i[0], &s[0], &got)
        check(rc)
        return found[:got], scores[:got]

    def similar(self, uint64_t item, k=50):
        """The k best neighbours (items uint64[<=k], scores float32[<=k]) by (score down, key up); an unknown item has
        none. The order is that of the exact scores, which float32 may show as equal."""
        cdef uint32_t degree
        cdef size_t n
        check(sg_items_degrees(self.model, &item, 1, max(k, 0), &degree))
        items, scores = np.empty(degree, np.uint64), np.empty(degree, np.float32)
        cdef uint64_t[::1] i = items
        cdef float[::1] s = scores
        check(sg_items_similar(self.model, item, degree, &i[0], &s[0], &n))
        return items, scores

    def neighbours(self, items, k):
        """The k best neighbours of each of m items: (starts uint32[m+1], items uint64[...], cosines float64[...],
        rules float64[...]); those of item x are at starts[x]:starts[x+1]. A rule's confidence is the share of x's
        events that the neighbour occurs with (csrc/sg_items.h)."""
        cdef const uint64_t[::1] of = np.ascontiguousarray(items, np.uint64)
        cdef size_t m = of.shape[0], each = max(k, 0)
        cdef int rc
        starts = np.empty(m + 1, np.uint32)
        found, cosines, rules = np.empty(m * each, np.uint64), np.empty(m * each), np.empty(m * each)
        cdef uint32_t[::1] at = starts
        cdef uint64_t[::1] i = found
        cdef double[::1] c = cosines, r = rules
        with nogil:
            rc = sg_items_neighbours(self.model, &of[0], m, each, True, &at[0], &i[0], &c[0], &r[0])
        check(rc)
        n = at[m]
        return starts, found[:n], cosines[:n], rules[:n]

    def put(self, Blend blend, uint32_t cosine, uint32_t rule, Query asked, size_t k):
        """Into a blend the k best neighbours of each item asked for, which is their cause: two signals, the cosine and
        the confidence of the rule, both times the item's weight. Raises ValueError as Blend.put()."""
        cdef size_t x, at
        cdef uint32_t[SG_QUERY_MAX + 1] starts
        blend.make_room(asked.len * k)
        check(sg_items_neighbours(self.model, asked.items, asked.len, k, False, starts, blend.found,
                                  blend.amounts, blend.others))
        for x in range(asked.len):
            for at in range(starts[x], starts[x + 1]):
                blend.causes[at] = asked.items[x]
                blend.amounts[at] *= asked.weights[x]
                blend.others[at] *= asked.weights[x]
        blend.rows_of(cosine, blend.found, blend.causes, blend.amounts, starts[asked.len])
        blend.rows_again(rule, blend.others, starts[asked.len])

    def put_second(self, Blend blend, uint32_t cosine, uint32_t second, size_t near, size_t n, size_t k):
        """Into a blend what recommend() finds of the ``near`` items that have most of the signal ``cosine``, each
        weighed by it; without a cause."""
        cdef const sg_candidate *best
        cdef size_t x, m = sg_blend_strongest(blend.blend, cosine, near, &best), got = 0
        blend.make_room(max(m, n))
        for x in range(m):
            blend.causes[x], blend.others[x] = blend.blend.items[best[x].id], best[x].strength
        check(sg_items_recommend(self.model, blend.causes, blend.others, m, k, n, False, blend.found, blend.amounts,
                                 &got))
        blend.rows_of(second, blend.found, NULL, blend.amounts, got)

    def support(self, items_a, items_b):
        """uint32[n]: how often items_a[x] and items_b[x] occur together; 0 where either is unknown."""
        cdef const uint64_t[::1] a = np.ascontiguousarray(items_a, np.uint64)
        cdef const uint64_t[::1] b = np.ascontiguousarray(items_b, np.uint64)
        cdef size_t n = _of_one_length(a.shape[0], b.shape[0])
        supports = np.empty(n, np.uint32)
        cdef uint32_t[::1] out = supports
        cdef int rc
        with nogil:
            rc = sg_items_supports(self.model, &a[0], &b[0], n, &out[0])
        check(rc)
        return supports

    def count(self, items):
        """uint32[n]: n_i, how many kept events each item has."""
        cdef const uint64_t[::1] i = np.ascontiguousarray(items, np.uint64)
        counts = np.empty(i.shape[0], np.uint32)
        cdef uint32_t[::1] out = counts
        with nogil:
            sg_items_counts(self.model, &i[0], i.shape[0], &out[0])
        return counts

    def events(self):
        """(units uint64[n], items uint64[n], times float64[n]): every event held, each unit's together and in order.
        A fresh model that observes them has the same checksum."""
        return _events(&self.model.ledger)

    def dump(self):
        """All that the model is made from, as columns: unit_keys uint64[u], lengths uint32[u], item_keys uint64[i],
        items uint32[n] (numbers of item_keys), times float64[n]; each unit's events together and in order."""
        return _dump(&self.model.ledger)

    def load(self, columns):
        """Learn dumped columns; the model has to be empty. Raises ValueError where they do not fit together."""
        self.bulk(*_expand(columns))

    def compact(self):
        """Learn everything anew from the events held: what has been taken back leaves no id, key or rounding behind.
        Takes as long as observe_many of all events, and memory for both models."""
        cdef int rc
        with nogil:
            rc = sg_items_compact(&self.model)
        check(rc)

    def checksum(self):
        """32 hex digits, equal for equal supports, pair supports and units' items in order, whatever the way there."""
        cdef uint64_t[2] total
        cdef int rc
        with nogil:
            rc = sg_items_checksum(self.model, total)
        check(rc)
        return f"{total[0]:016x}{total[1]:016x}"

    def check(self):
        """Raises CoreError naming the first broken invariant."""
        cdef const char *why = NULL
        cdef int rc
        with nogil:
            rc = sg_items_check(self.model, &why)
        if rc == SG_ERR_NOMEM:
            check(rc)
        if rc != SG_OK:
            raise CoreError(why.decode())

    @property
    def nbytes(self):
        """Bytes held, by part."""
        return sg_items_nbytes(self.model)

    def stats(self):
        """Counters: units, items, events, pairs, lists; how lists were read and kept; the SIMD level in use."""
        return {
            "units": sg_table_live(self.model.ledger.units),
            "items": sg_table_live(self.model.ledger.items),
            "events": self.model.ledger.history.events,
            "kept_events": self.model.ledger.history.kept_events,
            "pairs": self.model.pairs.entries // 2,
            "lists": self.model.topk.lists,
            **self.model.topk.stats,
            "simd": sg_simd_name(self.model.level).decode(),
        }
