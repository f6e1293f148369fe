/* sg_table against a list searched from end to end. */
#include "check.h"
#include "sg_status.h"
#include "sg_table.h"

enum { KEYS = 3000 };

static uint64_t key_of(unsigned x) {
    static const uint64_t EDGES[] = {0, UINT64_MAX, UINT64_MAX - 1, (uint64_t)1 << 63, (uint64_t)1 << 32};
    return x < 5 ? EDGES[x] : x % 2 ? (uint64_t)x << 40 : x;
}

static void test_random_keys(void) {
    static uint64_t seen[KEYS];
    uint32_t n = 0;
    sg_table *t = sg_table_new();
    for (int step = 0; step < 20000; step++) {
        uint64_t key = key_of(below(1 + (unsigned)step / 10));
        uint32_t id, expected = 0;
        int fresh;
        while (expected < n && seen[expected] != key) expected++;
        CHECK(sg_table_find(t, key) == (expected < n ? expected : SG_TABLE_NONE));
        CHECK(sg_table_index(t, key, &id, &fresh) == SG_OK);
        CHECK(id == expected && fresh == (expected == n));
        if (fresh) seen[n++] = key;
        CHECK(sg_table_live(t) == n && sg_table_keys(t)[id] == key);
        if (step % 500 == 0) SOUND(sg_table, t);
    }
    sg_table_free(t);
}

static void test_removed_ids_are_given_again(void) {
    enum { FEW = 40 };
    uint32_t ids[FEW], live = 0, most = 0;
    for (unsigned x = 0; x < FEW; x++) ids[x] = SG_TABLE_NONE;
    sg_table *t = sg_table_new();
    for (int step = 0; step < 40000; step++) {
        unsigned x = below(FEW);
        if (below(2)) {
            uint32_t id;
            int fresh;
            CHECK(sg_table_index(t, key_of(x), &id, &fresh) == SG_OK);
            CHECK(fresh == (ids[x] == SG_TABLE_NONE) && (fresh || id == ids[x]));
            for (unsigned y = 0; y < FEW; y++) CHECK(y == x || ids[y] != id);
            ids[x] = id;
            live += (uint32_t)fresh;
        } else {
            CHECK(sg_table_remove(t, key_of(x)) == ids[x]);
            live -= ids[x] != SG_TABLE_NONE;
            ids[x] = SG_TABLE_NONE;
        }
        most = live > most ? live : most;
        CHECK(sg_table_live(t) == live && sg_table_used(t) == most);
        for (x = 0; x < FEW; x++) CHECK(sg_table_find(t, key_of(x)) == ids[x]);
        SOUND(sg_table, t);
    }
    sg_table_free(t);
}

static void test_out_of_memory_adds_nothing(void) {
    for (long after = 0; after < 6; after++) {
        fail_after = after;
        sg_table *t = sg_table_new();
        if (!t) continue;
        int failed = 0;
        for (uint64_t key = 0; key < 200; key++) {
            uint32_t id;
            if (sg_table_index(t, key, &id, NULL) == SG_ERR_NOMEM) {
                failed++;
                CHECK(sg_table_find(t, key) == SG_TABLE_NONE && sg_table_live(t) == key);
                CHECK(sg_table_index(t, key, &id, NULL) == SG_OK);
            }
            CHECK(id == key);
            SOUND(sg_table, t);
        }
        CHECK(failed == 1);
        sg_table_free(t);
    }
    fail_after = -1;
}

int main(void) {
    test_random_keys();
    test_removed_ids_are_given_again();
    test_out_of_memory_adds_nothing();
    return 0;
}
