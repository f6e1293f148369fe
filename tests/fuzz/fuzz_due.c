/* sg_due against a list that is searched from end to end. */
#include <math.h>

#include "fuzz.h"
#include "sg_due.h"

enum { ENTRIES = 2000 };

static sg_due_entry entries[ENTRIES];
static size_t len;

static void push(sg_due *d, double time, uint32_t unit) {
    if (len == ENTRIES) return (void)disarm(SG_OK);
    if (disarm(sg_due_push(d, time, unit)) == SG_OK) entries[len++] = (sg_due_entry){time, unit};
}

/* Of several that are equally early any may come. */
static void pop(sg_due *d, double before) {
    uint32_t unit;
    double earliest = INFINITY;
    size_t found = 0;
    for (size_t e = 0; e < len; e++) earliest = fmin(earliest, entries[e].time);
    CHECK(sg_due_first(d, before, &unit) == earliest < before);
    if (earliest >= before) return;
    while (found < len && (entries[found].time != earliest || entries[found].unit != unit)) found++;
    CHECK(found < len);
    entries[found] = entries[--len];
    sg_due_pop(d);
}

static double pick_time(void) {
    unsigned t = pick(32);
    return t == 31 ? -0.0 : (double)t - 8;
}

static void step(sg_due *d) {
    unsigned what = pick(8);
    if (what < 3) {
        double time = pick_time();
        arm();
        push(d, time, pick(8));
    } else if (what < 6) {
        pop(d, pick_time());
    } else {
        seed();
        for (unsigned n = pick(256); n > 0; n--) {
            if (what == 6) push(d, below(100), below(8));
            else pop(d, below(100));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    sg_due d = {0};
    begin(data, size);
    len = 0;
    while (more()) {
        step(&d);
        SOUND(sg_due, &d);
        CHECK(d.len == len);
    }
    while (len) pop(&d, INFINITY);
    sg_due_clear(&d);
    return 0;
}
