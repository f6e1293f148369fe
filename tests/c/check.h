/* What the C tests share: CHECK, SOUND, and allocations that fail on demand (failing.c). */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* A structure's own checker agrees: SOUND(sg_pool, pool). */
#define SOUND(type, ...)                                                                                               \
    do {                                                                                                               \
        const char *why_ = "";                                                                                         \
        if (type##_check(__VA_ARGS__, &why_) != 0) {                                                                   \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, why_);                                                  \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* After so many more allocations (malloc, calloc, realloc, mmap, sg_pool_take) one fails, once. Negative: none does. */
extern long fail_after;

static inline unsigned below(unsigned n) { return (unsigned)rand() % n; }

#endif
