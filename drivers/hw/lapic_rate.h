/* The rate of the LAPICs' timers. */
#pragma once

#include "core/lib/types.h"

/*
 * Measures it against the TSC on the calling core and settles it (lapic_timer_set_rate), unless CAP_TSC_DEADLINE makes that
 * unnecessary. Once, on one core.
 */
void lapic_rate_measure(uint64_t tsc_hz);
