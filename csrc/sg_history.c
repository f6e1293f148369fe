#include "sg_history.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OLD = 1, NEW = 2 }; /* in whose window an item is */

/* Two runs of a unit side by side, and what the last plan found. */
struct sg_rerun {
    uint8_t *marks; /* by item: OLD | NEW */
    size_t marks_len;

    uint32_t *items; /* the new window's run-up, then what is kept anew */
    double *times;
    size_t len, room, run_up;
    sg_skipped *skipped; /* what is skipped anew */
    size_t skipped_len, skipped_room;
    sg_delta *deltas;
    size_t deltas_len, deltas_room, added;

    size_t out_kept, out_skipped; /* the event that is taken out, and all before a time are */
    double out_before;
    size_t out;

    uint32_t unit;
    size_t kept_from, kept_to;       /* the kept events that give way */
    size_t skipped_from, skipped_to; /* the skipped ones */
};

int sg_history_init(sg_history *h, sg_pool *pool, uint32_t window) {
    *h = (sg_history){.pool = pool, .window = window};
    if (window < 1) return SG_ERR_VALUE;
    h->rerun = calloc(1, sizeof *h->rerun);
    return h->rerun ? SG_OK : SG_ERR_NOMEM;
}

void sg_history_clear(sg_history *h) {
    if (h->rerun) {
        free(h->rerun->marks);
        free(h->rerun->items);
        free(h->rerun->times);
        free(h->rerun->skipped);
        free(h->rerun->deltas);
        free(h->rerun);
    }
    sg_due_clear(&h->due);
    free(h->units);
    *h = (sg_history){0};
}

/* *array has room for `need` elements. */
static int make_room(void *array, size_t *room, size_t need, size_t size) {
    if (need <= *room) return SG_OK;
    size_t wider = *room * 2 > need ? *room * 2 : need + 16;
    void *moved = realloc(*(void **)array, wider * size);
    if (!moved) return SG_ERR_NOMEM;
    *(void **)array = moved;
    *room = wider;
    return SG_OK;
}

int sg_history_grow(sg_history *h, size_t units, size_t items) {
    sg_rerun *r = h->rerun;
    size_t marked = r->marks_len;
    if (make_room(&r->marks, &r->marks_len, items, sizeof *r->marks)) return SG_ERR_NOMEM;
    memset(r->marks + marked, 0, r->marks_len - marked);
    if (units <= h->len) return SG_OK;
    if (make_room(&h->units, &h->room, units, sizeof *h->units)) return SG_ERR_NOMEM;
    memset(h->units + h->len, 0, (units - h->len) * sizeof *h->units);
    h->len = units;
    return SG_OK;
}

int sg_history_reserve(sg_history *h, sg_unit *u, size_t kept) {
    if (kept <= sg_unit_room(u->lg)) return SG_OK;
    unsigned lg = u->lg ? u->lg + 1u : SG_POOL_SMALLEST;
    while (sg_unit_room(lg) < kept) lg++;
    sg_unit wider = {.items = sg_pool_take(h->pool, lg), .lg = (uint8_t)lg};
    if (!wider.items) return SG_ERR_NOMEM;
    if (u->lg) {
        memcpy(wider.items, u->items, u->kept_len * sizeof *u->items);
        memcpy(sg_unit_times(&wider), sg_unit_times(u), u->kept_len * sizeof(double));
        sg_pool_give(h->pool, u->items, u->lg);
    }
    h->bytes += ((size_t)1 << lg) - (u->lg ? (size_t)1 << u->lg : 0);
    u->items = wider.items;
    u->lg = wider.lg;
    return SG_OK;
}

static size_t skipped_room(const sg_unit *u) { return u->skipped_lg ? ((size_t)1 << u->skipped_lg) / 16 : 0; }

static int reserve_skipped(sg_history *h, sg_unit *u, size_t skipped) {
    if (skipped <= skipped_room(u)) return SG_OK;
    unsigned lg = u->skipped_lg ? u->skipped_lg : SG_POOL_SMALLEST;
    while (((size_t)1 << lg) / sizeof(sg_skipped) < skipped) lg++;
    sg_skipped *wider = sg_pool_take(h->pool, lg);
    if (!wider) return SG_ERR_NOMEM;
    if (u->skipped_len) memcpy(wider, u->skipped, u->skipped_len * sizeof *wider);
    if (u->skipped_lg) sg_pool_give(h->pool, u->skipped, u->skipped_lg);
    h->bytes += ((size_t)1 << lg) - (u->skipped_lg ? (size_t)1 << u->skipped_lg : 0);
    u->skipped = wider;
    u->skipped_lg = (uint8_t)lg;
    return SG_OK;
}

int sg_history_skip(sg_history *h, sg_unit *u, uint32_t item, double time) {
    if (reserve_skipped(h, u, (size_t)u->skipped_len + 1)) return SG_ERR_NOMEM;
    u->skipped[u->skipped_len++] = (sg_skipped){item, u->kept_len, time};
    h->events++;
    return SG_OK;
}

static int push_delta(sg_rerun *r, uint32_t item, uint32_t other, int32_t sign, double time) {
    if (make_room(&r->deltas, &r->deltas_room, r->deltas_len + 1, sizeof *r->deltas)) return SG_ERR_NOMEM;
    sg_delta *at = &r->deltas[r->deltas_len++];
    *at = (sg_delta){item, other, sign, time};
    if (sign > 0) {
        sg_delta first = r->deltas[r->added];
        r->deltas[r->added++] = *at;
        *at = first;
    }
    return SG_OK;
}

/* One pair with each item of a window, but for those that the other window has too (`both`: no exception). */
static int push_pairs(sg_rerun *r, uint32_t item, double time, const uint32_t *window, size_t n, int32_t sign,
                      unsigned except) {
    for (size_t x = 0; x < n; x++)
        if (!(r->marks[window[x]] & except) && push_delta(r, item, window[x], sign, time)) return SG_ERR_NOMEM;
    return SG_OK;
}

static void mark(sg_rerun *r, const uint32_t *items, size_t n, unsigned which) {
    for (size_t x = 0; x < n; x++) r->marks[items[x]] |= (uint8_t)which;
}

static void unmark(sg_rerun *r, const uint32_t *items, size_t n) {
    for (size_t x = 0; x < n; x++) r->marks[items[x]] = 0;
}

/* A window over a growing list: its last `most` items. */
typedef struct {
    const uint32_t *items;
    size_t from, to;
} window;

static void slide(sg_rerun *r, window *w, size_t most, unsigned which) {
    if (w->to - w->from == most) r->marks[w->items[w->from++]] &= (uint8_t)~which;
    r->marks[w->items[w->to++]] |= (uint8_t)which;
}

static int equal(const window *a, const window *b) {
    size_t n = a->to - a->from;
    return n == b->to - b->from && memcmp(a->items + a->from, b->items + b->from, n * sizeof *a->items) == 0;
}

/* One event in both runs: what changes by it, and both windows moved on. */
static int step(sg_history *h, window *old, window *new, uint32_t item, double time, int was_kept) {
    sg_rerun *r = h->rerun;
    const uint32_t *before = old->items + old->from, *after = new->items + new->from;
    size_t before_len = old->to - old->from, after_len = new->to - new->from;
    int keep = !(r->marks[item] & NEW), rc = SG_OK;
    if (was_kept && !keep) rc |= push_delta(r, item, SG_TABLE_NONE, -1, time);
    if (keep && !was_kept) rc |= push_delta(r, item, SG_TABLE_NONE, +1, time);
    if (was_kept) rc |= push_pairs(r, item, time, before, before_len, -1, keep ? NEW : 0);
    if (keep) rc |= push_pairs(r, item, time, after, after_len, +1, was_kept ? OLD : 0);
    if (rc) return SG_ERR_NOMEM;
    if (was_kept) slide(r, old, h->window, OLD);
    if (keep) {
        r->items[r->len] = item;
        r->times[r->len++] = time;
        slide(r, new, h->window, NEW);
    } else {
        r->skipped[r->skipped_len++] = (sg_skipped){item, (uint32_t)(r->kept_from + r->len - r->run_up), time};
    }
    return SG_OK;
}

static int make_rerun_room(sg_rerun *r, size_t events) {
    size_t items_room = r->room;
    if (make_room(&r->items, &items_room, events, sizeof *r->items)) return SG_ERR_NOMEM;
    if (make_room(&r->times, &r->room, events, sizeof *r->times)) return SG_ERR_NOMEM;
    return make_room(&r->skipped, &r->skipped_room, events, sizeof *r->skipped);
}

/* An event that is taken out, in the old run only. */
static int leave(sg_history *h, window *old, uint32_t item, double time) {
    sg_rerun *r = h->rerun;
    int rc = push_delta(r, item, SG_TABLE_NONE, -1, time);
    rc |= push_pairs(r, item, time, old->items + old->from, old->to - old->from, -1, 0);
    slide(r, old, h->window, OLD);
    return rc;
}

/* Run on from kept event r->kept_from and skipped event r->skipped_from, until all that is to go has gone and both
 * windows are equal. */
static int rerun(sg_history *h, const sg_unit *u) {
    sg_rerun *r = h->rerun;
    const double *times = sg_unit_times(u);
    size_t k = r->kept_from, s = r->skipped_from, first = k > h->window ? k - h->window : 0, left = r->out;
    r->run_up = r->len = k - first;
    memcpy(r->items, u->items + first, r->run_up * sizeof *r->items);
    window old = {u->items, first, k}, new = {r->items, 0, r->run_up};
    mark(r, r->items, r->run_up, OLD | NEW);
    int rc = SG_OK;
    while (!rc && (left || !equal(&old, &new)) && (k < u->kept_len || s < u->skipped_len)) {
        if (s < u->skipped_len && u->skipped[s].after <= k) {
            if (s == r->out_skipped || u->skipped[s].time < r->out_before) left--;
            else rc = step(h, &old, &new, u->skipped[s].item, u->skipped[s].time, 0);
            s++;
        } else {
            int goes = k == r->out_kept || times[k] < r->out_before;
            rc = goes ? leave(h, &old, u->items[k], times[k]) : step(h, &old, &new, u->items[k], times[k], 1);
            left -= (size_t)goes;
            k++;
        }
    }
    unmark(r, old.items + old.from, old.to - old.from);
    unmark(r, new.items + new.from, new.to - new.from);
    r->kept_to = k;
    r->skipped_to = s;
    return rc;
}

/* r->out events are taken out, the first of them at kept event `kept` or at skipped event `skipped`. */
static int plan_from(sg_history *h, uint32_t unit, size_t kept, size_t skipped, sg_plan *plan) {
    sg_rerun *r = h->rerun;
    sg_unit *u = &h->units[unit];
    if (skipped < u->skipped_len && u->skipped[skipped].after <= kept) kept = u->skipped[skipped].after;
    size_t s = 0; /* skipped events before it stay as they are */
    while (s < u->skipped_len && s < skipped && u->skipped[s].after <= kept) s++;
    r->unit = unit;
    r->len = r->skipped_len = r->deltas_len = r->added = 0;
    r->kept_from = kept;
    r->skipped_from = s;
    if (make_rerun_room(r, (size_t)h->window + u->kept_len + u->skipped_len)) return SG_ERR_NOMEM;
    int rc = rerun(h, u);
    size_t skips = u->skipped_len - (r->skipped_to - r->skipped_from) + r->skipped_len;
    if (!rc) rc = sg_history_reserve(h, u, kept + r->len - r->run_up + u->kept_len - r->kept_to);
    if (!rc) rc = reserve_skipped(h, u, skips);
    *plan = (sg_plan){r->deltas, r->deltas_len, r->added};
    return rc ? SG_ERR_NOMEM : SG_OK;
}

/* Nothing is kept or skipped otherwise than before: the events from..to of each kind just go. */
static void plan_cut(sg_rerun *r, uint32_t unit, size_t kept, size_t kept_to, size_t skipped, size_t skipped_to) {
    r->unit = unit;
    r->len = r->run_up = r->skipped_len = r->deltas_len = r->added = 0;
    r->kept_from = kept;
    r->kept_to = kept_to;
    r->skipped_from = skipped;
    r->skipped_to = skipped_to;
}

/* Kept event k takes its pairs with all others along. */
static int plan_alone(sg_history *h, uint32_t unit, size_t k, sg_plan *plan) {
    sg_rerun *r = h->rerun;
    const sg_unit *u = &h->units[unit];
    const double *times = sg_unit_times(u);
    if (make_room(&r->deltas, &r->deltas_room, u->kept_len, sizeof *r->deltas)) return SG_ERR_NOMEM;
    sg_delta *d = r->deltas;
    *d++ = (sg_delta){u->items[k], SG_TABLE_NONE, -1, times[k]};
    for (size_t x = 0; x < k; x++) *d++ = (sg_delta){u->items[k], u->items[x], -1, times[k]};
    for (size_t x = k + 1; x < u->kept_len; x++) *d++ = (sg_delta){u->items[x], u->items[k], -1, times[x]};
    size_t s = 0;
    while (s < u->skipped_len && u->skipped[s].after <= k) s++;
    plan_cut(r, unit, k, k + 1, s, s);
    *plan = (sg_plan){r->deltas, u->kept_len, 0};
    return SG_OK;
}

static size_t times_skipped(const sg_unit *u, uint32_t item) {
    size_t n = 0;
    for (size_t s = 0; s < u->skipped_len; s++) n += u->skipped[s].item == item;
    return n;
}

int sg_history_plan(sg_history *h, uint32_t unit, uint32_t item, double time, int *found, sg_plan *plan) {
    sg_rerun *r = h->rerun;
    const sg_unit *u = &h->units[unit];
    const double *times = u->lg ? sg_unit_times(u) : NULL;
    size_t k = u->kept_len, repeats = times_skipped(u, item), s = repeats ? u->skipped_len : 0;
    *plan = (sg_plan){0};
    while (k > 0 && (u->items[k - 1] != item || times[k - 1] != time)) k--;
    while (s > 0 && (u->skipped[s - 1].item != item || u->skipped[s - 1].time != time)) s--;
    *found = k > 0 || s > 0;
    if (!*found) return SG_OK;
    int is_kept = s == 0 || (k > 0 && u->skipped[s - 1].after < k);
    r->out = 1;
    if (!is_kept) {
        plan_cut(r, unit, u->kept_len, u->kept_len, s - 1, s);
        return SG_OK;
    }
    if (!repeats && u->kept_len <= h->window) return plan_alone(h, unit, k - 1, plan);
    r->out_kept = k - 1;
    r->out_skipped = SIZE_MAX;
    r->out_before = -INFINITY;
    return plan_from(h, unit, r->out_kept, SIZE_MAX, plan);
}

int sg_history_plan_expiry(sg_history *h, uint32_t unit, double before, size_t *found, sg_plan *plan) {
    sg_rerun *r = h->rerun;
    const sg_unit *u = &h->units[unit];
    const double *times = u->lg ? sg_unit_times(u) : NULL;
    size_t kept = u->kept_len, skipped = u->skipped_len;
    *plan = (sg_plan){0};
    *found = 0;
    for (size_t k = u->kept_len; k > 0; k--)
        if (times[k - 1] < before) kept = k - 1, ++*found;
    for (size_t s = u->skipped_len; s > 0; s--)
        if (u->skipped[s - 1].time < before) skipped = s - 1, ++*found;
    if (!*found) return SG_OK;
    r->out_kept = r->out_skipped = SIZE_MAX;
    r->out_before = before;
    r->out = *found;
    return plan_from(h, unit, kept, skipped, plan);
}

const uint32_t *sg_history_planned(const sg_history *h, size_t *from, size_t *n, size_t *to) {
    const sg_rerun *r = h->rerun;
    *from = r->kept_from;
    *n = r->len - r->run_up;
    *to = r->kept_to;
    return r->items + r->run_up;
}

void sg_history_commit(sg_history *h) {
    sg_rerun *r = h->rerun;
    sg_unit *u = &h->units[r->unit];
    size_t anew = r->len - r->run_up, to = r->kept_from + anew, tail = u->kept_len - r->kept_to;
    if (u->lg) {
        double *times = sg_unit_times(u);
        memmove(u->items + to, u->items + r->kept_to, tail * sizeof *u->items);
        memmove(times + to, times + r->kept_to, tail * sizeof *times);
        if (anew) memcpy(u->items + r->kept_from, r->items + r->run_up, anew * sizeof *u->items);
        if (anew) memcpy(times + r->kept_from, r->times + r->run_up, anew * sizeof *times);
    }
    size_t skipped_tail = u->skipped_len - r->skipped_to, skipped_at = r->skipped_from + r->skipped_len;
    if (skipped_tail) memmove(u->skipped + skipped_at, u->skipped + r->skipped_to, skipped_tail * sizeof *u->skipped);
    for (size_t s = skipped_at; s < skipped_at + skipped_tail; s++)
        u->skipped[s].after += (uint32_t)to - (uint32_t)r->kept_to; /* modulo 2^32: it may be less */
    if (r->skipped_len) memcpy(u->skipped + r->skipped_from, r->skipped, r->skipped_len * sizeof *u->skipped);
    h->kept_events += to + tail - u->kept_len;
    h->events -= r->out;
    u->kept_len = (uint32_t)(to + tail);
    u->skipped_len = (uint32_t)(skipped_at + skipped_tail);
}

/* INFINITY: the unit has no events. */
static double oldest(const sg_unit *u) {
    double time = INFINITY;
    for (size_t k = 0; k < u->kept_len; k++) time = fmin(time, sg_unit_times(u)[k]);
    for (size_t s = 0; s < u->skipped_len; s++) time = fmin(time, u->skipped[s].time);
    return time;
}

int sg_history_expires(sg_history *h) {
    for (size_t id = 0; id < h->len && !h->expires; id++)
        if (h->units[id].kept_len && sg_due_push(&h->due, oldest(&h->units[id]), (uint32_t)id)) {
            sg_due_clear(&h->due);
            return SG_ERR_NOMEM;
        }
    h->expires = 1;
    return SG_OK;
}

int sg_history_due(const sg_history *h, double before, uint32_t *unit) { return sg_due_first(&h->due, before, unit); }

void sg_history_settled(sg_history *h, uint32_t unit) {
    sg_due_pop(&h->due);
    if (h->units[unit].kept_len) sg_due_push(&h->due, oldest(&h->units[unit]), unit); /* there is room */
}

void sg_history_release(sg_history *h, uint32_t unit) {
    sg_unit *u = &h->units[unit];
    if (u->lg) sg_pool_give(h->pool, u->items, u->lg);
    if (u->skipped_lg) sg_pool_give(h->pool, u->skipped, u->skipped_lg);
    h->bytes -= (u->lg ? (size_t)1 << u->lg : 0) + (u->skipped_lg ? (size_t)1 << u->skipped_lg : 0);
    *u = (sg_unit){0};
}

void sg_history_events(const sg_unit *u, uint32_t *items, double *times) {
    size_t n = 0, s = 0;
    for (size_t k = 0; k <= u->kept_len; k++) {
        for (; s < u->skipped_len && u->skipped[s].after <= k; s++, n++) {
            items[n] = u->skipped[s].item;
            times[n] = u->skipped[s].time;
        }
        if (k == u->kept_len) break;
        items[n] = u->items[k];
        times[n++] = sg_unit_times(u)[k];
    }
}

size_t sg_history_nbytes(const sg_history *h) {
    const sg_rerun *r = h->rerun;
    return h->room * sizeof *h->units + h->bytes + r->marks_len + r->room * 12 + r->skipped_room * sizeof *r->skipped +
           r->deltas_room * sizeof *r->deltas + h->due.room * sizeof *h->due.entries;
}

static int in_window(const sg_unit *u, size_t kept, uint32_t most, uint32_t item) {
    for (size_t k = kept > most ? kept - most : 0; k < kept; k++)
        if (u->items[k] == item) return 1;
    return 0;
}

static int check_due(const sg_history *h, const char **why) {
    int rc = sg_due_check(&h->due, why);
    double *first = malloc((h->len + 1) * sizeof *first);
    if (!first) rc = SG_ERR_NOMEM;
    for (size_t id = 0; id < h->len && !rc; id++) first[id] = INFINITY;
    for (size_t e = 0; e < h->due.len && !rc; e++) {
        double *of = &first[h->due.entries[e].unit];
        *of = fmin(*of, h->due.entries[e].time);
    }
    if (!rc) *why = "sg_history I4: a unit will not come up when it is due";
    for (size_t id = 0; id < h->len && !rc; id++)
        if (first[id] > oldest(&h->units[id])) rc = SG_ERR_VALUE;
    free(first);
    return rc;
}

int sg_history_check(const sg_history *h, const char **why) {
    uint64_t events = 0, kept = 0;
    for (size_t id = 0; id < h->len; id++) {
        const sg_unit *u = &h->units[id];
        *why = "sg_history I1: a unit's events do not fit their blocks, or are out of order";
        if (u->kept_len > sg_unit_room(u->lg) || u->skipped_len > skipped_room(u)) return SG_ERR_VALUE;
        for (size_t s = 0; s < u->skipped_len; s++)
            if (u->skipped[s].after > u->kept_len || (s && u->skipped[s].after < u->skipped[s - 1].after))
                return SG_ERR_VALUE;
        *why = "sg_history I2: an event is kept or skipped that should not be";
        for (size_t k = 0; k < u->kept_len; k++)
            if (in_window(u, k, h->window, u->items[k])) return SG_ERR_VALUE;
        for (size_t s = 0; s < u->skipped_len; s++)
            if (!in_window(u, u->skipped[s].after, h->window, u->skipped[s].item)) return SG_ERR_VALUE;
        events += u->kept_len + u->skipped_len;
        kept += u->kept_len;
    }
    *why = "sg_history I3: the sums over the units are wrong";
    if (events != h->events || kept != h->kept_events) return SG_ERR_VALUE;
    int rc = h->expires ? check_due(h, why) : SG_OK;
    if (!rc) *why = NULL;
    return rc;
}
