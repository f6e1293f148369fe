cdef enum:
    MOST_READINGS = 4


cdef class Reading:
    """How the units nearest to a query are read (csrc/sg_nearest.h): near, what an item counts by its distance from
    the shared one, from 0 up, float64 (empty: all alike); half_life, seconds before the newest of the units in which
    one halves (None: never)."""

    cdef const double[::1] near
    cdef sg_reading by

    def __cinit__(self, near=(), half_life=None):
        self.near = np.array(near, np.float64)
        self.by.near, self.by.distances = &self.near[0], self.near.shape[0]
        self.by.half_life = half_life or 0


cdef class Sessions:
    """VMIS-kNN over live units (sessions, or users), exact under adds and retracts.

    ``history``: how many of a unit's last kept items it holds; an item among them is skipped. ``unit_cap``: an item
    remembers only the newest so many units that hold it, see csrc/sg_postings.h; None: all. The definition of
    neighbours and scores is in csrc/sg_nearest.h: query items newest first, weights and decays in 0..1 by place. Any
    uint64 is a legal unit and item. Reads write to caches: one thread at a time. Raises ValueError for a setting out of
    range.
    """

    cdef sg_sessions *model
    cdef uint64_t without  # of the query at hand

    def __cinit__(self, history=50, unit_cap=None):
        if not 1 <= history <= 1_000_000:
            raise ValueError(f"history is {history}; it has to be 1..1000000")
        if unit_cap is not None and not 1 <= unit_cap < 2**32:
            raise ValueError(f"unit_cap is {unit_cap}; it has to be at least 1, or None")
        check(sg_sessions_new(history, &self.model))
        if unit_cap is not None:
            check(sg_sessions_cap(self.model, unit_cap))

    def __dealloc__(self):
        sg_sessions_free(self.model)

    def observe(self, uint64_t unit, uint64_t item, double time):
        """Learn one event (time in epoch s). Raises ValueError on a time that is not finite."""
        check(sg_sessions_observe(self.model, &unit, &item, &time, 1))

    def observe_many(self, units, items, times):
        """Learn events in order: uint64[n], uint64[n], float64[n] (epoch s). Errors as of Items.observe_many."""
        cdef _Rows of = _Rows(units, items, times)
        check(sg_sessions_observe(self.model, of.units, of.items, of.times, of.n))

    def bulk(self, units, items, times):
        """Learn a whole history at once: what observe_many would do, faster. The model has to be empty, else
        ValueError; a failure leaves it empty."""
        cdef _Rows of = _Rows(units, items, times)
        cdef int rc
        if self.model.ledger.history.events:
            raise ValueError("the model is not empty")
        with nogil:
            rc = sg_sessions_bulk(&self.model, of.units, of.items, of.times, of.n)
        check(rc)

    def retract(self, uint64_t unit, uint64_t item, double time):
        """Take one event back; whether it was there. Raises ValueError on a time that is not finite."""
        cdef size_t found
        check(sg_sessions_retract(self.model, &unit, &item, &time, 1, &found))
        return found == 1

    def retract_many(self, units, items, times):
        """Take events back, as if they had never been; how many were there. As Items.retract_many."""
        cdef _Rows of = _Rows(units, items, times)
        cdef size_t found
        check(sg_sessions_retract(self.model, of.units, of.items, of.times, of.n, &found))
        return found

    def expire(self, double before):
        """Take all events before a time (epoch s) back; how many. Raises ValueError for NaN."""
        cdef size_t gone
        cdef int rc
        with nogil:
            rc = sg_sessions_expire(self.model, before, &gone)
        check(rc)
        return gone

    def nearest(self, items, weights, m=1500, k=100, without=None):
        """The k units most like the query (units uint64[<=k], similarities float64[<=k]), nearest first: of each item
        the m newest, but for the unit ``without``. Raises ValueError on a query that sg_nearest.h does not allow."""
        cdef sg_query q
        cdef size_t n, most = max(k, 0)
        cdef Query asked = Query(items, weights)
        self._ask(&q, asked, m, k, 0, without)
        units, similarities = np.empty(most, np.uint64), np.empty(most, np.float64)
        cdef uint64_t[::1] u = units
        cdef double[::1] s = similarities
        cdef int rc
        with nogil:
            rc = sg_nearest_units(self.model, &q, &u[0], &s[0], &n)
        check(rc)
        return units[:n], similarities[:n]

    def recommend(
        self, items, weights, decay, n=20, m=1500, k=100, idf=1.0, without=None, near=(), half_life=None
    ):
        """The n best of what the k nearest units hold (items uint64[<=n], scores float64[<=n]) by (score down, key up);
        the query's own items are among them. near: what an item counts by its distance from the shared one, from 0 up;
        empty: all alike. half_life: seconds before the newest of them in which a unit halves; None: never. Raises
        ValueError on a query that sg_nearest.h does not allow."""
        cdef Query asked = Query(items, weights)
        cdef const double[::1] by = np.ascontiguousarray(decay, np.float64)
        cdef Reading reading = Reading(near, half_life)
        cdef sg_query q
        cdef size_t got, most = max(n, 0)
        _of_one_length(asked.len, by.shape[0])
        self._ask(&q, asked, m, k, idf, without)
        q.decays = &by[0]
        found, scores = np.empty(most, np.uint64), np.empty(most, np.float64)
        cdef uint64_t[::1] i = found
        cdef double[::1] s = scores
        cdef int rc
        with nogil:
            rc = sg_nearest_items(self.model, &q, &reading.by, 1, most, True, &i[0], &s[0], &got)
        check(rc)
        return found[:got], scores[:got]

    def put(self, Blend blend, signals, Query asked, readings, size_t n, m, k, idf, without=None):
        """Into a blend what recommend() finds, with the weights asked for as decay: by each Reading one of the signals.
        Raises ValueError for more readings than MOST_READINGS."""
        cdef size_t[MOST_READINGS] got
        cdef sg_reading[MOST_READINGS] by
        cdef size_t x, count = len(readings)
        cdef sg_query q
        if count > MOST_READINGS:
            raise ValueError(f"{count} readings; at most {MOST_READINGS}")
        for x in range(count):
            by[x] = (<Reading?>readings[x]).by
        self._ask(&q, asked, m, k, idf, without)
        blend.make_room(count * n)
        check(sg_nearest_items(self.model, &q, by, count, n, False, blend.found, blend.amounts, got))
        for x in range(count):
            blend.rows_of(signals[x], blend.found + x * n, NULL, blend.amounts + x * n, got[x])

    cdef int _ask(self, sg_query *q, Query asked, m, k, double idf, without) except -1:
        """Fill in a query; it borrows from ``asked`` and from the model."""
        q.items, q.weights, q.decays, q.len = asked.items, asked.weights, asked.weights, asked.len
        q.m, q.k, q.idf = max(m, 0), max(k, 0), idf
        q.without = NULL
        if without is not None:
            self.without = without
            q.without = &self.without
        return 0

    def holding(self, items):
        """uint32[n]: how many units hold each item."""
        cdef const uint64_t[::1] i = np.ascontiguousarray(items, np.uint64)
        counts = np.empty(i.shape[0], np.uint32)
        cdef uint32_t[::1] out = counts
        sg_sessions_holding(self.model, &i[0], i.shape[0], &out[0])
        return counts

    def events(self):
        """(units uint64[n], items uint64[n], times float64[n]): every event held, each unit's together and in order."""
        return _events(&self.model.ledger)

    def dump(self):
        """All that the model is made from, as columns; see Items.dump."""
        return _dump(&self.model.ledger)

    def load(self, columns):
        """Learn dumped columns; the model has to be empty. Raises ValueError where they do not fit together."""
        self.bulk(*_expand(columns))

    def compact(self):
        """Learn everything anew from the events held: no id, key or spare room of what has gone is left."""
        cdef Sessions fresh = Sessions(self.model.ledger.history.window, self.model.postings.cap or None)
        fresh.bulk(*self.events())
        self.model, fresh.model = fresh.model, self.model

    def checksum(self):
        """32 hex digits, equal for equal units' items in order, whatever the way there."""
        cdef uint64_t[2] total
        check(sg_sessions_checksum(self.model, total))
        return f"{total[0]:016x}{total[1]:016x}"

    def check(self):
        """Raises CoreError naming the first broken invariant."""
        cdef const char *why = NULL
        cdef int rc
        with nogil:
            rc = sg_sessions_check(self.model, &why)
        if rc == SG_ERR_NOMEM:
            check(rc)
        if rc != SG_OK:
            raise CoreError(why.decode())

    @property
    def nbytes(self):
        """Bytes held, by part."""
        return sg_sessions_nbytes(self.model)

    def stats(self):
        """Counters: units, items, events, kept_events."""
        return {
            "units": sg_table_live(self.model.ledger.units),
            "items": sg_table_live(self.model.ledger.items),
            "events": self.model.ledger.history.events,
            "kept_events": self.model.ledger.history.kept_events,
        }
