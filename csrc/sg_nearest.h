/* sg_nearest -- VMIS-kNN, live: the units most like a query, and what they hold.
 *
 * A query is items x_0 (newest) .. x_len-1, distinct, each with a weight w_p and a decay l_p, both in 0..1:
 *
 *     M(p)     = the m units that hold x_p, of the largest `last`; at a tie of least key; never the unit `without`
 *     sim(u)   = sum of w_p over all p with u in M(p)          step(u) = the least such p with w_p > 0
 *     N        = the k units of largest (sim, last), at a tie of least key, with sim > 0
 *     c(u, i)  = l_step(u) * near[d] * 2^(-age(u) / half_life)     d: places between i and x_step(u) in what u holds;
 *                                                                  age: from last(u) to the largest in N
 *     score(i) = sum of sim(u) * c(u, i) over u in N that hold i,   times 1 + idf * ln(units / units that hold i)
 *
 * near and half_life are a *reading* of the same N: near is 1 without distances, else 0 behind them; without a
 * half-life ages do not count. That is V-SKNN (Ludewig, Jannach, "Evaluation of session-based recommendation
 * algorithms", UMUAI 28, 2018) with the sample of VMIS-kNN (Kersbergen, Sprangers, Schelter, "Serenade", SIGMOD 2022),
 * newest units per item, on what is there now; near and ages are STAN's (Garg, Gupta, Malhotra, Vig, Shroff, "Sequence
 * and time aware neighborhood", SIGIR 2019). Weights cannot be negative: 1 - 0.1 p, as Serenade has it, is from the
 * twelfth item on, and then makes units that share more less alike.
 *
 * Weights and c are rounded to multiples of 2^-16, so that every sum is exact: an order of units, of events or of
 * additions cannot be told from a score. 16 + 6 bits for sim, 16 for c, 14 for k make 52.
 *
 * Cost: about m entries and as many holders an item of the query, then k units and their items a reading; nothing is
 * allocated once its arrays have grown. Fails: SG_ERR_VALUE (see sg_query) and SG_ERR_NOMEM; nothing is changed.
 * Instead of one heap a query item, as Serenade has it for lists on disk: similarities by unit are dense, in the cache
 * line that says whether an entry is stale. */
#ifndef SG_NEAREST_H
#define SG_NEAREST_H

#include "sg_sessions.h"

enum { SG_QUERY_MAX = 64 };

/* SG_ERR_VALUE: a weight or decay outside 0..1, idf below 0 or not finite, more than SG_QUERY_MAX items, one twice, k
 * above SG_NEAREST_MAX; of a reading, near outside 0..1, half_life below 0 or not finite. */
typedef struct {
    const uint64_t *items; /* newest first */
    const double *weights, *decays;
    size_t len, m, k;
    double idf;
    const uint64_t *without; /* NULL: none */
} sg_query;

typedef struct {
    const double *near; /* by distance, from 0 */
    size_t distances;   /* 0: all count 1 */
    double half_life;   /* seconds; 0: ages do not count */
} sg_reading;

/* N, nearest first: room for k; *n were written. */
int sg_nearest_units(sg_sessions *m, const sg_query *q, uint64_t *units, double *similarities, size_t *n);
/* By each reading the `most` best items by (score down, key up), in this order or, which is cheaper, in any: n[x] of
 * reading x, from x * most on. The query's are among them. */
int sg_nearest_items(sg_sessions *m, const sg_query *q, const sg_reading *readings, size_t count, size_t most,
                     int in_order, uint64_t *items, double *scores, size_t *n);

#endif
