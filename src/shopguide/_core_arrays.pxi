from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from libc.string cimport memcpy

cnp.import_array()


cdef inline object _array(Py_ssize_t n, int type):
    """A new array of n values of a type (cnp.NPY_UINT64, …), not set."""
    cdef cnp.npy_intp size = n
    return cnp.PyArray_SimpleNew(1, &size, type)


cdef inline object _copied(const void *values, Py_ssize_t n, int type):
    """The same, of values that there are."""
    found = _array(n, type)
    if n:
        memcpy(_data(found), values, cnp.PyArray_NBYTES(found))
    return found


cdef inline void *_data(object array):
    return cnp.PyArray_DATA(<cnp.ndarray>array)


cdef inline object _column_of(object values, int type):
    """One array of the type, the values' own where they are such a one; it has to live as long as its data is read."""
    return cnp.PyArray_FROMANY(values, type, 1, 1, cnp.NPY_ARRAY_CARRAY_RO | cnp.NPY_ARRAY_FORCECAST)


cdef inline Py_ssize_t _length(object array):
    return cnp.PyArray_SIZE(<cnp.ndarray>array)


cdef class ValueRows:
    """Rows of any number of values: row r is ``values[starts[r]:starts[r + 1]]``, starts uint32[n + 1]."""

    cdef readonly object starts, values

    @classmethod
    def __class_getitem__(cls, kind):
        return cls

    def __init__(self, starts not None, values not None):
        self.starts, self.values = _column_of(starts, cnp.NPY_UINT32), values

    def __len__(self):
        return _length(self.starts) - 1

    def __getitem__(self, Py_ssize_t row):
        """Raises IndexError where there is no such row; none is counted from the end."""
        if not 0 <= row < _length(self.starts) - 1:
            raise IndexError(f"there is no row {row}")
        cdef const uint32_t *s = <const uint32_t *>_data(self.starts)
        return self.values[s[row] : s[row + 1]]

    def as_bytes(self):
        """Each row's bytes. Raises ValueError where the starts do not fit the values."""
        values = _column_of(self.values, cnp.PyArray_TYPE(<cnp.ndarray>self.values))
        cdef const uint32_t *s = <const uint32_t *>_data(self.starts)
        cdef const char *raw = <const char *>_data(values)
        cdef Py_ssize_t row, size = cnp.PyArray_ITEMSIZE(<cnp.ndarray>values)
        cdef list found = []
        for row in range(_length(self.starts) - 1):
            if not s[row] <= s[row + 1] <= _length(values):
                raise ValueError(f"row {row} is {s[row]}..{s[row + 1]} of {_length(values)} values")
            found.append(PyBytes_FromStringAndSize(raw + s[row] * size, (s[row + 1] - s[row]) * size))
        return found


def columns_of(list rows not None, dict types not None, dict given not None, ragged not None):
    """{name: column} of rows by their columns' names: of ``types`` {name: (dtype, bool)}, where true as ``ragged`` of
    starts uint32[n + 1] and values, of what a row has as bytes or as an array of the type. What a row does not have is
    0, or empty; what is in ``given`` is as it is there. Raises what numpy does for a value that does not fit."""
    cdef dict found = {}
    cdef tuple kind
    for name, kind in types.items():
        if name in given:
            found[name] = given[name]
        elif kind[1]:
            found[name] = ragged(*_joined([(<dict>row).get(name, b"") for row in rows], kind[0]))
        else:
            found[name] = _fixed(rows, name, kind[0])
    return found


cdef object _fixed(list rows, name, cnp.dtype dtype):
    cdef Py_ssize_t row, n = len(rows)
    column = _array(n, dtype.type_num)
    cdef char *at = <char *>_data(column)
    cdef Py_ssize_t size = cnp.PyArray_ITEMSIZE(<cnp.ndarray>column)
    for row in range(n):
        cnp.PyArray_SETITEM(<cnp.ndarray>column, at + row * size, (<dict>rows[row]).get(name, 0))
    return column


cdef tuple _joined(list values, cnp.dtype dtype):
    """(starts, values) of values one after the other."""
    cdef Py_ssize_t row, n = len(values)
    starts = _array(n + 1, cnp.NPY_UINT32)
    cdef uint32_t *s = <uint32_t *>_data(starts)
    cdef Py_ssize_t size = dtype.itemsize
    raw = b"".join(values)
    s[0] = 0
    for row in range(n):
        s[row + 1] = s[row] + <uint32_t>(len(values[row]) // (size if type(values[row]) is bytes else 1))
    return starts, _copied(PyBytes_AsString(raw), len(<bytes>raw) // size, dtype.type_num)
