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
