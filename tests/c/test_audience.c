/* sg_audience against a matrix of counts. */
#include <string.h>

#include "check.h"
#include "sg_audience.h"

enum { ITEMS = 6, USERS = 300 };

static uint32_t touches[ITEMS][USERS];

/* Of every item as a cause, with amounts of which none are equal. */
static void compare_behind(const sg_audience *a, uint64_t item, const uint64_t *all, const uint32_t *both) {
    uint32_t starts[] = {0, ITEMS}, found[ITEMS];
    unsigned most = (unsigned)rand() % 4;
    double amounts[ITEMS];
    for (int other = 0; other < ITEMS; other++) amounts[other] = rand() % 8 + other / 16.0;
    sg_audience_behind(a, &item, 1, starts, all, amounts, most, found);
    for (uint64_t other = 0; other < ITEMS; other++) {
        unsigned stronger = 0;
        for (uint64_t o = 1; o < ITEMS; o++) stronger += o != item && amounts[o] > amounts[other];
        CHECK(found[other] == (other == 0 || other == item || stronger >= most ? 0 : both[other]));
    }
}

static void compare(const sg_audience *a) {
    uint64_t all[ITEMS];
    uint32_t counts[ITEMS], shared[ITEMS], limited[ITEMS];
    size_t pairs = 0;
    for (uint64_t item = 0; item < ITEMS; item++) all[item] = item;
    sg_audience_count(a, all, ITEMS, counts);
    for (int item = 0; item < ITEMS; item++) {
        uint32_t limit = 1 + (uint32_t)rand() % 40;
        sg_audience_shared(a, item, all, ITEMS, 0, shared);
        sg_audience_shared(a, item, all, ITEMS, limit, limited);
        for (int other = 0; other < ITEMS; other++) {
            uint32_t both = 0;
            for (int user = 0; user < USERS; user++) both += touches[item][user] && touches[other][user];
            CHECK(shared[other] == both && limited[other] == (both < limit ? both : limit));
        }
        CHECK(shared[item] == counts[item]);
        compare_behind(a, item, all, shared);
        pairs += counts[item];
    }
    CHECK(pairs == sg_audience_pairs(a));
}

static sg_audience *reloaded(const sg_audience *a) {
    static uint64_t items[ITEMS * USERS], users[ITEMS * USERS];
    static uint32_t counts[ITEMS * USERS];
    size_t n = sg_audience_pairs(a);
    sg_audience_dump(a, items, users, counts);
    for (size_t i = 0; i < n; i++) CHECK(counts[i] == touches[items[i]][users[i]]);
    sg_audience *again = sg_audience_new();
    CHECK(sg_audience_add(again, items, users, counts, n) == SG_OK && sg_audience_pairs(again) == n);
    if (n > 0) {
        counts[n - 1] = 0;
        CHECK(sg_audience_add(again, items, users, counts, n) == SG_ERR_VALUE);
        counts[0] = UINT32_MAX;
        CHECK(sg_audience_add(again, items, users, counts, 1) == SG_ERR_RANGE);
    }
    SOUND(sg_audience, again);
    return again;
}

/* Phases of mostly adding and mostly taking out; the users used grow with the phase, so rows grow and shrink. */
static void test_random_steps(void) {
    sg_audience *a = sg_audience_new();
    for (int step = 0; step < 60000; step++) {
        uint64_t item = (uint64_t)rand() % ITEMS, user = (uint64_t)rand() % (step < 20000 ? 8 : USERS);
        if (rand() % 10 < (step / 5000 % 2 ? 8 : 2)) {
            CHECK(sg_audience_sub(a, &item, &user, 1) == (touches[item][user] > 0));
            touches[item][user] -= touches[item][user] > 0;
        } else {
            CHECK(sg_audience_add(a, &item, &user, NULL, 1) == SG_OK);
            touches[item][user]++;
        }
        if (step % 16 == 0) SOUND(sg_audience, a);
        if (step % 500 == 0) compare(a);
        if (step % 6000 == 5999) {
            sg_audience *again = reloaded(a);
            sg_audience_free(a);
            a = again;
            compare(a);
        }
    }
    sg_audience_free(a);
}

static void test_a_row_grows_and_shrinks(void) {
    sg_audience *a = sg_audience_new();
    uint64_t item = 1, none = 2;
    uint32_t counts;
    size_t empty = sg_audience_nbytes(a);
    for (uint64_t user = 0; user < 100000; user++) CHECK(sg_audience_add(a, &item, &user, NULL, 1) == SG_OK);
    SOUND(sg_audience, a);
    size_t full = sg_audience_nbytes(a);
    sg_audience_count(a, &item, 1, &counts);
    CHECK(counts == 100000);
    for (uint64_t user = 0; user < 99990; user++) CHECK(sg_audience_sub(a, &item, &user, 1) == 1);
    SOUND(sg_audience, a);
    CHECK(full > empty + 100000 * 8 && sg_audience_nbytes(a) < full - 100000 * 8);
    CHECK(sg_audience_sub(a, &none, &none, 1) == 0);
    for (uint64_t user = 99990; user < 100000; user++) CHECK(sg_audience_sub(a, &item, &user, 1) == 1);
    SOUND(sg_audience, a);
    CHECK(sg_audience_pairs(a) == 0);
    sg_audience_free(a);
}

/* Ever new items and users, of whom the last hundred of each are in pairs. */
static void test_memory_is_that_of_what_is_there(void) {
    sg_audience *a = sg_audience_new();
    size_t warm = 0, most = 0, bytes;
    for (uint64_t i = 0; i < 5000; i++) {
        for (uint64_t user = i; user < i + 5; user++) CHECK(sg_audience_add(a, &i, &user, NULL, 1) == SG_OK);
        uint64_t old = i - 100;
        for (uint64_t user = old; i >= 100 && user < old + 5; user++) CHECK(sg_audience_sub(a, &old, &user, 1) == 1);
        bytes = sg_audience_nbytes(a);
        if (i < 200 && bytes > warm) warm = bytes;
        if (bytes > most) most = bytes;
        if (i % 50 == 0) SOUND(sg_audience, a);
    }
    CHECK(most == warm && sg_audience_pairs(a) == 500);
    sg_audience_free(a);
}

static void test_out_of_memory_leaves_the_failing_row_out(void) {
    for (long after = 0, failed = 1; failed; after++) {
        fail_after = after;
        failed = 0;
        sg_audience *a = sg_audience_new();
        if (a == NULL && (failed = 1)) continue;
        for (uint64_t i = 0; i < 300; i++) {
            uint64_t item = i < 200 ? 0 : i, user = i;
            int rc = sg_audience_add(a, &item, &user, NULL, 1);
            if (rc == SG_ERR_NOMEM) {
                failed++;
                SOUND(sg_audience, a);
                CHECK(sg_audience_pairs(a) == i);
                rc = sg_audience_add(a, &item, &user, NULL, 1);
            }
            CHECK(rc == SG_OK);
        }
        for (uint64_t user = 0, item = 0; user < 199; user++) CHECK(sg_audience_sub(a, &item, &user, 1) == 1);
        failed |= fail_after < 0; /* a shrink that finds no memory is none, and says nothing */
        fail_after = -1;
        SOUND(sg_audience, a);
        sg_audience_free(a);
    }
    fail_after = -1;
}

/* As many items and users as there is room for, whatever that is: at each size the pairs that are there need none. */
static void test_a_pair_that_is_there_needs_no_memory(void) {
    sg_audience *a = sg_audience_new();
    for (uint64_t n = 0; n < 300; n++) {
        uint32_t most = UINT32_MAX;
        CHECK(sg_audience_add(a, &n, &n, NULL, 1) == SG_OK);
        fail_after = 0;
        CHECK(sg_audience_add(a, &n, &n, NULL, 1) == SG_OK);
        CHECK(sg_audience_add(a, &n, &n, &most, 1) == SG_ERR_RANGE);
        fail_after = -1;
    }
    SOUND(sg_audience, a);
    sg_audience_free(a);
}

int main(void) {
    test_random_steps();
    test_a_row_grows_and_shrinks();
    test_memory_is_that_of_what_is_there();
    test_out_of_memory_leaves_the_failing_row_out();
    test_a_pair_that_is_there_needs_no_memory();
    return 0;
}
