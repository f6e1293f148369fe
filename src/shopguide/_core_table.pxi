cdef class Table:
    """64-bit keys to dense ids, in the order they were first seen."""

    cdef sg_table *table

    def __cinit__(self):
        self.table = sg_table_new()
        if self.table == NULL:
            raise MemoryError()

    def __dealloc__(self):
        sg_table_free(self.table)

    def index(self, keys):
        """(ids uint32[n], fresh uint32[m]): the id of each key, made where it is new; which positions were new."""
        cdef const uint64_t[::1] k = np.ascontiguousarray(keys, np.uint64)
        cdef Py_ssize_t n = k.shape[0], i, m = 0
        cdef int rc = SG_OK, new = 0
        ids, fresh = np.empty(n, np.uint32), np.empty(n, np.uint32)
        cdef uint32_t[::1] id_of = ids, f = fresh
        with nogil:
            for i in range(n):
                rc = sg_table_index(self.table, k[i], &id_of[i], &new)
                if rc != SG_OK:
                    break
                if new:
                    f[m] = <uint32_t>i
                    m += 1
        check(rc)
        return ids, fresh[:m].copy()

    def find(self, keys):
        """int64[n]: the id of each key; -1 where it is unknown."""
        cdef const uint64_t[::1] k = np.ascontiguousarray(keys, np.uint64)
        cdef Py_ssize_t n = k.shape[0], i
        cdef uint32_t found
        ids = np.empty(n, np.int64)
        cdef int64_t[::1] id_of = ids
        with nogil:
            for i in range(n):
                found = sg_table_find(self.table, k[i])
                id_of[i] = -1 if found == SG_TABLE_NONE else <int64_t>found
        return ids

    def remove(self, keys):
        """Take keys out; unknown ones are no-ops. Their ids go to the next new ones."""
        cdef const uint64_t[::1] k = np.ascontiguousarray(keys, np.uint64)
        cdef Py_ssize_t i
        for i in range(k.shape[0]):
            sg_table_remove(self.table, k[i])

    def keys(self):
        """uint64[len]: the keys by id. Raises ValueError where one was removed and none came in its place."""
        cdef uint32_t n = sg_table_live(self.table)
        if n != sg_table_used(self.table):
            raise ValueError("there are ids without a key")
        if n == 0:
            return np.empty(0, np.uint64)
        return np.asarray(<const uint64_t[:n]>sg_table_keys(self.table)).copy()

    def __len__(self):
        return sg_table_live(self.table)

    def check(self):
        """Raises CoreError naming the first broken invariant."""
        cdef const char *why = NULL
        if sg_table_check(self.table, &why) != SG_OK:
            raise CoreError(why.decode())

    @property
    def nbytes(self):
        """Bytes held."""
        return sg_table_nbytes(self.table)
