#include "sg_users.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "sg_table.h"

typedef struct {
    sg_event *events;
    uint32_t len, cap;
} row;

struct sg_users {
    double gap;
    sg_table *keys;
    row *rows;
    size_t row_cap, total;
    sg_move *moves; /* of the last expiry */
    size_t moves_len, moves_cap;
    uint64_t *plan; /* three of each event of the user at hand */
    size_t plan_cap;
};

sg_users *sg_users_new(double gap) {
    if (!(gap >= 0) || !isfinite(gap)) return NULL;
    sg_users *u = calloc(1, sizeof *u);
    if (u == NULL) return NULL;
    u->gap = gap;
    u->keys = sg_table_new();
    if (u->keys != NULL) return u;
    free(u);
    return NULL;
}

void sg_users_free(sg_users *u) {
    if (u == NULL) return;
    for (size_t id = 0; id < sg_table_used(u->keys); id++) free(u->rows[id].events);
    free(u->rows);
    free(u->moves);
    free(u->plan);
    sg_table_free(u->keys);
    free(u);
}

/* ---- sessions ------------------------------------------------------------------------------------------------- */

uint64_t sg_users_session_key(uint64_t user, double time) {
    uint64_t bits;
    time += 0.0; /* -0 becomes 0 */
    memcpy(&bits, &time, sizeof bits);
    uint64_t key = sg_mix64(user ^ (bits << 32 | bits >> 32));
    return key ? key : 1;
}

/* The session of an event that names none; previous is NULL at a user's first. */
static uint64_t derive(const sg_users *u, uint64_t user, const sg_event *previous, double time) {
    if (previous != NULL && previous->derived && fabs(time - previous->time) <= u->gap) return previous->session;
    return sg_users_session_key(user, time);
}

/* ---- changes -------------------------------------------------------------------------------------------------- */

/* A new id is below `used`, or `used` where it is `live`: the rows suffice while live < row_cap. */
static int find_or_add_row(sg_users *u, uint64_t user, row **found) {
    size_t n = sg_table_live(u->keys);
    if (n == u->row_cap) {
        size_t cap = n ? 2 * n : 64;
        row *rows = realloc(u->rows, cap * sizeof *rows);
        if (rows == NULL) return SG_ERR_NOMEM;
        u->rows = rows;
        u->row_cap = cap;
    }
    uint32_t id;
    int fresh, rc = sg_table_index(u->keys, user, &id, &fresh);
    if (rc != SG_OK) return rc;
    if (fresh) u->rows[id] = (row){0};
    *found = &u->rows[id];
    return SG_OK;
}

static int make_room(row *r) {
    if (r->len < r->cap) return SG_OK;
    if (r->cap > UINT32_MAX / 2) return SG_ERR_RANGE;
    uint32_t cap = r->cap ? 2 * r->cap : 1;
    sg_event *events = realloc(r->events, cap * sizeof *events);
    if (events == NULL) return SG_ERR_NOMEM;
    r->events = events;
    r->cap = cap;
    return SG_OK;
}

/* What the row no longer needs goes: its id if it is empty, else the part of its room that leaves it 1/4 full. */
static void give_back(sg_users *u, uint64_t user, row *r) {
    if (r->len == 0) {
        free(r->events);
        *r = (row){0};
        sg_table_remove(u->keys, user);
        return;
    }
    uint32_t cap = r->cap;
    while (r->len <= cap / 4) cap /= 2;
    if (cap == r->cap) return;
    sg_event *events = realloc(r->events, cap * sizeof *events);
    if (events == NULL) return; /* it stays as large as it is */
    r->events = events;
    r->cap = cap;
}

static int observe(sg_users *u, uint64_t user, sg_event *event) {
    row *r;
    int rc = find_or_add_row(u, user, &r);
    if (rc != SG_OK) return rc;
    if ((rc = make_room(r)) != SG_OK) {
        give_back(u, user, r);
        return rc;
    }
    if (event->session == 0) {
        event->derived = 1;
        event->session = derive(u, user, r->len ? &r->events[r->len - 1] : NULL, event->time);
    }
    u->total++;
    r->events[r->len++] = *event;
    return SG_OK;
}

int sg_users_observe(sg_users *u, const uint64_t *users, const uint64_t *items, const double *times,
                     const uint64_t *sessions, const uint8_t *kinds, const int64_t *offsets, const uint64_t *events,
                     const uint32_t *contexts, size_t n, uint64_t *resolved) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(times[i])) return SG_ERR_VALUE;
    for (size_t i = 0; i < n; i++) {
        uint32_t context = contexts ? contexts[i] : 0;
        sg_event event = {items[i], times[i], sessions[i], offsets[i], events[i], kinds[i], 0, context};
        int rc = observe(u, users[i], &event);
        if (rc != SG_OK) return rc;
        resolved[i] = event.session;
    }
    return SG_OK;
}

/* A user's array, NULL where they have no events. */
static row *row_of(const sg_users *u, uint64_t user) {
    uint32_t id = sg_table_find(u->keys, user);
    return id == SG_TABLE_NONE ? NULL : &u->rows[id];
}

/* What follows is unchanged from the first event on whose session is given or comes out as it was. */
static void derive_again(const sg_users *u, uint64_t user, row *r, size_t from) {
    for (size_t i = from; i < r->len && r->events[i].derived; i++) {
        uint64_t session = derive(u, user, i ? &r->events[i - 1] : NULL, r->events[i].time);
        if (session == r->events[i].session) return;
        r->events[i].session = session;
    }
}

int sg_users_remove(sg_users *u, uint64_t user, size_t index) {
    row *r = row_of(u, user);
    if (r == NULL || index >= r->len) return SG_ERR_VALUE;
    memmove(r->events + index, r->events + index + 1, (--r->len - index) * sizeof *r->events);
    u->total--;
    derive_again(u, user, r, index);
    give_back(u, user, r);
    return SG_OK;
}

/* ---- expiry --------------------------------------------------------------------------------------------------- */

static int reserve(sg_users *u, const row *r) {
    size_t n = r->len, room = u->moves_len + n;
    if (u->plan_cap < n) {
        uint64_t *plan = realloc(u->plan, 3 * n * sizeof *plan);
        if (plan == NULL) return SG_ERR_NOMEM;
        u->plan = plan;
        u->plan_cap = n;
    }
    if (u->moves_cap < room) {
        sg_move *moves = realloc(u->moves, 2 * room * sizeof *moves);
        if (moves == NULL) return SG_ERR_NOMEM;
        u->moves = moves;
        u->moves_cap = 2 * room;
    }
    return SG_OK;
}

/* now[i]: the session that event i will be in; 0: it goes. How many go. */
static size_t plan_sessions(const sg_users *u, uint64_t user, const row *r, int64_t before, double since,
                            uint64_t *now) {
    sg_event previous = {0};
    size_t gone = 0;
    for (size_t i = 0; i < r->len; i++) {
        sg_event e = r->events[i];
        now[i] = 0;
        if (e.offset < before || e.time < since) {
            gone++;
            continue;
        }
        if (e.derived) e.session = derive(u, user, i > gone ? &previous : NULL, e.time);
        now[i] = e.session;
        previous = e;
    }
    return gone;
}

static bool is_in(const uint64_t *list, size_t n, uint64_t x) {
    while (n-- > 0)
        if (list[n] == x) return true;
    return false;
}

/* Whether an event equal to i, which goes, stays in its unit: the model could not tell them apart. */
static bool has_twin(const row *r, const uint64_t *now, size_t i, bool by_session) {
    const sg_event *e = &r->events[i];
    for (size_t j = 0; j < r->len; j++)
        if (r->events[j].time == e->time && r->events[j].item == e->item && now[j] != 0 &&
            (!by_session || r->events[j].session == e->session))
            return true;
    return false;
}

/* The units that have to be learned again as a whole: sessions that an event moves out of or into, units of twins. */
static size_t plan_units(const row *r, const uint64_t *now, bool by_session, uint64_t *units) {
    size_t n = 0;
    for (size_t i = 0; i < r->len; i++) {
        uint64_t was = r->events[i].session, both[2] = {was, now[i]};
        size_t touched = now[i] == 0 ? has_twin(r, now, i, by_session) : by_session && now[i] != was ? 2 : 0;
        for (size_t k = 0; k < touched; k++)
            if (!is_in(units, n, by_session ? both[k] : 0)) units[n++] = by_session ? both[k] : 0;
    }
    return n;
}

static int expire(sg_users *u, uint64_t user, row *r, int64_t before, double since, bool by_session) {
    int rc = reserve(u, r);
    if (rc != SG_OK) return rc;
    uint64_t *now = u->plan, *units = u->plan + r->len;
    if (plan_sessions(u, user, r, before, since, now) == 0) return SG_OK;
    size_t n = plan_units(r, now, by_session, units), kept = 0;
    for (size_t i = 0; i < r->len; i++) {
        sg_event e = r->events[i];
        bool again = by_session ? is_in(units, n, e.session) || is_in(units, n, now[i]) : n > 0;
        if (now[i] == 0 || again)
            u->moves[u->moves_len++] = (sg_move){user, e.item, e.time, e.session, now[i], e.kind, e.context};
        if (now[i] == 0) continue;
        e.session = now[i];
        r->events[kept++] = e;
    }
    u->total -= r->len - kept;
    r->len = (uint32_t)kept;
    give_back(u, user, r);
    return SG_OK;
}

int sg_users_expire(sg_users *u, const uint64_t *users, size_t n, int64_t before, double since, int by_session,
                    const sg_move **moves, size_t *told) {
    int rc = SG_OK;
    u->moves_len = 0;
    for (size_t i = 0; i < n && rc == SG_OK; i++) {
        row *r = row_of(u, users[i]);
        if (r != NULL) rc = expire(u, users[i], r, before, since, by_session != 0);
    }
    *moves = u->moves;
    *told = u->moves_len;
    return rc;
}

size_t sg_users_drop(sg_users *u, uint64_t user) {
    row *r = row_of(u, user);
    if (r == NULL) return 0;
    size_t dropped = r->len;
    r->len = 0;
    u->total -= dropped;
    give_back(u, user, r);
    return dropped;
}

/* ---- reads ---------------------------------------------------------------------------------------------------- */

const sg_event *sg_users_events(const sg_users *u, uint64_t user, size_t *n) {
    const row *r = row_of(u, user);
    *n = r ? r->len : 0;
    return r ? r->events : NULL;
}

int64_t sg_users_newest(const sg_users *u, uint64_t user, uint64_t item, uint32_t kind_mask) {
    size_t n;
    const sg_event *events = sg_users_events(u, user, &n);
    while (n-- > 0)
        if (events[n].item == item && events[n].kind < 32 && kind_mask >> events[n].kind & 1) return (int64_t)n;
    return -1;
}

int64_t sg_users_find(const sg_users *u, uint64_t user, uint64_t event) {
    if (event == 0) return -1;
    size_t n;
    const sg_event *events = sg_users_events(u, user, &n);
    while (n-- > 0)
        if (events[n].event == event) return (int64_t)n;
    return -1;
}

size_t sg_users_count(const sg_users *u) { return sg_table_live(u->keys); }

size_t sg_users_total(const sg_users *u) { return u->total; }

void sg_users_list(const sg_users *u, uint64_t *keys, uint64_t *starts) {
    const uint64_t *key_of = sg_table_keys(u->keys);
    size_t n = 0;
    starts[0] = 0;
    for (size_t id = 0; id < sg_table_used(u->keys); id++) {
        if (u->rows[id].len == 0) continue;
        keys[n] = key_of[id];
        starts[n + 1] = starts[n] + u->rows[id].len;
        n++;
    }
}

size_t sg_users_nbytes(const sg_users *u) {
    size_t bytes = sizeof *u + sg_table_nbytes(u->keys) + u->row_cap * sizeof *u->rows +
                   u->moves_cap * sizeof *u->moves + 3 * u->plan_cap * sizeof *u->plan;
    for (size_t id = 0; id < sg_table_used(u->keys); id++) bytes += u->rows[id].cap * sizeof *u->rows[id].events;
    return bytes;
}

/* ---- check ---------------------------------------------------------------------------------------------------- */

#define HOLDS(condition, text)                                                                                         \
    if (!(condition)) {                                                                                                \
        *why = text;                                                                                                   \
        return SG_ERR_VALUE;                                                                                           \
    }

static int check_events(const sg_users *u, uint64_t user, const row *r, const char **why) {
    for (size_t i = 0; i < r->len; i++) {
        const sg_event *e = &r->events[i];
        HOLDS(isfinite(e->time) && e->session != 0, "sg_users I3: a time is not finite or a session is 0");
        HOLDS(!e->derived || e->session == derive(u, user, i ? e - 1 : NULL, e->time),
              "sg_users I4: a derived session is not what the events before it make");
    }
    return SG_OK;
}

int sg_users_check(const sg_users *u, const char **why) {
    size_t n = sg_table_used(u->keys), count = 0, total = 0;
    int rc = sg_table_check(u->keys, why);
    if (rc != SG_OK) return rc;
    HOLDS(n <= u->row_cap, "sg_users I1: a key without an array");
    for (size_t id = 0; id < n; id++) {
        const row *r = &u->rows[id];
        uint64_t user = sg_table_keys(u->keys)[id];
        count += r->len > 0;
        total += r->len;
        HOLDS(r->len == 0 || sg_table_find(u->keys, user) == id, "sg_users I1: an array with events without a key");
        HOLDS(r->len <= r->cap && (r->cap & (r->cap - 1)) == 0 && (r->len > 0 || r->cap == 0),
              "sg_users I2: an array's length or capacity is wrong");
        if ((rc = check_events(u, user, r, why)) != SG_OK) return rc;
    }
    HOLDS(count == sg_table_live(u->keys), "sg_users I1: a key whose array has no events");
    HOLDS(total == u->total, "sg_users I5: the total is not the sum of the users' events");
    return SG_OK;
}
