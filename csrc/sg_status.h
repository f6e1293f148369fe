/* sg_status -- what every fallible call of the core returns.
 *
 * SG_OK is 0; everything wrong is negative, so `if (rc < 0)` is the test. A call that fails leaves its structure as
 * it was unless its header says otherwise. Nothing in the core asserts on a caller's data, and nothing prints.
 */
#ifndef SG_STATUS_H
#define SG_STATUS_H

enum sg_status {
    SG_OK = 0,
    SG_ERR_NOMEM = -1, /* an allocation failed */
    SG_ERR_RANGE = -2, /* a count or an id would pass the width of its field */
    SG_ERR_VALUE = -3, /* an argument is outside what the header allows, a time is not finite */
};

static inline const char *sg_strerror(int rc) {
    switch (rc) {
    case SG_OK: return "fine";
    case SG_ERR_NOMEM: return "out of memory";
    case SG_ERR_RANGE: return "a count or an id does not fit its field";
    case SG_ERR_VALUE: return "an argument is out of range or not finite";
    default: return "unknown status";
    }
}

#endif
