/* sg_users against plain arrays whose sessions are derived from scratch after every step. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "sg_users.h"

enum { USERS = 5, EVENTS = 4000, GAP = 10 };

static sg_event kept[USERS][EVENTS];
static size_t len[USERS];

static void derive_all(uint64_t user) {
    for (size_t i = 0; i < len[user]; i++) {
        sg_event *e = &kept[user][i];
        if (!e->derived) continue;
        int goes_on = i > 0 && e[-1].derived && fabs(e->time - e[-1].time) <= GAP;
        e->session = goes_on ? e[-1].session : sg_users_session_key(user, e->time);
    }
}

static void compare(const sg_users *u) {
    size_t total = 0, users = 0, n;
    for (uint64_t user = 0; user < USERS; user++) {
        const sg_event *events = sg_users_events(u, user, &n);
        CHECK(n == len[user]);
        for (size_t i = 0; i < n; i++) {
            const sg_event *e = &events[i], *k = &kept[user][i];
            CHECK(e->item == k->item && e->time == k->time && e->session == k->session && e->offset == k->offset);
            CHECK(e->event == k->event && e->kind == k->kind && e->derived == k->derived && e->context == k->context);
        }
        total += n;
        users += n > 0;
    }
    CHECK(sg_users_total(u) == total && sg_users_count(u) == users);
    uint64_t keys[USERS], starts[USERS + 1];
    sg_users_list(u, keys, starts);
    CHECK(starts[0] == 0 && starts[users] == total);
    for (size_t i = 0; i < users; i++) CHECK(starts[i + 1] - starts[i] == len[keys[i]]);
}

static int64_t newest(uint64_t user, uint64_t item, uint32_t mask) {
    int64_t found = -1;
    for (size_t i = 0; i < len[user]; i++)
        if (kept[user][i].item == item && kept[user][i].kind < 32 && mask >> kept[user][i].kind & 1) found = (int64_t)i;
    return found;
}

static void observe_one(sg_users *u, uint64_t user, double clock, int64_t offset) {
    sg_event e = {rand() % 4, clock + rand() % 30 - 10, rand() % 4 ? 0 : 1 + rand() % 2, offset, rand() % 3, 0, 0, 0};
    e.kind = (uint8_t)(rand() % 8 ? rand() % 5 : 40);
    e.context = (uint32_t)rand() % 3;
    uint64_t resolved;
    CHECK(sg_users_observe(u, &user, &e.item, &e.time, &e.session, &e.kind, &offset, &e.event, &e.context, 1,
                           &resolved) == SG_OK);
    e.derived = e.session == 0;
    kept[user][len[user]++] = e;
    derive_all(user);
    CHECK(resolved == kept[user][len[user] - 1].session);
}

static void remove_one(sg_users *u, uint64_t user) {
    CHECK(sg_users_remove(u, user, len[user]) == SG_ERR_VALUE);
    if (len[user] == 0) return;
    size_t index = (size_t)rand() % len[user];
    CHECK(sg_users_remove(u, user, index) == SG_OK);
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
        for (size_t j = 0; j < had && touched < EVENTS; j++)
            if (now[i] == 0 && now[j] != 0 && was[i].item == was[j].item && was[i].time == was[j].time &&
                (!by_session || was[i].session == was[j].session))
                units[touched++] = was[i].session;
    for (size_t i = 0; i < had; i++) {
        int again = !by_session && touched > 0;
        for (size_t t = 0; by_session && t < touched; t++) again |= units[t] == was[i].session || units[t] == now[i];
        if (now[i] == 0 || again)
            moves[n++] = (sg_move){user, was[i].item, was[i].time, was[i].session, now[i], was[i].kind, was[i].context};
    }
    return n;
}

static int is_same(const sg_move *a, const sg_move *b) {
    return a->user == b->user && a->item == b->item && a->time == b->time && a->session == b->session &&
           a->now == b->now && a->kind == b->kind && a->context == b->context;
}

static size_t expire(sg_users *u, const uint64_t *users, size_t n, int64_t before, const sg_move **moves) {
    size_t told;
    CHECK(sg_users_expire(u, users, n, before, -INFINITY, 1, moves, &told) == SG_OK);
    return told;
}

/* Of one who is unknown, one who is named twice, and all others. */
static void expire_all(sg_users *u, int64_t before) {
    static sg_move expected[USERS * EVENTS];
    const uint64_t users[] = {USERS, 3, 0, 1, 2, 3, 4};
    const sg_move *moves;
    int by_session = rand() % 2;
    size_t n = 0, named = sizeof users / sizeof *users, told;
    for (size_t i = 1; i < named; i++) n += expire_kept(users[i], before, by_session, expected + n);
    CHECK(sg_users_expire(u, users, named, before, -INFINITY, by_session, &moves, &told) == SG_OK && told == n);
    for (size_t i = 0; i < n; i++) CHECK(is_same(&expected[i], &moves[i]));
    CHECK(expire(u, users, named, before, &moves) == 0);
}

static void test_random_steps(int steps, int removals) {
    sg_users *u = sg_users_new(GAP);
    memset(len, 0, sizeof len);
    for (int step = 0; step < steps; step++) {
        uint64_t user = (uint64_t)rand() % USERS;
        if (rand() % 10 < removals) remove_one(u, user);
        else if (rand() % 400 == 0) {
            CHECK(sg_users_drop(u, user) == len[user]);
            len[user] = 0;
        } else if (rand() % 100 == 0) expire_all(u, step - rand() % 300);
        else observe_one(u, user, step, step - rand() % 40);
        uint64_t item = rand() % 4;
        uint32_t mask = (uint32_t)rand() % 32;
        CHECK(sg_users_newest(u, user, item, mask) == newest(user, item, mask));
        int64_t at = sg_users_find(u, user, 2);
        CHECK(at < 0 || kept[user][at].event == 2);
        for (size_t i = (size_t)(at + 1); i < len[user]; i++) CHECK(kept[user][i].event != 2);
        CHECK(sg_users_find(u, user, 0) == -1);
        if (step % 20 > 0) continue;
        SOUND(sg_users, u);
        compare(u);
    }
    sg_users_free(u);
}

/* Events of user 7 and items 0, 1, ..., derived, at these times and offsets. */
static void observe_some(sg_users *u, size_t n, const double *times, const int64_t *offsets) {
    for (uint64_t i = 0; i < n; i++) {
        uint64_t user = 7, zero = 0, resolved;
        uint8_t kind = (uint8_t)(10 + i);
        CHECK(sg_users_observe(u, &user, &i, &times[i], &zero, &kind, &offsets[i], &zero, NULL, 1, &resolved) == SG_OK);
    }
}

static void test_what_goes_and_what_moves_are_told_in_order(void) {
    sg_users *u = sg_users_new(30);
    uint64_t user = 7, first = sg_users_session_key(7, 100), second = sg_users_session_key(7, 151);
    const sg_move *moves;
    size_t n;
    observe_some(u, 4, (double[]){100, 120, 151, 160}, (int64_t[]){1, 5, 2, 6});
    CHECK(expire(u, &user, 1, 1, &moves) == 0);
    CHECK(expire(u, &user, 1, 3, &moves) == 4);
    CHECK(is_same(&moves[0], &(sg_move){7, 0, 100, first, 0, 10, 0}) &&
          is_same(&moves[1], &(sg_move){7, 1, 120, first, sg_users_session_key(7, 120), 11, 0}));
    CHECK(is_same(&moves[2], &(sg_move){7, 2, 151, second, 0, 12, 0}));
    CHECK(is_same(&moves[3], &(sg_move){7, 3, 160, second, sg_users_session_key(7, 160), 13, 0}));
    SOUND(sg_users, u);
    CHECK(sg_users_events(u, 7, &n) != NULL && n == 2 && sg_users_total(u) == 2);
    CHECK(expire(u, &user, 1, INT64_MAX, &moves) == 2 && moves[0].now == 0 && moves[1].now == 0);
    CHECK(sg_users_count(u) == 0 && sg_users_total(u) == 0 && sg_users_events(u, 7, &n) == NULL && n == 0);
    SOUND(sg_users, u);
    sg_users_free(u);
}

/* Ever new users, ten a round, of whom those of the last ten rounds are kept; then one user's own last ten events. */
/* A@1 B@1 A@1: the first goes. Who takes back by item and time takes the last, so all of the unit is told. */
static void test_a_twin_makes_the_unit_learn_again(void) {
    for (int by_session = 0; by_session < 2; by_session++) {
        sg_users *u = sg_users_new(30);
        const sg_move *moves;
        size_t told;
        const uint64_t sevens[] = {7, 7, 7, 7}, items[] = {1, 2, 1, 3}, given[] = {5, 5, 5, 6}, none[4] = {0};
        uint64_t resolved[4];
        CHECK(sg_users_observe(u, sevens, items, (double[]){1, 1, 1, 2}, given, (uint8_t[4]){0},
                               (int64_t[]){0, 1, 2, 3}, none, NULL, 4, resolved) == SG_OK);
        CHECK(sg_users_expire(u, sevens, 1, 1, -INFINITY, by_session, &moves, &told) == SG_OK);
        CHECK(told == (by_session ? 3 : 4) && moves[0].now == 0 && moves[1].now == 5 && moves[2].now == 5);
        CHECK(sg_users_expire(u, sevens, 1, 0, 2, by_session, &moves, &told) == SG_OK && told == 2);
        sg_users_free(u);
    }
}

static void test_memory_is_that_of_what_is_kept(void) {
    sg_users *u = sg_users_new(1);
    const sg_move *moves;
    size_t warm = 0, most = 0, bytes;
    int64_t offset = 0;
    for (uint64_t round = 0; round < 300; round++) {
        for (uint64_t i = 0, user, resolved; i < 1000; i++, offset++) {
            user = round < 200 ? round * 10 + i % 10 : 1;
            double time = (double)offset;
            CHECK(sg_users_observe(u, &user, &i, &time, &(uint64_t){0}, &(uint8_t){0}, &offset, &i, NULL, 1,
                                   &resolved) == SG_OK);
            if (user == 1) CHECK(expire(u, &user, 1, offset - 9, &moves) <= 12);
        }
        for (uint64_t i = 0, user; i < 10 && round >= 10 && round < 210; i++) {
            user = (round - 10) * 10 + i;
            if (user != 1) CHECK(expire(u, &user, 1, offset, &moves) == 100);
        }
        SOUND(sg_users, u);
        bytes = sg_users_nbytes(u);
        if (round < 20 && bytes > warm) warm = bytes;
        if (bytes > most) most = bytes;
    }
    CHECK(sg_users_count(u) == 1 && most == warm && sg_users_nbytes(u) < warm / 20);
    sg_users_free(u);
}

static void test_what_is_refused(void) {
    CHECK(sg_users_new(-1) == NULL && sg_users_new(NAN) == NULL && sg_users_new(INFINITY) == NULL);
    sg_users *u = sg_users_new(0);
    uint64_t zeros[2] = {0}, resolved[2];
    double times[2] = {0, NAN};
    uint8_t kinds[2] = {0};
    int64_t offsets[2] = {0};
    CHECK(sg_users_observe(u, zeros, zeros, times, zeros, kinds, offsets, zeros, NULL, 2, resolved) == SG_ERR_VALUE);
    CHECK(sg_users_total(u) == 0 && sg_users_drop(u, 0) == 0);
    times[1] = -0.0;
    CHECK(sg_users_session_key(9, 0.0) == sg_users_session_key(9, -0.0));
    CHECK(sg_users_session_key(0, 0.0) != 0);
    CHECK(sg_users_observe(u, zeros, zeros, times, zeros, kinds, offsets, zeros, NULL, 2, resolved) == SG_OK);
    CHECK(resolved[0] == resolved[1]);
    SOUND(sg_users, u);
    sg_users_free(u);
}

static void test_many_users(void) {
    sg_users *u = sg_users_new(1);
    uint64_t zero = 0, resolved;
    uint8_t kind = 0;
    int64_t offset = 0;
    double time = 1;
    for (uint64_t user = 0; user < 50000; user++)
        CHECK(sg_users_observe(u, &user, &zero, &time, &zero, &kind, &offset, &zero, NULL, 1, &resolved) == SG_OK);
    SOUND(sg_users, u);
    CHECK(sg_users_nbytes(u) < 50000 * (48 + 16 + 40) * 2);
    for (uint64_t user = 0; user < 50000; user++) CHECK(sg_users_drop(u, user) == 1);
    SOUND(sg_users, u);
    CHECK(sg_users_count(u) == 0 && sg_users_total(u) == 0);
    sg_users_free(u);
}

static void test_out_of_memory_leaves_the_failing_row_out(void) {
    for (long after = 0, failed = 1; failed; after++) {
        fail_after = after;
        failed = 0;
        sg_users *u = sg_users_new(GAP);
        if (u == NULL && (failed = 1)) continue;
        for (int64_t i = 0; i < 300; i++) {
            uint64_t user = (uint64_t)i % 90, zero = 0, resolved;
            double time = (double)i;
            uint8_t kind = 1;
            int rc = sg_users_observe(u, &user, &zero, &time, &zero, &kind, &i, &zero, NULL, 1, &resolved);
            if (rc == SG_ERR_NOMEM) {
                failed++;
                SOUND(sg_users, u);
                CHECK(sg_users_total(u) == (size_t)i);
                CHECK(sg_users_count(u) == (size_t)(i < 90 ? i : 90));
                rc = sg_users_observe(u, &user, &zero, &time, &zero, &kind, &i, &zero, NULL, 1, &resolved);
            }
            CHECK(rc == SG_OK && failed <= 1);
        }
        CHECK(sg_users_count(u) == 90 && sg_users_total(u) == 300);
        for (uint64_t user = 0; user < 90; user++) {
            const sg_move *moves;
            size_t n, told;
            int rc = sg_users_expire(u, &user, 1, 210, -INFINITY, 1, &moves, &told);
            if (rc == SG_ERR_NOMEM) rc = sg_users_expire(u, &user, 1, 210, -INFINITY, 1, &moves, &told);
            CHECK(rc == SG_OK && told == (user < 30 ? 3 : 2) && sg_users_events(u, user, &n) != NULL && n == 1);
            SOUND(sg_users, u);
        }
        sg_users_free(u);
        failed |= fail_after < 0; /* an array that finds no memory to shrink stays, and says nothing */
    }
    fail_after = -1;
}

int main(void) {
    test_random_steps(20000, 5);
    test_random_steps(3000, 1);
    test_what_goes_and_what_moves_are_told_in_order();
    test_a_twin_makes_the_unit_learn_again();
    test_memory_is_that_of_what_is_kept();
    test_what_is_refused();
    test_many_users();
    test_out_of_memory_leaves_the_failing_row_out();
    return 0;
}
