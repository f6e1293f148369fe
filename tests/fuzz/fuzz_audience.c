/* sg_audience against a matrix of counts. */
#include "fuzz.h"
#include "sg_audience.h"

enum { ITEMS = 6, USERS = 250, FEW = 8 };

static uint32_t touches[ITEMS][USERS];

static uint64_t key_of(unsigned user) { return user ? (uint64_t)user << 50 : UINT64_MAX; }

static unsigned user_of(uint64_t key) { return key == UINT64_MAX ? 0 : (unsigned)(key >> 50); }

static int add(sg_audience *a, uint64_t item, unsigned user, uint32_t count) {
    uint64_t key = key_of(user);
    int rc = sg_audience_add(a, &item, &key, count == 1 ? NULL : &count, 1);
    CHECK((rc == SG_ERR_VALUE) == (count == 0));
    CHECK((rc == SG_ERR_RANGE) == (touches[item][user] > UINT32_MAX - count));
    if (rc == SG_OK) touches[item][user] += count;
    return rc == SG_ERR_NOMEM ? rc : SG_OK;
}

/* A shrink that finds no memory is none. */
static void sub(sg_audience *a, uint64_t item, unsigned user) {
    uint64_t key = key_of(user);
    CHECK(sg_audience_sub(a, &item, &key, 1) == (touches[item][user] > 0));
    touches[item][user] -= touches[item][user] > 0;
}

static void step(sg_audience *a) {
    unsigned what = pick(8), item = pick(ITEMS), user = pick(FEW), range = 1 + pick(USERS);
    if (what < 2) {
        arm();
        disarm(add(a, item, user, pick(4)));
    } else if (what < 4) {
        arm();
        sub(a, item, user);
        disarm(SG_OK);
    } else if (what < 5) {
        add(a, item, user, UINT32_MAX - pick(4));
    } else {
        arm();
        seed();
        for (unsigned n = pick(256); n > 0 && fail_after != 0; n--) {
            if (what == 5) sub(a, item, below(range));
            else CHECK(add(a, item, below(range), 1) == SG_OK || armed);
        }
        disarm(SG_OK);
    }
}

static void compare(const sg_audience *a) {
    uint64_t all[ITEMS];
    uint32_t counts[ITEMS], shared[ITEMS], limit = pick(2) ? pick(40) : 0;
    size_t pairs = 0;
    SOUND(sg_audience, a);
    for (uint64_t item = 0; item < ITEMS; item++) all[item] = item;
    sg_audience_count(a, all, ITEMS, counts);
    for (unsigned item = 0; item < ITEMS; item++) {
        sg_audience_shared(a, item, all, ITEMS, limit, shared);
        for (unsigned other = 0; other < ITEMS; other++) {
            uint32_t both = 0;
            for (unsigned user = 0; user < USERS; user++) both += touches[item][user] && touches[other][user];
            CHECK(shared[other] == (limit && both > limit ? limit : both));
            if (other == item) CHECK(counts[item] == both);
        }
        pairs += counts[item];
    }
    CHECK(pairs == sg_audience_pairs(a));
}

/* What is dumped and added to an empty one goes on in its place. */
static sg_audience *reloaded(sg_audience *a) {
    static uint64_t items[ITEMS * USERS], users[ITEMS * USERS];
    static uint32_t counts[ITEMS * USERS];
    size_t n = sg_audience_pairs(a);
    sg_audience_dump(a, items, users, counts);
    for (size_t i = 0; i < n; i++) CHECK(counts[i] == touches[items[i]][user_of(users[i])]);
    sg_audience *again = sg_audience_new();
    CHECK(sg_audience_add(again, items, users, counts, n) == SG_OK && sg_audience_pairs(again) == n);
    sg_audience_free(a);
    return again;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    begin(data, size);
    memset(touches, 0, sizeof touches);
    arm();
    sg_audience *a = sg_audience_new();
    if (disarm(a ? SG_OK : SG_ERR_NOMEM)) return 0;
    while (more()) {
        step(a);
        compare(a);
        if (pick(16) == 1) a = reloaded(a);
    }
    sg_audience_free(a);
    return 0;
}
