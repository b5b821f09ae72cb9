/* The host's battery-backed clock (MC146818 at ports 0x70 and 0x71). */
#pragma once

#include "core/lib/types.h"

/* Seconds since 1970 by the clock, taken as UTC; `century` is the index of the century byte (FADT), 0 if there is none. */
uint64_t rtc_read(uint8_t century);
