cdef class Trees:
    """Boosted regression trees: their sum, and the Shapley values of a row's features in it.

    ``features``: values a row has, 1..65536. ``roots``: int32[T], in the order of the sum. Of all N nodes, in any
    order: ``feature`` int32[N], -1 at a leaf; ``threshold`` float64[N], a row goes left where its value is at most
    this; ``left`` and ``right`` int32[N], nodes; ``value`` float64[N], of a leaf; ``cover`` float64[N], the training
    rows that came to a node: 1..2**52, at an inner node as many as at its children. Other types are converted.
    See csrc/sg_trees.h; shopguide.trees makes the arrays from LightGBM's models. Nothing changes after it is made, so
    any number of threads may read. Raises ValueError where the arrays are no trees, or a number is out of range.
    """

    cdef sg_trees *trees

    def __cinit__(self, features, roots, feature, threshold, left, right, value, cover):
        cdef const int32_t[::1] r = np.ascontiguousarray(roots, np.int32), f = np.ascontiguousarray(feature, np.int32)
        cdef const int32_t[::1] a = np.ascontiguousarray(left, np.int32), b = np.ascontiguousarray(right, np.int32)
        cdef const double[::1] t = np.ascontiguousarray(threshold, np.float64)
        cdef const double[::1] v = np.ascontiguousarray(value, np.float64)
        cdef const double[::1] c = np.ascontiguousarray(cover, np.float64)
        cdef const char *why = NULL
        cdef sg_trees_arrays arrays
        _of_one_length(f.shape[0], a.shape[0], b.shape[0])
        arrays.nodes = _of_one_length(f.shape[0], t.shape[0], v.shape[0])
        _of_one_length(f.shape[0], c.shape[0])
        arrays.features, arrays.trees = min(max(features, 0), SG_TREES_FEATURES + 1), r.shape[0]
        arrays.roots, arrays.feature, arrays.left, arrays.right = &r[0], &f[0], &a[0], &b[0]
        arrays.threshold, arrays.value, arrays.cover = &t[0], &v[0], &c[0]
        cdef int rc
        with nogil:
            rc = sg_trees_new(&arrays, &self.trees, &why)
        if why != NULL:
            raise ValueError(why.decode())
        check(rc)

    def __dealloc__(self):
        sg_trees_free(self.trees)

    cdef const double[:, ::1] _rows(self, rows) except *:
        cdef const double[:, ::1] x = np.ascontiguousarray(rows, np.float64)
        if x.shape[1] != <Py_ssize_t>sg_trees_features(self.trees):
            raise ValueError(f"rows have {x.shape[1]} values, the trees {sg_trees_features(self.trees)} features")
        return x

    def predict(self, rows):
        """The sum of the leaves that each row comes to, float64[n], of rows float64[n, features]. Infinite values are
        legal. Raises ValueError for NaN or another shape."""
        cdef const double[:, ::1] x = self._rows(rows)
        sums = np.empty(x.shape[0], np.float64)
        cdef double[::1] s = sums
        cdef int rc
        with nogil:
            rc = sg_trees_predict(self.trees, &x[0, 0], x.shape[0], &s[0])
        check(rc)
        return sums

    def explain(self, rows):
        """What each feature did: float64[n, features + 1] of rows float64[n, features]. A row adds up to its
        prediction; its last value is what is expected of a row of which nothing is known. The others are the Shapley
        values of Lundberg, Erion, Lee 2018 (path-dependent TreeSHAP), LightGBM's pred_contrib. Errors as in predict."""
        cdef const double[:, ::1] x = self._rows(rows)
        amounts = np.empty((x.shape[0], x.shape[1] + 1), np.float64)
        cdef double[:, ::1] a = amounts
        cdef int rc
        with nogil:
            rc = sg_trees_explain(self.trees, &x[0, 0], x.shape[0], &a[0, 0])
        check(rc)
        return amounts

    def __len__(self):
        """Trees."""
        return sg_trees_count(self.trees)

    @property
    def features(self):
        """Values that a row has."""
        return sg_trees_features(self.trees)

    def check(self):
        """Raises CoreError naming the first broken invariant."""
        cdef const char *why = NULL
        if sg_trees_check(self.trees, &why) != SG_OK:
            raise CoreError(why.decode())

    @property
    def nbytes(self):
        """Bytes held."""
        return sg_trees_nbytes(self.trees)
