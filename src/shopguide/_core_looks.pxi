cdef enum:
    SG_GLANCE_MOST = 1024  # newest events that are looked at
    SG_GLANCE_SLOTS = 4096


cdef int _by_key(const void *one, const void *other) noexcept nogil:
    cdef uint64_t a = (<const uint64_t *>one)[0], b = (<const uint64_t *>other)[0]
    return (a > b) - (a < b)


# The columns of what is seen, and whose starts are whose: those of a group have the same lengths.
_SEEN = (
    ("recent", np.dtype(np.uint64), 0),
    ("recent_kind", np.dtype(np.uint8), 0),
    ("recent_time", np.dtype(np.float64), 0),
    ("here", np.dtype(np.uint8), 0),
    ("visit", np.dtype(np.uint64), 1),
    ("visit_kind", np.dtype(np.uint8), 1),
    ("visit_time", np.dtype(np.float64), 1),
    ("bought", np.dtype(np.uint64), 2),
    ("dismissed", np.dtype(np.uint64), 3),
    ("tried", np.dtype(np.uint64), 4),
)
cdef enum:
    SG_GLANCE_COLUMNS = 10
    SG_GLANCE_GROUPS = 5
_U32 = np.dtype(np.uint32)


cdef class Glance:
    """What answers see of users' newest events; everything of a look that is a function of them.

    ``limit`` of them are looked at, at most 1024. strength uint8[256]: of each kind of event how strong a sign of
    interest it is, 0: none; ``shown`` is the kind of what the user did not do, ``search``, ``cart``, ``favourite``,
    ``purchase`` and ``dismiss`` those that count by themselves. A visit is the newest ``visit`` events of the session
    of the newest one, or of all where not ``by_session``. Raises ValueError on a limit or a strength out of range.
    """

    cdef uint8_t[256] strength
    cdef uint8_t[256] kind_of
    cdef size_t limit, visit
    cdef bint by_session
    cdef uint8_t shown, search, cart, favourite, purchase, dismiss
    cdef int16_t[SG_GLANCE_SLOTS] slots
    cdef int bits  # of a slot's number: as many as the events ask for
    cdef uint64_t[SG_GLANCE_MOST] items
    cdef uint64_t[SG_GLANCE_MOST] others
    cdef double[SG_GLANCE_MOST] times
    cdef uint8_t[SG_GLANCE_MOST] strongest
    cdef uint8_t[SG_GLANCE_MOST] here

    def __cinit__(self, strength, *, limit, visit, by_session, shown, search, cart, favourite, purchase, dismiss):
        cdef const uint8_t[::1] s = np.ascontiguousarray(strength, np.uint8)
        cdef size_t kind
        if limit > SG_GLANCE_MOST or len(s) != 256:
            raise ValueError(f"limit is {limit}, strength is of {len(s)} kinds; at most {SG_GLANCE_MOST}, and of 256")
        for kind in range(256):
            self.strength[kind] = s[kind]
            if s[kind]:
                self.kind_of[s[kind]] = <uint8_t>kind
        self.limit, self.visit, self.by_session = limit, visit, by_session
        self.shown, self.search, self.cart, self.favourite = shown, search, cart, favourite
        self.purchase, self.dismiss = purchase, dismiss

    def of(self, list asked not None):
        """Of n pairs (Users, a user): what each sees by itself, and the columns of all.

        By itself: (``session`` of the newest event, 0: there is none; ``query``, the item of the live session's last
        search, 0: none; how many signs of interest came ``since`` it; ``context`` of the live session's newest event
        that has one; of the live session without searches whether it has a ``cart`` and a ``favourite``, and its
        events that ``looked`` at ``distinct`` items). Columns, each (starts uint32[n + 1], values): ``recent`` uint64,
        the distinct items of signs of interest, newest first, of each ``recent_kind`` the strongest, ``recent_time``
        of the newest, ``here`` how many of the live session (at most 255); ``visit`` uint64, ``visit_kind``,
        ``visit_time``, oldest first; ``bought``, ``dismissed`` and ``tried`` (shown and not more), distinct and in
        order of key.
        """
        cdef Py_ssize_t row, group, rows = len(asked)
        cdef list alone = [], columns = [[] for _ in range(SG_GLANCE_COLUMNS)]
        cdef bytes raw = PyBytes_FromStringAndSize(NULL, SG_GLANCE_GROUPS * (rows + 1) * sizeof(uint32_t))
        cdef uint32_t *starts = <uint32_t *>PyBytes_AsString(raw)
        cdef size_t n
        cdef const sg_event *events
        for group in range(SG_GLANCE_GROUPS):
            starts[group * (rows + 1)] = 0
        for row in range(rows):
            users, user = asked[row]
            events = sg_users_events((<Users?>users).handle, user, &n)
            if n > self.limit:
                events, n = events + (n - self.limit), self.limit
            alone.append(self.read(events, n, columns))
            for group, column in enumerate((0, 4, 7, 8, 9)):
                starts[group * (rows + 1) + row + 1] = starts[group * (rows + 1) + row] + <uint32_t>(
                    len(<bytes>(<list>columns[column])[row]) // sizeof(uint64_t)
                )
        of_group = [np.frombuffer(raw, _U32, rows + 1, group * (rows + 1) * 4) for group in range(SG_GLANCE_GROUPS)]
        return alone, {
            name: (of_group[group], np.frombuffer(b"".join(parts), dtype))
            for (name, dtype, group), parts in zip(_SEEN, columns)
        }

    cdef read(self, const sg_event *events, size_t n, list columns):
        cdef size_t x
        cdef uint64_t session = 0
        for x in range(n, 0, -1):
            if events[x - 1].kind != self.shown:
                session = events[x - 1].session
                break
        self.bits = 2
        while (<size_t>1 << self.bits) < 4 * n:
            self.bits += 1
        self.read_interest(columns, events, n, session)
        self.read_visit(columns, events, n, session)
        for x, kind in enumerate((self.purchase, self.dismiss, self.shown)):
            self.read_kind(columns[7 + x], events, n, kind)
        return self.read_live(events, n, session)

    cdef Py_ssize_t place_of(self, uint64_t item, size_t known):
        """The place of an item among those known so far; ``known``: it is the next."""
        cdef size_t at = <size_t>((item * <uint64_t>0x9E3779B97F4A7C15) >> (64 - self.bits))
        while self.slots[at] >= 0:
            if self.items[self.slots[at]] == item:
                return self.slots[at]
            at = (at + 1) & ((<size_t>1 << self.bits) - 1)
        self.slots[at], self.items[known] = <int16_t>known, item
        return known

    cdef void forget(self):
        """No item is known."""
        memset(self.slots, -1, sizeof(int16_t) << self.bits)

    cdef read_interest(self, list columns, const sg_event *events, size_t n, uint64_t session):
        cdef size_t x, known = 0, at
        cdef const sg_event *event
        self.forget()
        for x in range(n, 0, -1):
            event = events + (x - 1)
            if self.strength[event.kind] == 0:
                continue
            at = self.place_of(event.item, known)
            if at == known:
                self.times[at], self.strongest[at], self.here[at] = event.time, 0, 0
                known += 1
            self.strongest[at] = max(self.strongest[at], self.strength[event.kind])
            if event.session == session and self.here[at] < 255:
                self.here[at] += 1
        for at in range(known):
            self.strongest[at] = self.kind_of[self.strongest[at]]
        columns[0].append(PyBytes_FromStringAndSize(<char *>self.items, known * sizeof(uint64_t)))
        columns[1].append(PyBytes_FromStringAndSize(<char *>self.strongest, known))
        columns[2].append(PyBytes_FromStringAndSize(<char *>self.times, known * sizeof(double)))
        columns[3].append(PyBytes_FromStringAndSize(<char *>self.here, known))

    cdef read_visit(self, list columns, const sg_event *events, size_t n, uint64_t session):
        cdef size_t x, at = SG_GLANCE_MOST, m
        for x in range(n, 0, -1):  # filled from behind
            if SG_GLANCE_MOST - at == self.visit:
                break
            if events[x - 1].kind != self.shown and (not self.by_session or events[x - 1].session == session):
                at -= 1
                self.others[at], self.times[at] = events[x - 1].item, events[x - 1].time
                self.strongest[at] = events[x - 1].kind
        m = SG_GLANCE_MOST - at
        columns[4].append(PyBytes_FromStringAndSize(<char *>(self.others + at), m * sizeof(uint64_t)))
        columns[5].append(PyBytes_FromStringAndSize(<char *>(self.strongest + at), m))
        columns[6].append(PyBytes_FromStringAndSize(<char *>(self.times + at), m * sizeof(double)))

    cdef read_kind(self, list column, const sg_event *events, size_t n, uint8_t kind):
        cdef size_t x, m = 0, distinct = 0
        for x in range(n):
            if events[x].kind == kind:
                self.others[m] = events[x].item
                m += 1
        if m > 1:
            qsort(self.others, m, sizeof(uint64_t), _by_key)
        for x in range(m):
            if x == 0 or self.others[x] != self.others[distinct - 1]:
                self.others[distinct] = self.others[x]
                distinct += 1
        column.append(PyBytes_FromStringAndSize(<char *>self.others, distinct * sizeof(uint64_t)))

    cdef tuple read_live(self, const sg_event *events, size_t n, uint64_t session):
        cdef size_t x, distinct = 0, looked = 0, since = 0
        cdef uint64_t query = 0
        cdef uint32_t context = 0
        cdef bint cart = False, favourite = False, searched = False
        cdef const sg_event *event
        self.forget()
        for x in range(n):
            event = events + x
            if event.kind == self.shown or event.session != session:
                continue
            if event.context:
                context = event.context
            if event.kind == self.search:
                query, searched, since = event.item, True, 0
                continue
            since += searched and self.strength[event.kind] > 0
            looked += 1
            distinct += self.place_of(event.item, distinct) == <Py_ssize_t>distinct
            cart = cart or event.kind == self.cart
            favourite = favourite or event.kind == self.favourite
        return session, query, since, context, cart, favourite, looked, distinct
