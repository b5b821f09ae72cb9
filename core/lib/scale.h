/* Conversion between clock rates by one 64x64 -> 128 bit multiplication and a shift. */
#pragma once

#include "core/lib/types.h"

struct scale {
    uint64_t mult;
    uint32_t shift; /* < 64 */
};

/* Makes the scale that turns ticks of from_hz into ticks of to_hz, both > 0 and < 2^40, as exact as 64 bits allow. */
struct scale scale_make(uint64_t from_hz, uint64_t to_hz);

static inline uint64_t scale_apply(struct scale s, uint64_t ticks)
{
    return (uint64_t)(((unsigned __int128)ticks * s.mult) >> (s.shift & 63)); /* one instruction that way */
}
