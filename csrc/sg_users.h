/* sg_users -- per user, every event that is kept, in order, cut into sessions by inactivity.
 *
 * One growing array a user, its capacity a power of two; the user's dense id comes from sg_table:
 *
 *     user U   capacity 4, 3 events          gap 30
 *              [ item A, time 100, session h(U,100), derived ]     begins a session of its own
 *              [ item B, time 120, session h(U,100), derived ]     20 s later: goes on with it
 *              [ item C, time 151, session h(U,151), derived ]     31 s later: begins the next
 *
 * Sessions. An event that names its session keeps it ("given"). Any other goes on with the session of the user's
 * previous event if that one was derived too and |time - its time| <= gap; else it begins a session of key
 *
 *     h(user, time) = mix64(user ^ rotl64(bits of time as IEEE double, -0 as 0; 32)), 1 in place of 0
 *     mix64: the finaliser of splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014)
 *
 * a function of the user and the session's first time only, so the same events have the same sessions in every replay.
 * Order is the order of arrival, not of time.
 *
 * Retention. sg_users_expire() takes out the events below an offset or before a time as if they had never been, and
 * tells what moved: without A above, B begins its session, whose key is now h(U,120); C's stays. It is mostly a prefix
 * that goes, but offsets need not ascend.
 *
 * Invariants, checked by sg_users_check() in this order:
 *   I1  a user has a key exactly if their array has events.
 *   I2  an array's capacity is a power of two, at least its length; 0 where there are no events.
 *   I3  every time is finite; a given session is not 0.
 *   I4  every derived session is what the rule above makes of the events before it.
 *   I5  total = sum of the users' events.
 *
 * Owns the arrays. sg_users_events() lends one until the next call that changes anything. Not thread-safe. The id of
 * a user without events goes to the next new one, and an array that has become 1/4 full halves: memory is that of the
 * most users and events there were at once, and stays flat on an endless stream that is expired.
 * Cost: observe O(1) amortised; newest, find and expire O(events of the user); remove O(events behind it); drop O(1).
 *   48 bytes an event, at most twice that while an array grows and four times while it shrinks, plus 16 a user and the
 *   table.
 * Fails: SG_ERR_VALUE on a time that is not finite, and nothing is applied; SG_ERR_NOMEM, SG_ERR_RANGE (2^31 events of
 * a user) leave the earlier rows of the call applied, the failing one not. Instead of a linked list of shared blocks:
 * answers read a user's newest events at once, and taking one out shifts those behind it; both want them side by side.
 */
#ifndef SG_USERS_H
#define SG_USERS_H

#include <stddef.h>
#include <stdint.h>

#include "sg_status.h"

typedef struct {
    uint64_t item;
    double time; /* epoch seconds */
    uint64_t session;
    int64_t offset;
    uint64_t event; /* the producer's key; 0 = none */
    uint8_t kind;
    uint8_t derived;  /* 1: the session is derived, 0: it was given */
    uint32_t context; /* of the visit; 0 = none */
} sg_event;

/* An event that is gone, or of a unit that has to be learned again: one of whose events is in another session now, or
 * of which an event went that is like one that stays (a model that takes back by item and time takes the newest). */
typedef struct {
    uint64_t user, item;
    double time;
    uint64_t session; /* that it was in */
    uint64_t now;     /* that it is in; 0: the event is gone */
    uint8_t kind;
    uint32_t context;
} sg_move;

typedef struct sg_users sg_users;

/* NULL where memory runs out or gap (seconds) is not finite and >= 0. */
sg_users *sg_users_new(double gap);
void sg_users_free(sg_users *u);

/* h(user, time): the key of the derived session that begins so. */
uint64_t sg_users_session_key(uint64_t user, double time);

/* n events; sessions 0 = not given, contexts NULL = none has one. resolved[n] gets each one's session. */
int sg_users_observe(sg_users *u, const uint64_t *users, const uint64_t *items, const double *times,
                     const uint64_t *sessions, const uint8_t *kinds, const int64_t *offsets, const uint64_t *events,
                     const uint32_t *contexts, size_t n, uint64_t *resolved);

/* A user's events, *n of them, oldest first; NULL and 0 for an unknown user. */
const sg_event *sg_users_events(const sg_users *u, uint64_t user, size_t *n);

/* The index of the user's newest event of an item whose kind is in the mask (bit per kind, kinds 0..31); -1: none. */
int64_t sg_users_newest(const sg_users *u, uint64_t user, uint64_t item, uint32_t kind_mask);

/* The index of the user's newest event with a producer's key; -1: none, and for key 0. */
int64_t sg_users_find(const sg_users *u, uint64_t user, uint64_t event);

/* Takes an event out as if it had never been: derived sessions behind it are derived again. SG_ERR_VALUE: no such. */
int sg_users_remove(sg_users *u, uint64_t user, size_t index);

/* Takes out each event of n users whose offset is below `before` or whose time is below `since`, as if it had never
 * been. moves[told]: user by user, the oldest event first; lent until the next expiry. by_session: whether a unit of
 * the model is a session or a user. Fails: SG_ERR_NOMEM leaves the users before applied and told. */
int sg_users_expire(sg_users *u, const uint64_t *users, size_t n, int64_t before, double since, int by_session,
                    const sg_move **moves, size_t *told);

/* Takes a user out; how many events that were. */
size_t sg_users_drop(sg_users *u, uint64_t user);

size_t sg_users_count(const sg_users *u); /* users with events */
size_t sg_users_total(const sg_users *u); /* events */

/* keys[count] and starts[count + 1]: the users and where each one's events begin in the concatenation of all. */
void sg_users_list(const sg_users *u, uint64_t *keys, uint64_t *starts);

size_t sg_users_nbytes(const sg_users *u);

/* SG_OK, or SG_ERR_VALUE and *why names the first broken invariant. */
int sg_users_check(const sg_users *u, const char **why);

#endif
