/* Measures the TSC's rate against a timer of known rate. Pure: both are read through pointers. */
#pragma once

#include "core/lib/types.h"

#define CALIBRATE_HZ_MAX (BIT(30) - 1)

struct calibrate_timer {
    uint64_t hz;   /* up to CALIBRATE_HZ_MAX */
    uint64_t mask; /* of the counter's bits; it counts upwards */
    uint64_t (*read)(void *ctx);
    uint64_t (*tsc)(void *ctx);
    void *ctx;
};

/*
 * Returns the rate in Hz as two runs agree on it, within 0.05 %, or 0 if the timer stands still or no two
 * runs agree. Each run goes on until the error is below 200 parts per million, 7 ms at most.
 */
uint64_t calibrate(const struct calibrate_timer *timer);
/* True if two rates are the same within so many parts per million. */
bool calibrate_agree(uint64_t a, uint64_t b, uint64_t ppm);
