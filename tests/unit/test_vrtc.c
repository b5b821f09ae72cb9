#include "drivers/virt/vrtc.h"

#include "core/lib/calendar.h"
#include "tests/unit/device.h"

#define BASE 1789654321ull /* 2026-09-17 14:12:01 UTC */

static struct vrtc rtc;
static struct wire irq8;

static uint8_t in(uint8_t index)
{
    bench_write(vrtc_ports, &rtc, 0, 1, index);
    return (uint8_t)bench_read(vrtc_ports, &rtc, 1, 1);
}

static void out(uint8_t index, uint8_t value)
{
    bench_write(vrtc_ports, &rtc, 0, 1, index);
    bench_write(vrtc_ports, &rtc, 1, 1, value);
}

static int start(void **state)
{
    struct irq_pin pin = wire_pin(&irq8);

    (void)state;
    bench_start(0);
    vrtc_init(&rtc, &pin, &bench_timers, BASE);
    return 0;
}

static void expect_time(uint32_t hour, uint32_t minute, uint32_t second)
{
    assert_int_equal(in(4), hour);
    assert_int_equal(in(2), minute);
    assert_int_equal(in(0), second);
}

static void test_calendar(void **state)
{
    static const struct {
        uint64_t unix_time;
        struct calendar date;
    } known[] = {
        {0, {1970, 1, 1, 0, 0, 0, 5}},
        {951782400, {2000, 2, 29, 0, 0, 0, 3}},
        {951868799, {2000, 2, 29, 23, 59, 59, 3}},
        {4107542400, {2100, 3, 1, 0, 0, 0, 2}},
        {BASE, {2026, 9, 17, 14, 12, 1, 5}},
        {253402300799, {9999, 12, 31, 23, 59, 59, 6}},
    };
    struct calendar date;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        calendar_from_seconds(&date, known[i].unix_time + CALENDAR_EPOCH);
        assert_memory_equal(&date, &known[i].date, sizeof(date));
        assert_true(calendar_seconds(&date) == known[i].unix_time + CALENDAR_EPOCH);
    }
    /* Every day of 10,000 years, forth and back, each one after the day before. */
    for (uint64_t day = 0; day < 3652425; day++) {
        struct calendar next;

        calendar_from_seconds(&next, day * 86400);
        assert_true(calendar_seconds(&next) == day * 86400);
        if (day) {
            bool same_month = next.month == date.month && next.day == date.day + 1;
            bool new_month = next.month == date.month % 12 + 1 && next.day == 1 && date.day >= 28;

            assert_true(same_month || new_month);
            assert_true(next.weekday == date.weekday % 7 + 1);
        }
        date = next;
    }
}

static void test_reads_the_time(void **state)
{
    (void)state;
    expect_time(0x14, 0x12, 0x01);
    assert_int_equal(in(6), 5);
    assert_int_equal(in(7), 0x17);
    assert_int_equal(in(8), 0x09);
    assert_int_equal(in(9), 0x26);
    assert_int_equal(in(0x32), 0x20);
    bench_wait(59 * NS_PER_SEC - 1);
    expect_time(0x14, 0x12, 0x59);
    bench_wait(1);
    expect_time(0x14, 0x13, 0x00);
    assert_int_equal(in(0x0d), 0x80);
    assert_int_equal(in(0x0b), 0x02);
    out(0x0b, 0x06);
    expect_time(14, 13, 0);
    out(0x0b, 0x00);
    assert_int_equal(in(4), 0x82);
    out(0x0b, 0x04);
    assert_int_equal(in(4), 0x82);
    bench_wait(10 * 3600 * NS_PER_SEC);
    assert_int_equal(in(4), 12); /* midnight */
    bench_wait(12 * 3600 * NS_PER_SEC);
    assert_int_equal(in(4), 0x8c);
    assert_int_equal(bench_access(vrtc_ports, &rtc, false, 0, 1, &(uint64_t){0}), BUS_UNCLAIMED);
}

static void test_update_in_progress(void **state)
{
    (void)state;
    bench_wait(NS_PER_SEC - 250 * US);
    assert_int_equal(in(0x0a), 0x26);
    bench_wait(10 * US);
    assert_int_equal(in(0x0a), 0xa6);
    assert_int_equal(in(0), 0x01);
    bench_wait(240 * US);
    assert_int_equal(in(0x0a), 0x26);
    assert_int_equal(in(0), 0x02);
    out(0x0b, 0x82);
    bench_wait(NS_PER_SEC - 100 * US);
    assert_int_equal(in(0x0a), 0x26); /* not while the time stands */
}

/* As Linux' mc146818_set_time: SET, divider reset, the new time, and half a second to the first tick. */
static void test_linux_sets_the_clock(void **state)
{
    (void)state;
    bench_wait(123456789);
    out(0x0b, 0x82);
    out(0x0a, 0x76);
    out(9, 0x31);
    out(8, 0x12);
    out(7, 0x31);
    out(4, 0x23);
    out(2, 0x59);
    out(0, 0x59);
    out(0x32, 0x20);
    bench_wait(5 * NS_PER_SEC);
    assert_int_equal(in(0), 0x59);
    out(0x0b, 0x02);
    assert_int_equal(in(0), 0x59);
    out(0x0a, 0x26);
    bench_wait(500 * MS - 1);
    expect_time(0x23, 0x59, 0x59);
    bench_wait(1);
    expect_time(0, 0, 0);
    assert_int_equal(in(9), 0x32);
    assert_int_equal(in(8), 1);
    assert_int_equal(in(7), 1);
}

static void test_set_keeps_the_fraction(void **state)
{
    (void)state;
    bench_wait(300 * MS);
    out(0x0b, 0x82);
    bench_wait(10 * NS_PER_SEC + 200 * MS);
    assert_int_equal(in(0), 0x01);
    out(0, 0x30);
    out(6, 0x07); /* the chip believes any day of the week */
    out(0x0b, 0x02);
    bench_wait(500 * MS - 1);
    assert_int_equal(in(0), 0x30);
    bench_wait(1);
    assert_int_equal(in(0), 0x31);
    assert_int_equal(in(6), 7);
    bench_wait(86400 * NS_PER_SEC);
    assert_int_equal(in(6), 1);
    /* Written while it runs. */
    out(2, 0x45);
    assert_int_equal(in(2), 0x45);
    assert_int_equal(in(0), 0x31);
}

static void test_periodic(void **state)
{
    (void)state;
    assert_true(timer_queue_next(&bench_timers) == TIMER_NEVER);
    out(0x0b, 0x42);
    assert_int_equal(in(0x0c), 0);
    for (int i = 1; i <= 1024; i++) {
        bench_wait(NS_PER_SEC * 32 * i / 32768 + 1 - bench_now);
        assert_true(irq8.level);
        assert_int_equal(in(0x0c) & 0xc0, 0xc0);
        assert_false(irq8.level);
    }
    /* Not read: one interrupt, and then silence. */
    irq8.rises = 0;
    bench_wait(10 * NS_PER_SEC);
    assert_int_equal(irq8.rises, 1);
    assert_true(timer_queue_next(&bench_timers) == TIMER_NEVER);
    in(0x0c);
    out(0x0a, 0x20);
    assert_true(timer_queue_next(&bench_timers) == TIMER_NEVER);
    out(0x0a, 0x2f);
    irq8.rises = 0;
    bench_wait(500 * MS);
    assert_int_equal(irq8.rises, 1);
    out(0x0b, 0x02);
    assert_false(irq8.level);
}

static void test_update_ended(void **state)
{
    (void)state;
    bench_wait(200 * MS);
    out(0x0b, 0x12);
    bench_wait(800 * MS - 1);
    assert_false(irq8.level);
    bench_wait(1);
    assert_true(irq8.level);
    /* The periodic flag is set too, though nobody asked for it. */
    assert_int_equal(in(0x0c), 0xd0);
    assert_false(irq8.level);
    out(0x0b, 0x92);
    assert_int_equal(in(0x0b), 0x82); /* SET takes UIE back */
    assert_true(timer_queue_next(&bench_timers) == TIMER_NEVER);
}

static void test_alarm(void **state)
{
    (void)state;
    out(5, 0x13);
    out(3, 0x00);
    out(1, 0x30);
    out(0x0b, 0x22);
    bench_wait(NS_PER_SEC);
    assert_false(irq8.level);
    bench_wait((24 * 3600 - 72 * 60 + 29) * NS_PER_SEC - 1 - NS_PER_SEC);
    assert_int_equal(irq8.rises, 0);
    bench_wait(1);
    assert_int_equal(irq8.rises, 1);
    assert_int_equal(in(0x0c) & 0xa0, 0xa0);
    expect_time(0x13, 0x00, 0x30);
    /* Every minute. */
    out(5, 0xff);
    out(3, 0xc0);
    irq8.rises = 0;
    for (int i = 0; i < 600; i++) {
        bench_wait(NS_PER_SEC);
        in(0x0c);
    }
    assert_int_equal(irq8.rises, 10);
    /* Never. */
    out(1, 0x61);
    assert_true(timer_queue_next(&bench_timers) == TIMER_NEVER);
    /* 12-hour: 1 PM. */
    out(0x0b, 0x20);
    out(5, 0x81);
    out(3, 0x30);
    out(1, 0x00);
    bench_wait(86400 * NS_PER_SEC);
    assert_int_equal(in(0x0c) & 0x20, 0x20);
}

static void test_flags_without_interrupts(void **state)
{
    (void)state;
    out(5, 0xff);
    out(3, 0xff);
    out(1, 0xff);
    bench_wait(2 * NS_PER_SEC);
    assert_int_equal(in(0x0c), 0x70);
    assert_int_equal(in(0x0c), 0);
    assert_int_equal(irq8.rises, 0);
    vrtc_reset(&rtc);
    assert_int_equal(in(0), 0x03);
}

static void test_cmos(void **state)
{
    (void)state;
    vrtc_set_memory(&rtc, 512 * MiB, 3 * GiB);
    assert_int_equal(in(0x15) | in(0x16) << 8, 640);
    assert_int_equal(in(0x17) | in(0x18) << 8, 0xffff);
    assert_int_equal(in(0x34) | in(0x35) << 8, 496 * 16);
    assert_int_equal(in(0x5b) | in(0x5c) << 8 | in(0x5d) << 16, 3 * 16384);
    vrtc_set_memory(&rtc, 8 * MiB, 0);
    assert_int_equal(in(0x30) | in(0x31) << 8, 7168);
    assert_int_equal(in(0x34) | in(0x35) << 8, 0);
    out(0x8f, 0x5a); /* bit 7 is the NMI's */
    assert_int_equal(in(0x0f), 0x5a);
    out(0x7f, 1);
    assert_int_equal(in(0x7f), 1);
    out(0x0d, 0);
    assert_int_equal(in(0x0d), 0x80);
    vrtc_set_ram(&rtc, 0x0b, 0xff);
    assert_int_equal(in(0x0b), 0x02);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_calendar, start),
        cmocka_unit_test_setup(test_reads_the_time, start),
        cmocka_unit_test_setup(test_update_in_progress, start),
        cmocka_unit_test_setup(test_linux_sets_the_clock, start),
        cmocka_unit_test_setup(test_set_keeps_the_fraction, start),
        cmocka_unit_test_setup(test_periodic, start),
        cmocka_unit_test_setup(test_update_ended, start),
        cmocka_unit_test_setup(test_alarm, start),
        cmocka_unit_test_setup(test_flags_without_interrupts, start),
        cmocka_unit_test_setup(test_cmos, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
