from cpython cimport array
from cpython.object cimport Py_SIZE


cdef class Tally:
    """What a query's terms add up to, by place, see csrc/sg_tally.h. For one thread at a time."""

    cdef sg_tally tally

    def __dealloc__(self):
        sg_tally_clear(&self.tally)

    def best(self, postings, amounts, lengths, factors, keys, size_t n, skipped=None):
        """The n places with the largest sums (keys uint64[<=n], sums float64[<=n]) by (sum down, key up), but for the
        key that is ``skipped``. A sum is of the amounts (above 0) whose postings, each an array("I") of places, hold
        the place, in their order, times factors[lengths[place]]: lengths uint32[places], keys uint64[places]. Raises
        ValueError on unequal lengths, a place or a length out of range."""
        amounts, factors = _column_of(amounts, cnp.NPY_DOUBLE), _column_of(factors, cnp.NPY_DOUBLE)
        lengths, keys = _column_of(lengths, cnp.NPY_UINT32), _column_of(keys, cnp.NPY_UINT64)
        cdef const double *amount = <const double *>_data(amounts)
        cdef const double *factor = <const double *>_data(factors)
        cdef const uint32_t *length = <const uint32_t *>_data(lengths)
        cdef const uint64_t *key = <const uint64_t *>_data(keys)
        cdef size_t places = _of_one_length(_length(lengths), _length(keys)), m = _length(factors)
        cdef size_t x, got, kept = 0, terms = _of_one_length(_length(amounts), len(postings))
        cdef const sg_candidate *best
        cdef bint fine = True, skips = skipped is not None
        cdef uint64_t without = skipped if skips else 0
        for posting in postings:
            if (<array.array?>posting).typecode != "I":
                raise ValueError(f"postings of type {posting.typecode!r}; it has to be I")
        check(sg_tally_grow(&self.tally, places))
        for x in range(terms):
            fine &= self.add(<array.array>postings[x], amount[x], places)
        for x in range(self.tally.len):
            fine &= self.weigh(self.tally.touched[x], length, factor, m)
        got = sg_tally_best(&self.tally, key, n + skips, True, &best)
        if not fine:
            raise ValueError("a place or a length is out of range")
        items, sums = _array(got, cnp.NPY_UINT64), _array(got, cnp.NPY_DOUBLE)
        cdef uint64_t *i = <uint64_t *>_data(items)
        cdef double *s = <double *>_data(sums)
        for x in range(got):
            if kept < n and not (skips and key[best[x].id] == without):
                i[kept], s[kept] = key[best[x].id], best[x].strength
                kept += 1
        return items[:kept], sums[:kept]

    cdef bint add(self, array.array posting, double amount, size_t places) noexcept:
        """Whether all of its places are in range; those that are have been added to."""
        cdef const unsigned int *at = posting.data.as_uints
        cdef size_t x, n = Py_SIZE(posting)
        cdef bint fine = True
        for x in range(n):
            if at[x] < places:
                sg_tally_add(&self.tally, at[x], amount)
            else:
                fine = False
        return fine

    cdef bint weigh(self, uint32_t place, const uint32_t *lengths, const double *factors, size_t n) noexcept:
        """Whether its length is one of n; then its sum has been multiplied."""
        if lengths[place] >= n:
            return False
        self.tally.sums[place] *= factors[lengths[place]]
        return True
