/* sg_trees -- boosted regression trees, grown elsewhere: what they predict, and how much of it each feature did.
 *
 * A row x goes left at a node where x[feature] <= threshold, and the prediction is the sum of the leaves that it comes
 * to, added up tree by tree: LightGBM's order, so its bits. Each tree's nodes stand together, breadth-first, 16 bytes
 * each; siblings are neighbours, so that a step is one comparison added to an index, and a leaf leads to itself:
 *
 *     tree    x0 <= 1 (8 rows) ? 10 (2 rows) : x1 <= 2 (6 rows) ? 20 (3 rows) : 30 (3 rows)
 *
 *     nodes   0: x0 > 1 -> 1 + .   1: -> 1    2: x1 > 2 -> 3 + .   3: -> 3    4: -> 4
 *     values        0                 10            0                 20         30
 *     shares        1                .25           .75                .5         .5       of the parent's rows
 *
 * Eight rows are walked side by side, which hides the latency of a step (some 15 cycles); they are copied feature by
 * feature, so that one address leads to all eight. They stop when none of them moves: a branch for eight, not for each.
 *
 * Explaining. Let v(S) be what a tree is expected to say where only the features in S are known: at a split on another
 * feature both ways are taken, by the shares of the training rows. The features' amounts are the Shapley values of v
 * (Lundberg, Erion, Lee, "Consistent Individualized Feature Attribution for Tree Ensembles", 2018: the path-dependent
 * values, as of their algorithm 2 and LightGBM's pred_contrib), found otherwise. A leaf adds to v(S) its value times a
 * product over the features of its path: on_i (1 or 0: the row goes this way at all of its splits) where i is in S,
 * share_i (the product of the shares there) where it is not. By the integral of the multilinear extension (Owen,
 * "Multilinear Extensions of Games", 1972) feature i then gets, from each leaf,
 *
 *     value * (on_i - share_i) * integral over s in 0..1 of the product over the other j of on_j s + share_j (1 - s)
 *
 * a polynomial of a degree below the number of features, which the Gauss-Legendre rule of half as many points sums up
 * exactly. The products are carried down a tree, at each point; the leaves' are summed up on the way back, and each
 * edge gives its feature, from all leaves below at once, what it makes of (on - share), less what the edge before it
 * with that feature had made of them. So a tree costs O(nodes * points) a row.
 *
 * Invariants, checked by sg_trees_check() in this order:
 *   I1  in the order of the trees and of the nodes, each inner node's children are the next two that are not roots, so
 *       each node is a root or the child of one before it, of its tree.
 *   I2  a leaf has itself as left, split +inf, column 0; an inner node's split is finite, its column names a feature.
 *   I3  a value is at most SG_TREES_MAX_VALUE in size, and 0 at an inner node.
 *   I4  shares are in 0..1, neither of them, and 1 together with the sibling's; a root's is 1.
 *   I5  each tree has one of the rules, of 4, 8, 12, .. points: the first with half as many points as a path of it has
 *       features. Points are above 0, ascend, and are below 1; weights are above 0, and 1 together.
 *
 * Owns everything; arrays are borrowed until return. Nothing changes after sg_trees_new(), so any number of threads may
 * read. Values of x may be infinite, not NaN.
 * Cost: predict some 12 ns a row and tree of 31 leaves; explain some 1.5 us. Both allocate what they need until return.
 * Fails: SG_ERR_VALUE, *why says what is wrong with the arrays; SG_ERR_VALUE on a NaN; SG_ERR_NOMEM. Nothing is
 *   written.
 * Instead of algorithm 2's lists of subset sizes: to take a feature out of a list again is to subtract, which loses
 * digits with each level, and costs O(leaves * depth^2); here it is to divide, by what is above 0, and a division loses
 * none. Instead of a node's feature and threshold in arrays of their own: a step reads both, and 16 bytes are in one
 * cache line. */
#ifndef SG_TREES_H
#define SG_TREES_H

#include <stddef.h>
#include <stdint.h>

#include "sg_status.h"

#define SG_TREES_FEATURES 65536   /* at most */
#define SG_TREES_DEPTH 512        /* splits on a path, at most */
#define SG_TREES_MAX_VALUE 1e100  /* of a leaf */
#define SG_TREES_MAX_COVER 0x1p52 /* rows */
#define SG_TREES_LEAF (-1)        /* in place of a feature */

typedef struct sg_trees sg_trees;

/* All trees' nodes in any order, the trees by their roots in the order of the sum. Of a leaf value and cover are read,
 * of an inner node all but value. cover: the training rows that came here, 1 or more, as many as came to the children
 * (to within 1e-9 of them). */
typedef struct {
    size_t features, trees, nodes;
    const int32_t *roots;                    /* [trees] */
    const int32_t *feature, *left, *right;   /* [nodes] */
    const double *threshold, *value, *cover; /* [nodes] */
} sg_trees_arrays;

/* SG_ERR_VALUE, and *why, where a node is in no tree, in two, or twice in one, or a number is not as said above. */
int sg_trees_new(const sg_trees_arrays *from, sg_trees **trees, const char **why);
void sg_trees_free(sg_trees *t);

/* x: n rows of `features`; sums: n. */
int sg_trees_predict(const sg_trees *t, const double *x, size_t n, double *sums);

/* amounts: n rows of `features` + 1; the last is what is expected of a row of which nothing is known, the same in each.
 * A row adds up to its prediction, but for rounding. */
int sg_trees_explain(const sg_trees *t, const double *x, size_t n, double *amounts);

size_t sg_trees_features(const sg_trees *t);
size_t sg_trees_count(const sg_trees *t); /* trees */
size_t sg_trees_nbytes(const sg_trees *t);

/* SG_OK, or SG_ERR_VALUE and *why names the first broken invariant. */
int sg_trees_check(const sg_trees *t, const char **why);

#endif
