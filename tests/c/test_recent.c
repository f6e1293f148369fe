/* sg_recent against sums over all observations. Times are whole half-lives, so that every sum is exact. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "sg_recent.h"

enum { ITEMS = 40, TIMES = 30, CATEGORIES = 4 };

static void observe(sg_recent *r, uint64_t item, double time, double weight) {
    CHECK(sg_recent_observe(r, &item, &time, &weight, 1) == SG_OK);
    SOUND(sg_recent, r);
}

static size_t retract(sg_recent *r, uint64_t item, double time, double weight) {
    size_t found;
    CHECK(sg_recent_retract(r, &item, &time, &weight, 1, &found) == SG_OK);
    SOUND(sg_recent, r);
    return found;
}

static double weight_of(const sg_recent *r, uint64_t item, double now) {
    double weight;
    CHECK(sg_recent_weights(r, &item, 1, now, &weight) == SG_OK);
    return weight;
}

static void test_the_example_of_the_header(void) {
    sg_recent *r = sg_recent_new(10);
    uint64_t a = 7, b = 3, d = 9, c = 5, top[3];
    double weights[3];
    size_t got;
    CHECK(sg_recent_categorise(r, &a, &c, 1) == SG_OK);
    observe(r, a, 10, 1);
    observe(r, a, 20, 1);
    observe(r, b, 10, 1);
    observe(r, d, 30, 1);
    CHECK(sg_recent_categorise(r, &b, &c, 1) == SG_OK);
    SOUND(sg_recent, r);
    CHECK(sg_recent_top(r, 3, 0, 0, top, weights, &got) == SG_OK && got == 3);
    CHECK(top[0] == d && top[1] == a && top[2] == b);
    CHECK(weights[0] == 8 && weights[1] == 6 && weights[2] == 2);
    CHECK(sg_recent_top(r, 3, c, 10, top, weights, &got) == SG_OK && got == 2);
    CHECK(top[0] == a && top[1] == b && weights[0] == 3 && weights[1] == 1);
    sg_recent_free(r);
}

static void test_times_far_apart_stay_finite(void) {
    sg_recent *r = sg_recent_new(1);
    observe(r, 1, 0, 1);
    observe(r, 2, 600, 1);
    CHECK(weight_of(r, 1, 0) == 1 && weight_of(r, 2, 600) == 1);
    observe(r, 3, 1e308, SG_RECENT_MAX_WEIGHT);
    observe(r, 4, -1e308, 1);
    CHECK(weight_of(r, 1, 0) == 0 && weight_of(r, 4, -1e308) == 0);
    CHECK(isfinite(weight_of(r, 3, -1e308)) && weight_of(r, 3, 1e308) == SG_RECENT_MAX_WEIGHT);
    CHECK(sg_recent_live(r) == 4);
    uint64_t top[4];
    double weights[4];
    size_t got;
    CHECK(sg_recent_top(r, 4, 0, 0, top, weights, &got) == SG_OK && got == 4);
    CHECK(top[0] == 3 && top[1] == 1 && top[2] == 2 && top[3] == 4);
    for (uint64_t item = 1; item <= 4; item++) CHECK(retract(r, item, 0, 1) == 1);
    CHECK(retract(r, 4, 0, 1) == 0 && sg_recent_live(r) == 0);
    observe(r, 1, 5, 1); /* the landmark comes back */
    CHECK(weight_of(r, 1, 5) == 1);
    sg_recent_free(r);
}

static void test_what_is_refused(void) {
    CHECK(sg_recent_new(0) == NULL && sg_recent_new(NAN) == NULL && sg_recent_new(INFINITY) == NULL);
    sg_recent *r = sg_recent_new(1);
    uint64_t items[2] = {1, 2}, top[1];
    double times[2] = {0, INFINITY}, fine[2] = {0, 0}, weights[2] = {1, 1};
    size_t found;
    CHECK(sg_recent_observe(r, items, times, weights, 2) == SG_ERR_VALUE && sg_recent_live(r) == 0);
    CHECK(sg_recent_retract(r, items, times, weights, 2, &found) == SG_ERR_VALUE && found == 0);
    for (int i = 0; i < 3; i++) {
        weights[1] = (double[]){-1, NAN, 2 * SG_RECENT_MAX_WEIGHT}[i];
        CHECK(sg_recent_observe(r, items, fine, weights, 2) == SG_ERR_VALUE && sg_recent_live(r) == 0);
    }
    CHECK(sg_recent_weights(r, items, 1, NAN, weights) == SG_ERR_VALUE);
    CHECK(sg_recent_top(r, 1, 0, NAN, top, weights, &found) == SG_ERR_VALUE && found == 0);
    sg_recent_free(r);
}

typedef struct {
    uint64_t items[ITEMS + 1], categories[ITEMS + 1];
    uint32_t counts[ITEMS + 1];
    double weights[ITEMS + 1];
    int64_t landmark;
    size_t n;
} snapshot;

static int load(sg_recent *r, const snapshot *s) {
    return sg_recent_load(r, s->items, s->counts, s->weights, s->categories, s->n, s->landmark);
}

static void refuses(const snapshot *s) {
    sg_recent *r = sg_recent_new(1);
    CHECK(load(r, s) == SG_ERR_VALUE);
    sg_recent_free(r);
}

/* The same from its snapshot; each broken variant of that is refused. */
static sg_recent *reloaded(const sg_recent *r) {
    snapshot s = {.n = sg_recent_size(r)}, broken;
    CHECK(s.n > 0 && s.n <= ITEMS);
    sg_recent_dump(r, s.items, s.counts, s.weights, s.categories, &s.landmark);
    sg_recent *again = sg_recent_new(1);
    CHECK(load(again, &s) == SG_OK);
    SOUND(sg_recent, again);
    CHECK(load(again, &s) == SG_ERR_VALUE);
    broken = s, broken.weights[0] = -1, refuses(&broken);
    broken = s, broken.weights[0] = NAN, refuses(&broken);
    broken = s, broken.weights[0] = 1, broken.counts[0] = 0, refuses(&broken);
    broken = s, broken.landmark = INT64_MAX, refuses(&broken);
    broken = s, broken.items[broken.n++] = broken.items[0], refuses(&broken);
    return again;
}

static int seen[ITEMS][TIMES], category_of[ITEMS];

static int count_of(int item) {
    int count = 0;
    for (int t = 0; t < TIMES; t++) count += seen[item][t];
    return count;
}

static double expected(int item, int now) {
    double weight = 0;
    for (int t = 0; t < TIMES; t++) weight += ldexp(seen[item][t], t - now);
    return weight;
}

static void compare(const sg_recent *r, int now) {
    uint64_t top[ITEMS];
    double weights[ITEMS];
    size_t got;
    for (int category = 0; category < CATEGORIES; category++) {
        int order[ITEMS], n = 0;
        for (int item = 0; item < ITEMS; item++) {
            CHECK(weight_of(r, item, now) == expected(item, now));
            if (count_of(item) == 0 || (category && category_of[item] != category)) continue;
            int at = n++;
            for (; at > 0 && expected(order[at - 1], now) < expected(item, now); at--) order[at] = order[at - 1];
            order[at] = item;
        }
        size_t want = (size_t)rand() % (ITEMS + 1);
        CHECK(sg_recent_top(r, want, category, now, top, weights, &got) == SG_OK);
        CHECK(got == (want < (size_t)n ? want : (size_t)n));
        for (size_t i = 0; i < got; i++) {
            CHECK(top[i] == (uint64_t)order[i] && weights[i] == expected(order[i], now));
        }
    }
}

static void test_random_steps(void) {
    sg_recent *r = sg_recent_new(1);
    for (int step = 0; step < 20000; step++) {
        int item = rand() % ITEMS, t = rand() % TIMES;
        if (step % 4000 >= 2000 && seen[item][t] > 0) {
            CHECK(retract(r, item, t, 1) == 1);
            seen[item][t]--;
        } else if (rand() % 4 == 0) {
            uint64_t key = item, category = category_of[item] = rand() % CATEGORIES;
            CHECK(sg_recent_categorise(r, &key, &category, 1) == SG_OK);
        } else if (step % 4000 < 2000) {
            observe(r, item, t, 1);
            seen[item][t]++;
        }
        if (step % 50 == 0) compare(r, rand() % TIMES);
        if (step % 1000 == 999) {
            sg_recent *again = reloaded(r);
            sg_recent_free(r);
            r = again;
            compare(r, 0);
        }
    }
    sg_recent_free(r);
}

static void test_out_of_memory_leaves_the_failing_row_out(void) {
    for (long after = 0, failed = 1; failed; after++) {
        fail_after = after;
        failed = 0;
        sg_recent *r = sg_recent_new(1);
        if (r == NULL && (failed = 1)) continue;
        for (uint64_t item = 0; item < 150; item++) {
            uint64_t category = item % 7;
            double time = (double)item, weight = 1;
            if (sg_recent_categorise(r, &item, &category, 1) == SG_ERR_NOMEM) {
                failed++;
                SOUND(sg_recent, r);
                CHECK(sg_recent_categorise(r, &item, &category, 1) == SG_OK);
            }
            if (sg_recent_observe(r, &item, &time, &weight, 1) == SG_ERR_NOMEM) {
                failed++;
                SOUND(sg_recent, r);
                CHECK(sg_recent_live(r) == item);
                observe(r, item, time, weight);
            }
        }
        uint64_t top[150], category = 3;
        double weights[150];
        size_t got;
        if (sg_recent_top(r, 150, category, 0, top, weights, &got) == SG_ERR_NOMEM) {
            failed++;
            CHECK(got == 0 && sg_recent_top(r, 150, category, 0, top, weights, &got) == SG_OK);
        }
        CHECK(got == 21 && top[0] == 143 && top[20] == 3);
        CHECK(sg_recent_categorise(r, top, &category, 1) == SG_OK && failed <= 1);
        SOUND(sg_recent, r);
        sg_recent_free(r);
    }
    fail_after = -1;
}

/* Ever new items, of which the last hundred are observed, the newer half of them in a category. */
static void test_memory_is_that_of_what_is_there(void) {
    sg_recent *r = sg_recent_new(1);
    uint64_t category, none = 0;
    size_t warm = 0, found;
    double weight = 1;
    for (uint64_t i = 0; i < 3000; i++) {
        double time = (double)i, past = time - 100;
        uint64_t old = i - 100;
        category = 1 + i % 7;
        CHECK(sg_recent_categorise(r, &i, &category, 1) == SG_OK);
        CHECK(sg_recent_observe(r, &i, &time, &weight, 1) == SG_OK);
        if (i >= 50) CHECK(sg_recent_categorise(r, (uint64_t[]){i - 50}, &none, 1) == SG_OK);
        if (i >= 100) CHECK(sg_recent_retract(r, &old, &past, &weight, 1, &found) == SG_OK && found == 1);
        if (i == 200) warm = sg_recent_nbytes(r);
        if (i % 50 == 0) SOUND(sg_recent, r);
    }
    CHECK(sg_recent_nbytes(r) == warm && sg_recent_live(r) == 100 && sg_recent_size(r) == 100);
    sg_recent_free(r);
}

/* In an order that leaves free ids below those that are taken, and all of them free at last. */
static void test_a_category_outlives_observations(void) {
    sg_recent *r = sg_recent_new(1);
    uint64_t category = 5, none = 0, again, item = 2;
    for (item = 1; item <= 3; item++) observe(r, item, 0, 1);
    item = 2;
    CHECK(sg_recent_categorise(r, &item, &category, 1) == SG_OK);
    for (item = 1; item <= 3; item++) CHECK(retract(r, item, 0, 1) == 1 && retract(r, item, 0, 1) == 0);
    CHECK(sg_recent_live(r) == 0 && sg_recent_size(r) == 1);
    item = 2;
    sg_recent_categories(r, &item, 1, &again);
    CHECK(again == category && weight_of(r, item, 0) == 0);
    observe(r, item, 0, 1);
    CHECK(retract(r, item, 0, 1) == 1 && sg_recent_categorise(r, &item, &none, 1) == SG_OK);
    item = 9;
    CHECK(sg_recent_categorise(r, &item, &none, 1) == SG_OK && sg_recent_size(r) == 0);
    SOUND(sg_recent, r);
    snapshot s = {.items = {7, 8}, .counts = {1, 0}, .weights = {1, 0}, .categories = {0, 5}, .n = 2};
    CHECK(load(r, &s) == SG_OK && sg_recent_size(r) == 2); /* one that is empty again, whose ids are all free */
    SOUND(sg_recent, r);
    s.categories[1] = 0;
    refuses(&s);
    sg_recent_free(r);
}

static void test_a_shift_orders_anew_what_has_become_equal(void) {
    sg_recent *r = sg_recent_new(1);
    for (uint64_t item = 0; item < 20; item++) observe(r, item, (double)item, 1);
    observe(r, 99, 5000, 1);
    observe(r, 98, 4999, 1);
    uint64_t top[22];
    double weights[22];
    size_t got;
    CHECK(sg_recent_top(r, 22, 0, 5000, top, weights, &got) == SG_OK && got == 22);
    CHECK(top[0] == 99 && top[1] == 98);
    for (uint64_t item = 0; item < 20; item++) CHECK(top[2 + item] == item && weights[2 + item] == 0);
    sg_recent_free(r);
}

static void test_rounding_leaves_no_weight_below_zero(void) {
    sg_recent *r = sg_recent_new(1);
    observe(r, 1, 0, 0.1);
    observe(r, 1, 0, 0.2);
    observe(r, 1, 0, 0);
    CHECK(retract(r, 1, 0, 0.2) == 1 && retract(r, 1, 0, 0.1) == 1 && weight_of(r, 1, 0) >= 0);
    CHECK(retract(r, 1, 1e6, 1) == 1 && weight_of(r, 1, 0) == 0);
    observe(r, 2, 0, 1);
    observe(r, 2, 0, 1);
    CHECK(retract(r, 2, 1e6, 1) == 1 && weight_of(r, 2, 0) == 0); /* never seen so: no more than all of it */
    sg_recent_free(r);
}

int main(void) {
    test_the_example_of_the_header();
    test_times_far_apart_stay_finite();
    test_what_is_refused();
    test_random_steps();
    test_out_of_memory_leaves_the_failing_row_out();
    test_memory_is_that_of_what_is_there();
    test_a_category_outlives_observations();
    test_a_shift_orders_anew_what_has_become_equal();
    test_rounding_leaves_no_weight_below_zero();
    return 0;
}
