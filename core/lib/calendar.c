#include "core/lib/calendar.h"

#define DAY 86400u

/* Days from 0000-01-01 to the first of January; year 0 is a leap year. */
static uint32_t year_start(uint32_t year)
{
    return 365 * year + (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
}

/* Days from the first of January to the first of a month, 1 to 13. */
static uint32_t month_start(uint32_t year, uint32_t month)
{
    static const uint16_t starts[13] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    bool leap = year_start(year + 1) - year_start(year) == 366;

    return starts[month - 1] + (leap && month > 2);
}

uint64_t calendar_seconds(const struct calendar *date)
{
    uint32_t month = MIN(MAX(date->month, 1), 12);
    uint64_t days = year_start(date->year) + month_start(date->year, month) + MAX(date->day, 1) - 1;

    return days * DAY + date->hour * 3600ull + date->minute * 60ull + date->second;
}

void calendar_from_seconds(struct calendar *date, uint64_t seconds)
{
    uint32_t days = (uint32_t)(seconds / DAY), rest = (uint32_t)(seconds % DAY);
    uint32_t year = (uint32_t)(days * 400ull / 146097), month = 12; /* the mean year: at most one off */

    while (year_start(year) > days)
        year--;
    while (year_start(year + 1) <= days)
        year++;
    days -= year_start(year);
    while (month_start(year, month) > days)
        month--;
    *date = (struct calendar){
        .year = year,
        .month = month,
        .day = days - month_start(year, month) + 1,
        .hour = rest / 3600,
        .minute = rest / 60 % 60,
        .second = rest % 60,
        .weekday = (uint32_t)((seconds / DAY + 6) % 7 + 1), /* 0000-01-01 was a Saturday */
    };
}
