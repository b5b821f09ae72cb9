/*
 * How much a device may do in a second: so many operations, so many bytes. A token bucket for each that holds a tenth of a
 * second's worth, kept as the time at which it will have been filled again (ITU-T I.371's virtual scheduling). What is begun
 * is finished, and paid for afterwards: what comes next waits for that. Pure; times are the VM's, which begins anew at its reset.
 */
#pragma once

#include "core/lib/types.h"

#define VLIMIT_RATE_MAX 1000000000000ull

struct vlimit_rates {
    uint64_t ops, bytes; /* a second, at most VLIMIT_RATE_MAX; 0: no limit */
};

/* All zero to begin with. */
struct vlimit {
    struct vlimit_rates rates;
    uint64_t ops_full, bytes_full; /* when the buckets will be full */
    uint64_t last;                 /* when it was last asked */
    uint64_t held;                 /* counter: how often something had to wait */
};

void vlimit_set(struct vlimit *limit, const struct vlimit_rates *rates);
/* From when on the next operation may be begun: 0, or a time that is to come. */
uint64_t vlimit_wait(struct vlimit *limit, uint64_t now);
void vlimit_pay(struct vlimit *limit, uint64_t now, uint32_t ops, uint64_t bytes);
