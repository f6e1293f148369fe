#include "sg_audience.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "sg_crowd.h"
#include "sg_table.h"

#define NOT_COUNTED UINT32_MAX /* more users than a crowd can have */
#define MARKED 16              /* causes that are marked at once */
#define FAR 3                  /* a crowd of 2^FAR times the capacity is probed, not marked or walked */

struct sg_audience {
    sg_table *items;
    sg_table *users;
    sg_crowd *crowds; /* by item id */
    uint32_t *uses;   /* by user id: the crowds that hold it */
    uint64_t *marks;  /* MARKED bitmaps of all users; a user's bit is its id + 1, as in a crowd's */
    size_t crowd_room, room, pairs;
};

sg_audience *sg_audience_new(void) {
    sg_audience *a = calloc(1, sizeof *a);
    if (a == NULL) return NULL;
    a->items = sg_table_new();
    a->users = sg_table_new();
    if (a->items != NULL && a->users != NULL) return a;
    sg_table_free(a->items);
    sg_table_free(a->users);
    free(a);
    return NULL;
}

void sg_audience_free(sg_audience *a) {
    if (a == NULL) return;
    for (size_t id = 0; id < sg_table_used(a->items); id++) sg_crowd_free(&a->crowds[id]);
    free(a->crowds);
    free(a->uses);
    free(a->marks);
    sg_table_free(a->items);
    sg_table_free(a->users);
    free(a);
}

/* ---- changes -------------------------------------------------------------------------------------------------- */

/* A new id is below `used`, or `used` where it is `live`: what is kept by id suffices while live < its room. */
static int find_or_add_crowd(sg_audience *a, uint64_t item, sg_crowd **found) {
    size_t n = sg_table_live(a->items);
    if (n == a->crowd_room && sg_table_find(a->items, item) == SG_TABLE_NONE) {
        size_t room = n ? 2 * n : 64;
        sg_crowd *crowds = realloc(a->crowds, room * sizeof *crowds);
        if (crowds == NULL) return SG_ERR_NOMEM;
        a->crowds = crowds;
        a->crowd_room = room;
    }
    uint32_t id;
    int fresh, rc = sg_table_index(a->items, item, &id, &fresh);
    if (rc != SG_OK) return rc;
    if (fresh) a->crowds[id] = (sg_crowd){0};
    *found = &a->crowds[id];
    return SG_OK;
}

static int make_room_for_users(sg_audience *a, size_t room) {
    uint32_t *uses = realloc(a->uses, room * sizeof *uses);
    if (uses == NULL) return SG_ERR_NOMEM;
    a->uses = uses;
    uint64_t *marks = calloc(MARKED * sg_crowd_words(room), sizeof *marks);
    if (marks == NULL) return SG_ERR_NOMEM;
    free(a->marks);
    a->marks = marks;
    a->room = room;
    return SG_OK;
}

static int find_or_add_user(sg_audience *a, uint64_t key, uint32_t *id) {
    size_t n = sg_table_live(a->users);
    bool full = n == a->room && sg_table_find(a->users, key) == SG_TABLE_NONE;
    int fresh, rc = full ? make_room_for_users(a, n ? 2 * n : 64) : SG_OK;
    if (rc == SG_OK) rc = sg_table_index(a->users, key, id, &fresh);
    if (rc == SG_OK && fresh) a->uses[*id] = 0;
    return rc;
}

/* The ids of the two where they are in no pair. */
static void give_back(sg_audience *a, uint64_t item_key, uint64_t user_key) {
    uint32_t item = sg_table_find(a->items, item_key), user = sg_table_find(a->users, user_key);
    if (item != SG_TABLE_NONE && a->crowds[item].live == 0) sg_table_remove(a->items, item_key);
    if (user != SG_TABLE_NONE && a->uses[user] == 0) sg_table_remove(a->users, user_key);
}

static int add(sg_audience *a, uint64_t item, uint64_t user_key, uint32_t count) {
    sg_crowd *crowd;
    uint32_t user;
    bool fresh = false;
    int rc = find_or_add_crowd(a, item, &crowd);
    if (rc != SG_OK) return rc;
    rc = find_or_add_user(a, user_key, &user);
    if (rc == SG_OK) rc = sg_crowd_touch(crowd, user, count, a->room, &fresh);
    if (rc != SG_OK) {
        give_back(a, item, user_key);
        return rc;
    }
    a->uses[user] += fresh;
    a->pairs += fresh;
    return SG_OK;
}

int sg_audience_add(sg_audience *a, const uint64_t *items, const uint64_t *users, const uint32_t *touches, size_t n) {
    for (size_t i = 0; touches != NULL && i < n; i++)
        if (touches[i] == 0) return SG_ERR_VALUE;
    int rc = SG_OK;
    for (size_t i = 0; i < n && rc == SG_OK; i++) rc = add(a, items[i], users[i], touches ? touches[i] : 1);
    return rc;
}

/* An item's crowd; NULL where nobody has touched it. */
static sg_crowd *crowd_of(const sg_audience *a, uint64_t item) {
    uint32_t id = sg_table_find(a->items, item);
    return id == SG_TABLE_NONE ? NULL : &a->crowds[id];
}

static bool sub(sg_audience *a, uint64_t item, uint64_t user_key) {
    sg_crowd *crowd = crowd_of(a, item);
    uint32_t user = sg_table_find(a->users, user_key);
    bool gone;
    if (crowd == NULL || user == SG_TABLE_NONE || !sg_crowd_leave(crowd, user, a->room, &gone)) return false;
    if (!gone) return true;
    a->uses[user]--;
    a->pairs--;
    give_back(a, item, user_key);
    return true;
}

size_t sg_audience_sub(sg_audience *a, const uint64_t *items, const uint64_t *users, size_t n) {
    size_t found = 0;
    for (size_t i = 0; i < n; i++) found += sub(a, items[i], users[i]);
    return found;
}

/* ---- reads ---------------------------------------------------------------------------------------------------- */

void sg_audience_count(const sg_audience *a, const uint64_t *items, size_t n, uint32_t *users) {
    for (size_t i = 0; i < n; i++) {
        const sg_crowd *crowd = crowd_of(a, items[i]);
        users[i] = crowd ? crowd->live : 0;
    }
}

void sg_audience_shared(const sg_audience *a, uint64_t item, const uint64_t *others, size_t n, uint32_t limit,
                        uint32_t *shared) {
    const sg_crowd *crowd = crowd_of(a, item);
    for (size_t i = 0; i < n; i++) {
        const sg_crowd *other = crowd_of(a, others[i]);
        shared[i] = crowd == NULL || other == NULL ? 0 : sg_crowd_both(crowd, other, limit);
    }
}

/* Causes whose users are marked. */
typedef struct {
    uint64_t causes[MARKED];
    const sg_crowd *crowds[MARKED];
    unsigned len;
} marked;

static uint64_t *marks_of(const sg_audience *a, unsigned number) { return a->marks + number * sg_crowd_words(a->room); }

static void unmark(const sg_audience *a, marked *m) {
    while (m->len > 0) {
        const sg_crowd *crowd = m->crowds[--m->len];
        uint64_t *marks = marks_of(a, m->len);
        memset(marks, 0, crowd->words * sizeof *marks);
        for (size_t at = 0; !crowd->words && at < sg_crowd_capacity(crowd); at++) marks[crowd->slots[at] / 64] = 0;
    }
}

/* The marks of a cause. There has to be room for one more. */
static const uint64_t *mark(const sg_audience *a, marked *m, uint64_t cause, const sg_crowd *crowd) {
    for (unsigned number = 0; number < m->len; number++)
        if (m->causes[number] == cause) return marks_of(a, number);
    uint64_t *marks = marks_of(a, m->len);
    if (crowd->words) memcpy(marks, sg_crowd_bitmap(crowd), crowd->words * sizeof *marks);
    for (size_t at = 0; !crowd->words && at < sg_crowd_capacity(crowd); at++)
        marks[crowd->slots[at] / 64] |= (uint64_t)(crowd->slots[at] > 0) << crowd->slots[at] % 64;
    m->causes[m->len] = cause;
    m->crowds[m->len++] = crowd;
    return marks;
}

static bool far(const sg_crowd *c, const sg_crowd *other) { return abs((int)c->bits - (int)other->bits) > FAR; }

/* A free slot is no branch: nobody's bit is never marked. */
static uint32_t count_marked(const sg_crowd *c, const uint64_t *marks) {
    if (c->words) return sg_crowd_common(sg_crowd_bitmap(c), marks, c->words);
    uint32_t held = 0;
    for (const uint32_t *slot = c->slots, *end = slot + sg_crowd_capacity(c); slot < end; slot++)
        held += marks[*slot / 64] >> *slot % 64 & 1;
    return held;
}

/* both[k] = distinct users of the crowd and of causes[k]. */
static void count_both(const sg_audience *a, marked *m, const sg_crowd *crowd, const uint64_t *causes, unsigned n,
                       uint32_t *both) {
    if (m->len + n > MARKED) unmark(a, m);
    for (unsigned k = 0; k < n; k++) {
        const sg_crowd *other = crowd_of(a, causes[k]);
        if (other == NULL) both[k] = 0;
        else if (far(crowd, other)) both[k] = sg_crowd_both(crowd, other, 0);
        else both[k] = count_marked(crowd, mark(a, m, causes[k], other));
    }
}

/* The part of the largest amount, of those whose cause is another item and not counted yet; len: there is none. */
static uint32_t strongest(uint64_t item, const uint64_t *causes, const double *amounts, uint32_t len,
                          const uint32_t *shared) {
    uint32_t best = len;
    for (uint32_t r = 0; r < len; r++) {
        if (shared[r] != NOT_COUNTED || causes[r] == 0 || causes[r] == item) continue;
        if (best == len || amounts[r] > amounts[best]) best = r;
    }
    return best;
}

/* The `most` causes of the largest amounts; how many. shared: of their parts the number of the cause, else
 * NOT_COUNTED. */
static unsigned find_strongest(uint64_t item, const uint64_t *causes, const double *amounts, uint32_t len,
                               unsigned most, uint64_t *found, uint32_t *shared) {
    unsigned n = 0;
    for (uint32_t r = 0; r < len; r++) shared[r] = NOT_COUNTED;
    for (uint32_t best; n < most && (best = strongest(item, causes, amounts, len, shared)) < len; n++) {
        found[n] = causes[best];
        for (uint32_t r = 0; r < len; r++)
            if (causes[r] == found[n]) shared[r] = n;
    }
    return n;
}

/* An item's crowd, on its way into the cache. */
static const sg_crowd *crowd_to_walk(const sg_audience *a, uint64_t item) {
    const sg_crowd *crowd = crowd_of(a, item);
    if (crowd != NULL) __builtin_prefetch(crowd->slots);
    return crowd;
}

void sg_audience_behind(const sg_audience *a, const uint64_t *items, size_t n, const uint32_t *starts,
                        const uint64_t *causes, const double *amounts, unsigned most, uint32_t *shared) {
    marked m = {.len = 0};
    uint64_t found[SG_AUDIENCE_MOST];
    uint32_t both[SG_AUDIENCE_MOST];
    const sg_crowd *crowd, *next = n ? crowd_to_walk(a, items[0]) : NULL;
    if (most > SG_AUDIENCE_MOST) most = SG_AUDIENCE_MOST;
    for (size_t i = 0; i < n; i++) {
        uint32_t at = starts[i], len = starts[i + 1] - at;
        crowd = next;
        if (i + 1 < n) next = crowd_to_walk(a, items[i + 1]);
        unsigned kept = find_strongest(items[i], causes + at, amounts + at, len, most, found, shared + at);
        if (crowd != NULL) count_both(a, &m, crowd, found, kept, both);
        for (uint32_t part = at; part < at + len; part++)
            shared[part] = crowd == NULL || shared[part] == NOT_COUNTED ? 0 : both[shared[part]];
    }
    unmark(a, &m);
}

size_t sg_audience_pairs(const sg_audience *a) { return a->pairs; }

void sg_audience_dump(const sg_audience *a, uint64_t *items, uint64_t *users, uint32_t *touches) {
    const uint64_t *item_key = sg_table_keys(a->items), *user_key = sg_table_keys(a->users);
    size_t n = 0;
    for (size_t id = 0; id < sg_table_used(a->items); id++) {
        const sg_crowd *crowd = &a->crowds[id];
        for (size_t at = 0; at < sg_crowd_capacity(crowd); at++) {
            if (!crowd->slots[at]) continue;
            items[n] = item_key[id];
            users[n] = user_key[crowd->slots[at] - 1];
            touches[n++] = sg_crowd_counts(crowd)[at];
        }
    }
}

size_t sg_audience_nbytes(const sg_audience *a) {
    size_t bytes = sizeof *a + sg_table_nbytes(a->items) + sg_table_nbytes(a->users);
    bytes += a->crowd_room * sizeof *a->crowds + a->room * sizeof *a->uses;
    bytes += a->room ? MARKED * sg_crowd_words(a->room) * sizeof *a->marks : 0;
    for (size_t id = 0; id < sg_table_used(a->items); id++) bytes += sg_crowd_nbytes(&a->crowds[id]);
    return bytes;
}

/* ---- check ---------------------------------------------------------------------------------------------------- */

#define HOLDS(condition, text)                                                                                         \
    if (!(condition)) {                                                                                                \
        *why = text;                                                                                                   \
        return SG_ERR_VALUE;                                                                                           \
    }

static bool is_key(const sg_table *t, uint32_t id) {
    return id < sg_table_used(t) && sg_table_find(t, sg_table_keys(t)[id]) == id;
}

/* How I1 is broken; NULL: it holds. uses: a 0 for each user id. */
static const char *wrong_key(const sg_audience *a, uint32_t *uses) {
    size_t items = 0, users = 0;
    for (uint32_t id = 0; id < sg_table_used(a->items); id++) {
        const sg_crowd *crowd = &a->crowds[id];
        items += crowd->live > 0;
        if (crowd->live > 0 && !is_key(a->items, id)) return "sg_audience I1: a crowd's item has no key";
        for (size_t at = 0; at < sg_crowd_capacity(crowd); at++) {
            if (!crowd->slots[at]) continue;
            if (!is_key(a->users, crowd->slots[at] - 1)) return "sg_audience I1: a crowd's user has no key";
            uses[crowd->slots[at] - 1]++;
        }
    }
    for (size_t id = 0; id < sg_table_used(a->users); id++) {
        users += uses[id] > 0;
        if (uses[id] != a->uses[id]) return "sg_audience I1: a user's count is not that of the crowds that hold it";
    }
    if (items == sg_table_live(a->items) && users == sg_table_live(a->users)) return NULL;
    return "sg_audience I1: a key of an item or user that is in no pair";
}

static int check_keys(const sg_audience *a, const char **why) {
    int rc = sg_table_check(a->items, why);
    if (rc == SG_OK) rc = sg_table_check(a->users, why);
    if (rc != SG_OK) return rc;
    size_t users = sg_table_used(a->users);
    HOLDS(sg_table_used(a->items) <= a->crowd_room && users <= a->room, "sg_audience I1: an id without a place");
    uint32_t *uses = calloc(users + 1, sizeof *uses);
    *why = uses ? wrong_key(a, uses) : "sg_audience I1: no memory to count in";
    free(uses);
    return *why ? SG_ERR_VALUE : SG_OK;
}

int sg_audience_check(const sg_audience *a, const char **why) {
    size_t pairs = 0;
    int rc = check_keys(a, why);
    for (size_t id = 0; rc == SG_OK && id < sg_table_used(a->items); id++) {
        rc = sg_crowd_check(&a->crowds[id], why);
        pairs += a->crowds[id].live;
    }
    if (rc != SG_OK) return rc;
    HOLDS(pairs == a->pairs, "sg_audience I2: pairs is not the sum of the crowds' users");
    for (size_t at = 0; a->room && at < MARKED * sg_crowd_words(a->room); at++)
        HOLDS(a->marks[at] == 0, "sg_audience I3: a user is still marked");
    return SG_OK;
}
