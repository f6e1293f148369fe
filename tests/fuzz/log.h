/* Events in order, those that remain: what a structure should hold after what was taken back. */
#ifndef LOG_H
#define LOG_H

#include "fuzz.h"

enum { EVENTS = 1500 };

static uint64_t units[EVENTS], items[EVENTS];
static double times[EVENTS];
static size_t len;

static inline void put(size_t e, uint64_t unit, uint64_t item, double time) {
    units[e] = unit;
    items[e] = item;
    times[e] = time;
}

/* The newest of such events goes; whether there was one. */
static inline size_t forget(uint64_t unit, uint64_t item, double time) {
    size_t e = len;
    while (e > 0 && (units[e - 1] != unit || items[e - 1] != item || times[e - 1] != time)) e--;
    if (e == 0) return 0;
    for (len--; e <= len; e++) put(e - 1, units[e], items[e], times[e]);
    return 1;
}

/* All before a time go, of one unit or of all (UINT64_MAX); how many. */
static inline size_t forget_before(double before, uint64_t unit) {
    size_t was = len;
    len = 0;
    for (size_t e = 0; e < was; e++) {
        put(len, units[e], items[e], times[e]);
        len += times[e] >= before || (unit != UINT64_MAX && units[e] != unit);
    }
    return was - len;
}

#endif
