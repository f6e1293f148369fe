/* What the fuzz targets share: an input read as a sequence of choices, and allocations that fail where it says so. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../c/check.h"
#include "sg_simd.h"
#include "sg_status.h"

static const uint8_t *input, *input_end;
static int armed;

static inline void begin(const uint8_t *data, size_t size) {
    input = data;
    input_end = data + size;
    armed = 0;
    fail_after = -1;
    srand(1);
}

static inline int more(void) { return input < input_end; }

/* One of 0..n-1, n at most 256: the input's next byte; 0 once it has ended. */
static inline unsigned pick(unsigned n) { return more() ? *input++ % n : 0; }

static inline unsigned pick_wide(unsigned n) {
    unsigned high = pick(256);
    return (high << 8 | pick(256)) % n;
}

/* From here on below() draws the numbers of a seed: for steps of more events than an input has bytes. */
static inline void seed(void) { srand(pick(256)); }

static inline sg_level pick_level(void) {
    sg_level level = (sg_level)pick(3);
    return sg_simd_has(level) ? level : SG_SCALAR;
}

/* Maybe an allocation of the calls until disarm() fails. */
static inline void arm(void) {
    unsigned choice = pick(256);
    armed = choice >= 160;
    fail_after = armed ? (long)choice - 160 : -1;
}

/* rc of a call that may have met one. */
static inline int disarm(int rc) {
    int failed = armed && fail_after < 0;
    armed = 0;
    fail_after = -1;
    CHECK(rc == SG_OK || (rc == SG_ERR_NOMEM && failed));
    return rc;
}

#endif
