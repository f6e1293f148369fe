#include "sg_recent.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "sg_table.h"

#define FARTHEST 0x1p52 /* half-lives from the epoch; beyond, t / half_life has no fraction */
#define LOST 4200       /* binary orders beyond which any double is 0 or infinite */
#define OVERALL 0       /* the list of all items; list 1 + id is that of the category `id` */
#define PLACE(list) (list != OVERALL)

enum { AHEAD = 4, EXPONENT = 1023 }; /* items whose keys are fetched; of the double 1 */

typedef struct {
    double weight; /* relative to the landmark */
    uint32_t count;
    uint32_t category; /* its list; OVERALL = none */
    uint32_t place[2]; /* in the overall heap and in its category's */
} item;

typedef struct {
    uint32_t *ids;
    uint32_t live;
    size_t cap;
} heap;

struct sg_recent {
    double half_life;
    int64_t landmark; /* half-lives since the epoch */
    sg_table *keys;
    sg_table *categories;
    item *items;
    heap *lists;
    size_t item_cap, list_cap;
};

sg_recent *sg_recent_new(double half_life) {
    if (!(half_life > 0) || !isfinite(half_life)) return NULL;
    sg_recent *r = calloc(1, sizeof *r);
    if (r == NULL) return NULL;
    r->half_life = half_life;
    r->keys = sg_table_new();
    r->categories = sg_table_new();
    r->list_cap = 1;
    r->lists = calloc(1, sizeof *r->lists);
    if (r->keys != NULL && r->categories != NULL && r->lists != NULL) return r;
    sg_recent_free(r);
    return NULL;
}

static size_t lists_of(const sg_recent *r) { return 1 + sg_table_live(r->categories); }

void sg_recent_free(sg_recent *r) {
    if (r == NULL) return;
    if (r->lists != NULL)
        for (size_t list = 0; list < r->list_cap; list++) free(r->lists[list].ids);
    free(r->lists);
    free(r->items);
    sg_table_free(r->keys);
    sg_table_free(r->categories);
    free(r);
}

/* ---- heaps ---------------------------------------------------------------------------------------------------- */

static bool above(const sg_recent *r, uint32_t a, uint32_t b) {
    double wa = r->items[a].weight, wb = r->items[b].weight;
    return wa != wb ? wa > wb : sg_table_keys(r->keys)[a] < sg_table_keys(r->keys)[b];
}

static void place(sg_recent *r, uint32_t list, uint32_t at, uint32_t id) {
    r->lists[list].ids[at] = id;
    r->items[id].place[PLACE(list)] = at;
}

static void sift_up(sg_recent *r, uint32_t list, uint32_t at) {
    const uint32_t *ids = r->lists[list].ids, id = ids[at];
    for (; at > 0 && above(r, id, ids[(at - 1) / 2]); at = (at - 1) / 2) place(r, list, at, ids[(at - 1) / 2]);
    place(r, list, at, id);
}

static void sift_down(sg_recent *r, uint32_t list, uint32_t at) {
    const heap *h = &r->lists[list];
    uint32_t id = h->ids[at];
    for (size_t child; (child = 2 * (size_t)at + 1) < h->live; at = (uint32_t)child) {
        if (child + 1 < h->live && above(r, h->ids[child + 1], h->ids[child])) child++;
        if (!above(r, h->ids[child], id)) break;
        place(r, list, at, h->ids[child]);
    }
    place(r, list, at, id);
}

static int make_room(sg_recent *r, uint32_t list) {
    heap *h = &r->lists[list];
    if (h->live < h->cap) return SG_OK;
    size_t cap = h->cap ? 2 * h->cap : 8;
    uint32_t *ids = realloc(h->ids, cap * sizeof *ids);
    if (ids == NULL) return SG_ERR_NOMEM;
    h->ids = ids;
    h->cap = cap;
    return SG_OK;
}

static void enter(sg_recent *r, uint32_t list, uint32_t id) {
    uint32_t at = r->lists[list].live++;
    place(r, list, at, id);
    sift_up(r, list, at);
}

static int enter_lists(sg_recent *r, uint32_t id) {
    uint32_t category = r->items[id].category;
    int rc = make_room(r, OVERALL);
    if (rc == SG_OK) rc = make_room(r, category);
    if (rc != SG_OK) return rc;
    enter(r, OVERALL, id);
    if (category != OVERALL) enter(r, category, id);
    return SG_OK;
}

static void leave(sg_recent *r, uint32_t list, uint32_t id) {
    heap *h = &r->lists[list];
    uint32_t at = r->items[id].place[PLACE(list)], last = h->ids[--h->live];
    if (last == id) return;
    place(r, list, at, last);
    sift_up(r, list, at);
    sift_down(r, list, r->items[last].place[PLACE(list)]);
}

/* ---- decay ---------------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t whole;   /* half-lives since the epoch */
    double fraction; /* of one, in 0..1 */
} age;

/* t in half-lives. The remainder is exact to the last bit (one fused step), so it does not depend on the landmark. */
static age in_half_lives(const sg_recent *r, double t) {
    double whole = floor(t / r->half_life);
    if (fabs(whole) >= FARTHEST) return (age){(int64_t)copysign(FARTHEST, whole), 0};
    return (age){(int64_t)whole, fma(-whole, r->half_life, t) / r->half_life};
}

/* x * 2^orders, finite for any orders: where there is such a power, by a product, which rounds as ldexp() does. */
static double shifted(double x, int64_t orders) {
    int within = orders > LOST ? LOST : orders < -LOST ? -LOST : (int)orders;
    uint64_t bits = (uint64_t)(within + EXPONENT) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    double product = within > -EXPONENT && within <= EXPONENT ? x * power : ldexp(x, within);
    return product < DBL_MAX ? product : DBL_MAX;
}

static double contribution(const sg_recent *r, double weight, age at) {
    return shifted(weight * exp2(at.fraction), at.whole - r->landmark);
}

/* Weights that underflow may become equal: their order is then by key, so the heaps are made anew. */
static void move_landmark(sg_recent *r, int64_t landmark) {
    for (size_t id = 0; id < sg_table_used(r->keys); id++)
        r->items[id].weight = shifted(r->items[id].weight, r->landmark - landmark);
    r->landmark = landmark;
    for (uint32_t list = 0; list < lists_of(r); list++)
        for (uint32_t at = r->lists[list].live / 2; at-- > 0;) sift_down(r, list, at);
}

/* ---- changes -------------------------------------------------------------------------------------------------- */

static int check_rows(const double *times, const double *weights, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(times[i]) || !(weights[i] >= 0 && weights[i] <= SG_RECENT_MAX_WEIGHT)) return SG_ERR_VALUE;
    return SG_OK;
}

/* A new id is below `used`, or `used` where it is `live`: the records suffice while live < item_cap. */
static int find_or_add_item(sg_recent *r, uint64_t key, uint32_t *id) {
    size_t n = sg_table_live(r->keys);
    if (n == r->item_cap) {
        size_t cap = n ? 2 * n : 64;
        item *items = realloc(r->items, cap * sizeof *items);
        if (items == NULL) return SG_ERR_NOMEM;
        r->items = items;
        r->item_cap = cap;
    }
    int fresh, rc = sg_table_index(r->keys, key, id, &fresh);
    if (rc == SG_OK && fresh) r->items[*id] = (item){0};
    return rc;
}

/* A record worth its id, and a row of a snapshot. */
static bool kept(const item *it) { return it->count > 0 || it->category != OVERALL; }

static void give_back(sg_recent *r, uint64_t key, uint32_t id) {
    if (!kept(&r->items[id])) sg_table_remove(r->keys, key);
}

static int find_or_add_list(sg_recent *r, uint64_t category, uint32_t *list) {
    *list = OVERALL;
    if (category == 0) return SG_OK;
    size_t n = lists_of(r);
    if (n == r->list_cap) {
        heap *lists = realloc(r->lists, 2 * n * sizeof *lists);
        if (lists == NULL) return SG_ERR_NOMEM;
        memset(lists + n, 0, n * sizeof *lists);
        r->lists = lists;
        r->list_cap = 2 * n;
    }
    uint32_t id;
    int rc = sg_table_index(r->categories, category, &id, NULL);
    if (rc == SG_OK) *list = 1 + id;
    return rc;
}

static int observe(sg_recent *r, uint64_t key, age at, double weight) {
    uint32_t id;
    int rc = find_or_add_item(r, key, &id);
    if (rc != SG_OK) return rc;
    item *it = &r->items[id];
    if (it->count == UINT32_MAX) return SG_ERR_RANGE;
    if (r->lists[OVERALL].live == 0) r->landmark = at.whole;
    if (at.whole - r->landmark > SG_RECENT_REACH) move_landmark(r, at.whole);
    if (it->count == 0 && (rc = enter_lists(r, id)) != SG_OK) {
        give_back(r, key, id);
        return rc;
    }
    it->count++;
    it->weight += contribution(r, weight, at);
    sift_up(r, OVERALL, it->place[0]);
    if (it->category != OVERALL) sift_up(r, it->category, it->place[1]);
    return SG_OK;
}

int sg_recent_observe(sg_recent *r, const uint64_t *items, const double *times, const double *weights, size_t n) {
    int rc = check_rows(times, weights, n);
    for (size_t i = 0; i < n && rc == SG_OK; i++) rc = observe(r, items[i], in_half_lives(r, times[i]), weights[i]);
    return rc;
}

static bool retract(sg_recent *r, uint64_t key, age at, double weight) {
    uint32_t id = sg_table_find(r->keys, key);
    if (id == SG_TABLE_NONE || r->items[id].count == 0) return false;
    item *it = &r->items[id];
    if (--it->count == 0) {
        leave(r, OVERALL, id);
        if (it->category != OVERALL) leave(r, it->category, id);
        it->weight = 0;
        give_back(r, key, id);
        return true;
    }
    it->weight = fmax(it->weight - contribution(r, weight, at), 0);
    sift_down(r, OVERALL, it->place[0]);
    if (it->category != OVERALL) sift_down(r, it->category, it->place[1]);
    return true;
}

int sg_recent_retract(sg_recent *r, const uint64_t *items, const double *times, const double *weights, size_t n,
                      size_t *found) {
    *found = 0;
    int rc = check_rows(times, weights, n);
    for (size_t i = 0; i < n && rc == SG_OK; i++)
        *found += retract(r, items[i], in_half_lives(r, times[i]), weights[i]);
    return rc;
}

static int move_to_list(sg_recent *r, uint32_t id, uint64_t category) {
    uint32_t list;
    int rc = find_or_add_list(r, category, &list);
    if (rc != SG_OK || list == r->items[id].category) return rc;
    item *it = &r->items[id];
    if (it->count > 0 && list != OVERALL && (rc = make_room(r, list)) != SG_OK) return rc;
    if (it->count > 0 && it->category != OVERALL) leave(r, it->category, id);
    it->category = list;
    if (it->count > 0 && list != OVERALL) enter(r, list, id);
    return SG_OK;
}

static int categorise(sg_recent *r, uint64_t key, uint64_t category) {
    uint32_t id;
    int rc = find_or_add_item(r, key, &id);
    if (rc != SG_OK) return rc;
    rc = move_to_list(r, id, category);
    give_back(r, key, id);
    return rc;
}

int sg_recent_categorise(sg_recent *r, const uint64_t *items, const uint64_t *categories, size_t n) {
    int rc = SG_OK;
    for (size_t i = 0; i < n && rc == SG_OK; i++) rc = categorise(r, items[i], categories[i]);
    return rc;
}

/* ---- reads ---------------------------------------------------------------------------------------------------- */

static uint64_t category_key(const sg_recent *r, uint32_t list) {
    return list == OVERALL ? 0 : sg_table_keys(r->categories)[list - 1];
}

/* What a kept weight is worth at a moment: itself * fraction * 2^orders. */
typedef struct {
    double fraction;
    int64_t orders;
} worth;

static worth worth_at(const sg_recent *r, double now) {
    age then = in_half_lives(r, now);
    return (worth){exp2(-then.fraction), r->landmark - then.whole};
}

static double decayed(const sg_recent *r, uint32_t id, worth now) {
    return shifted(r->items[id].weight * now.fraction, now.orders);
}

size_t sg_recent_live(const sg_recent *r) { return r->lists[OVERALL].live; }

void sg_recent_categories(const sg_recent *r, const uint64_t *items, size_t n, uint64_t *categories) {
    for (size_t i = 0; i < n; i++) {
        uint32_t id = sg_table_find(r->keys, items[i]);
        categories[i] = id == SG_TABLE_NONE ? 0 : category_key(r, r->items[id].category);
    }
}

int sg_recent_weights(const sg_recent *r, const uint64_t *items, size_t n, double now, double *weights) {
    if (!isfinite(now)) return SG_ERR_VALUE;
    worth then = worth_at(r, now);
    for (size_t i = 0; i < n; i++) {
        if (i + 2 * AHEAD < n) sg_table_prefetch(r->keys, items[i + 2 * AHEAD]);
        if (i + AHEAD < n) sg_table_prefetch_key(r->keys, items[i + AHEAD]);
        uint32_t id = sg_table_find(r->keys, items[i]);
        weights[i] = id == SG_TABLE_NONE ? 0 : decayed(r, id, then);
    }
    return SG_OK;
}

/* A max-heap of ids: those whose parent has been read and that have not been read themselves. */
static void push_unread(const sg_recent *r, uint32_t *unread, size_t len, uint32_t id) {
    size_t at = len;
    for (; at > 0 && above(r, id, unread[(at - 1) / 2]); at = (at - 1) / 2) unread[at] = unread[(at - 1) / 2];
    unread[at] = id;
}

static uint32_t pop_unread(const sg_recent *r, uint32_t *unread, size_t len) {
    uint32_t best = unread[0], id = unread[len - 1];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < len - 1; at = child) {
        if (child + 1 < len - 1 && above(r, unread[child + 1], unread[child])) child++;
        if (!above(r, unread[child], id)) break;
        unread[at] = unread[child];
    }
    unread[at] = id;
    return best;
}

int sg_recent_top(const sg_recent *r, size_t n, uint64_t category, double now, uint64_t *items, double *weights,
                  size_t *got) {
    *got = 0;
    if (!isfinite(now)) return SG_ERR_VALUE;
    uint32_t list = OVERALL;
    if (category != 0) {
        uint32_t id = sg_table_find(r->categories, category);
        if (id == SG_TABLE_NONE) return SG_OK;
        list = 1 + id;
    }
    const heap *h = &r->lists[list];
    if (n > h->live) n = h->live;
    if (n == 0) return SG_OK;
    uint32_t *unread = malloc((n + 1) * sizeof *unread);
    if (unread == NULL) return SG_ERR_NOMEM;
    worth then = worth_at(r, now);
    size_t len = 0;
    push_unread(r, unread, len++, h->ids[0]);
    for (size_t i = 0; i < n; i++) {
        uint32_t id = pop_unread(r, unread, len--);
        items[i] = sg_table_keys(r->keys)[id];
        weights[i] = decayed(r, id, then);
        size_t child = 2 * (size_t)r->items[id].place[PLACE(list)] + 1;
        for (size_t end = child + 2; child < end && child < h->live; child++)
            push_unread(r, unread, len++, h->ids[child]);
    }
    *got = n;
    free(unread);
    return SG_OK;
}

/* ---- snapshot, check ------------------------------------------------------------------------------------------ */

size_t sg_recent_size(const sg_recent *r) { return sg_table_live(r->keys); }

void sg_recent_dump(const sg_recent *r, uint64_t *items, uint32_t *counts, double *weights, uint64_t *categories,
                    int64_t *landmark) {
    size_t row = 0;
    for (uint32_t id = 0; id < sg_table_used(r->keys); id++) {
        const item *it = &r->items[id];
        if (!kept(it)) continue;
        items[row] = sg_table_keys(r->keys)[id];
        counts[row] = it->count;
        weights[row] = it->weight;
        categories[row++] = category_key(r, it->category);
    }
    *landmark = r->landmark;
}

static bool sound(const item *it) {
    return it->weight >= 0 && it->weight <= DBL_MAX && (it->count > 0 || it->weight == 0);
}

int sg_recent_load(sg_recent *r, const uint64_t *items, const uint32_t *counts, const double *weights,
                   const uint64_t *categories, size_t n, int64_t landmark) {
    if (sg_table_live(r->keys) != 0 || landmark < -(int64_t)FARTHEST || landmark > (int64_t)FARTHEST)
        return SG_ERR_VALUE;
    r->landmark = landmark;
    for (size_t row = 0; row < n; row++) {
        uint32_t id;
        int rc = find_or_add_item(r, items[row], &id);
        if (rc == SG_OK) rc = move_to_list(r, id, categories[row]);
        if (rc != SG_OK) return rc;
        if (sg_table_live(r->keys) != row + 1) return SG_ERR_VALUE;
        item *it = &r->items[id];
        it->count = counts[row];
        it->weight = weights[row];
        if (!sound(it) || !kept(it)) return SG_ERR_VALUE;
        if (it->count > 0 && (rc = enter_lists(r, id)) != SG_OK) return rc;
    }
    return SG_OK;
}

size_t sg_recent_nbytes(const sg_recent *r) {
    size_t bytes = sizeof *r + sg_table_nbytes(r->keys) + sg_table_nbytes(r->categories) +
                   r->item_cap * sizeof *r->items + r->list_cap * sizeof *r->lists;
    for (size_t list = 0; list < r->list_cap; list++) bytes += r->lists[list].cap * sizeof *r->lists[list].ids;
    return bytes;
}

#define HOLDS(condition, text)                                                                                         \
    if (!(condition)) {                                                                                                \
        *why = text;                                                                                                   \
        return SG_ERR_VALUE;                                                                                           \
    }

static bool listed(const sg_recent *r, uint32_t list, uint32_t id) {
    uint32_t at = r->items[id].place[PLACE(list)];
    return at < r->lists[list].live && r->lists[list].ids[at] == id;
}

int sg_recent_check(const sg_recent *r, const char **why) {
    size_t n = sg_table_used(r->keys), keys = 0, live = 0, categorised = 0, entries = 0;
    int rc = sg_table_check(r->keys, why);
    if (rc == SG_OK) rc = sg_table_check(r->categories, why);
    if (rc != SG_OK) return rc;
    HOLDS(n <= r->item_cap && lists_of(r) <= r->list_cap, "sg_recent I1: a key without a record or a list");
    for (uint32_t id = 0; id < n; id++) {
        const item *it = &r->items[id];
        HOLDS(it->category < lists_of(r), "sg_recent I1: a key without a record or a list");
        HOLDS(!kept(it) || sg_table_find(r->keys, sg_table_keys(r->keys)[id]) == id,
              "sg_recent I1: an item without a key");
        keys += kept(it);
        HOLDS(sound(it), "sg_recent I2: a weight is negative, not finite, or without observations");
        live += it->count > 0;
        categorised += it->count > 0 && it->category != OVERALL;
        HOLDS(it->count == 0 || (listed(r, OVERALL, id) && listed(r, it->category, id)),
              "sg_recent I3: a live item is not where its places say");
    }
    HOLDS(keys == sg_table_live(r->keys), "sg_recent I1: a key without observations and category");
    for (uint32_t list = 0; list < lists_of(r); list++) {
        const heap *h = &r->lists[list];
        HOLDS(h->live <= h->cap, "sg_recent I3: a heap is longer than its room");
        if (list != OVERALL) entries += h->live;
        for (uint32_t at = 0; at < h->live; at++) {
            HOLDS(h->ids[at] < n && listed(r, list, h->ids[at]), "sg_recent I3: an entry's item is elsewhere");
            HOLDS(at == 0 || !above(r, h->ids[at], h->ids[(at - 1) / 2]),
                  "sg_recent I4: an entry ranks above its parent");
        }
    }
    HOLDS(entries == categorised, "sg_recent I3: an item is in a list that is not its category's");
    HOLDS(live == r->lists[OVERALL].live, "sg_recent I5: live is not the number of items with observations");
    return SG_OK;
}
