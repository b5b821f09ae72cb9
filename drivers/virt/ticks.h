/*
 * Exact conversion between ns and the ticks of an old crystal, in 64 bits and for any time: tick n begins at
 * ticks_ns(n), and ticks_at(ticks_ns(n)) == n. Frequencies are constants below 1 GHz.
 */
#pragma once

#include "core/lib/types.h"

/* The ticks of a ns, times 2^64 and rounded down. */
#define TICKS_MULT(hz) ((uint64_t)(((unsigned __int128)(hz) << 64) / NS_PER_SEC))

/* The number of ticks that have passed at ns: a product that is at most 1 below it, as what is left of a second's ns then tells. */
static ALWAYS_INLINE uint64_t ticks_at(uint64_t ns, uint64_t hz)
{
    uint64_t ticks = (uint64_t)(((unsigned __int128)ns * TICKS_MULT(hz)) >> 64);

    return ticks + (ns * hz - ticks * NS_PER_SEC >= NS_PER_SEC);
}

/* The first ns at which `ticks` ticks have passed. */
static inline uint64_t ticks_ns(uint64_t ticks, uint64_t hz)
{
    return ticks / hz * NS_PER_SEC + (ticks % hz * NS_PER_SEC + hz - 1) / hz;
}
