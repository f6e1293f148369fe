/* sg_users against plain arrays whose sessions are derived from scratch. */
#include <math.h>

#include "fuzz.h"
#include "sg_users.h"

enum { USERS = 6, EVENTS = 400, ITEMS = 4, MANY = 250 };

static sg_event kept[USERS][EVENTS];
static size_t len[USERS];
static double gap;

static uint64_t key_of(uint64_t user) { return user == 1 ? UINT64_MAX : user << 60; }

static void derive_all(uint64_t user) {
    for (size_t i = 0; i < len[user]; i++) {
        sg_event *e = &kept[user][i];
        if (!e->derived) continue;
        int goes_on = i > 0 && e[-1].derived && fabs(e->time - e[-1].time) <= gap;
        e->session = goes_on ? e[-1].session : sg_users_session_key(key_of(user), e->time);
    }
}

static void observe(sg_users *u, uint64_t user, const sg_event *event) {
    uint64_t key = key_of(user), resolved;
    sg_event e = *event;
    if (len[user] == EVENTS) return (void)disarm(SG_OK);
    if (disarm(sg_users_observe(u, &key, &e.item, &e.time, &e.session, &e.kind, &e.offset, &e.event, &e.context, 1,
                                &resolved)))
        return;
    e.derived = e.session == 0;
    kept[user][len[user]++] = e;
    derive_all(user);
    CHECK(resolved == kept[user][len[user] - 1].session);
}

static void drop(sg_users *u, uint64_t user) {
    CHECK(sg_users_drop(u, key_of(user)) == len[user]);
    len[user] = 0;
}

static void remove_one(sg_users *u, uint64_t user, size_t index) {
    CHECK(sg_users_remove(u, key_of(user), index) == (index < len[user] ? SG_OK : SG_ERR_VALUE));
    if (index >= len[user]) return;
    memmove(&kept[user][index], &kept[user][index + 1], (--len[user] - index) * sizeof(sg_event));
    derive_all(user);
}

/* What goes, and the units that have to be learned again: the list that was beside the one that is. */
static size_t expire_kept(uint64_t user, int64_t before, int by_session, sg_move *moves) {
    static sg_event was[EVENTS];
    uint64_t now[EVENTS], units[2 * EVENTS];
    size_t n = 0, had = len[user], stay = 0, touched = 0;
    memcpy(was, kept[user], sizeof was);
    for (size_t i = 0; i < had; i++)
        if (was[i].offset >= before) kept[user][stay++] = was[i];
    len[user] = stay;
    if (stay == had) return 0;
    derive_all(user);
    stay = 0;
    for (size_t i = 0; i < had; i++) now[i] = was[i].offset >= before ? kept[user][stay++].session : 0;
    for (size_t i = 0; i < had; i++) {
        if (now[i] != 0 && now[i] != was[i].session) {
            units[touched++] = was[i].session;
            units[touched++] = now[i];
        }
    }
    if (!by_session) touched = 0;
    for (size_t i = 0; i < had; i++)
        for (size_t j = 0; j < had && now[i] == 0; j++)
            if (now[j] != 0 && was[i].item == was[j].item && was[i].time == was[j].time &&
                (!by_session || was[i].session == was[j].session)) {
                units[touched++] = was[i].session;
                break;
            }
    for (size_t i = 0; i < had; i++) {
        int again = !by_session && touched > 0;
        for (size_t t = 0; by_session && t < touched; t++) again |= units[t] == was[i].session || units[t] == now[i];
        if (now[i] == 0 || again)
            moves[n++] =
                (sg_move){key_of(user), was[i].item, was[i].time, was[i].session, now[i], was[i].kind, was[i].context};
    }
    return n;
}

/* Of up to five users, some perhaps twice, one perhaps unknown. */
static void expire(sg_users *u) {
    static sg_move expected[5 * EVENTS];
    const sg_move *moves;
    uint64_t keys[5];
    int64_t before = pick(256);
    int by_session = pick(2);
    size_t n = 0, named = pick(6), told;
    for (size_t i = 0; i < named; i++) {
        uint64_t user = pick(USERS + 1);
        keys[i] = key_of(user);
        if (user < USERS) n += expire_kept(user, before, by_session, expected + n);
    }
    CHECK(sg_users_expire(u, keys, named, before, -INFINITY, by_session, &moves, &told) == SG_OK && told == n);
    for (size_t i = 0; i < n; i++) {
        const sg_move *e = &expected[i], *m = &moves[i];
        CHECK(e->user == m->user && e->item == m->item && e->time == m->time && e->kind == m->kind &&
              e->context == m->context);
        CHECK(e->session == m->session && e->now == m->now);
    }
}

static void refuse(sg_users *u) {
    const uint64_t keys[] = {0, 1};
    const double bad[] = {1, pick(2) ? NAN : INFINITY};
    uint64_t resolved[2];
    CHECK(sg_users_observe(u, keys, keys, bad, keys, (uint8_t[2]){0}, (int64_t[2]){0}, keys, NULL, 2, resolved) ==
          SG_ERR_VALUE);
}

static void step(sg_users *u) {
    unsigned what = pick(18);
    uint64_t user = pick(USERS);
    if (what < 6) {
        double time = pick(16) * 5.0 - 20;
        sg_event e = {pick(ITEMS), time == 0 && pick(2) ? -0.0 : time, pick(4) / 2, pick(256), pick(3), 0, 0, pick(3)};
        e.kind = (uint8_t)pick(48);
        arm();
        observe(u, user, &e);
    } else if (what < 12) {
        remove_one(u, user, len[user] && pick(8) ? pick_wide(EVENTS) % len[user] : pick(4));
    } else if (what < 13) {
        drop(u, user);
    } else if (what < 14) {
        refuse(u);
    } else if (what < 16) {
        expire(u);
    } else {
        seed();
        for (unsigned n = pick(MANY); n > 0; n--)
            observe(u, user,
                    &(sg_event){below(ITEMS), below(100), below(3) ? 0 : below(3), n, below(3), 1, 0, below(3)});
    }
}

static void compare_reads(const sg_users *u, uint64_t user) {
    uint64_t item = pick(ITEMS), event = pick(3);
    uint32_t mask = pick(256);
    int64_t newest = -1, found = -1;
    for (size_t i = 0; i < len[user]; i++) {
        const sg_event *e = &kept[user][i];
        if (e->item == item && e->kind < 32 && mask >> e->kind & 1) newest = (int64_t)i;
        if (event && e->event == event) found = (int64_t)i;
    }
    CHECK(sg_users_newest(u, key_of(user), item, mask) == newest && sg_users_find(u, key_of(user), event) == found);
}

static void compare(const sg_users *u) {
    size_t total = 0, users = 0, n;
    uint64_t keys[USERS], starts[USERS + 1];
    SOUND(sg_users, u);
    for (uint64_t user = 0; user < USERS; user++) {
        const sg_event *events = sg_users_events(u, key_of(user), &n);
        CHECK(n == len[user] && (n > 0) == (events != NULL));
        for (size_t i = 0; i < n; i++) {
            const sg_event *e = &events[i], *k = &kept[user][i];
            CHECK(e->item == k->item && e->time == k->time && e->session == k->session && e->offset == k->offset);
            CHECK(e->event == k->event && e->kind == k->kind && e->derived == k->derived && e->context == k->context);
        }
        total += n;
        users += n > 0;
    }
    CHECK(sg_users_total(u) == total && sg_users_count(u) == users);
    sg_users_list(u, keys, starts);
    CHECK(starts[0] == 0 && starts[users] == total);
    for (size_t i = 0; i < users; i++) {
        sg_users_events(u, keys[i], &n);
        CHECK(n > 0 && starts[i + 1] - starts[i] == n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    begin(data, size);
    memset(len, 0, sizeof len);
    gap = (double[]){0, 5, 10, 1e300}[pick(4)];
    arm();
    sg_users *u = sg_users_new(gap);
    if (disarm(u ? SG_OK : SG_ERR_NOMEM)) return 0;
    while (more()) {
        step(u);
        compare(u);
        compare_reads(u, pick(USERS));
    }
    sg_users_free(u);
    return 0;
}
