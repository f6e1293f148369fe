cdef enum:
    SG_GLANCE_MOST = 1024  # newest events that are looked at
    SG_GLANCE_SLOTS = 4096


cdef int _by_key(const void *one, const void *other) noexcept nogil:
    cdef uint64_t a = (<const uint64_t *>one)[0], b = (<const uint64_t *>other)[0]
    return (a > b) - (a < b)


# The columns of what is seen, their types, and whose starts are whose: those of a group have the same lengths.
_SEEN = ("recent", "recent_kind", "recent_time", "here", "visit", "visit_kind", "visit_time")
_SEEN += ("bought", "dismissed", "tried")
cdef int[10] _SEEN_TYPE = [
    cnp.NPY_UINT64, cnp.NPY_UINT8, cnp.NPY_DOUBLE, cnp.NPY_UINT8, cnp.NPY_UINT64, cnp.NPY_UINT8, cnp.NPY_DOUBLE,
    cnp.NPY_UINT64, cnp.NPY_UINT64, cnp.NPY_UINT64,
]
cdef int[10] _SEEN_GROUP = [0, 0, 0, 0, 1, 1, 1, 2, 3, 4]
cdef int[5] _GROUP_FIRST = [0, 4, 7, 8, 9]


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
        cdef Py_ssize_t row, group, column, rows = len(asked)
        cdef list alone = [], columns = [[] for _ in _SEEN], starts = [_array(rows + 1, cnp.NPY_UINT32) for _ in range(5)]
        cdef uint32_t *s
        cdef size_t n
        cdef const sg_event *events
        for users, user in asked:
            events = sg_users_events((<Users?>users).handle, user, &n)
            if n > self.limit:
                events, n = events + (n - self.limit), self.limit
            alone.append(self.read(events, n, columns))
        for group in range(5):
            s, parts = <uint32_t *>_data(starts[group]), columns[_GROUP_FIRST[group]]
            s[0] = 0
            for row in range(rows):
                s[row + 1] = s[row] + <uint32_t>_length((<list>parts)[row])
        found = {}
        for column, name in enumerate(_SEEN):
            parts = columns[column]
            values = (<list>parts)[0] if rows == 1 else np.concatenate(parts) if rows else _array(0, _SEEN_TYPE[column])
            found[name] = starts[_SEEN_GROUP[column]], values
        return alone, found

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
        columns[0].append(_copied(self.items, known, cnp.NPY_UINT64))
        columns[1].append(_copied(self.strongest, known, cnp.NPY_UINT8))
        columns[2].append(_copied(self.times, known, cnp.NPY_DOUBLE))
        columns[3].append(_copied(self.here, known, cnp.NPY_UINT8))

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
        columns[4].append(_copied(self.others + at, m, cnp.NPY_UINT64))
        columns[5].append(_copied(self.strongest + at, m, cnp.NPY_UINT8))
        columns[6].append(_copied(self.times + at, m, cnp.NPY_DOUBLE))

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
        column.append(_copied(self.others, distinct, cnp.NPY_UINT64))

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
