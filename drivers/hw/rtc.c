#include "drivers/hw/rtc.h"

#include "core/lib/calendar.h"
#include "core/lib/string.h"
#include "core/x86/asm.h"
#include "core/x86/io.h"

#define PORT_INDEX 0x70
#define PORT_DATA  0x71

#define REG_SECONDS 0x00
#define REG_MINUTES 0x02
#define REG_HOURS   0x04
#define REG_DAY     0x07
#define REG_MONTH   0x08
#define REG_YEAR    0x09
#define REG_A       0x0a
#define REG_A_UIP   BIT(7)
#define REG_B       0x0b
#define REG_B_24H   BIT(1)
#define REG_B_BIN   BIT(2)
#define HOUR_PM     0x80

#define TRIES 100000 /* of waiting for an update to end: it takes 2 ms at most */

struct rtc_time {
    uint8_t second, minute, hour, day, month, year, century;
};

static uint8_t rtc_reg(uint8_t reg)
{
    outb(PORT_INDEX, reg);
    return inb(PORT_DATA);
}

static struct rtc_time rtc_raw(uint8_t century)
{
    for (uint32_t i = 0; i < TRIES && (rtc_reg(REG_A) & REG_A_UIP); i++)
        cpu_pause();
    return (struct rtc_time){
        .second = rtc_reg(REG_SECONDS),
        .minute = rtc_reg(REG_MINUTES),
        .hour = rtc_reg(REG_HOURS),
        .day = rtc_reg(REG_DAY),
        .month = rtc_reg(REG_MONTH),
        .year = rtc_reg(REG_YEAR),
        .century = century ? rtc_reg(century) : 0,
    };
}

static uint8_t rtc_number(uint8_t value, bool binary)
{
    return binary ? value : (uint8_t)((value >> 4) * 10 + (value & 0xf));
}

static uint32_t rtc_hour(uint8_t hour, uint8_t mode)
{
    bool pm = hour & HOUR_PM;
    uint32_t h = rtc_number(hour & (uint8_t)~HOUR_PM, mode & REG_B_BIN);

    if (mode & REG_B_24H)
        return h;
    return h % 12 + (pm ? 12 : 0);
}

/* Without a sound century byte, years from 70 on are those of the last century. */
static uint32_t rtc_year(const struct rtc_time *t, bool binary)
{
    uint32_t year = rtc_number(t->year, binary), century = rtc_number(t->century, binary);

    if (century >= 19 && century < 30)
        return century * 100 + year;
    return year + (year < 70 ? 2000 : 1900);
}

static uint64_t rtc_seconds(const struct rtc_time *t, uint8_t mode)
{
    bool binary = mode & REG_B_BIN;
    struct calendar date = {
        .year = rtc_year(t, binary),
        .month = rtc_number(t->month, binary),
        .day = rtc_number(t->day, binary),
        .hour = rtc_hour(t->hour, mode),
        .minute = rtc_number(t->minute, binary),
        .second = rtc_number(t->second, binary),
    };

    return calendar_seconds(&date) - CALENDAR_EPOCH;
}

/* Two readings that agree: an update between the registers of one can't go unseen. */
uint64_t rtc_read(uint8_t century)
{
    struct rtc_time a, b = rtc_raw(century);

    for (uint32_t i = 0; i < 10; i++) {
        a = b;
        b = rtc_raw(century);
        if (memcmp(&a, &b, sizeof a) == 0)
            break;
    }
    return rtc_seconds(&b, rtc_reg(REG_B));
}
