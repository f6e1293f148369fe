from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    const unsigned char *PyUnicode_1BYTE_DATA(object text)


cdef const unsigned char *_plain(object value, Py_ssize_t *n):
    """The bytes of an id that is hashed as it stands: 1 to 128 of ASCII, no blank at either end. Else NULL."""
    cdef const unsigned char *text
    if type(value) is not str or not PyUnicode_IS_COMPACT_ASCII(value):
        return NULL
    n[0], text = len(<str>value), PyUnicode_1BYTE_DATA(value)
    return text if 0 < n[0] <= SG_KEY_LONGEST and text[0] > c" " and text[n[0] - 1] > c" " else NULL


def gather(list rows not None, dict wanted not None):
    """({name: list of n}, set): of n dicts the values of each name that is wanted, None where a row lacks it; and the
    names that are not. Raises TypeError for a row that is no dict."""
    cdef dict columns = {}
    cdef set others = set()
    cdef Py_ssize_t row, n = len(rows)
    for row in range(n):
        for name, value in (<dict?>rows[row]).items():
            if name in columns:
                (<list>columns[name])[row] = value
            elif name in wanted:
                columns[name] = [None] * n
                (<list>columns[name])[row] = value
            else:
                others.add(name)
    return columns, others


def is_text(list column not None):
    """Whether all values are str or None."""
    cdef object value
    for value in column:
        if type(value) is not str and value is not None:
            return False
    return True


def look_up(list column not None, memory not None):
    """uint64[n]: what the memory, a dict, holds for each value; ``memory[value]`` works out what it lacks."""
    cdef Py_ssize_t i, n = len(column)
    cdef PyObject *known
    found = np.empty(n, np.uint64)
    cdef uint64_t[::1] f = found
    for i in range(n):
        known = PyDict_GetItemWithError(memory, column[i])
        f[i] = <object>known if known != NULL else memory[column[i]]
    return found


def keys_of(list column not None, uint64_t seed, other not None):
    """uint64[n]: the key of each id, xxh3-64 under the seed; of what is no plain id (None, blanks, long or not ASCII)
    what ``other`` makes of it."""
    cdef Py_ssize_t i, length = 0, n = len(column)
    cdef const unsigned char *text
    found = np.empty(n, np.uint64)
    cdef uint64_t[::1] f = found
    for i in range(n):
        text = _plain(column[i], &length)
        f[i] = sg_key(text, length, seed) if text != NULL else <uint64_t>other(column[i])
    return found


def bytes_of(list column not None, other not None):
    """The bytes of each id; of what is no plain one what ``other`` makes of it."""
    cdef Py_ssize_t length = 0
    cdef const unsigned char *text
    cdef list found = []
    for value in column:
        text = _plain(value, &length)
        found.append(<bytes>text[:length] if text != NULL else other(value))
    return found


cdef enum:  # what a row of a kind is asked for
    SG_ROW_KNOWN = 1
    SG_ROW_ITEM = 2
    SG_ROW_USER = 4
    SG_ROW_DATA = 8


def judge(asked, kinds, items, users, times, values, arrived, starts, double earliest, double ahead):
    """(bool, list): whether all rows make sense as far as their columns go, and those whose data has to be looked into.

    ``asked`` uint8[256]: of each kind 1 where a row can be of it, + 2: with an item, + 4: with a user, + 8: looked into
    also where it has no data, whose ``starts`` uint32[n + 1] are. Times are epoch s, none before ``earliest`` or more
    than ``ahead`` after it ``arrived``; they and values are finite. Raises ValueError on unequal lengths.
    """
    asked, kinds = _column_of(asked, cnp.NPY_UINT8), _column_of(kinds, cnp.NPY_UINT8)
    items, users = _column_of(items, cnp.NPY_UINT64), _column_of(users, cnp.NPY_UINT64)
    times, values = _column_of(times, cnp.NPY_DOUBLE), _column_of(values, cnp.NPY_DOUBLE)
    arrived, starts = _column_of(arrived, cnp.NPY_DOUBLE), _column_of(starts, cnp.NPY_UINT32)
    cdef Py_ssize_t row, n = _of_one_length(_length(kinds), _length(items), _length(users), _length(times))
    _of_one_length(n, _length(values), _length(arrived), _length(starts) - 1)
    _of_one_length(256, _length(asked))
    cdef const uint8_t *a = <const uint8_t *>_data(asked)
    cdef const uint8_t *k = <const uint8_t *>_data(kinds)
    cdef const uint64_t *i = <const uint64_t *>_data(items)
    cdef const uint64_t *u = <const uint64_t *>_data(users)
    cdef const double *t = <const double *>_data(times)
    cdef const double *v = <const double *>_data(values)
    cdef const double *came = <const double *>_data(arrived)
    cdef const uint32_t *s = <const uint32_t *>_data(starts)
    cdef uint8_t asks
    cdef bint fine = True
    cdef list rows = []
    for row in range(n):
        asks = a[k[row]]
        if not (asks & SG_ROW_KNOWN and isfinite(t[row]) and isfinite(v[row])):
            fine = False
        elif not earliest <= t[row] <= came[row] + ahead:
            fine = False
        elif (asks & SG_ROW_ITEM and i[row] == 0) or (asks & SG_ROW_USER and u[row] == 0):
            fine = False
        if asks & SG_ROW_DATA or s[row + 1] > s[row]:
            rows.append(row)
    return fine, rows


cdef inline uint64_t _own_event_key(uint64_t event, uint64_t user) noexcept:
    """See shopguide.keys.own_event_key."""
    cdef uint64_t key = event * <uint64_t>0x9E3779B97F4A7C15 ^ user
    key = (key ^ (key >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    key = (key ^ (key >> 27)) * <uint64_t>0x94D049BB133111EB
    return key ^ (key >> 31)


def doubles_of(list tables not None, events, users, kinds, uint8_t bare):
    """The rows, a list, whose event id was met before: in one of the tables, or in a row before. The last table takes
    the others in.

    events uint64[n], 0: none; an id is known by shopguide.keys.own_event_key of it and its user, in a row of kind
    ``bare`` as it stands. Raises ValueError on unequal lengths.
    """
    events, users = _column_of(events, cnp.NPY_UINT64), _column_of(users, cnp.NPY_UINT64)
    kinds = _column_of(kinds, cnp.NPY_UINT8)
    cdef Py_ssize_t row, n = _of_one_length(_length(events), _length(users), _length(kinds))
    cdef const uint64_t *e = <const uint64_t *>_data(events)
    cdef const uint64_t *u = <const uint64_t *>_data(users)
    cdef const uint8_t *k = <const uint8_t *>_data(kinds)
    cdef Py_ssize_t last = len(tables) - 1
    cdef Table newest = tables[last]
    cdef list older = tables[:last], found = []
    cdef uint64_t key
    cdef uint32_t id
    cdef int new
    for row in range(n):
        if e[row] == 0:
            continue
        key = e[row] if k[row] == bare else _own_event_key(e[row], u[row])
        new = 1
        for table in older:
            new &= sg_table_find((<Table?>table).table, key) == SG_TABLE_NONE
        if new:
            check(sg_table_index(newest.table, key, &id, &new))
        if not new:
            found.append(row)
    return found
