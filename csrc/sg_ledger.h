/* sg_ledger -- what all models are made from: units and items by key, and each unit's events.
 *
 *     keys -> ids              sg_table, two of them; ids are given again
 *     a unit's events          sg_history
 *
 * A model is a function of its ledger, so the ledger is what is saved, as columns. A unit without events and an item
 * that no event names are released by the owner, and leave no key behind.
 *
 *     unit_keys  [ U V ]      lengths [ 3 1 ]
 *     items      [ 0 1 0 2 ]  times   [ 10 20 30 15 ]        U: A B A, V: C
 *     item_keys  [ A B C ]                                   by number, as the columns name them
 *
 * Invariants, checked by sg_ledger_check() in this order: those of pool, tables and history; then
 *   L1  history has room for every id; a unit with events has a key.
 *
 * Owns everything; arrays are borrowed until return. Fails: SG_ERR_NOMEM, SG_ERR_RANGE; what a failed call has indexed
 * stays indexed. Not thread-safe. */
#ifndef SG_LEDGER_H
#define SG_LEDGER_H

#include "sg_history.h"
#include "sg_pool.h"
#include "sg_table.h"

enum { SG_CHUNK = 256 }; /* events whose ids fit on the stack */

typedef struct {
    sg_pool *pool;
    sg_table *units, *items;
    sg_history history;
} sg_ledger;

int sg_ledger_init(sg_ledger *l, uint32_t window);
void sg_ledger_clear(sg_ledger *l);

int sg_all_finite(const double *times, size_t n);

/* Ids of n events, made where keys are new. sg_ledger_room() is how many item ids there may be afterwards: the owner
 * makes room for them before. */
size_t sg_ledger_room(const sg_ledger *l, size_t n);
int sg_ledger_index(sg_ledger *l, const uint64_t *units, const uint64_t *items, size_t n, uint32_t *unit_ids,
                    uint32_t *item_ids);

/* What an owner does to take a unit's events back. */
typedef struct {
    /* The plan is done to its structures, whole or not at all, and then committed (sg_history_commit). */
    int (*apply)(void *owner, uint32_t unit, const sg_plan *plan);
    void (*fetch)(const void *owner, uint32_t item); /* what it has of an item is wanted soon */
} sg_taker;
/* Events are taken back one by one, of equal ones the newest; *found: how many there were. SG_ERR_VALUE: a time is not
 * finite, nothing is done. Else what came before a failure is done, and counted. */
int sg_ledger_retract(sg_ledger *l, const uint64_t *units, const uint64_t *items, const double *times, size_t n,
                      const sg_taker *taker, void *owner, size_t *found);
/* The same for all events before a time, unit by unit; *gone: how many. SG_ERR_VALUE: it is NaN. */
int sg_ledger_expire(sg_ledger *l, double before, const sg_taker *taker, void *owner, size_t *gone);

int sg_ledger_has_item(const sg_ledger *l, uint32_t item); /* whether the id is given */
void sg_ledger_release_unit(sg_ledger *l, uint32_t unit);  /* a unit without events */
void sg_ledger_release_item(sg_ledger *l, uint32_t item);

/* The columns above; room for as many units and items as the tables have keys, and for history.events. */
int sg_ledger_dump(const sg_ledger *l, uint64_t *unit_keys, uint32_t *lengths, uint64_t *item_keys, uint32_t *items,
                   double *times);
/* Every event, grouped by unit, each unit's in order; room for history.events. */
int sg_ledger_events(const sg_ledger *l, uint64_t *units, uint64_t *items, double *times);

/* Adds the units' items, in order, to a checksum. */
int sg_ledger_sum(const sg_ledger *l, uint64_t sum[2]);
/* A checksum is a sum of such hashes, so that it does not depend on their order. */
void sg_sum_add(uint64_t sum[2], uint64_t kind, uint64_t a, uint64_t b, uint64_t c);

size_t sg_ledger_tables_nbytes(const sg_ledger *l);
int sg_ledger_check(const sg_ledger *l, const char **why);

#endif
