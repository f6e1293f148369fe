cdef double _to_4_decimals(double value) except *:
    """As Python's round() has it, which takes twenty times as long: near the middle between two it decides."""
    cdef double scaled = value * 1e4, whole = floor(scaled)
    if not -1e11 < scaled < 1e11 or fabs(scaled - whole - 0.5) < 1e-4:
        return round(value, 4)
    return (whole if scaled - whole < 0.5 else whole + 1) / 1e4


cdef class _Text:
    """Bytes that grow, and are taken when they are whole."""

    cdef char *text
    cdef size_t n, room

    def __dealloc__(self):
        free(self.text)

    cdef int put(self, const char *more, size_t m) except -1:
        cdef size_t room = self.room
        while room < self.n + m:
            room = 2 * room + 1024
        if room > self.room:
            text = <char *>realloc(self.text, room)
            if text == NULL:
                raise MemoryError()
            self.text, self.room = text, room
        memcpy(self.text + self.n, more, m)
        self.n += m
        return 0

    cdef int add(self, bytes more) except -1:
        return self.put(PyBytes_AsString(more), <size_t>len(more))

    cdef int add_words(self, tuple words, tuple cause, uint32_t shared) except -1:
        for word in words:
            if type(word) is bytes:
                self.add(word)
            elif word == -1:
                self.add_number(shared)
            else:
                self.add(cause[word])
        return 0

    cdef int add_number(self, uint32_t number) except -1:
        cdef char[10] text
        cdef size_t at = sizeof(text)
        while at == sizeof(text) or number:
            at -= 1
            text[at] = 48 + number % 10
            number //= 10
        return self.put(text + at, sizeof(text) - at)

    cdef int add_share(self, double share) except -1:
        """A number of 4 decimals, as JSON."""
        cdef char[6] text = [48, 46, 48, 48, 48, 48]  # 0.0000
        cdef int left = <int>(share * 1e4 + 0.5) if 0 <= share < 1 else -1, at, n = 6
        if left < 0:
            return self.add(repr(share).encode())
        for at in range(5, 1, -1):
            text[at] += left % 10
            left //= 10
        while n > 3 and text[n - 1] == 48:
            n -= 1
        return self.put(text, n)

    cdef bytes take(self):
        cdef size_t n = self.n
        self.n = 0
        return PyBytes_FromStringAndSize(self.text, n)


cdef class Parts:
    """The parts of candidates' scores, and what of them is told as reasons.

    Those of candidate x are at starts[x]:starts[x + 1] (uint32[n + 1]) of signal uint8[m], because uint64[m], amount
    float64[m], shared uint32[m]. Where fewer than ``min_shoppers`` are behind a part of a signal that may be unnamed
    (uint8[signals]), it has no cause: 0. words uint8[signals]: signals with one number say the same without a cause.
    Raises ValueError on unequal lengths.
    """

    cdef const uint32_t[::1] starts
    cdef uint8_t[::1] signal
    cdef uint64_t[::1] because
    cdef double[::1] amount
    cdef uint32_t[::1] shared
    cdef const uint8_t[::1] words
    cdef uint8_t[::1] ordered  # whether a candidate's parts have their largest first: sorted when it is first listed
    cdef size_t candidates, longest

    def __cinit__(self, starts, signal, because, amount, shared, uint32_t min_shoppers, unnamed, words):
        cdef const uint8_t[::1] may = np.ascontiguousarray(unnamed, np.uint8)
        cdef size_t x, m
        self.words = np.ascontiguousarray(words, np.uint8)
        self.starts = np.ascontiguousarray(starts, np.uint32)
        self.signal, self.because = np.array(signal, np.uint8), np.array(because, np.uint64)
        self.amount, self.shared = np.array(amount, np.float64), np.array(shared, np.uint32)
        self.candidates = self.starts.shape[0] - 1
        m = _of_one_length(self.signal.shape[0], self.because.shape[0], self.amount.shape[0], self.shared.shape[0])
        _of_one_length(m, self.starts[self.candidates])
        _of_one_length(may.shape[0], self.words.shape[0])
        for x in range(m):
            if self.signal[x] >= may.shape[0]:
                raise ValueError(f"signal {self.signal[x]} is out of range")
            if self.shared[x] < min_shoppers and may[self.signal[x]]:
                self.because[x] = 0
        self.ordered = np.zeros(self.candidates, np.uint8)
        self.longest = 0
        for x in range(self.candidates):
            self.longest = max(self.longest, self.starts[x + 1] - self.starts[x])

    cdef int sort(self, size_t row) except -1:
        """A candidate's largest part first; equal ones stay in their order."""
        self.inside(row, row + 1)
        if self.ordered[row]:
            return 0
        self.ordered[row] = 1
        cdef size_t x, at, begin = self.starts[row], end = self.starts[row + 1]
        cdef uint8_t signal
        cdef uint64_t because
        cdef double amount
        cdef uint32_t shared
        for x in range(begin + 1, end):
            at, signal, because, amount, shared = x, self.signal[x], self.because[x], self.amount[x], self.shared[x]
            while at > begin and self.amount[at - 1] < amount:
                self.signal[at], self.because[at] = self.signal[at - 1], self.because[at - 1]
                self.amount[at], self.shared[at] = self.amount[at - 1], self.shared[at - 1]
                at -= 1
            self.signal[at], self.because[at], self.amount[at], self.shared[at] = signal, because, amount, shared

    def causes(self, size_t first, size_t last):
        """What speaks for the candidates first..last - 1, each once, in order of key. Raises IndexError beyond them."""
        self.inside(first, last)
        cdef size_t begin = self.starts[first], end = self.starts[last], x, n = 0, low, high, middle
        cdef uint64_t *found = <uint64_t *>malloc((end - begin) * sizeof(uint64_t) + 1)
        if found == NULL:
            raise MemoryError()
        for x in range(begin, end):
            low, high = 0, n
            while low < high:
                middle = (low + high) // 2
                if found[middle] < self.because[x]:
                    low = middle + 1
                else:
                    high = middle
            if self.because[x] and (low == n or found[low] != self.because[x]):
                memmove(found + low + 1, found + low, (n - low) * sizeof(uint64_t))
                found[low] = self.because[x]
                n += 1
        try:
            return [found[x] for x in range(n)]
        finally:
            free(found)

    def items(self, cards, scores, rows, const uint8_t[::1] tags, dict causes, tuple words, tuple unnamed,
              tuple openings, size_t most, double least):
        """The items of a list as JSON: card.before, its score, card.after, openings[tag], the reasons and ``]}``.

        All are bytes; ``rows`` the candidates, -1 for an item that is none. An opening is up to where the reasons begin
        or, of a tag that is not 0, behind the first one. Reasons are what weighs most, at most ``most`` in all:
        unnamed[signal], or words[signal] where there is a cause, its share of all that speaks for the candidate (0..1,
        to 4 decimals) and ``}``. Words are bytes, and numbers of what causes[cause] has in their place; -1: ``shared``.
        Cause, signal and ``shared`` are those of the largest part. Parts with one cause are one reason, or with the
        same words where they have none: 0. None has a share below ``least``, but the very first. Raises IndexError
        beyond the candidates or openings, KeyError for a cause that is not there, ValueError on unequal lengths."""
        cdef size_t n = _of_one_length(len(cards), len(scores)), at
        cdef _Text text = _Text()
        cdef list found = []
        _of_one_length(n, len(rows), tags.shape[0])
        _of_one_length(self.words.shape[0], len(words), len(unnamed))
        cdef size_t *room = <size_t *>malloc(self.longest * (sizeof(size_t) + sizeof(double)) + 1)
        if room == NULL:
            raise MemoryError()
        try:
            for at in range(n):
                if tags[at] >= len(openings):
                    raise IndexError(f"tag {tags[at]} of {len(openings)} openings")
                card = cards[at]
                text.add(card.before)
                text.add(scores[at])
                text.add(card.after)
                text.add(openings[tags[at]])
                self.tell(rows[at], tags[at] != 0, most, least, room, causes, words, unnamed, text)
                text.add(b"]}")
                found.append(text.take())
        finally:
            free(room)
        return found

    cdef int tell(self, Py_ssize_t row, bint told_one, size_t most, double least, size_t *first, dict causes,
                  tuple words, tuple unnamed, _Text text) except -1:
        """Add a candidate's reasons. ``first``: room for its parts, and behind it for their sums."""
        if row < 0:
            return 0
        self.sort(row)
        cdef size_t begin = self.starts[row], end = self.starts[row + 1], x, g, best, groups = 0, said = told_one
        cdef double *sums = <double *>(first + self.longest)
        cdef double share, all_ = 0
        for x in range(begin, end):
            all_ += max(self.amount[x], 0)
            for g in range(groups):
                if self.same(first[g], x):
                    sums[g] += self.amount[x]
                    break
            else:
                first[groups], sums[groups] = x, self.amount[x]
                groups += 1
        while groups and said < most:
            best = 0
            for g in range(1, groups):
                if sums[g] > sums[best]:
                    best = g
            x, share = first[best], sums[best] / (all_ if all_ > 0 else INFINITY)
            if share < least and said:
                break
            if said:
                text.add(b",")
            said += 1
            if self.because[x]:
                text.add_words(words[self.signal[x]], causes[self.because[x]], self.shared[x])
            else:
                text.add(unnamed[self.signal[x]])
            text.add_share(_to_4_decimals(share) + 0.0)
            text.add(b"}")
            groups -= 1
            for g in range(best, groups):
                first[g], sums[g] = first[g + 1], sums[g + 1]
        return 0

    def packed(self, rows, factors):
        """The parts of ``rows`` (-1: no candidate, and without any), each row's largest first, one row's after the
        other's, as columns, little-endian: (uint32 how many each has, signal, because, amount times the row's factor,
        shared). Raises IndexError beyond the candidates."""
        cdef size_t n = 0, at = 0, begin, m, x
        cdef Py_ssize_t row
        cdef double factor
        _of_one_length(len(rows), len(factors))
        for row in rows:
            if row >= 0:
                self.sort(row)
                n += self.starts[row + 1] - self.starts[row]
        counts = PyBytes_FromStringAndSize(NULL, len(rows) * sizeof(uint32_t))
        signal, because = PyBytes_FromStringAndSize(NULL, n), PyBytes_FromStringAndSize(NULL, n * sizeof(uint64_t))
        amount = PyBytes_FromStringAndSize(NULL, n * sizeof(double))
        shared = PyBytes_FromStringAndSize(NULL, n * sizeof(uint32_t))
        cdef uint32_t *c = <uint32_t *>PyBytes_AsString(counts)
        cdef double *a = <double *>PyBytes_AsString(amount)
        for row, factor in zip(rows, factors):
            begin = self.starts[row] if row >= 0 else 0
            m = self.starts[row + 1] - begin if row >= 0 else 0
            c[0] = m
            c += 1
            if m == 0:
                continue
            memcpy(PyBytes_AsString(signal) + at, &self.signal[begin], m)
            memcpy(PyBytes_AsString(because) + at * sizeof(uint64_t), &self.because[begin], m * sizeof(uint64_t))
            memcpy(PyBytes_AsString(shared) + at * sizeof(uint32_t), &self.shared[begin], m * sizeof(uint32_t))
            for x in range(m):
                a[at + x] = self.amount[begin + x] * factor
            at += m
        return counts, signal, because, amount, shared

    cdef int inside(self, size_t first, size_t last) except -1:
        if not first <= last <= self.candidates:
            raise IndexError(f"candidates {first}..{last} of {self.candidates}")
        return 0

    cdef bint same(self, size_t x, size_t y) noexcept:
        """Whether two parts are one reason."""
        if self.because[x] != self.because[y]:
            return False
        return self.because[x] != 0 or self.words[self.signal[x]] == self.words[self.signal[y]]
