/* sg_crowd against an array of counts. */
#include <string.h>

#include "check.h"
#include "sg_crowd.h"

enum { CROWDS = 3, USERS = 2000 };

static uint32_t touches[CROWDS][USERS];

static void touch(sg_crowd *crowds, int c, uint32_t user, size_t room) {
    bool fresh;
    CHECK(sg_crowd_touch(&crowds[c], user, 1, room, &fresh) == SG_OK);
    CHECK(fresh == (touches[c][user]++ == 0));
}

static void leave(sg_crowd *crowds, int c, uint32_t user, size_t room) {
    bool gone;
    bool had = touches[c][user] > 0;
    CHECK(sg_crowd_leave(&crowds[c], user, room, &gone) == had);
    touches[c][user] -= had;
    CHECK(gone == (had && touches[c][user] == 0));
}

static void compare(const sg_crowd *crowds) {
    for (int c = 0; c < CROWDS; c++) {
        uint32_t live = 0;
        SOUND(sg_crowd, &crowds[c]);
        for (int user = 0; user < USERS; user++) live += touches[c][user] > 0;
        CHECK(live == crowds[c].live);
        for (size_t at = 0; at < sg_crowd_capacity(&crowds[c]); at++)
            if (crowds[c].slots[at]) CHECK(sg_crowd_counts(&crowds[c])[at] == touches[c][crowds[c].slots[at] - 1]);
        for (int other = 0; other < CROWDS; other++) {
            uint32_t both = 0, limit = 1 + (uint32_t)rand() % 40;
            for (int user = 0; user < USERS; user++) both += touches[c][user] && touches[other][user];
            CHECK(sg_crowd_both(&crowds[c], &crowds[other], 0) == both);
            CHECK(sg_crowd_both(&crowds[c], &crowds[other], limit) == (both < limit ? both : limit));
        }
    }
}

/* Phases of mostly touching and mostly leaving, while ever more users are known: crowds get bitmaps, outgrow them, and
 * lose them. One crowd is of few users. */
static void test_random_steps(void) {
    sg_crowd crowds[CROWDS] = {0};
    bool had[2] = {false, false};
    for (int step = 0; step < 60000; step++) {
        size_t room = step < 20000 ? 64 : step < 40000 ? 512 : 2048;
        int c = rand() % CROWDS, most = c == 0 ? 20 : room < USERS ? (int)room : USERS;
        uint32_t user = (uint32_t)(rand() % most);
        if (rand() % 10 < (step / 5000 % 2 ? 9 : 3)) leave(crowds, c, user, room);
        else touch(crowds, c, user, room);
        for (int of = 0; of < CROWDS; of++)
            if (crowds[of].slots) had[crowds[of].words > 0] = true;
        if (step % 400 == 0) compare(crowds);
    }
    compare(crowds);
    CHECK(had[0] && had[1]);
    for (int c = 0; c < CROWDS; c++) sg_crowd_free(&crowds[c]);
    memset(touches, 0, sizeof touches);
}

static void test_a_count_does_not_run_over(void) {
    sg_crowd crowd = {0};
    bool fresh;
    CHECK(sg_crowd_touch(&crowd, 7, UINT32_MAX, 64, &fresh) == SG_OK && fresh);
    CHECK(sg_crowd_touch(&crowd, 7, 1, 64, &fresh) == SG_ERR_RANGE && crowd.live == 1);
    SOUND(sg_crowd, &crowd);
    sg_crowd_free(&crowd);
}

static void test_a_bitmap_is_a_quarter_at_most(void) {
    for (size_t room = 64; room < 1 << 20; room *= 2) {
        sg_crowd crowd = {0};
        bool fresh;
        for (uint32_t user = 0; user < room && user < 20000; user++)
            CHECK(sg_crowd_touch(&crowd, user, 1, room, &fresh) == SG_OK);
        size_t slots = sg_crowd_capacity(&crowd) * 2 * sizeof(uint32_t);
        CHECK(sg_crowd_nbytes(&crowd) <= slots + slots / 4 + sizeof(uint64_t));
        CHECK((crowd.words > 0) == (sg_crowd_capacity(&crowd) * SG_CROWD_SPREAD >= room));
        sg_crowd_free(&crowd);
    }
}

static void test_out_of_memory_leaves_a_crowd_as_it_was(void) {
    for (long after = 0, failed = 1; failed; after++) {
        sg_crowd crowd = {0};
        bool fresh;
        fail_after = after;
        failed = 0;
        for (uint32_t user = 0; user < 300; user++) {
            size_t room = user < 150 ? 256 : 512;
            int rc = sg_crowd_touch(&crowd, user, 1, room, &fresh);
            if (rc == SG_ERR_NOMEM) {
                failed++;
                CHECK(crowd.live == user);
                SOUND(sg_crowd, &crowd);
                rc = sg_crowd_touch(&crowd, user, 1, room, &fresh);
            }
            CHECK(rc == SG_OK && fresh);
        }
        fail_after = -1;
        SOUND(sg_crowd, &crowd);
        sg_crowd_free(&crowd);
    }
}

int main(void) {
    test_random_steps();
    test_a_count_does_not_run_over();
    test_a_bitmap_is_a_quarter_at_most();
    test_out_of_memory_leaves_a_crowd_as_it_was();
    return 0;
}
