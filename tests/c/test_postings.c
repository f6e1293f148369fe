/* sg_postings against a matrix of who holds what. */
#include <string.h>

#include "check.h"
#include "sg_postings.h"
#include "sg_status.h"

enum { UNITS = 12, ITEMS = 5 };

static int holds[UNITS][ITEMS];
static double last[UNITS];
static uint64_t keys[UNITS];

static void put_all(sg_postings *p, uint32_t unit) {
    p->holders[unit].last = last[unit];
    p->holders[unit].version++;
    for (uint32_t item = 0; item < ITEMS; item++) {
        if (!holds[unit][item]) continue;
        CHECK(sg_postings_room(p, item) == SG_OK);
        sg_postings_put(p, item, unit);
    }
}

static void toggle(sg_postings *p, uint32_t unit, uint32_t item) {
    holds[unit][item] = !holds[unit][item];
    p->rows[item].holding += holds[unit][item] ? 1 : -1u;
    if (p->rows[item].holding == 0) sg_postings_release(p, item);
    put_all(p, unit);
}

static int is_newer(uint32_t a, uint32_t b) { return last[a] != last[b] ? last[a] > last[b] : keys[a] < keys[b]; }

static void compare(sg_postings *p, uint32_t item, size_t m, uint32_t without) {
    const sg_candidate *units;
    size_t n = sg_postings_newest(p, item, m, without, keys, &units), expected = 0;
    for (uint32_t unit = 0; unit < UNITS; unit++) {
        size_t newer = 0, found = 0;
        int held = holds[unit][item] && unit != without;
        for (uint32_t other = 0; other < UNITS; other++)
            newer += holds[other][item] && other != without && is_newer(other, unit);
        for (size_t x = 0; x < n; x++) found += units[x].id == unit;
        CHECK(found == (size_t)(held && newer < m));
        expected += found;
    }
    CHECK(n == expected);
}

static void test_random_steps(unsigned times) {
    sg_pool *pool = sg_pool_new();
    sg_postings p = {.pool = pool};
    memset(holds, 0, sizeof holds);
    CHECK(sg_postings_grow(&p, UNITS, ITEMS) == SG_OK);
    for (uint32_t unit = 0; unit < UNITS; unit++) keys[unit] = (unit * 7) % UNITS;
    for (int step = 0; step < 20000; step++) {
        uint32_t unit = below(UNITS), item = below(ITEMS);
        if (below(4)) last[unit] = below(times);
        if (below(3) == 0) toggle(&p, unit, item);
        else put_all(&p, unit);
        SOUND(sg_postings, &p);
        compare(&p, item, below(UNITS + 2), below(UNITS + 1));
    }
    CHECK(sg_pool_taken(pool) == p.bytes && p.bytes <= ITEMS * 64 * sizeof(sg_posting));
    sg_postings_clear(&p);
    sg_pool_free(pool);
}

static void test_out_of_memory_changes_nothing(void) {
    sg_pool *pool = sg_pool_new();
    sg_postings p = {.pool = pool};
    int failed = 0;
    for (uint32_t unit = 0; unit < 300; unit++) {
        CHECK(sg_postings_grow(&p, unit + 1, 1) == SG_OK);
        fail_after = below(2);
        int rc = sg_postings_room(&p, 0);
        fail_after = -1;
        CHECK(rc == SG_OK || rc == SG_ERR_NOMEM);
        failed += rc != SG_OK;
        SOUND(sg_postings, &p);
        if (rc) CHECK(sg_postings_room(&p, 0) == SG_OK);
        p.holders[unit] = (sg_holder){.last = unit, .version = 1};
        p.rows[0].holding++;
        sg_postings_put(&p, 0, unit);
    }
    CHECK(failed > 3);
    sg_postings_clear(&p);
    sg_pool_free(pool);
}

int main(void) {
    test_random_steps(3);
    test_random_steps(1000);
    test_out_of_memory_changes_nothing();
    return 0;
}
