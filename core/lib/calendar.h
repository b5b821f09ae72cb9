/* The Gregorian calendar, both ways, for years 0 to 9999. */
#pragma once

#include "core/lib/types.h"

#define CALENDAR_EPOCH (719528ull * 86400) /* 1970-01-01 in seconds since 0000-01-01 */

struct calendar {
    uint32_t year, month, day; /* month and day from 1 */
    uint32_t hour, minute, second;
    uint32_t weekday; /* 1 = Sunday; ignored by calendar_seconds */
};

/* Seconds since 0000-01-01 00:00:00. Fields that are too large count on; a month is cut to 1-12. */
uint64_t calendar_seconds(const struct calendar *date);
void calendar_from_seconds(struct calendar *date, uint64_t seconds);
