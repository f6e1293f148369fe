/* sg_tally against an array that is searched from end to end. */
#include <string.h>

#include "check.h"
#include "sg_tally.h"

enum { IDS = 60 };

int main(void) {
    uint64_t keys[IDS];
    sg_tally t = {0};
    for (uint32_t id = 0; id < IDS; id++) keys[id] = (uint64_t)(IDS - id);
    for (int after = 0; after < 3; after++) {
        fail_after = after;
        CHECK(sg_tally_grow(&t, 3) == SG_ERR_NOMEM && t.room == 0);
        sg_tally_clear(&t);
    }
    fail_after = -1;
    for (int trial = 0; trial < 3000; trial++) {
        double sums[IDS] = {0};
        sg_candidate found[IDS];
        const sg_candidate *best;
        size_t ids = 1 + below(IDS), n = below(IDS);
        CHECK(sg_tally_grow(&t, ids) == SG_OK && t.room >= ids);
        for (int x = 0; x < 40; x++) {
            uint32_t id = below((unsigned)ids);
            double amount = below(4);
            sg_tally_add(&t, id, amount);
            sums[id] += amount;
        }
        int in_order = trial % 2;
        size_t got = sg_tally_best(&t, keys, n, in_order, &best);
        if (!in_order) { /* the same, in any order */
            memcpy(found, best, got * sizeof *best);
            sg_best_first(keys, found, got, got);
            best = found;
        }
        for (size_t x = 0; x < got; x++) {
            size_t first = 0; /* of equal sums the last id has the least key */
            for (size_t id = 1; id < IDS; id++) first = sums[id] >= sums[first] ? id : first;
            CHECK(best[x].id == first && best[x].strength == sums[first] && sums[first] > 0);
            sums[first] = 0;
        }
        for (size_t id = 0; id < IDS; id++) CHECK(got == n || sums[id] == 0);
        for (size_t id = 0; id < t.room; id++) CHECK(t.sums[id] == 0 && t.len == 0);
    }
    sg_tally_clear(&t);
    return 0;
}
