#include "sg_due.h"

#include <stdlib.h>

void sg_due_clear(sg_due *d) {
    free(d->entries);
    *d = (sg_due){0};
}

int sg_due_push(sg_due *d, double time, uint32_t unit) {
    if (d->len == d->room) {
        size_t room = d->room * 2 + 16;
        sg_due_entry *entries = realloc(d->entries, room * sizeof *entries);
        if (!entries) return SG_ERR_NOMEM;
        d->entries = entries;
        d->room = room;
    }
    size_t at = d->len++;
    for (; at > 0 && d->entries[(at - 1) / 2].time > time; at = (at - 1) / 2) d->entries[at] = d->entries[(at - 1) / 2];
    d->entries[at] = (sg_due_entry){time, unit};
    return SG_OK;
}

int sg_due_first(const sg_due *d, double before, uint32_t *unit) {
    if (d->len == 0 || !(d->entries[0].time < before)) return 0;
    *unit = d->entries[0].unit;
    return 1;
}

void sg_due_pop(sg_due *d) {
    sg_due_entry last = d->entries[--d->len];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < d->len; at = child) {
        child += child + 1 < d->len && d->entries[child + 1].time < d->entries[child].time;
        if (last.time <= d->entries[child].time) break;
        d->entries[at] = d->entries[child];
    }
    d->entries[at] = last;
}

int sg_due_check(const sg_due *d, const char **why) {
    *why = "sg_due: an entry is earlier than its parent";
    for (size_t at = 1; at < d->len; at++)
        if (d->entries[at].time < d->entries[(at - 1) / 2].time) return SG_ERR_VALUE;
    *why = NULL;
    return SG_OK;
}
