cdef enum:
    SG_GLANCE_MOST = 1024  # newest events that are looked at
    SG_GLANCE_SLOTS = 4096


cdef inline size_t _slot_of(uint64_t item):
    return <size_t>((item * <uint64_t>0x9E3779B97F4A7C15) >> 52)


cdef _uint64s(const uint64_t *values, size_t n):
    found = np.empty(n, np.uint64)
    cdef uint64_t[::1] f = found
    if n:
        memcpy(&f[0], values, n * sizeof(uint64_t))
    return found


cdef _doubles(const double *values, size_t n):
    found = np.empty(n, np.float64)
    cdef double[::1] f = found
    if n:
        memcpy(&f[0], values, n * sizeof(double))
    return found


cdef _bytes(const uint8_t *values, size_t n):
    found = np.empty(n, np.uint8)
    cdef uint8_t[::1] f = found
    if n:
        memcpy(&f[0], values, n)
    return found


cdef class Glance:
    """What an answer sees of a user's newest events; everything of a look that is a function of them.

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

    def of(self, Users users, uint64_t user):
        """Of a user: a dict of

        ``session`` of the newest event (0: there is none); ``recent`` uint64[n], the distinct items of signs of
        interest, newest first, of each ``recent_kind`` the strongest, ``recent_time`` of the newest, ``here`` how many
        of the live session (at most 255); ``visit`` uint64[m], ``visit_kind``, ``visit_time``, oldest first; ``query``,
        the item of the live session's last search (0: none), and ``since_query`` how many signs of interest came after
        it; ``bought``, ``dismissed`` and ``tried`` (shown and not more), distinct and in order of key; ``context`` of
        the live session's newest event that has one; of the live session without searches ``looked`` events at
        ``distinct`` items, and whether it has a ``cart`` and a ``favourite``.
        """
        cdef size_t n, x
        cdef const sg_event *events = sg_users_events(users.handle, user, &n)
        if n > self.limit:
            events, n = events + (n - self.limit), self.limit
        cdef uint64_t session = 0
        for x in range(n, 0, -1):
            if events[x - 1].kind != self.shown:
                session = events[x - 1].session
                break
        found = {"session": session}
        self.read_interest(found, events, n, session)
        self.read_visit(found, events, n, session)
        self.read_live(found, events, n, session)
        for name, kind in (("bought", self.purchase), ("dismissed", self.dismiss), ("tried", self.shown)):
            found[name] = self.of_kind(events, n, kind)
        return found

    cdef Py_ssize_t place_of(self, uint64_t item, size_t known):
        """The place of an item among those known so far; ``known``: it is the next."""
        cdef size_t at = _slot_of(item)
        while self.slots[at] >= 0:
            if self.items[self.slots[at]] == item:
                return self.slots[at]
            at = (at + 1) % SG_GLANCE_SLOTS
        self.slots[at], self.items[known] = <int16_t>known, item
        return known

    cdef read_interest(self, dict found, const sg_event *events, size_t n, uint64_t session):
        cdef size_t x, known = 0, at
        cdef const sg_event *event
        memset(self.slots, -1, sizeof(self.slots))
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
        found["recent"], found["recent_time"] = _uint64s(self.items, known), _doubles(self.times, known)
        found["recent_kind"], found["here"] = _bytes(self.strongest, known), _bytes(self.here, known)

    cdef read_visit(self, dict found, const sg_event *events, size_t n, uint64_t session):
        cdef size_t x, m = 0, at = self.visit
        for x in range(n, 0, -1):  # filled from behind
            if m == self.visit:
                break
            if events[x - 1].kind != self.shown and (not self.by_session or events[x - 1].session == session):
                m += 1
        items, kinds, times = np.empty(m, np.uint64), np.empty(m, np.uint8), np.empty(m, np.float64)
        cdef uint64_t[::1] i = items
        cdef uint8_t[::1] k = kinds
        cdef double[::1] t = times
        at = m
        for x in range(n, 0, -1):
            if at == 0:
                break
            if events[x - 1].kind != self.shown and (not self.by_session or events[x - 1].session == session):
                at -= 1
                i[at], k[at], t[at] = events[x - 1].item, events[x - 1].kind, events[x - 1].time
        found["visit"], found["visit_kind"], found["visit_time"] = items, kinds, times

    cdef read_live(self, dict found, const sg_event *events, size_t n, uint64_t session):
        cdef size_t x, distinct = 0, looked = 0, since = 0
        cdef uint64_t query = 0
        cdef uint32_t context = 0
        cdef bint cart = False, favourite = False, searched = False
        cdef const sg_event *event
        memset(self.slots, -1, sizeof(self.slots))
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
        found["query"], found["since_query"], found["context"] = query, since, context
        found["looked"], found["distinct"], found["cart"], found["favourite"] = looked, distinct, cart, favourite

    cdef of_kind(self, const sg_event *events, size_t n, uint8_t kind):
        cdef size_t x, m = 0
        for x in range(n):
            if events[x].kind == kind:
                self.others[m] = events[x].item
                m += 1
        items = _uint64s(self.others, m)
        return np.unique(items) if m > 1 else items
