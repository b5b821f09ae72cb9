/*
 * Exact conversion between ns and the ticks of an old crystal, in 64 bits and for any time: tick n begins at
 * ticks_ns(n), and ticks_at(ticks_ns(n)) == n. Frequencies below 2^34 Hz.
 */
#pragma once

#include "core/lib/types.h"

/* The number of ticks that have passed at ns. */
static inline uint64_t ticks_at(uint64_t ns, uint64_t hz)
{
    return ns / NS_PER_SEC * hz + ns % NS_PER_SEC * hz / NS_PER_SEC;
}

/* The first ns at which `ticks` ticks have passed. */
static inline uint64_t ticks_ns(uint64_t ticks, uint64_t hz)
{
    return ticks / hz * NS_PER_SEC + (ticks % hz * NS_PER_SEC + hz - 1) / hz;
}
