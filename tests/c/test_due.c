/* sg_due against a list of times. */
#include "check.h"
#include "sg_due.h"

enum { ENTRIES = 500 };

static void test_pops_are_the_earliest_of_those_before(void) {
    double times[ENTRIES];
    size_t n = 0;
    sg_due d = {0};
    for (int step = 0; step < 20000; step++) {
        if (n < ENTRIES && below(2)) {
            times[n] = below(100);
            CHECK(sg_due_push(&d, times[n], (uint32_t)times[n]) == SG_OK);
            n++;
        } else {
            double before = below(120);
            size_t earliest = 0;
            uint32_t unit;
            for (size_t x = 1; x < n; x++) earliest = times[x] < times[earliest] ? x : earliest;
            int some = n > 0 && times[earliest] < before;
            CHECK(sg_due_first(&d, before, &unit) == some);
            if (some) {
                CHECK(unit == (uint32_t)times[earliest]);
                times[earliest] = times[--n];
                sg_due_pop(&d);
            }
        }
        CHECK(d.len == n);
        SOUND(sg_due, &d);
    }
    sg_due_clear(&d);
}

static void test_out_of_memory_adds_nothing(void) {
    sg_due d = {0};
    for (uint32_t x = 0; x < 100; x++) {
        fail_after = 0;
        size_t len = d.len;
        int rc = sg_due_push(&d, -(double)x, x);
        fail_after = -1;
        CHECK(rc == SG_OK || (rc == SG_ERR_NOMEM && d.len == len));
        if (rc) CHECK(sg_due_push(&d, -(double)x, x) == SG_OK);
        SOUND(sg_due, &d);
    }
    sg_due_clear(&d);
}

int main(void) {
    test_pops_are_the_earliest_of_those_before();
    test_out_of_memory_adds_nothing();
    return 0;
}
