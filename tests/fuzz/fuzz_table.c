/* sg_table against arrays of which key has which id. */
#include "fuzz.h"
#include "sg_table.h"

enum { KEYS = 512, FEW = 24 };

static uint32_t ids[KEYS];              /* by key; SG_TABLE_NONE: not there */
static uint32_t spare[KEYS], spare_len; /* ids of removed keys, the last removed last */
static uint32_t live, used;

static uint64_t key_of(unsigned x) { return x == 0 ? UINT64_MAX : x % 2 ? x - 1 : (uint64_t)x << 40; }

static void index_one(sg_table *t, unsigned x) {
    uint32_t id;
    int fresh, is_new = ids[x] == SG_TABLE_NONE;
    int rc = disarm(sg_table_index(t, key_of(x), &id, &fresh));
    if (rc) return;
    CHECK(fresh == is_new);
    if (is_new) {
        ids[x] = spare_len ? spare[--spare_len] : used++;
        live++;
    }
    CHECK(id == ids[x]);
}

static void remove_one(sg_table *t, unsigned x) {
    CHECK(sg_table_remove(t, key_of(x)) == ids[x]);
    if (ids[x] == SG_TABLE_NONE) return;
    spare[spare_len++] = ids[x];
    ids[x] = SG_TABLE_NONE;
    live--;
}

static void compare(const sg_table *t) {
    SOUND(sg_table, t);
    CHECK(sg_table_live(t) == live && sg_table_used(t) == used && sg_table_nbytes(t) >= used * 8);
    for (unsigned x = 0; x < KEYS; x++) {
        CHECK(sg_table_find(t, key_of(x)) == ids[x]);
        CHECK(ids[x] == SG_TABLE_NONE || sg_table_keys(t)[ids[x]] == key_of(x));
    }
}

static void step(sg_table *t) {
    unsigned what = pick(8), x = pick(FEW);
    if (what < 3) {
        arm();
        index_one(t, x);
    } else if (what < 6) {
        remove_one(t, x);
    } else {
        seed();
        for (unsigned n = pick(256); n > 0; n--) {
            x = below(KEYS);
            if (what == 6) index_one(t, x);
            else remove_one(t, x);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    begin(data, size);
    for (unsigned x = 0; x < KEYS; x++) ids[x] = SG_TABLE_NONE;
    spare_len = live = used = 0;
    arm();
    sg_table *t = sg_table_new();
    if (disarm(t ? SG_OK : SG_ERR_NOMEM)) return 0;
    while (more()) {
        step(t);
        compare(t);
    }
    sg_table_free(t);
    return 0;
}
