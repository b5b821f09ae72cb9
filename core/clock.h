/*
 * Host time: nanoseconds since clock_init(), made from the TSC by one multiplication. The same on every core.
 */
#pragma once

#include "core/lib/scale.h"
#include "core/lib/types.h"

/* Starts the clock at 0; tsc_hz must be plausible (drivers/hw/tsc.h finds it). */
void clock_init(uint64_t tsc_hz);
uint64_t clock_tsc_hz(void);

/* Now; 0 before clock_init(), so that a log line may ask at any time. */
uint64_t clock_now(void);
/* TSC ticks to ns, for spans that are no longer than the machine runs. */
extern struct scale clock_ns_scale;
/* The length of a span in ticks; UINT64_MAX if that has no 64-bit result. */
uint64_t clock_tsc_from_ns(uint64_t ns);
/* The TSC's value at a point of time, for arming a timer; UINT64_MAX stays "never". */
uint64_t clock_tsc_at(uint64_t ns);

/* And back: the point of time at which the TSC has that value, rounded up; UINT64_MAX stays "never". */
uint64_t clock_ns_at(uint64_t tsc);
