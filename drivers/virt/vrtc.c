#include "drivers/virt/vrtc.h"

#include "core/lib/string.h"
#include "core/lib/calendar.h"
#include "drivers/virt/isa.h"
#include "drivers/virt/ticks.h"

#define RTC_SECOND       0x00
#define RTC_SECOND_ALARM 0x01
#define RTC_MINUTE       0x02
#define RTC_MINUTE_ALARM 0x03
#define RTC_HOUR         0x04
#define RTC_HOUR_ALARM   0x05
#define RTC_WEEKDAY      0x06
#define RTC_DAY          0x07
#define RTC_MONTH        0x08
#define RTC_YEAR         0x09
#define RTC_A            0x0a
#define RTC_B            0x0b
#define RTC_C            0x0c
#define RTC_D            0x0d
#define RTC_CENTURY      0x32

#define A_UIP      BIT(7)
#define A_DIVIDER  0x70
#define A_RUNNING  0x20 /* the divider for a 32768 Hz crystal */
#define A_RESET    0x60 /* and 0x70: the divider chain is held in reset */
#define A_RATE     0x0f
#define B_SET      BIT(7) /* the time stands, to be set */
#define B_UIE      BIT(4)
#define B_BINARY   BIT(2)
#define B_24H      BIT(1)
#define C_IRQ      BIT(7)
#define C_PERIODIC BIT(6) /* the flags in C and their enables in B are the same bits */
#define C_ALARM    BIT(5)
#define C_UPDATE   BIT(4)
#define C_FLAGS    (C_PERIODIC | C_ALARM | C_UPDATE)
#define D_VALID    BIT(7)

#define HOUR_PM    0x80
#define ALARM_ANY  0xc0 /* an alarm byte with both bits set matches everything */
#define CRYSTAL_HZ 32768
#define UIP_NS     244141 /* 8 periods of the crystal */
#define DAY        86400u
#define NO_ALARM   UINT64_MAX
#define NOT_SHOWN  BIT(63) /* a second that is never the present one */

static bool divider_held(const struct vrtc *r)
{
    return (r->ram[RTC_A] & A_RESET) == A_RESET;
}

static bool clock_runs(const struct vrtc *r)
{
    return (r->ram[RTC_A] & A_DIVIDER) == A_RUNNING && !(r->ram[RTC_B] & B_SET);
}

/* The clock's second at a VM time that isn't before origin. */
static uint64_t clock_second(const struct vrtc *r, uint64_t now)
{
    return r->seconds + (now - r->origin) / NS_PER_SEC;
}

static uint8_t to_format(const struct vrtc *r, uint32_t value)
{
    return (uint8_t)(r->ram[RTC_B] & B_BINARY ? value : value / 10 << 4 | value % 10);
}

static uint32_t from_format(const struct vrtc *r, uint8_t value)
{
    return r->ram[RTC_B] & B_BINARY ? value : (value >> 4) * 10u + (value & 15u);
}

static uint8_t hour_to_format(const struct vrtc *r, uint32_t hour)
{
    if (r->ram[RTC_B] & B_24H)
        return to_format(r, hour);
    return to_format(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static uint32_t hour_from_format(const struct vrtc *r, uint8_t value)
{
    if (r->ram[RTC_B] & B_24H)
        return from_format(r, value);
    return from_format(r, value & ~HOUR_PM) % 12 + (value & HOUR_PM ? 12 : 0);
}

/* Writes the time bytes as the clock shows them at `now`. */
static void time_show(struct vrtc *r, uint64_t now)
{
    struct calendar date;

    if (now - r->shown < NS_PER_SEC)
        return;
    r->shown = now - (now - r->origin) % NS_PER_SEC;
    calendar_from_seconds(&date, clock_second(r, now));
    r->ram[RTC_SECOND] = to_format(r, date.second);
    r->ram[RTC_MINUTE] = to_format(r, date.minute);
    r->ram[RTC_HOUR] = hour_to_format(r, date.hour);
    r->ram[RTC_WEEKDAY] = to_format(r, (date.weekday - 1 + r->weekday_shift) % 7 + 1);
    r->ram[RTC_DAY] = to_format(r, date.day);
    r->ram[RTC_MONTH] = to_format(r, date.month);
    r->ram[RTC_YEAR] = to_format(r, date.year % 100);
    r->ram[RTC_CENTURY] = to_format(r, date.year / 100);
}

/* Makes the clock go on from what the time bytes say; its place within the second stays. */
static void time_set(struct vrtc *r, uint64_t now)
{
    struct calendar real,
        date = {
            .year = from_format(r, r->ram[RTC_CENTURY]) * 100 + from_format(r, r->ram[RTC_YEAR]),
            .month = from_format(r, r->ram[RTC_MONTH]),
            .day = from_format(r, r->ram[RTC_DAY]),
            .hour = hour_from_format(r, r->ram[RTC_HOUR]),
            .minute = from_format(r, r->ram[RTC_MINUTE]),
            .second = from_format(r, r->ram[RTC_SECOND]),
        };

    r->seconds = calendar_seconds(&date);
    r->origin = now - (now - r->origin) % NS_PER_SEC;
    calendar_from_seconds(&real, r->seconds);
    r->weekday_shift = (uint8_t)((from_format(r, r->ram[RTC_WEEKDAY]) + 7 - real.weekday) % 7);
}

static bool alarm_wild(uint8_t value)
{
    return (value & ALARM_ANY) == ALARM_ANY;
}

/* The first second at or after `from` at which the alarm goes off. */
static uint64_t alarm_next(const struct vrtc *r, uint64_t from)
{
    bool any_hour = alarm_wild(r->ram[RTC_HOUR_ALARM]), any_minute = alarm_wild(r->ram[RTC_MINUTE_ALARM]);
    bool any_second = alarm_wild(r->ram[RTC_SECOND_ALARM]);
    uint32_t hour = hour_from_format(r, r->ram[RTC_HOUR_ALARM]);
    uint32_t minute = from_format(r, r->ram[RTC_MINUTE_ALARM]);
    uint32_t second = from_format(r, r->ram[RTC_SECOND_ALARM]);

    if ((!any_hour && hour > 23) || (!any_minute && minute > 59) || (!any_second && second > 59))
        return NO_ALARM;
    /* On to the next hour, minute or second until all three match: some hundred steps at most. */
    for (;;) {
        uint32_t time = (uint32_t)(from % DAY);

        if (!any_hour && time / 3600 != hour)
            from += 3600 - time % 3600;
        else if (!any_minute && time / 60 % 60 != minute)
            from += 60 - time % 60;
        else if (!any_second && time % 60 != second)
            from += 1;
        else
            return from;
    }
}

/* The period of the periodic interrupt in ticks of the crystal, 0 for none; rates 1 and 2 are those of 8 and 9. */
static uint32_t periodic_ticks(const struct vrtc *r)
{
    uint32_t rate = r->ram[RTC_A] & A_RATE;

    if (rate == 0 || divider_held(r))
        return 0;
    return 1u << (rate < 3 ? rate + 6 : rate - 1);
}

/* How many periods of the periodic interrupt have passed since origin. */
static uint64_t periods_at(const struct vrtc *r, uint64_t now)
{
    return ticks_at(now - r->origin, CRYSTAL_HZ) / periodic_ticks(r);
}

/* Finds what has happened since the last time; to be called before anything that the flags depend on changes. */
static void flags_update(struct vrtc *r, uint64_t now)
{
    uint8_t flags = 0;

    if (clock_runs(r)) {
        uint64_t before = clock_second(r, r->seen), second = clock_second(r, now);

        if (second != before)
            flags |= C_UPDATE;
        if (second != before && alarm_next(r, before + 1) <= second)
            flags |= C_ALARM;
    }
    if (periodic_ticks(r) && periods_at(r, now) != periods_at(r, r->seen))
        flags |= C_PERIODIC;
    r->ram[RTC_C] |= flags;
    r->seen = now;
}

static uint64_t next_second_ns(const struct vrtc *r, uint64_t second)
{
    return r->origin + (second - r->seconds) * NS_PER_SEC;
}

/* When the first of the enabled interrupts will come whose flag isn't set yet. */
static uint64_t next_event(const struct vrtc *r, uint64_t now)
{
    uint8_t wanted = r->ram[RTC_B] & ~r->ram[RTC_C];
    uint64_t second = clock_second(r, now) + 1, next = TIMER_NEVER;

    if ((wanted & C_UPDATE) && clock_runs(r))
        next = next_second_ns(r, second);
    if ((wanted & C_ALARM) && clock_runs(r)) {
        uint64_t alarm = alarm_next(r, second);

        if (alarm != NO_ALARM)
            next = MIN(next, next_second_ns(r, alarm));
    }
    if ((wanted & C_PERIODIC) && periodic_ticks(r)) {
        uint64_t tick = (periods_at(r, now) + 1) * periodic_ticks(r);

        next = MIN(next, r->origin + ticks_ns(tick, CRYSTAL_HZ));
    }
    return next;
}

static bool irq_wanted(const struct vrtc *r)
{
    return r->ram[RTC_B] & r->ram[RTC_C] & C_FLAGS;
}

/* The pin stays high until C is read. */
static void irq_update(struct vrtc *r, uint64_t now)
{
    irq_pin_set(&r->pin, irq_wanted(r));
    timer_arm(&r->timer, next_event(r, now));
}

static void timer_fire(struct timer *timer, uint64_t now)
{
    struct vrtc *r = CONTAINER_OF(timer, struct vrtc, timer);

    flags_update(r, now);
    irq_update(r, now);
}

/* A and B decide whether the clock runs, and in which format: the time bytes are made, or taken, at the right side. */
static void control_write(struct vrtc *r, uint8_t index, uint8_t value, uint64_t now)
{
    bool ran = clock_runs(r), held = divider_held(r);

    if (index == RTC_B && (value & B_SET))
        value &= ~B_UIE;
    if (ran)
        time_show(r, now);
    r->ram[index] = value;
    if (held && !divider_held(r))
        r->origin = now - NS_PER_SEC / 2;
    if (clock_runs(r) && !ran)
        time_set(r, now);
}

static bool is_time(uint8_t index)
{
    return index == RTC_CENTURY || (index <= RTC_YEAR && index != RTC_SECOND_ALARM &&
                                    index != RTC_MINUTE_ALARM && index != RTC_HOUR_ALARM);
}

static void time_write(struct vrtc *r, uint8_t index, uint8_t value, uint64_t now)
{
    bool runs = clock_runs(r);

    if (runs)
        time_show(r, now);
    r->ram[index] = value;
    if (runs)
        time_set(r, now);
}

static void rtc_write(struct vrtc *r, uint8_t value, uint64_t now)
{
    uint8_t index = r->index;

    if (index > RTC_D && index != RTC_CENTURY) {
        r->ram[index] = value;
        return;
    }
    flags_update(r, now);
    if (index == RTC_A)
        control_write(r, index, value & ~A_UIP, now);
    else if (index == RTC_B)
        control_write(r, index, value, now);
    else if (is_time(index))
        time_write(r, index, value, now);
    else if (index < RTC_C)
        r->ram[index] = value; /* an alarm byte */
    r->shown = NOT_SHOWN;
    irq_update(r, now);
}

static bool update_in_progress(const struct vrtc *r, uint64_t now)
{
    return clock_runs(r) && (now - r->origin) % NS_PER_SEC >= NS_PER_SEC - UIP_NS;
}

static uint8_t flags_read(struct vrtc *r, uint64_t now)
{
    uint8_t value;

    flags_update(r, now);
    value = r->ram[RTC_C] | (irq_wanted(r) ? C_IRQ : 0);
    r->ram[RTC_C] = 0;
    irq_update(r, now);
    return value;
}

static uint8_t rtc_read(struct vrtc *r, uint64_t now)
{
    if (r->index == RTC_A)
        return r->ram[RTC_A] | (update_in_progress(r, now) ? A_UIP : 0);
    if (r->index == RTC_C)
        return flags_read(r, now);
    if (is_time(r->index) && clock_runs(r))
        time_show(r, now);
    return r->ram[r->index];
}

static NOINLINE enum bus_result ports_other(struct vrtc *r, struct bus_access *access)
{
    if (access->size != 1)
        return isa_split(vrtc_ports, r, access);
    if (access->addr == 0) {
        if (!access->write)
            return BUS_UNCLAIMED;
        r->index = access->value & (VRTC_RAM - 1); /* bit 7 masks NMI, of which there is none */
    } else if (access->write) {
        rtc_write(r, (uint8_t)access->value, access->now);
    } else {
        access->value = rtc_read(r, access->now);
    }
    return BUS_OK;
}

enum bus_result vrtc_ports(void *dev, struct bus_access *access)
{
    struct vrtc *r = dev;

    /* While the time bytes are current, all but these two are just read. */
    if (access->size != 1 || access->write || access->addr == 0 || r->index == RTC_A || r->index == RTC_C ||
        access->now - r->shown >= NS_PER_SEC)
        return ports_other(r, access);
    access->value = r->ram[r->index];
    return BUS_OK;
}

void vrtc_set_ram(struct vrtc *r, uint32_t index, uint8_t value)
{
    if (index > RTC_D && index < VRTC_RAM && index != RTC_CENTURY)
        r->ram[index] = value;
}

static void set_ram16(struct vrtc *r, uint32_t index, uint64_t value)
{
    vrtc_set_ram(r, index, (uint8_t)value);
    vrtc_set_ram(r, index + 1, (uint8_t)(value >> 8));
}

void vrtc_set_memory(struct vrtc *r, uint64_t below_4g, uint64_t above_4g)
{
    uint64_t extended = below_4g > MiB ? MIN((below_4g - MiB) / KiB, 0xffff) : 0;
    uint64_t above_16m = below_4g > 16 * MiB ? MIN((below_4g - 16 * MiB) / (64 * KiB), 0xffff) : 0;

    vrtc_set_ram(r, 0x14, 0x06); /* FPU, pointing device port, no floppies */
    set_ram16(r, 0x15, 640);
    set_ram16(r, 0x17, extended);
    set_ram16(r, 0x30, extended);
    set_ram16(r, 0x34, above_16m);
    set_ram16(r, 0x5b, above_4g / (64 * KiB));
    vrtc_set_ram(r, 0x5d, (uint8_t)(above_4g / (64 * KiB) >> 16));
}

void vrtc_reset(struct vrtc *r)
{
    r->ram[RTC_B] &= ~C_FLAGS;
    r->ram[RTC_C] = 0;
    r->index = 0;
    timer_disarm(&r->timer);
    irq_pin_set(&r->pin, false);
}

void vrtc_init(struct vrtc *r, const struct irq_pin *pin, struct timer_queue *timers, uint64_t unix_time)
{
    memset(r, 0, sizeof(*r));
    r->pin = *pin;
    r->seconds = CALENDAR_EPOCH + unix_time;
    r->ram[RTC_A] = A_RUNNING | 6; /* 1024 Hz, should anyone enable it */
    r->ram[RTC_B] = B_24H;
    r->ram[RTC_D] = D_VALID;
    r->shown = NOT_SHOWN;
    timer_init(&r->timer, timers, timer_fire);
    vrtc_reset(r);
}
