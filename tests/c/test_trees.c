/* sg_trees against walks of the arrays, and against Shapley values as they are defined: over all subsets. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "sg_trees.h"

enum { FEATURES = 5, TREES = 6, NODES = 400, ROWS = 300 };

static int32_t roots[TREES], feature[NODES], left[NODES], right[NODES];
static double threshold[NODES], value[NODES], cover[NODES];
static sg_trees_arrays arrays = {FEATURES, 0, 0, roots, feature, left, right, threshold, value, cover};

static double number(void) { return (double)below(9) - 4; }

/* A node with what is below it, at the end of the arrays: its place. */
static int32_t add(int32_t of, double split, double leaf, double rows, int32_t l, int32_t r) {
    size_t at = arrays.nodes++;
    CHECK(at < NODES);
    feature[at] = of, threshold[at] = split, value[at] = leaf, cover[at] = rows, left[at] = l, right[at] = r;
    return (int32_t)at;
}

static int32_t add_leaf(double leaf, double rows) { return add(SG_TREES_LEAF, NAN, leaf, rows, -7, -7); }

static int32_t add_split(int32_t of, double split, int32_t l, int32_t r) {
    return add(of, split, NAN, cover[l] + cover[r], l, r);
}

static int32_t add_random(unsigned depth) {
    if (depth == 0 || below(4) == 0) return add_leaf(number(), 1 + below(9));
    int32_t l = add_random(depth - 1), r = add_random(depth - 1);
    return add_split((int32_t)below(FEATURES), number(), l, r);
}

static void fill(unsigned depth) {
    arrays.nodes = 0;
    arrays.trees = below(TREES + 1);
    for (size_t tree = 0; tree < arrays.trees; tree++) roots[tree] = add_random(depth);
}

static sg_trees *made(void) {
    sg_trees *t;
    const char *why;
    CHECK(sg_trees_new(&arrays, &t, &why) == SG_OK && why == NULL);
    SOUND(sg_trees, t);
    CHECK(sg_trees_count(t) == arrays.trees && sg_trees_features(t) == arrays.features);
    CHECK(sg_trees_nbytes(t) >= 32 * arrays.nodes);
    return t;
}

static void refused(const char *expected) {
    sg_trees *t;
    const char *why;
    CHECK(sg_trees_new(&arrays, &t, &why) == SG_ERR_VALUE && t == NULL);
    if (strstr(why, expected) == NULL) fprintf(stderr, "%s\n", why);
    CHECK(strstr(why, expected) != NULL);
}

/* What the tree from `at` is expected to say where the features in `known` (a bit each) are x's. */
static double expected(int32_t at, const double *x, unsigned known) {
    if (feature[at] == SG_TREES_LEAF) return value[at];
    if (known >> feature[at] & 1) return expected(x[feature[at]] <= threshold[at] ? left[at] : right[at], x, known);
    double sum = cover[left[at]] * expected(left[at], x, known) + cover[right[at]] * expected(right[at], x, known);
    return sum / cover[at];
}

static double all_expected(const double *x, unsigned known) {
    double sum = 0;
    for (size_t tree = 0; tree < arrays.trees; tree++) sum += expected(roots[tree], x, known);
    return sum;
}

static double shapley(unsigned i, const double *x) {
    double sum = 0;
    for (unsigned known = 0; known < 1u << FEATURES; known++) {
        if (known >> i & 1) continue;
        int size = __builtin_popcount(known);
        double weight = tgamma(size + 1) * tgamma(FEATURES - size) / tgamma(FEATURES + 1);
        sum += weight * (all_expected(x, known | 1u << i) - all_expected(x, known));
    }
    return sum;
}

static void test_the_example_of_the_header(void) {
    arrays.nodes = 0, arrays.trees = 1;
    int32_t inner = add_split(1, 2, add_leaf(20, 3), add_leaf(30, 3));
    roots[0] = add_split(0, 1, add_leaf(10, 2), inner);
    sg_trees *t = made();
    double x[4][FEATURES] = {{1, 9}, {1.5, 2}, {INFINITY, INFINITY}, {-INFINITY, 9}}, sums[4], amounts[FEATURES + 1];
    CHECK(sg_trees_predict(t, x[0], 4, sums) == SG_OK);
    CHECK(sums[0] == 10 && sums[1] == 20 && sums[2] == 30 && sums[3] == 10);
    CHECK(sg_trees_explain(t, x[0], 1, amounts) == SG_OK);
    /* nothing known: 21.25; x0 alone: 10; x1 alone: 25; both: 10 */
    CHECK(fabs(amounts[0] - (-11.25 - 15) / 2) < 1e-12 && fabs(amounts[1] - 3.75 / 2) < 1e-12);
    CHECK(amounts[2] == 0 && amounts[FEATURES] == 21.25);
    sg_trees_free(t);
}

static void compare(const sg_trees *t, size_t n) {
    static double x[ROWS][FEATURES], sums[ROWS], amounts[ROWS][FEATURES + 1];
    for (size_t row = 0; row < n; row++)
        for (int i = 0; i < FEATURES; i++) x[row][i] = number() + (double)below(2) / 2;
    CHECK(sg_trees_predict(t, x[0], n, sums) == SG_OK && sg_trees_explain(t, x[0], n, amounts[0]) == SG_OK);
    for (size_t row = 0; row < n; row++) {
        CHECK(sums[row] == all_expected(x[row], (1u << FEATURES) - 1));
        double total = amounts[row][FEATURES];
        for (unsigned i = 0; i < FEATURES; i++) {
            total += amounts[row][i];
            if (row < 3) CHECK(fabs(amounts[row][i] - shapley(i, x[row])) < 1e-12);
        }
        CHECK(fabs(total - sums[row]) < 1e-12 && fabs(amounts[row][FEATURES] - all_expected(x[row], 0)) < 1e-12);
    }
}

static void test_random_trees(void) {
    static const size_t sizes[] = {0, 1, 7, 8, 9, 127, 128, 129, ROWS};
    for (unsigned round = 0; round < 300; round++) {
        fill(round % 6);
        sg_trees *t = made();
        compare(t, sizes[round % 9]);
        sg_trees_free(t);
    }
}

static void test_what_is_refused(void) {
    arrays.nodes = 0, arrays.trees = 2;
    int32_t l = add_leaf(1, 2), r = add_leaf(2, 3);
    roots[0] = add_split(0, 0, l, r);
    roots[1] = add_leaf(0, 1);
    sg_trees_free(made());
    int32_t at = roots[0], bad[] = {-1, INT32_MIN, INT32_MAX, (int32_t)arrays.nodes};
    for (int i = 0; i < 4; i++) {
        left[at] = bad[i], refused("no node"), left[at] = l;
        right[at] = bad[i], refused("no node"), right[at] = r;
        roots[1] = bad[i], refused("no node"), roots[1] = 3;
    }
    right[at] = l, refused("twice"), right[at] = at, refused("twice"), right[at] = roots[1], refused("a cover");
    right[at] = r;
    roots[1] = at, refused("twice"), roots[1] = r, refused("twice"), roots[1] = 3;
    arrays.trees = 1, refused("in no tree"), arrays.trees = 2;
    feature[at] = FEATURES, refused("feature"), feature[at] = -2, refused("feature"), feature[at] = 0;
    threshold[at] = NAN, refused("threshold"), threshold[at] = -INFINITY, refused("threshold"), threshold[at] = 0;
    value[l] = NAN, refused("value"), value[l] = -2 * SG_TREES_MAX_VALUE, refused("value"), value[l] = 1;
    cover[l] = NAN, refused("1..2^52"), cover[l] = 0, refused("1..2^52"), cover[l] = 1, refused("together");
    cover[l] = 2, cover[at] = 2 * SG_TREES_MAX_COVER, refused("1..2^52"), cover[at] = 5;
    arrays.features = 0, refused("features"), arrays.features = SG_TREES_FEATURES + 1, refused("features");
    arrays.features = FEATURES;
    sg_trees *t = made();
    double x[2][FEATURES] = {{0}, {0, 0, 0, 0, NAN}}, out[2 * (FEATURES + 1)] = {77, 77};
    CHECK(sg_trees_predict(t, x[0], 2, out) == SG_ERR_VALUE && sg_trees_explain(t, x[0], 2, out) == SG_ERR_VALUE);
    CHECK(out[0] == 77 && out[1] == 77);
    sg_trees_free(t);
}

/* The largest cover beside the smallest: no share is 1, a feature that comes again is known to. */
static void test_covers_far_apart(void) {
    arrays.nodes = 0, arrays.trees = 1;
    int32_t most = add_leaf(3, SG_TREES_MAX_COVER - 2), inner = add_split(0, 1, most, add_leaf(5, 1));
    roots[0] = add_split(0, 2, inner, add_leaf(7, 1));
    sg_trees *t = made();
    compare(t, 9);
    cover[most] = cover[inner] = SG_TREES_MAX_COVER; /* as many together, to within 1e-9 */
    sg_trees_free(t);
    sg_trees_free(made());
}

/* A chain, each split on another feature: what is rightmost is taken. */
static void chain(size_t depth) {
    static int32_t of[2 * SG_TREES_DEPTH + 3], l[2 * SG_TREES_DEPTH + 3], r[2 * SG_TREES_DEPTH + 3], root[1] = {0};
    static double split[2 * SG_TREES_DEPTH + 3], leaf[2 * SG_TREES_DEPTH + 3], rows[2 * SG_TREES_DEPTH + 3];
    static double x[SG_TREES_DEPTH + 1], amounts[SG_TREES_DEPTH + 2], sum;
    size_t n = 2 * depth + 1;
    for (size_t at = 0; at < n; at++) {
        int is_leaf = at % 2 == 1 || at == n - 1;
        of[at] = is_leaf ? SG_TREES_LEAF : (int32_t)at / 2;
        l[at] = (int32_t)at + 1, r[at] = (int32_t)at + 2;
        leaf[at] = (double)(at % 7), rows[at] = at % 2 == 1 ? 1 : 1 + (double)((n - at) / 2);
    }
    sg_trees_arrays deep = {depth + 1, 1, n, root, of, l, r, split, leaf, rows};
    sg_trees *t;
    const char *why;
    CHECK(sg_trees_new(&deep, &t, &why) == (depth > SG_TREES_DEPTH ? SG_ERR_VALUE : SG_OK));
    if (depth > SG_TREES_DEPTH) return;
    SOUND(sg_trees, t);
    for (size_t i = 0; i < depth; i++) x[i] = 1;
    CHECK(sg_trees_predict(t, x, 1, &sum) == SG_OK && sum == leaf[n - 1]);
    CHECK(sg_trees_explain(t, x, 1, amounts) == SG_OK);
    double total = 0;
    for (size_t i = 0; i < depth + 2; i++) total += amounts[i];
    CHECK(fabs(total - sum) < 1e-11);
    sg_trees_free(t);
}

static void test_deep_trees(void) {
    for (size_t depth = 1; depth < 40; depth++) chain(depth);
    chain(200);
    chain(SG_TREES_DEPTH - 1);
    chain(SG_TREES_DEPTH);
    chain(SG_TREES_DEPTH + 1);
}

static void test_arrays_of_anything(void) {
    for (int round = 0; round < 20000; round++) {
        arrays.nodes = below(8), arrays.trees = below(3);
        for (size_t tree = 0; tree < arrays.trees; tree++) roots[tree] = (int32_t)below(9) - 1;
        for (size_t at = 0; at < arrays.nodes; at++) {
            feature[at] = (int32_t)below(3) - 1;
            left[at] = (int32_t)below(9) - 1, right[at] = (int32_t)below(9) - 1;
            threshold[at] = value[at] = number(), cover[at] = 1 + below(3);
        }
        sg_trees *t;
        const char *why;
        int rc = sg_trees_new(&arrays, &t, &why);
        CHECK((rc == SG_OK) == (t != NULL) && (rc == SG_OK) == (why == NULL));
        if (rc != SG_OK) continue;
        SOUND(sg_trees, t);
        compare(t, 3);
        sg_trees_free(t);
    }
}

static void test_out_of_memory_leaves_nothing_behind(void) {
    fill(4);
    double x[FEATURES] = {0}, sum = 77, amounts[FEATURES + 1] = {77};
    for (long after = 0, failed = 1; failed; after++) {
        sg_trees *t;
        const char *why;
        fail_after = after;
        failed = 0;
        if (sg_trees_new(&arrays, &t, &why) == SG_ERR_NOMEM && ++failed) CHECK(t == NULL && why == NULL);
        if (t == NULL) t = made();
        if (sg_trees_predict(t, x, 1, &sum) == SG_ERR_NOMEM && ++failed) CHECK(sum == 77);
        if (sg_trees_explain(t, x, 1, amounts) == SG_ERR_NOMEM && ++failed) CHECK(amounts[0] == 77);
        CHECK(failed <= 1);
        sum = amounts[0] = 77;
        sg_trees_free(t);
    }
    fail_after = -1;
}

int main(void) {
    test_the_example_of_the_header();
    test_random_trees();
    test_what_is_refused();
    test_covers_far_apart();
    test_deep_trees();
    test_arrays_of_anything();
    test_out_of_memory_leaves_nothing_behind();
    return 0;
}
