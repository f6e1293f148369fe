from libc.string cimport strcspn


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
                self.add(<bytes>word)
            elif word == -1:
                self.add_number(shared)
            else:
                self.add(<bytes?>cause[word])
        return 0

    cdef int add_number(self, uint64_t number) except -1:
        cdef char[20] text
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


cdef class Card:
    """What lists say of an item (key) whatever list it is in: its ``name`` is its id. ``offered``: its attributes, None
    where it has no name or cannot be offered. As JSON, without quotes, ``named`` and ``titled``: id (or nothing) and
    title; ``more``: the attributes that say something, each behind a comma."""

    cdef readonly object item, name, offered
    cdef readonly bytes named, titled, more

    def __init__(self, item, name, offered, bytes named not None, bytes titled not None, bytes more not None):
        self.item, self.name, self.offered = item, name, offered
        self.named, self.titled, self.more = named, titled, more


cdef class Telling:
    """How it is told why an item is in a list, as JSON; all words are bytes. Kept by whoever makes lists.

    A reason is unnamed[signal], or words[signal] where there is a cause: bytes, and numbers of what the cause has in
    their place: 0 its id, 1 its title, 2 and 3 what was done with it, by its title and as "it"; -1: how many shoppers
    link the two. did[kind], of all 256 kinds of events: (what stands before the title, and behind it; as "it").
    openings[tag]: up to where an item's reasons begin or, of a tag that is not 0, behind the first one.

    Reasons are what weighs most, at most ``most`` in all, and none has a share of the score below ``least``, but the
    very first. Where fewer than ``fewest`` shoppers are behind a part of a signal that may_be_unnamed (uint8[signals]),
    it has no cause. same_words uint8[signals]: signals with one number say the same without a cause. Raises ValueError
    on unequal lengths.
    """

    cdef tuple words, unnamed, openings, did
    cdef size_t most, signals
    cdef double least
    cdef uint32_t fewest
    cdef uint8_t[256] may_be_unnamed
    cdef uint8_t[256] same_words
    cdef _Text text

    def __init__(self, tuple words not None, tuple unnamed not None, tuple openings not None, tuple did not None, *,
                 may_be_unnamed, same_words, most, least, fewest):
        cdef size_t signal
        self.signals = _of_one_length(len(words), len(unnamed), len(may_be_unnamed), len(same_words))
        _of_one_length(len(did), 256)
        if self.signals > 256:
            raise ValueError(f"{self.signals} signals are out of range; at most 256")
        self.words, self.unnamed, self.openings, self.did = words, unnamed, openings, did
        self.most, self.least, self.fewest = most, least, fewest
        for signal in range(self.signals):
            self.may_be_unnamed[signal], self.same_words[signal] = may_be_unnamed[signal], same_words[signal]
        self.text = _Text()


cdef struct sg_part:
    double amount
    uint64_t because
    uint32_t shared
    uint8_t signal


cdef struct sg_reason:
    const sg_part *part  # the largest of its parts
    double sum


cdef class Parts:
    """The parts of candidates' scores, and what of them is told.

    Those of candidate x are at starts[x]:starts[x + 1] (uint32[n + 1]) of signal uint8[m], because uint64[m] (0: no
    cause), amount float64[m], shared uint32[m]. Raises ValueError on unequal lengths or for an unknown signal.
    """

    cdef Telling telling
    cdef object starts_array
    cdef const uint32_t *starts
    cdef sg_part *parts
    cdef uint8_t *ordered  # whether a candidate's parts have their largest first: sorted when it is first listed
    cdef sg_reason *reasons  # room for a candidate's
    cdef uint64_t *causes  # of a list, each once, in order
    cdef size_t candidates, causes_len

    def __cinit__(self, starts, signal, because, amount, shared, Telling telling not None):
        cdef size_t x, m, longest = 0
        self.telling = telling
        self.starts_array = _column_of(starts, cnp.NPY_UINT32)
        signal, because = _column_of(signal, cnp.NPY_UINT8), _column_of(because, cnp.NPY_UINT64)
        amount, shared = _column_of(amount, cnp.NPY_DOUBLE), _column_of(shared, cnp.NPY_UINT32)
        self.starts, self.candidates = <uint32_t *>_data(self.starts_array), _length(self.starts_array) - 1
        m = _of_one_length(_length(signal), _length(because), _length(amount), _length(shared))
        _of_one_length(m, self.starts[self.candidates])
        for x in range(self.candidates):
            longest = max(longest, self.starts[x + 1] - self.starts[x])
        self.parts = <sg_part *>_larger(NULL, m * sizeof(sg_part) + 1)
        self.causes = <uint64_t *>_larger(NULL, m * sizeof(uint64_t) + 1)
        self.reasons = <sg_reason *>_larger(NULL, longest * sizeof(sg_reason) + 1)
        self.ordered = <uint8_t *>_larger(NULL, self.candidates + 1)
        memset(self.ordered, 0, self.candidates)
        self.take(m, <uint8_t *>_data(signal), <uint64_t *>_data(because), <double *>_data(amount),
                  <uint32_t *>_data(shared))

    def __dealloc__(self):
        free(self.parts)
        free(self.causes)
        free(self.reasons)
        free(self.ordered)

    cdef int take(self, size_t m, const uint8_t *signal, const uint64_t *because, const double *amount,
                  const uint32_t *shared) except -1:
        cdef size_t x
        for x in range(m):
            if signal[x] >= self.telling.signals:
                raise ValueError(f"signal {signal[x]} is out of range")
            self.parts[x] = sg_part(amount[x], because[x], shared[x], signal[x])
            if shared[x] < self.telling.fewest and self.telling.may_be_unnamed[signal[x]]:
                self.parts[x].because = 0
        return 0

    cdef int sort(self, size_t row) except -1:
        """A candidate's largest part first; equal ones stay in their order."""
        self.inside(row, row + 1)
        if self.ordered[row]:
            return 0
        self.ordered[row] = 1
        cdef size_t x, at, begin = self.starts[row]
        cdef sg_part part
        for x in range(begin + 1, self.starts[row + 1]):
            at, part = x, self.parts[x]
            while at > begin and self.parts[at - 1].amount < part.amount:
                self.parts[at] = self.parts[at - 1]
                at -= 1
            self.parts[at] = part
        return 0

    def listed(self, size_t first, size_t last, list places not None, bytes scores not None, dict did not None, cards,
               dict others not None):
        """What a packed list (shopguide.lists) has of its items and of what speaks for the candidates first..last - 1:
        {"causes", "items", "json", "why"}.

        places [(Card, row, factor, tag), ...], best first: ``row`` is that of the candidate, -1 for an item that is
        none, ``factor`` what its amounts are worth in this list; ``scores`` is a JSON array of as many numbers. Of a
        cause, an item, cards[key] is its Card and did[key] the kind of the user's strongest event with it (not there:
        1); of one that is no item others[key] has the words as JSON, without quotes. Parts with one cause are one
        reason, or with the same words where they have none: with cause, signal and ``shared`` of the largest, and their
        share of all that speaks for the candidate, 0..1, to 4 decimals. Raises IndexError beyond the candidates or
        openings, ValueError where there are not as many scores as places."""
        cdef _Text text = self.telling.text
        cdef const char *score = PyBytes_AsString(scores) + 1
        cdef list names = [], items = [], told
        cdef Card card
        cdef Py_ssize_t row
        cdef size_t tag, size
        text.n = 0
        self.find_causes(first, last)
        told = self.tell_causes(did, cards, others, text)
        causes = text.take()
        for card, row, _, tag in places:
            if row >= 0 and not first <= <size_t>row < last:
                raise IndexError(f"candidate {row} is not of {first}..{last}")
            size = strcspn(score, b",]")
            if size == 0:
                raise ValueError(f"fewer scores than {len(places)} items")
            if tag >= <size_t>len(self.telling.openings):
                raise IndexError(f"tag {tag} of {len(self.telling.openings)} openings")
            text.add(b'{"item":"')
            text.add(card.named)
            text.add(b'","title":"')
            text.add(card.titled)
            text.add(b'","score":')
            text.put(score, size)
            text.add(card.more)
            text.add(<bytes?>self.telling.openings[tag])
            self.tell(row, tag != 0, told, text)
            text.add(b"]}")
            names.append(card.name)
            items.append(text.take())
            score += size + (score[size] != 0)
        if score[0] not in b"]\0":
            raise ValueError(f"more scores than {len(places)} items")
        return {"causes": causes, "items": names, "json": items, "why": self.packed(places)}

    cdef int find_causes(self, size_t first, size_t last) except -1:
        self.inside(first, last)
        cdef size_t x, at
        cdef uint64_t because
        self.causes_len = 0
        for x in range(self.starts[first], self.starts[last]):
            because = self.parts[x].because
            at = self.place_of(because)
            if because and (at == self.causes_len or self.causes[at] != because):
                memmove(self.causes + at + 1, self.causes + at, (self.causes_len - at) * sizeof(uint64_t))
                self.causes[at] = because
                self.causes_len += 1
        return 0

    cdef size_t place_of(self, uint64_t cause) noexcept:
        """Of a cause among those of the list: how many are before it."""
        cdef size_t low = 0, high = self.causes_len, middle
        while low < high:
            middle = (low + high) // 2
            if self.causes[middle] < cause:
                low = middle + 1
            else:
                high = middle
        return low

    cdef list tell_causes(self, dict did, cards, dict others, _Text text):
        """Add the list's causes, and give what words say of each: its id, its title, and what was done with it."""
        cdef list told = []
        cdef size_t at
        cdef Card card
        cdef uint8_t kind
        text.add(b"[")
        for at in range(self.causes_len):
            key, named, kind = self.causes[at], b"", 1
            titled = others.get(key)
            if titled is None:
                card = cards[key]
                named, titled, kind = card.named, card.titled, did.get(key, 1)
            begin, end, did_it = self.telling.did[kind]
            told.append((named, titled, begin + titled + end, did_it))
            text.add(b",[" if at else b"[")
            text.add_number(self.causes[at])
            text.add(b',"')
            text.add(named)
            text.add(b'","')
            text.add(titled)
            text.add(b'",')
            text.add_number(kind)
            text.add(b"]")
        text.add(b"]")
        return told

    cdef int tell(self, Py_ssize_t row, bint told_one, list causes, _Text text) except -1:
        """Add a candidate's reasons."""
        if row < 0:
            return 0
        self.sort(row)
        cdef Telling telling = self.telling
        cdef size_t x, g, best, groups = 0, said = told_one
        cdef sg_reason *reasons = self.reasons
        cdef const sg_part *part
        cdef double share, all_ = 0
        for x in range(self.starts[row], self.starts[row + 1]):
            part = self.parts + x
            all_ += max(part.amount, 0)
            for g in range(groups):
                if self.same(reasons[g].part, part):
                    reasons[g].sum += part.amount
                    break
            else:
                reasons[groups] = sg_reason(part, part.amount)
                groups += 1
        while groups and said < telling.most:
            best = 0
            for g in range(1, groups):
                if reasons[g].sum > reasons[best].sum:
                    best = g
            part, share = reasons[best].part, reasons[best].sum / (all_ if all_ > 0 else INFINITY)
            if share < telling.least and said:
                break
            if said:
                text.add(b",")
            said += 1
            if part.because:
                text.add_words(telling.words[part.signal], causes[self.place_of(part.because)], part.shared)
            else:
                text.add(<bytes?>telling.unnamed[part.signal])
            text.add_share(_to_4_decimals(share) + 0.0)
            text.add(b"}")
            groups -= 1
            memmove(reasons + best, reasons + best + 1, (groups - best) * sizeof(sg_reason))
        return 0

    cdef list packed(self, list places):
        """The places' tags; how many parts each has; and these, each row's largest first, as columns, little-endian:
        signal, because, amount times the row's factor, shared."""
        cdef size_t n = 0, at = 0, x
        cdef Py_ssize_t row
        cdef double factor
        for _, row, _, _ in places:
            if row >= 0:
                self.sort(row)
                n += self.starts[row + 1] - self.starts[row]
        tags, counts = _bytes(len(places)), _bytes(len(places) * sizeof(uint32_t))
        signal, because = _bytes(n), _bytes(n * sizeof(uint64_t))
        amount, shared = _bytes(n * sizeof(double)), _bytes(n * sizeof(uint32_t))
        cdef uint8_t *t = <uint8_t *>PyBytes_AsString(tags)
        cdef uint32_t *c = <uint32_t *>PyBytes_AsString(counts)
        cdef uint8_t *s = <uint8_t *>PyBytes_AsString(signal)
        cdef uint64_t *b = <uint64_t *>PyBytes_AsString(because)
        cdef double *a = <double *>PyBytes_AsString(amount)
        cdef uint32_t *h = <uint32_t *>PyBytes_AsString(shared)
        for _, row, factor, tag in places:
            t[0], c[0] = tag, self.starts[row + 1] - self.starts[row] if row >= 0 else 0
            for x in range(c[0]):
                part = self.parts[self.starts[row] + x]
                s[at], b[at], a[at], h[at] = part.signal, part.because, part.amount * factor, part.shared
                at += 1
            t += 1
            c += 1
        return [tags, counts, signal, because, amount, shared]

    cdef int inside(self, size_t first, size_t last) except -1:
        if not first <= last <= self.candidates:
            raise IndexError(f"candidates {first}..{last} of {self.candidates}")
        return 0

    cdef bint same(self, const sg_part *one, const sg_part *other) noexcept:
        """Whether two parts are one reason."""
        if one.because != other.because:
            return False
        return one.because != 0 or self.telling.same_words[one.signal] == self.telling.same_words[other.signal]


cdef inline bytes _bytes(size_t n):
    """So many, not set."""
    return PyBytes_FromStringAndSize(NULL, n)


def rows_of(tuple columns not None, make):
    """make((value, ...)) of each row of columns of one length: of an array a number, of a ragged column (with
    ``starts`` uint32[n + 1] and ``values``) a list of them, or bytes where they are of one byte. Raises ValueError on
    unequal lengths."""
    return [make(row) for row in zip(*[_values_of(column) for column in columns], strict=True)]


cdef list _values_of(column):
    if cnp.PyArray_Check(column):
        return cnp.PyArray_ToList(column)
    cdef cnp.ndarray values = column.values
    starts = _column_of(column.starts, cnp.NPY_UINT32)
    cdef const uint32_t *at = <uint32_t *>_data(starts)
    cdef size_t row, rows = _length(starts) - 1
    of_bytes = cnp.PyArray_ITEMSIZE(values) == 1
    plain = cnp.PyArray_ToString(values, cnp.NPY_ANYORDER) if of_bytes else cnp.PyArray_ToList(values)
    return [plain[at[row]:at[row + 1]] for row in range(rows)] if rows != 1 else [plain]
