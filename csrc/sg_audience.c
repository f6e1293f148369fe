#include "sg_audience.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "sg_table.h"

#define SMALLEST 2 /* bits of the smallest row: 4 slots */
#define LARGEST 31
#define NOT_COUNTED UINT32_MAX /* more users than a row can have */
#define MARKED 16              /* bits of a mark */
#define FAR 3                  /* a row of 2^FAR times the capacity is probed, not marked or walked */

typedef struct {
    uint32_t *slots; /* user + 1, 0: free; behind them, as many, the counts */
    uint32_t live;
    uint32_t bits; /* of the capacity; meaningless without slots */
} row;

struct sg_audience {
    sg_table *items;
    sg_table *users;
    row *rows;       /* by item id */
    uint32_t *uses;  /* by user id: the rows that hold it */
    uint16_t *marks; /* by slot: bit c, the row of the c-th marked cause holds it; a free one has none */
    size_t row_cap, use_cap, pairs;
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
    for (size_t id = 0; id < sg_table_used(a->items); id++) free(a->rows[id].slots);
    free(a->rows);
    free(a->uses);
    free(a->marks);
    sg_table_free(a->items);
    sg_table_free(a->users);
    free(a);
}

/* ---- rows ----------------------------------------------------------------------------------------------------- */

static size_t capacity(const row *r) { return r->slots ? (size_t)1 << r->bits : 0; }

static uint32_t mask(const row *r) { return (uint32_t)capacity(r) - 1; }

static uint32_t home(const row *r, uint32_t user) { return user * 0x9E3779B1u >> (32 - r->bits); }

static uint32_t *counts(const row *r) { return r->slots + capacity(r); }

/* The slot that holds the user, or the free one where it belongs. The row has slots. */
static uint32_t locate(const row *r, uint32_t user) {
    uint32_t at = home(r, user);
    while (r->slots[at] && r->slots[at] != user + 1) at = (at + 1) & mask(r);
    return at;
}

static bool holds(const row *r, uint32_t user) { return r->slots[locate(r, user)]; }

static int resize(row *r, uint32_t bits) {
    if (bits > LARGEST) return SG_ERR_RANGE;
    row to = {calloc((size_t)2 << bits, sizeof *to.slots), r->live, bits};
    if (to.slots == NULL) return SG_ERR_NOMEM;
    for (size_t at = 0; at < capacity(r); at++) {
        if (!r->slots[at]) continue;
        uint32_t moved = locate(&to, r->slots[at] - 1);
        to.slots[moved] = r->slots[at];
        counts(&to)[moved] = counts(r)[at];
    }
    free(r->slots);
    *r = to;
    return SG_OK;
}

/* Frees a slot and closes its probe run: every later entry of the run that may stand nearer its home moves back. */
static void clear(row *r, uint32_t hole) {
    for (uint32_t at = (hole + 1) & mask(r); r->slots[at]; at = (at + 1) & mask(r)) {
        if (((at - home(r, r->slots[at] - 1)) & mask(r)) < ((at - hole) & mask(r))) continue;
        r->slots[hole] = r->slots[at];
        counts(r)[hole] = counts(r)[at];
        hole = at;
    }
    r->slots[hole] = counts(r)[hole] = 0;
    if (--r->live == 0) {
        free(r->slots);
        *r = (row){0};
    } else if (r->bits > SMALLEST && 8 * (size_t)r->live <= capacity(r)) {
        resize(r, r->bits - 1); /* where memory has run out it stays as large as it is */
    }
}

/* ---- changes -------------------------------------------------------------------------------------------------- */

/* A new id is below `used`, or `used` where it is `live`: what is kept by id suffices while live < its capacity. */
static int find_or_add_row(sg_audience *a, uint64_t item, row **found) {
    size_t n = sg_table_live(a->items);
    if (n == a->row_cap) {
        size_t cap = n ? 2 * n : 64;
        row *rows = realloc(a->rows, cap * sizeof *rows);
        if (rows == NULL) return SG_ERR_NOMEM;
        a->rows = rows;
        a->row_cap = cap;
    }
    uint32_t id;
    int fresh, rc = sg_table_index(a->items, item, &id, &fresh);
    if (rc != SG_OK) return rc;
    if (fresh) a->rows[id] = (row){0};
    *found = &a->rows[id];
    return SG_OK;
}

static int find_or_add_user(sg_audience *a, uint64_t key, uint32_t *id) {
    size_t n = sg_table_live(a->users);
    if (n == a->use_cap) {
        size_t cap = n ? 2 * n : 64;
        uint32_t *uses = realloc(a->uses, cap * sizeof *uses);
        if (uses == NULL) return SG_ERR_NOMEM;
        a->uses = uses;
        uint16_t *marks = realloc(a->marks, (cap + 1) * sizeof *marks);
        if (marks == NULL) return SG_ERR_NOMEM;
        memset(marks + a->use_cap, 0, (cap + 1 - a->use_cap) * sizeof *marks);
        a->marks = marks;
        a->use_cap = cap;
    }
    int fresh, rc = sg_table_index(a->users, key, id, &fresh);
    if (rc == SG_OK && fresh) a->uses[*id] = 0;
    return rc;
}

/* The ids of the two where they are in no pair. */
static void give_back(sg_audience *a, uint64_t item_key, uint64_t user_key) {
    uint32_t item = sg_table_find(a->items, item_key), user = sg_table_find(a->users, user_key);
    if (item != SG_TABLE_NONE && a->rows[item].live == 0) sg_table_remove(a->items, item_key);
    if (user != SG_TABLE_NONE && a->uses[user] == 0) sg_table_remove(a->users, user_key);
}

static int touch(sg_audience *a, row *r, uint32_t user, uint32_t count) {
    if (r->slots != NULL && holds(r, user)) {
        uint32_t *had = &counts(r)[locate(r, user)];
        if (*had > UINT32_MAX - count) return SG_ERR_RANGE;
        *had += count;
        return SG_OK;
    }
    int rc = SG_OK;
    if (4 * ((size_t)r->live + 1) > 3 * capacity(r)) rc = resize(r, r->slots ? r->bits + 1 : SMALLEST);
    if (rc != SG_OK) return rc;
    uint32_t at = locate(r, user);
    r->slots[at] = user + 1;
    counts(r)[at] = count;
    r->live++;
    a->uses[user]++;
    a->pairs++;
    return SG_OK;
}

static int add(sg_audience *a, uint64_t item, uint64_t user_key, uint32_t count) {
    row *r;
    uint32_t user;
    int rc = find_or_add_row(a, item, &r);
    if (rc != SG_OK) return rc;
    rc = find_or_add_user(a, user_key, &user);
    if (rc == SG_OK) rc = touch(a, r, user, count);
    if (rc != SG_OK) give_back(a, item, user_key);
    return rc;
}

int sg_audience_add(sg_audience *a, const uint64_t *items, const uint64_t *users, const uint32_t *touches, size_t n) {
    for (size_t i = 0; touches != NULL && i < n; i++)
        if (touches[i] == 0) return SG_ERR_VALUE;
    int rc = SG_OK;
    for (size_t i = 0; i < n && rc == SG_OK; i++) rc = add(a, items[i], users[i], touches ? touches[i] : 1);
    return rc;
}

/* An item's row; NULL where nobody has touched it. */
static row *row_of(const sg_audience *a, uint64_t item) {
    uint32_t id = sg_table_find(a->items, item);
    return id == SG_TABLE_NONE ? NULL : &a->rows[id];
}

static bool sub(sg_audience *a, uint64_t item, uint64_t user_key) {
    row *r = row_of(a, item);
    uint32_t user = sg_table_find(a->users, user_key);
    if (r == NULL || user == SG_TABLE_NONE || !holds(r, user)) return false;
    uint32_t at = locate(r, user);
    if (--counts(r)[at] > 0) return true;
    clear(r, at);
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
        const row *r = row_of(a, items[i]);
        users[i] = r ? r->live : 0;
    }
}

static uint32_t shared_by(const row *small, const row *large, uint32_t limit) {
    uint32_t shared = 0;
    for (size_t at = 0; at < capacity(small); at++) {
        if (!small->slots[at] || !holds(large, small->slots[at] - 1)) continue;
        if (++shared == limit) break;
    }
    return shared;
}

void sg_audience_shared(const sg_audience *a, uint64_t item, const uint64_t *others, size_t n, uint32_t limit,
                        uint32_t *shared) {
    const row *r = row_of(a, item);
    for (size_t i = 0; i < n; i++) {
        const row *other = row_of(a, others[i]);
        if (r == NULL || other == NULL) shared[i] = 0;
        else shared[i] = r->bits <= other->bits ? shared_by(r, other, limit) : shared_by(other, r, limit);
    }
}

/* Causes whose users are marked. */
typedef struct {
    uint64_t causes[MARKED];
    const row *rows[MARKED];
    unsigned len;
} marked;

static void turn(const sg_audience *a, const row *r, unsigned bit) {
    for (size_t at = 0; at < capacity(r); at++)
        if (r->slots[at]) a->marks[r->slots[at]] ^= (uint16_t)(1u << bit);
}

static void unmark(const sg_audience *a, marked *m) {
    while (m->len > 0) {
        m->len--;
        turn(a, m->rows[m->len], m->len);
    }
}

/* The bit of a cause. There has to be room. */
static unsigned mark(const sg_audience *a, marked *m, uint64_t cause, const row *r) {
    for (unsigned bit = 0; bit < m->len; bit++)
        if (m->causes[bit] == cause) return bit;
    m->causes[m->len] = cause;
    m->rows[m->len] = r;
    turn(a, r, m->len);
    return m->len++;
}

static bool far(const row *r, const row *other) { return abs((int)r->bits - (int)other->bits) > FAR; }

/* held[k] += users of the row whose mark has bits[k]. A free slot is no branch: it has no mark. */
static inline __attribute__((always_inline)) void add_marked(const uint16_t *marks, const row *r, const unsigned *bits,
                                                             unsigned n, uint32_t *held) {
    for (const uint32_t *slot = r->slots, *end = slot + capacity(r); slot < end; slot++)
        for (unsigned k = 0; k < n; k++) held[k] += marks[*slot] >> bits[k] & 1u;
}

/* Three are what is asked for, a row or two may be far: then the loops are without loops in them. */
static void count_marked(const uint16_t *marks, const row *r, const unsigned *bits, unsigned n, uint32_t *held) {
    uint32_t sums[SG_AUDIENCE_MOST] = {0};
    switch (n) {
    case 0: break;
    case 1: add_marked(marks, r, bits, 1, sums); break;
    case 2: add_marked(marks, r, bits, 2, sums); break;
    case 3: add_marked(marks, r, bits, 3, sums); break;
    default: add_marked(marks, r, bits, n, sums);
    }
    memcpy(held, sums, n * sizeof *held);
}

/* both[k] = distinct users of the row and of causes[k]. */
static void count_both(const sg_audience *a, marked *m, const row *r, const uint64_t *causes, unsigned n,
                       uint32_t *both) {
    unsigned bits[SG_AUDIENCE_MOST], near[SG_AUDIENCE_MOST], len = 0;
    uint32_t held[SG_AUDIENCE_MOST];
    if (m->len + n > MARKED) unmark(a, m);
    for (unsigned k = 0; k < n; k++) {
        const row *other = row_of(a, causes[k]);
        both[k] = 0;
        if (other == NULL) continue;
        if (far(r, other)) {
            both[k] = r->bits <= other->bits ? shared_by(r, other, 0) : shared_by(other, r, 0);
            continue;
        }
        near[len] = k;
        bits[len++] = mark(a, m, causes[k], other);
    }
    count_marked(a->marks, r, bits, len, held);
    for (unsigned k = 0; k < len; k++) both[near[k]] = held[k];
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

/* An item's row, on its way into the cache. */
static const row *row_to_walk(const sg_audience *a, uint64_t item) {
    const row *r = row_of(a, item);
    if (r != NULL) __builtin_prefetch(r->slots);
    return r;
}

void sg_audience_behind(const sg_audience *a, const uint64_t *items, size_t n, const uint32_t *starts,
                        const uint64_t *causes, const double *amounts, unsigned most, uint32_t *shared) {
    marked m = {.len = 0};
    uint64_t found[SG_AUDIENCE_MOST];
    uint32_t both[SG_AUDIENCE_MOST];
    const row *r, *next = n ? row_to_walk(a, items[0]) : NULL;
    if (most > SG_AUDIENCE_MOST) most = SG_AUDIENCE_MOST;
    for (size_t i = 0; i < n; i++) {
        uint32_t at = starts[i], len = starts[i + 1] - at;
        r = next;
        if (i + 1 < n) next = row_to_walk(a, items[i + 1]);
        unsigned kept = find_strongest(items[i], causes + at, amounts + at, len, most, found, shared + at);
        if (r != NULL) count_both(a, &m, r, found, kept, both);
        for (uint32_t part = at; part < at + len; part++)
            shared[part] = r == NULL || shared[part] == NOT_COUNTED ? 0 : both[shared[part]];
    }
    unmark(a, &m);
}

size_t sg_audience_pairs(const sg_audience *a) { return a->pairs; }

void sg_audience_dump(const sg_audience *a, uint64_t *items, uint64_t *users, uint32_t *touches) {
    const uint64_t *item_key = sg_table_keys(a->items), *user_key = sg_table_keys(a->users);
    size_t n = 0;
    for (size_t id = 0; id < sg_table_used(a->items); id++) {
        const row *r = &a->rows[id];
        for (size_t at = 0; at < capacity(r); at++) {
            if (!r->slots[at]) continue;
            items[n] = item_key[id];
            users[n] = user_key[r->slots[at] - 1];
            touches[n++] = counts(r)[at];
        }
    }
}

size_t sg_audience_nbytes(const sg_audience *a) {
    size_t bytes = sizeof *a + sg_table_nbytes(a->items) + sg_table_nbytes(a->users);
    bytes += a->row_cap * sizeof *a->rows + a->use_cap * (sizeof *a->uses + sizeof *a->marks);
    for (size_t id = 0; id < sg_table_used(a->items); id++) bytes += capacity(&a->rows[id]) * 2 * sizeof(uint32_t);
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
        const row *r = &a->rows[id];
        items += r->live > 0;
        if (r->live > 0 && !is_key(a->items, id)) return "sg_audience I1: a row's item has no key";
        for (size_t at = 0; at < capacity(r); at++) {
            if (!r->slots[at]) continue;
            if (!is_key(a->users, r->slots[at] - 1)) return "sg_audience I1: a slot's user has no key";
            uses[r->slots[at] - 1]++;
        }
    }
    for (size_t id = 0; id < sg_table_used(a->users); id++) {
        users += uses[id] > 0;
        if (uses[id] != a->uses[id]) return "sg_audience I1: a user's count is not that of the rows that hold it";
    }
    if (items == sg_table_live(a->items) && users == sg_table_live(a->users)) return NULL;
    return "sg_audience I1: a key of an item or user that is in no pair";
}

static int check_keys(const sg_audience *a, const char **why) {
    int rc = sg_table_check(a->items, why);
    if (rc == SG_OK) rc = sg_table_check(a->users, why);
    if (rc != SG_OK) return rc;
    size_t users = sg_table_used(a->users);
    HOLDS(sg_table_used(a->items) <= a->row_cap && users <= a->use_cap, "sg_audience I1: an id without a place");
    uint32_t *uses = calloc(users + 1, sizeof *uses);
    *why = uses ? wrong_key(a, uses) : "sg_audience I1: no memory to count in";
    free(uses);
    return *why ? SG_ERR_VALUE : SG_OK;
}

static int check_row(const row *r, const char **why) {
    size_t live = 0;
    for (size_t at = 0; at < capacity(r); at++) {
        live += r->slots[at] > 0;
        HOLDS(!r->slots[at] == !counts(r)[at],
              "sg_audience I2: a slot is free, and has a count, or the other way round");
    }
    HOLDS(live == r->live && 4 * live <= 3 * capacity(r) && (live > 0 || r->slots == NULL),
          "sg_audience I2: a row's live slots are miscounted, or too many or too few for its capacity");
    for (size_t at = 0; at < capacity(r); at++)
        HOLDS(!r->slots[at] || locate(r, r->slots[at] - 1) == at, "sg_audience I3: a user is not found from its home");
    return SG_OK;
}

int sg_audience_check(const sg_audience *a, const char **why) {
    size_t pairs = 0;
    int rc = check_keys(a, why);
    for (size_t id = 0; rc == SG_OK && id < sg_table_used(a->items); id++) {
        rc = check_row(&a->rows[id], why);
        pairs += a->rows[id].live;
    }
    if (rc != SG_OK) return rc;
    HOLDS(pairs == a->pairs, "sg_audience I4: pairs is not the sum of the rows' live slots");
    for (size_t id = 0; a->use_cap && id <= a->use_cap; id++)
        HOLDS(a->marks[id] == 0, "sg_audience I5: a user is still marked");
    return SG_OK;
}
