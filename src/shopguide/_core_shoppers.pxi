from libc.string cimport memcpy, memmove, memset


cdef size_t _of_one_length(size_t a, size_t b, size_t c=SIZE_MAX, size_t d=SIZE_MAX) except? 0:
    """The length of all columns of a call. Raises ValueError where they differ."""
    if a != b or a != c != SIZE_MAX or a != d != SIZE_MAX:
        raise ValueError(f"columns of one call differ in length: {[n for n in (a, b, c, d) if n != SIZE_MAX]}")
    return a


def _column(state, name, dtype):
    """A snapshot's column. Raises ValueError where it is missing or of another type."""
    if name not in state:
        raise ValueError(f"the snapshot has no {name!r}")
    column = np.ascontiguousarray(state[name])
    if column.dtype != dtype or column.ndim != 1:
        raise ValueError(f"the snapshot's {name!r} is {column.dtype}[{column.ndim}-d], not {np.dtype(dtype)}[1-d]")
    return column


def _of_setting(state, name, value):
    """Raises ValueError where a snapshot was made under another setting."""
    had = _column(state, name, np.float64).tolist()
    if had != [value]:
        raise ValueError(f"the snapshot was made with {name} {had}, not {value}")


cdef enum:
    FURTHEST = 4096  # items of a ranking, beyond which none is looked for


cdef inline bint _among(Table items, uint64_t item):
    return items is not None and sg_table_find(items.table, item) != SG_TABLE_NONE


cdef class Recent:
    """Decayed counts of items, overall and by category, the top n always current.

    ``half_life`` in seconds. An observation of weight w at time t counts w * 2^((t - now) / half_life) at ``now``
    (forward decay; see csrc/sg_recent.h). Raises ValueError where half_life is not finite and above 0.
    """

    cdef sg_recent *recent
    cdef double half_life

    def __cinit__(self, double half_life):
        if not 0 < half_life < float("inf"):
            raise ValueError(f"half_life is {half_life}; it has to be finite and above 0")
        self.half_life = half_life
        self.recent = sg_recent_new(half_life)
        if self.recent == NULL:
            raise MemoryError()

    def __dealloc__(self):
        sg_recent_free(self.recent)

    def observe(self, items, times, weights):
        """Count items uint64[n] at times float64[n] (epoch s) with weights float64[n] (0..1e100).

        Raises ValueError, and nothing is applied, on unequal lengths, a time not finite or a weight out of range.
        """
        items, times = _column_of(items, cnp.NPY_UINT64), _column_of(times, cnp.NPY_DOUBLE)
        weights = _column_of(weights, cnp.NPY_DOUBLE)
        cdef size_t n = _of_one_length(_length(items), _length(times), _length(weights))
        check(sg_recent_observe(self.recent, <const uint64_t *>_data(items), <const double *>_data(times),
                                <const double *>_data(weights), n))

    def retract(self, items, times, weights):
        """Take one earlier observation each out; how many were of an item that had any. Raises as observe does."""
        items, times = _column_of(items, cnp.NPY_UINT64), _column_of(times, cnp.NPY_DOUBLE)
        weights = _column_of(weights, cnp.NPY_DOUBLE)
        cdef size_t n = _of_one_length(_length(items), _length(times), _length(weights)), found
        check(sg_recent_retract(self.recent, <const uint64_t *>_data(items), <const double *>_data(times),
                                <const double *>_data(weights), n, &found))
        return found

    def categorise(self, items, categories):
        """The category uint64[n] of each item uint64[n] from now on; 0: none. Raises ValueError on unequal lengths."""
        cdef const uint64_t[::1] i = np.ascontiguousarray(items, np.uint64)
        cdef const uint64_t[::1] c = np.ascontiguousarray(categories, np.uint64)
        cdef size_t n = _of_one_length(i.shape[0], c.shape[0])
        cdef int rc
        with nogil:
            rc = sg_recent_categorise(self.recent, &i[0], &c[0], n)
        check(rc)

    def category(self, items):
        """uint64[n]: the category of each item; 0 where it has none."""
        cdef const uint64_t[::1] i = np.ascontiguousarray(items, np.uint64)
        found = np.empty(len(i), np.uint64)
        cdef uint64_t[::1] c = found
        with nogil:
            sg_recent_categories(self.recent, &i[0], i.shape[0], &c[0])
        return found

    def weight(self, items, double now):
        """float64[n]: the decayed count of each item at ``now`` (epoch s). Raises ValueError if that is not finite."""
        cdef const uint64_t[::1] i = np.ascontiguousarray(items, np.uint64)
        weights = np.empty(len(i), np.float64)
        cdef double[::1] w = weights
        cdef int rc
        with nogil:
            rc = sg_recent_weights(self.recent, &i[0], i.shape[0], now, &w[0])
        check(rc)
        return weights

    def top(self, Py_ssize_t n, uint64_t category, double now):
        """The n heaviest observed items of a category (0: of all) and their decayed counts at ``now``.

        (items uint64[<=n], weights float64[<=n]) by (weight down, key up). Raises ValueError on n < 0 or a ``now`` that
        is not finite.
        """
        if n < 0:
            raise ValueError(f"n is {n}; it cannot be negative")
        n = min(n, <Py_ssize_t>sg_recent_live(self.recent))
        items, weights = np.empty(n, np.uint64), np.empty(n, np.float64)
        cdef uint64_t[::1] i = items
        cdef double[::1] w = weights
        cdef size_t got
        cdef int rc
        with nogil:
            rc = sg_recent_top(self.recent, n, category, now, &i[0], &w[0], &got)
        check(rc)
        return items[:got], weights[:got]

    def put(self, Blend blend, uint32_t signal, size_t n, double now, Table but=None):
        """Into a blend, without a cause: the decayed counts of the n heaviest items, and of all others that it has, as
        shares of the heaviest's; none of those in ``but``, nor what nothing is left of. Raises ValueError as top()."""
        cdef size_t x, kept = self.heaviest(blend, n, now, but), had = blend.blend.places
        cdef double most = 0
        cdef uint32_t *places = <uint32_t *>blend.causes
        check(sg_recent_weights(self.recent, blend.blend.items, had, now, blend.others))
        for x in range(had):
            if _among(but, blend.blend.items[x]):
                blend.others[x] = 0
            most = max(most, blend.others[x])
        most = blend.amounts[0] if kept else most
        for x in range(kept):
            blend.amounts[x] /= most
        blend.rows_of(signal, blend.found, NULL, blend.amounts, kept)
        kept = 0
        for x in range(had):
            if blend.others[x] > 0 and sg_blend_totals_of(blend.blend, signal)[x] == 0:
                places[kept], blend.amounts[kept] = x, blend.others[x] / most
                kept += 1
        check(sg_blend_put_at(blend.blend, signal, places, blend.amounts, kept))

    cdef size_t heaviest(self, Blend blend, size_t n, double now, Table but) except? 0:
        """The n heaviest items that are not in ``but``, and their decayed counts, into a blend's room; how many."""
        cdef size_t x, got = 0, kept, read = min(n, sg_recent_live(self.recent))
        while True:
            blend.make_room(max(read, blend.blend.places))
            check(sg_recent_top(self.recent, read, 0, now, blend.found, blend.amounts, &got))
            kept = 0
            for x in range(got):
                if blend.amounts[x] > 0 and not _among(but, blend.found[x]):
                    blend.found[kept], blend.amounts[kept] = blend.found[x], blend.amounts[x]
                    kept += 1
            if kept >= n or read == sg_recent_live(self.recent) or read > FURTHEST:
                return min(kept, n)
            read = min(2 * read, sg_recent_live(self.recent))

    def __len__(self):
        """Items with observations."""
        return sg_recent_live(self.recent)

    def dump(self):
        """The state: items, counts, weights (relative to the landmark), categories, landmark, half_life."""
        cdef size_t n = sg_recent_size(self.recent)
        items, counts = np.empty(n, np.uint64), np.empty(n, np.uint32)
        weights, categories, landmark = np.empty(n, np.float64), np.empty(n, np.uint64), np.empty(1, np.int64)
        cdef uint64_t[::1] i = items, c = categories
        cdef uint32_t[::1] k = counts
        cdef double[::1] w = weights
        cdef int64_t[::1] at = landmark
        with nogil:
            sg_recent_dump(self.recent, &i[0], &k[0], &w[0], &c[0], &at[0])
        return {
            "items": items,
            "counts": counts,
            "weights": weights,
            "categories": categories,
            "landmark": landmark,
            "half_life": np.array([self.half_life]),
        }

    def load(self, state):
        """Become what ``dump`` gave. Raises ValueError, and stays as it was, on anything inconsistent."""
        cdef const uint64_t[::1] i = _column(state, "items", np.uint64)
        cdef const uint32_t[::1] k = _column(state, "counts", np.uint32)
        cdef const double[::1] w = _column(state, "weights", np.float64)
        cdef const uint64_t[::1] c = _column(state, "categories", np.uint64)
        cdef const int64_t[::1] at = _column(state, "landmark", np.int64)
        cdef size_t n = _of_one_length(i.shape[0], k.shape[0], w.shape[0], c.shape[0])
        cdef Recent fresh = Recent(self.half_life)
        cdef int rc
        _of_setting(state, "half_life", self.half_life)
        if len(at) != 1:
            raise ValueError(f"the snapshot has {len(at)} landmarks")
        with nogil:
            rc = sg_recent_load(fresh.recent, &i[0], &k[0], &w[0], &c[0], n, at[0])
        check(rc)
        self.recent, fresh.recent = fresh.recent, self.recent

    def check(self):
        """Raises CoreError naming the first broken invariant."""
        cdef const char *why = NULL
        if sg_recent_check(self.recent, &why) != SG_OK:
            raise CoreError(why.decode())

    @property
    def nbytes(self):
        """Bytes held."""
        return sg_recent_nbytes(self.recent)


_EVENT = np.dtype(
    [
        ("item", np.uint64),
        ("time", np.float64),
        ("session", np.uint64),
        ("offset", np.int64),
        ("event", np.uint64),
        ("kind", np.uint8),
        ("derived", np.uint8),
        ("context", np.uint32),
    ],
    align=True,
)

_MOVE = np.dtype(
    [
        ("user", np.uint64),
        ("item", np.uint64),
        ("time", np.float64),
        ("session", np.uint64),
        ("now", np.uint64),
        ("kind", np.uint8),
        ("context", np.uint32),
    ],
    align=True,
)


cdef class Users:
    """Per user every kept event, in order, cut into sessions by inactivity (see csrc/sg_users.h).

    ``session_gap`` in seconds. An event without a session goes on with the user's previous one if that was derived too
    and at most ``session_gap`` away; else it begins a session whose key is a function of (user, time) alone. Raises
    ValueError where the gap is not finite and >= 0.
    """

    cdef sg_users *handle
    cdef double session_gap

    def __cinit__(self, double session_gap):
        if not 0 <= session_gap < float("inf"):
            raise ValueError(f"session_gap is {session_gap}; it has to be finite and not negative")
        self.session_gap = session_gap
        self.handle = sg_users_new(session_gap)
        if self.handle == NULL:
            raise MemoryError()

    def __dealloc__(self):
        sg_users_free(self.handle)

    def observe(self, users, items, times, sessions, kinds, offsets, events, contexts=None):
        """Keep n events; uint64[n], the session of each.

        users, items, sessions (0: not given), events (0: none) uint64[n]; times float64[n] in epoch s; kinds uint8[n];
        offsets int64[n]; contexts uint32[n], None: all 0. Raises ValueError, and nothing is applied, on unequal
        lengths or a time that is not finite.
        """
        users, items = _column_of(users, cnp.NPY_UINT64), _column_of(items, cnp.NPY_UINT64)
        sessions, events = _column_of(sessions, cnp.NPY_UINT64), _column_of(events, cnp.NPY_UINT64)
        times = _column_of(times, cnp.NPY_DOUBLE)
        kinds, offsets = _column_of(kinds, cnp.NPY_UINT8), _column_of(offsets, cnp.NPY_INT64)
        cdef size_t n = _of_one_length(_length(users), _length(items), _length(times), _length(sessions))
        _of_one_length(n, _length(kinds), _length(offsets), _length(events))
        cdef const uint32_t *c = NULL
        if contexts is not None:
            contexts = _column_of(contexts, cnp.NPY_UINT32)
            _of_one_length(n, _length(contexts))
            c = <const uint32_t *>_data(contexts)
        resolved = _array(n, cnp.NPY_UINT64)
        cdef const uint64_t *u = <const uint64_t *>_data(users)
        cdef const uint64_t *i = <const uint64_t *>_data(items)
        cdef const double *t = <const double *>_data(times)
        cdef const uint64_t *s = <const uint64_t *>_data(sessions)
        cdef const uint8_t *k = <const uint8_t *>_data(kinds)
        cdef const int64_t *o = <const int64_t *>_data(offsets)
        cdef const uint64_t *e = <const uint64_t *>_data(events)
        cdef uint64_t *r = <uint64_t *>_data(resolved)
        cdef int rc
        with nogil:
            rc = sg_users_observe(self.handle, u, i, t, s, k, o, e, c, n, r)
        check(rc)
        return resolved

    def events(self, uint64_t user):
        """A user's events, oldest first; empty arrays for an unknown user.

        item uint64, time float64, session uint64, offset int64, event uint64, kind uint8, derived uint8 (0: given),
        context uint32.
        """
        cdef size_t n
        cdef const sg_event *events = sg_users_events(self.handle, user, &n)
        rows = np.empty(n, _EVENT)
        cdef uint8_t[::1] raw = rows.view(np.uint8)
        if n:
            memcpy(&raw[0], events, n * sizeof(sg_event))
        return {name: rows[name].copy() for name in _EVENT.names}

    def __contains__(self, uint64_t user):
        """Whether there are events of the user."""
        cdef size_t n
        sg_users_events(self.handle, user, &n)
        return n > 0

    def newest(self, uint64_t user, uint64_t item, uint32_t kind_mask):
        """Index of the user's newest event of an item whose kind is in the mask (a bit a kind); -1: there is none."""
        return sg_users_newest(self.handle, user, item, kind_mask)

    def find(self, uint64_t user, uint64_t event):
        """Index of the user's newest event with a producer's key; -1: there is none."""
        return sg_users_find(self.handle, user, event)

    def remove(self, uint64_t user, Py_ssize_t index):
        """Take an event out as if it had never been: derived sessions behind it can be cut anew.

        Raises ValueError where the user has no event of that index.
        """
        if index < 0 or sg_users_remove(self.handle, user, index) != SG_OK:
            raise ValueError(f"the user has no event {index}")

    def expire(self, users, int64_t before, double since=float("-inf"), bint by_session=True):
        """Take out each event of users uint64[n] whose offset is below ``before`` or whose time is below ``since``, as
        if it had never been.

        The events that are gone, and those that a model has to learn again (see csrc/sg_users.h; ``by_session``: its
        units are sessions), user by user, the oldest first: user uint64, item uint64, time float64, session uint64
        (that it was in), now uint64 (that it is in; 0: gone), kind uint8, context uint32.
        """
        cdef const uint64_t[::1] u = np.ascontiguousarray(users, np.uint64)
        cdef const sg_move *moves
        cdef size_t n
        cdef int rc
        with nogil:
            rc = sg_users_expire(self.handle, &u[0], u.shape[0], before, since, by_session, &moves, &n)
        check(rc)
        told = np.empty(n, _MOVE)
        cdef uint8_t[::1] raw = told.view(np.uint8)
        if n:
            memcpy(&raw[0], moves, n * sizeof(sg_move))
        return {name: told[name].copy() for name in _MOVE.names}

    def drop(self, uint64_t user):
        """Take a user out; how many events that were."""
        return sg_users_drop(self.handle, user)

    cdef _list(self):
        cdef size_t n = sg_users_count(self.handle)
        keys, starts = np.empty(n, np.uint64), np.empty(n + 1, np.uint64)
        cdef uint64_t[::1] k = keys, s = starts
        with nogil:
            sg_users_list(self.handle, &k[0], &s[0])
        return keys, starts

    def users(self):
        """uint64[len]: the users with events."""
        return self._list()[0]

    def __len__(self):
        """Users with events."""
        return sg_users_count(self.handle)

    @property
    def total(self):
        """Events held."""
        return sg_users_total(self.handle)

    def dump(self):
        """The state: users, starts[len + 1] (where each one's events begin), the columns of events, session_gap."""
        users, starts = self._list()
        rows = np.empty(self.total, _EVENT)
        cdef const uint64_t[::1] u = users
        cdef uint8_t[::1] raw = rows.view(np.uint8)
        cdef const sg_event *events
        cdef size_t at = 0, n, id
        with nogil:
            for id in range(<size_t>u.shape[0]):
                events = sg_users_events(self.handle, u[id], &n)
                memcpy(&raw[at], events, n * sizeof(sg_event))
                at += n * sizeof(sg_event)
        columns = {name: rows[name].copy() for name in _EVENT.names}
        return {"users": users, "starts": starts, **columns, "session_gap": np.array([self.session_gap])}

    def load(self, state):
        """Become what ``dump`` gave. Raises ValueError, and stays as it was, on anything inconsistent."""
        _of_setting(state, "session_gap", self.session_gap)
        users, starts = _column(state, "users", np.uint64), _column(state, "starts", np.uint64)
        e = {name: _column(state, name, dtype) for name, (dtype, _) in _EVENT.fields.items()}
        n = _of_one_length(len(e["item"]), min(map(len, e.values())), max(map(len, e.values())))
        last = len(users)
        if len(starts) != last + 1 or starts[0] != 0 or starts[last] != n or (starts[1:] <= starts[:last]).any():
            raise ValueError("the snapshot's starts do not cut its events into users")
        lengths = np.diff(starts).astype(np.int64)
        given = np.where(e["derived"] == 1, np.uint64(0), e["session"])
        rows = np.repeat(users, lengths)
        cdef Users fresh = Users(self.session_gap)
        sessions = fresh.observe(rows, e["item"], e["time"], given, e["kind"], e["offset"], e["event"], e["context"])
        if len(fresh) != len(users) or (sessions != e["session"]).any() or (e["derived"] > 1).any():
            raise ValueError("the snapshot's users are doubled, or its sessions are not those of its events")
        self.handle, fresh.handle = fresh.handle, self.handle

    def check(self):
        """Raises CoreError naming the first broken invariant."""
        cdef const char *why = NULL
        if sg_users_check(self.handle, &why) != SG_OK:
            raise CoreError(why.decode())

    @property
    def nbytes(self):
        """Bytes held."""
        return sg_users_nbytes(self.handle)


cdef class Audience:
    """Who touched an item: how many distinct users are behind one, or behind two at once (see csrc/sg_audience.h)."""

    cdef sg_audience *audience

    def __cinit__(self):
        self.audience = sg_audience_new()
        if self.audience == NULL:
            raise MemoryError()

    def __dealloc__(self):
        sg_audience_free(self.audience)

    def add(self, items, users):
        """Count one touch of each item uint64[n] by each user uint64[n]. Raises ValueError on unequal lengths."""
        items, users = _column_of(items, cnp.NPY_UINT64), _column_of(users, cnp.NPY_UINT64)
        cdef size_t n = _of_one_length(_length(items), _length(users))
        check(sg_audience_add(self.audience, <const uint64_t *>_data(items), <const uint64_t *>_data(users), NULL, n))

    def sub(self, items, users):
        """Take one touch of each pair out; how many were there. A user whose count is 0 is out of the item."""
        items, users = _column_of(items, cnp.NPY_UINT64), _column_of(users, cnp.NPY_UINT64)
        cdef size_t n = _of_one_length(_length(items), _length(users))
        return sg_audience_sub(self.audience, <const uint64_t *>_data(items), <const uint64_t *>_data(users), n)

    def count(self, items):
        """uint32[n]: the distinct users of each item."""
        cdef const uint64_t[::1] i = np.ascontiguousarray(items, np.uint64)
        counts = np.empty(len(i), np.uint32)
        cdef uint32_t[::1] c = counts
        with nogil:
            sg_audience_count(self.audience, &i[0], i.shape[0], &c[0])
        return counts

    def shared(self, uint64_t item, others, uint32_t limit=0):
        """uint32[m]: the distinct users of both ``item`` and each of others uint64[m]; at most ``limit`` if above 0."""
        cdef const uint64_t[::1] o = np.ascontiguousarray(others, np.uint64)
        counts = np.empty(len(o), np.uint32)
        cdef uint32_t[::1] c = counts
        with nogil:
            sg_audience_shared(self.audience, item, &o[0], o.shape[0], limit, &c[0])
        return counts

    def behind(self, items, starts, causes, amounts, unsigned most):
        """What the parts of the items' sums share with them: items uint64[n]; those of items[x] are at
        starts[x]:starts[x + 1] (uint32[n + 1]) of causes uint64[m] and amounts float64[m]. uint32[m]: the distinct
        users of item and cause, for the ``most`` causes of an item with the largest amounts; 0 for other parts, where
        the cause is 0, or is the item. Raises ValueError on unequal lengths."""
        items, starts = _column_of(items, cnp.NPY_UINT64), _column_of(starts, cnp.NPY_UINT32)
        causes, amounts = _column_of(causes, cnp.NPY_UINT64), _column_of(amounts, cnp.NPY_DOUBLE)
        cdef size_t n = _of_one_length(_length(items) + 1, _length(starts)) - 1
        cdef const uint32_t *at = <const uint32_t *>_data(starts)
        shared = _array(_of_one_length(_length(causes), _length(amounts), at[n]), cnp.NPY_UINT32)
        sg_audience_behind(self.audience, <const uint64_t *>_data(items), n, at, <const uint64_t *>_data(causes),
                           <const double *>_data(amounts), most, <uint32_t *>_data(shared))
        return shared

    def dump(self):
        """The state: (items uint64[n], users uint64[n], counts uint32[n]), a row a pair."""
        cdef size_t n = sg_audience_pairs(self.audience)
        items, users, counts = np.empty(n, np.uint64), np.empty(n, np.uint64), np.empty(n, np.uint32)
        cdef uint64_t[::1] i = items, u = users
        cdef uint32_t[::1] c = counts
        with nogil:
            sg_audience_dump(self.audience, &i[0], &u[0], &c[0])
        return items, users, counts

    def load(self, items, users, counts):
        """Become what ``dump`` gave. Raises ValueError, and stays as it was, on a doubled pair or a count of 0."""
        cdef const uint64_t[::1] i = np.ascontiguousarray(items, np.uint64)
        cdef const uint64_t[::1] u = np.ascontiguousarray(users, np.uint64)
        cdef const uint32_t[::1] c = np.ascontiguousarray(counts, np.uint32)
        cdef size_t n = _of_one_length(i.shape[0], u.shape[0], c.shape[0])
        cdef Audience fresh = Audience()
        cdef int rc
        with nogil:
            rc = sg_audience_add(fresh.audience, &i[0], &u[0], &c[0], n)
        if rc != SG_ERR_RANGE:
            check(rc)
        if rc == SG_ERR_RANGE or sg_audience_pairs(fresh.audience) != n:
            raise ValueError("the snapshot names a pair of item and user twice")
        self.audience, fresh.audience = fresh.audience, self.audience

    def __len__(self):
        """Pairs of an item and a user."""
        return sg_audience_pairs(self.audience)

    def check(self):
        """Raises CoreError naming the first broken invariant."""
        cdef const char *why = NULL
        if sg_audience_check(self.audience, &why) != SG_OK:
            raise CoreError(why.decode())

    @property
    def nbytes(self):
        """Bytes held."""
        return sg_audience_nbytes(self.audience)
