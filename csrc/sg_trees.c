#include "sg_trees.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    LANES = 8,   /* rows walked side by side */
    BLOCKS = 16, /* of LANES rows that a tree sees while it is in the cache */
    WIDTH = 4,   /* points are a multiple of it */
};

typedef struct {
    double split;
    uint32_t column; /* LANES * feature */
    uint32_t left;   /* the right one is the next */
} node;

struct sg_trees {
    size_t features, trees, count, depth, rules;
    uint32_t *first; /* tree i has the nodes from first[i] up to first[i + 1] */
    node *nodes;
    double *values, *shares;
    uint16_t *rule;           /* by tree; rule i has WIDTH * i points */
    double *points, *weights; /* of rule 1, of rule 2, .. */
    double expected;
};

/* Of the rules below this one. */
static size_t points_before(size_t rule) { return WIDTH * (rule * (rule - 1) / 2); }

void sg_trees_free(sg_trees *t) {
    if (t == NULL) return;
    free(t->first);
    free(t->nodes);
    free(t->values);
    free(t->shares);
    free(t->rule);
    free(t->points);
    free(t->weights);
    free(t);
}

size_t sg_trees_features(const sg_trees *t) { return t->features; }

size_t sg_trees_count(const sg_trees *t) { return t->trees; }

size_t sg_trees_nbytes(const sg_trees *t) {
    return sizeof *t + (t->trees + 1) * sizeof *t->first + t->trees * sizeof *t->rule +
           2 * points_before(t->rules + 1) * sizeof *t->points +
           t->count * (sizeof *t->nodes + sizeof *t->values + sizeof *t->shares);
}

static bool is_leaf(const sg_trees *t, uint32_t at) { return t->nodes[at].left == at; }

/* ---- making --------------------------------------------------------------------------------------------------- */

typedef struct {
    const sg_trees_arrays *from;
    sg_trees *to;
    uint32_t *old; /* by place here: the place there; a queue */
    bool *seen;    /* by place there */
    uint32_t reached;
} making;

/* The node there is given the next place here. */
static const char *reach(making *m, int32_t old) {
    if (old < 0 || (size_t)old >= m->from->nodes) return "a root or a child is no node";
    if (m->seen[old]) return "a node is reached twice";
    double cover = m->from->cover[old];
    if (!(cover >= 1 && cover <= SG_TREES_MAX_COVER)) return "a cover is not 1..2^52";
    m->seen[old] = true;
    m->old[m->reached++] = (uint32_t)old;
    return NULL;
}

static const char *place_leaf(making *m, uint32_t at) {
    double value = m->from->value[m->old[at]];
    if (!(fabs(value) <= SG_TREES_MAX_VALUE)) return "a leaf's value is not finite, or beyond 1e100";
    m->to->nodes[at] = (node){INFINITY, 0, at};
    m->to->values[at] = value;
    return NULL;
}

static const char *place_node(making *m, uint32_t at) {
    const sg_trees_arrays *from = m->from;
    uint32_t old = m->old[at], left = m->reached;
    int32_t feature = from->feature[old];
    if (feature == SG_TREES_LEAF) return place_leaf(m, at);
    if (feature < 0 || (size_t)feature >= from->features) return "a feature is out of range";
    if (!isfinite(from->threshold[old])) return "a threshold is not finite";
    const char *why = reach(m, from->left[old]);
    if (why == NULL) why = reach(m, from->right[old]);
    if (why != NULL) return why;
    double rows[2] = {from->cover[from->left[old]], from->cover[from->right[old]]}, both = rows[0] + rows[1];
    if (!(fabs(both - from->cover[old]) <= 1e-9 * both)) return "a cover is not that of the children together";
    m->to->nodes[at] = (node){from->threshold[old], LANES * (uint32_t)feature, left};
    m->to->values[at] = 0;
    m->to->shares[left] = rows[0] / both;
    m->to->shares[left + 1] = rows[1] / both;
    return NULL;
}

static const char *place_tree(making *m, size_t tree) {
    uint32_t at = m->to->first[tree] = m->reached;
    const char *why = reach(m, m->from->roots[tree]);
    if (why != NULL) return why;
    m->to->shares[at] = 1;
    size_t depth = 0;
    for (uint32_t level = m->reached; at < m->reached; level = m->reached, depth++) {
        if (depth > SG_TREES_DEPTH) return "a tree has a path of more than 512 splits";
        for (; at < level; at++)
            if ((why = place_node(m, at)) != NULL) return why;
    }
    if (depth > m->to->depth) m->to->depth = depth;
    return NULL;
}

static const char *place_all(making *m) {
    const char *why = NULL;
    for (size_t tree = 0; tree < m->from->trees && why == NULL; tree++) why = place_tree(m, tree);
    if (why != NULL) return why;
    m->to->first[m->to->trees] = m->reached;
    return m->reached < m->from->nodes ? "a node is in no tree" : NULL;
}

/* The Gauss-Legendre rule on 0..1: Newton's method from the usual guess at each root of the Legendre polynomial. */
static void make_rule(size_t n, double *points, double *weights) {
    for (size_t i = 0; i < n; i++) {
        double x = -cos(acos(-1) * ((double)i + 0.75) / ((double)n + 0.5)), slope = 1;
        for (int step = 0; step < 8; step++) {
            double p = 1, before = 0;
            for (size_t k = 1; k <= n; k++) {
                double next = ((double)(2 * k - 1) * x * p - (double)(k - 1) * before) / (double)k;
                before = p;
                p = next;
            }
            slope = (double)n * (x * p - before) / (x * x - 1);
            x -= p / slope;
        }
        points[i] = (1 + x) / 2;
        weights[i] = 1 / ((1 - x * x) * slope * slope);
    }
}

static double expected_below(const sg_trees *t, uint32_t at) {
    if (is_leaf(t, at)) return t->values[at];
    uint32_t left = t->nodes[at].left;
    return t->shares[left] * expected_below(t, left) + t->shares[left + 1] * expected_below(t, left + 1);
}

/* The most features on a path from here down; times: by feature, how often it is on the path to here. */
static size_t features_below(const sg_trees *t, uint32_t at, uint16_t *times) {
    if (is_leaf(t, at)) return 0;
    size_t feature = t->nodes[at].column / LANES, more = times[feature]++ == 0;
    size_t left = features_below(t, t->nodes[at].left, times), right = features_below(t, t->nodes[at].left + 1, times);
    times[feature]--;
    return more + (left > right ? left : right);
}

static int finish(sg_trees *t) {
    uint16_t *times = calloc(t->features, sizeof *times);
    if (times == NULL) return SG_ERR_NOMEM;
    for (size_t tree = 0; tree < t->trees; tree++) {
        size_t most = features_below(t, t->first[tree], times);
        t->rule[tree] = (uint16_t)(most <= 2 * WIDTH ? 1 : (most + 2 * WIDTH - 1) / (2 * WIDTH));
        if (t->rule[tree] > t->rules) t->rules = t->rule[tree];
        t->expected += expected_below(t, t->first[tree]);
    }
    free(times);
    t->points = malloc((points_before(t->rules + 1) + 1) * sizeof *t->points);
    t->weights = malloc((points_before(t->rules + 1) + 1) * sizeof *t->weights);
    if (t->points == NULL || t->weights == NULL) return SG_ERR_NOMEM;
    for (size_t rule = 1; rule <= t->rules; rule++)
        make_rule(WIDTH * rule, t->points + points_before(rule), t->weights + points_before(rule));
    return SG_OK;
}

static int fill(making *m) {
    const sg_trees_arrays *from = m->from;
    sg_trees *t = m->to;
    t->features = from->features;
    t->trees = from->trees;
    t->count = from->nodes;
    t->first = malloc((t->trees + 1) * sizeof *t->first);
    t->rule = malloc((t->trees + 1) * sizeof *t->rule);
    t->nodes = malloc((t->count + 1) * sizeof *t->nodes);
    t->values = malloc((t->count + 1) * sizeof *t->values);
    t->shares = malloc((t->count + 1) * sizeof *t->shares);
    m->old = malloc((t->count + 1) * sizeof *m->old);
    m->seen = calloc(t->count + 1, sizeof *m->seen);
    bool all = t->first && t->rule && t->nodes && t->values && t->shares && m->old && m->seen;
    return all ? SG_OK : SG_ERR_NOMEM;
}

int sg_trees_new(const sg_trees_arrays *from, sg_trees **trees, const char **why) {
    *trees = NULL;
    *why = from->features < 1 || from->features > SG_TREES_FEATURES ? "features are not 1..65536" : NULL;
    if (*why != NULL) return SG_ERR_VALUE;
    making m = {.from = from, .to = calloc(1, sizeof *m.to)};
    if (m.to == NULL) return SG_ERR_NOMEM;
    int rc = fill(&m);
    if (rc == SG_OK) rc = (*why = place_all(&m)) == NULL ? finish(m.to) : SG_ERR_VALUE;
    free(m.old);
    free(m.seen);
    if (rc == SG_OK) *trees = m.to;
    else sg_trees_free(m.to);
    return rc;
}

/* ---- predicting ----------------------------------------------------------------------------------------------- */

static bool has_nan(const double *x, size_t n) {
    int found = 0;
    for (size_t i = 0; i < n; i++) found |= x[i] != x[i];
    return found;
}

/* x: LANES values of each feature. */
static void add_leaves(const sg_trees *t, uint32_t root, const double *x, double *sums) {
    const node *nodes = t->nodes;
    uint32_t at[LANES], moved;
    for (int lane = 0; lane < LANES; lane++) at[lane] = root;
    do {
        moved = 0;
        for (int lane = 0; lane < LANES; lane++) {
            node is = nodes[at[lane]];
            uint32_t next = is.left + (x[is.column + lane] > is.split);
            moved |= next ^ at[lane];
            at[lane] = next;
        }
    } while (moved);
    for (int lane = 0; lane < LANES; lane++) sums[lane] += t->values[at[lane]];
}

/* n rows by LANES of them, feature by feature; the last LANES are filled up with what was there before. */
static void turn(const double *x, size_t n, size_t features, double *turned) {
    for (size_t row = 0; row < n; row++) {
        double *block = turned + row / LANES * LANES * features + row % LANES;
        for (size_t i = 0; i < features; i++) block[i * LANES] = x[row * features + i];
    }
}

int sg_trees_predict(const sg_trees *t, const double *x, size_t n, double *sums) {
    size_t room = n < LANES * BLOCKS ? (n + LANES - 1) / LANES * LANES : LANES * BLOCKS, stride = LANES * t->features;
    if (has_nan(x, n * t->features)) return SG_ERR_VALUE;
    double *turned = calloc(room * t->features + 1, sizeof *turned), found[LANES * BLOCKS];
    if (turned == NULL) return SG_ERR_NOMEM;
    for (size_t done = 0; done < n; done += room) {
        size_t rows = n - done < room ? n - done : room, blocks = (rows + LANES - 1) / LANES;
        turn(x + done * t->features, rows, t->features, turned);
        memset(found, 0, sizeof found);
        for (size_t tree = 0; tree < t->trees; tree++)
            for (size_t b = 0; b < blocks; b++) add_leaves(t, t->first[tree], turned + b * stride, found + b * LANES);
        memcpy(sums + done, found, rows * sizeof *sums);
    }
    free(turned);
    return SG_OK;
}

/* ---- explaining ----------------------------------------------------------------------------------------------- */

typedef struct {
    double on, share;
} splits; /* those on one feature, so far on the path */

typedef struct {
    const sg_trees *trees;
    const double *x;
    double *amounts;
    splits *of; /* by feature; {1, 1} where it is not on the path */
    size_t n;   /* points of the tree's rule */
    const double *points;
} tour;

/* 1, to the bit, where the feature is not on the path. */
static inline double factor(splits of, double s) { return of.share + (of.on - of.share) * s; }

/* (on - share) times the sum over the points of products, without the factor of that. */
static double gained(const tour *w, splits of, const double *products) {
    double sums[WIDTH] = {0};
    for (size_t i = 0; i < w->n; i += WIDTH)
        for (size_t j = 0; j < WIDTH; j++) sums[j] += products[i + j] / factor(of, w->points[i + j]);
    return (of.on - of.share) * ((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

static void explain_below(const tour *w, uint32_t at, double *p);

/* One child of a node that has the products p; what its leaves make of them is added to sums. An earlier edge of the
 * feature gave it these leaves as if there were no further split on it: that is taken back. */
static void explain_child(const tour *w, uint32_t child, size_t feature, bool taken, const double *p, double *sums) {
    const double *s = w->points;
    double *q = sums + w->n;
    splits was = w->of[feature], is = {was.on * taken, was.share * w->trees->shares[child]};
    bool again = was.share < 1;
    if (again)
        for (size_t i = 0; i < w->n; i++) q[i] = p[i] / factor(was, s[i]) * factor(is, s[i]);
    else
        for (size_t i = 0; i < w->n; i++) q[i] = p[i] * factor(is, s[i]);
    w->of[feature] = is;
    explain_below(w, child, q);
    w->of[feature] = was;
    for (size_t i = 0; i < w->n; i++) sums[i] += q[i];
    w->amounts[feature] += gained(w, is, q) - (again ? gained(w, was, q) : 0);
}

/* p, at each point: its weight times the product of the path's factors; then the sum, over all leaves below, of value,
 * weight and product. Two lists a level, what follows p is free. */
static void explain_below(const tour *w, uint32_t at, double *p) {
    const node *is = &w->trees->nodes[at];
    if (is->left == at) {
        for (size_t i = 0; i < w->n; i++) p[i] *= w->trees->values[at];
        return;
    }
    size_t feature = is->column / LANES;
    bool right = w->x[feature] > is->split;
    double *sums = p + w->n;
    memset(sums, 0, w->n * sizeof *sums);
    explain_child(w, is->left, feature, !right, p, sums);
    explain_child(w, is->left + 1, feature, right, p, sums);
    memcpy(p, sums, w->n * sizeof *p);
}

static void explain_row(tour *w, double *p) {
    const sg_trees *t = w->trees;
    memset(w->amounts, 0, t->features * sizeof *w->amounts);
    w->amounts[t->features] = t->expected;
    for (size_t tree = 0; tree < t->trees; tree++) {
        size_t before = points_before(t->rule[tree]);
        w->n = WIDTH * t->rule[tree];
        w->points = t->points + before;
        memcpy(p, t->weights + before, w->n * sizeof *p);
        explain_below(w, t->first[tree], p);
    }
}

int sg_trees_explain(const sg_trees *t, const double *x, size_t n, double *amounts) {
    if (has_nan(x, n * t->features)) return SG_ERR_VALUE;
    double *p = malloc(2 * (t->depth + 1) * (WIDTH * t->rules + 1) * sizeof *p);
    splits *of = malloc(t->features * sizeof *of);
    int rc = p != NULL && of != NULL ? SG_OK : SG_ERR_NOMEM;
    for (size_t i = 0; rc == SG_OK && i < t->features; i++) of[i] = (splits){1, 1};
    for (size_t row = 0; rc == SG_OK && row < n; row++) {
        tour w = {.trees = t, .x = x + row * t->features, .amounts = amounts + row * (t->features + 1), .of = of};
        explain_row(&w, p);
    }
    free(p);
    free(of);
    return rc;
}

/* ---- checking ------------------------------------------------------------------------------------------------- */

static const char *broken_node(const sg_trees *t, uint32_t at) {
    const node *is = &t->nodes[at];
    bool leaf = is_leaf(t, at), named = is->column % LANES == 0 && is->column / LANES < t->features;
    if (leaf ? is->split != INFINITY || is->column != 0 : !isfinite(is->split) || !named) return "I2: a split";
    if (!(fabs(t->values[at]) <= SG_TREES_MAX_VALUE) || (!leaf && t->values[at] != 0)) return "I3: a value";
    if (leaf) return NULL;
    double left = t->shares[is->left], right = t->shares[is->left + 1];
    bool within = left > 0 && left < 1 && right > 0 && right < 1;
    return within && fabs(left + right - 1) <= 1e-15 ? NULL : "I4: shares";
}

static const char *broken_tree(const sg_trees *t, size_t tree) {
    uint32_t first = t->first[tree], end = t->first[tree + 1], next = first + 1;
    if (first >= end || end > t->count) return "I1: a tree has no nodes";
    for (uint32_t at = first; at < end; at++) {
        if (is_leaf(t, at)) continue;
        if (t->nodes[at].left != next || end - next < 2) return "I1: children are not the next two";
        next += 2;
    }
    if (next != end) return "I1: a node is no child";
    if (t->shares[first] != 1) return "I4: a root's share";
    if (t->rule[tree] < 1 || t->rule[tree] > t->rules) return "I5: a tree's rule";
    const char *why = NULL;
    for (uint32_t at = first; at < end && why == NULL; at++) why = broken_node(t, at);
    return why;
}

static const char *broken_rule(size_t n, const double *points, const double *weights) {
    double sum = 0, before = 0;
    for (size_t i = 0; i < n; i++) {
        if (!(points[i] > before && points[i] < 1 && weights[i] > 0)) return "I5: a point";
        before = points[i];
        sum += weights[i];
    }
    return fabs(sum - 1) <= 1e-12 ? NULL : "I5: weights";
}

int sg_trees_check(const sg_trees *t, const char **why) {
    *why = t->first[0] != 0 || t->first[t->trees] != t->count ? "I1: trees and nodes" : NULL;
    for (size_t tree = 0; tree < t->trees && *why == NULL; tree++) *why = broken_tree(t, tree);
    for (size_t rule = 1; rule <= t->rules && *why == NULL; rule++)
        *why = broken_rule(WIDTH * rule, t->points + points_before(rule), t->weights + points_before(rule));
    return *why == NULL ? SG_OK : SG_ERR_VALUE;
}
