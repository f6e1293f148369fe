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
cdef int[5] _GROUP_FIRST = [0, 4, 7, 8, 9]  # the column, of 8 bytes a value, that tells how many there are


cdef struct sg_grown:
    char *data
    size_t used, room  # bytes


cdef int _add(sg_grown *to, const void *values, size_t size) except -1:
    """Values of so many bytes behind those that there are."""
    cdef size_t room = 2 * (to.used + size)
    if to.used + size > to.room:
        data = <char *>realloc(to.data, room)
        if data == NULL:
            raise MemoryError()
        to.data, to.room = data, room
    if size:
        memcpy(to.data + to.used, values, size)
    to.used += size
    return 0


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
    cdef sg_grown[10] columns  # of those who are asked for

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

    def __dealloc__(self):
        cdef int column
        for column in range(10):
            free(self.columns[column].data)

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
        cdef list alone = [], starts = [_array(rows + 1, cnp.NPY_UINT32) for _ in range(5)]
        cdef uint32_t *at[5]
        cdef size_t n
        cdef const sg_event *events
        for column in range(10):
            self.columns[column].used = 0
        for group in range(5):
            at[group] = <uint32_t *>_data(starts[group])
            at[group][0] = 0
        for row in range(rows):
            users, user = asked[row]
            events = sg_users_events((<Users?>users).handle, user, &n)
            if n > self.limit:
                events, n = events + (n - self.limit), self.limit
            alone.append(self.read(events, n))
            for group in range(5):
                at[group][row + 1] = <uint32_t>(self.columns[_GROUP_FIRST[group]].used // sizeof(uint64_t))
        found = {}
        for column in range(10):
            values = _copied(self.columns[column].data, at[_SEEN_GROUP[column]][rows], _SEEN_TYPE[column])
            found[_SEEN[column]] = starts[_SEEN_GROUP[column]], values
        return alone, found

    cdef tuple read(self, const sg_event *events, size_t n):
        cdef size_t x
        cdef uint64_t session = 0
        for x in range(n, 0, -1):
            if events[x - 1].kind != self.shown:
                session = events[x - 1].session
                break
        self.bits = 2
        while (<size_t>1 << self.bits) < 4 * n:
            self.bits += 1
        self.read_interest(events, n, session)
        self.read_visit(events, n, session)
        self.read_kind(&self.columns[7], events, n, self.purchase)
        self.read_kind(&self.columns[8], events, n, self.dismiss)
        self.read_kind(&self.columns[9], events, n, self.shown)
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

    cdef int read_interest(self, const sg_event *events, size_t n, uint64_t session) except -1:
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
        _add(&self.columns[0], self.items, known * sizeof(uint64_t))
        _add(&self.columns[1], self.strongest, known)
        _add(&self.columns[2], self.times, known * sizeof(double))
        _add(&self.columns[3], self.here, known)
        return 0

    cdef int read_visit(self, const sg_event *events, size_t n, uint64_t session) except -1:
        cdef size_t x, at = SG_GLANCE_MOST, m
        for x in range(n, 0, -1):  # filled from behind
            if SG_GLANCE_MOST - at == self.visit:
                break
            if events[x - 1].kind != self.shown and (not self.by_session or events[x - 1].session == session):
                at -= 1
                self.others[at], self.times[at] = events[x - 1].item, events[x - 1].time
                self.strongest[at] = events[x - 1].kind
        m = SG_GLANCE_MOST - at
        _add(&self.columns[4], self.others + at, m * sizeof(uint64_t))
        _add(&self.columns[5], self.strongest + at, m)
        _add(&self.columns[6], self.times + at, m * sizeof(double))
        return 0

    cdef int read_kind(self, sg_grown *column, const sg_event *events, size_t n, uint8_t kind) except -1:
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
        return _add(column, self.others, distinct * sizeof(uint64_t))

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
