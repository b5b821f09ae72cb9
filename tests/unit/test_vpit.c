#include "drivers/virt/vpit.h"

#include "drivers/virt/ticks.h"
#include "tests/unit/device.h"

static struct vpit pit;
static struct wire irq0;

static uint8_t in(uint32_t port)
{
    return (uint8_t)bench_read(vpit_ports, &pit, port, 1);
}

static void out(uint32_t port, uint8_t value)
{
    bench_write(vpit_ports, &pit, port, 1, value);
}

static uint8_t in61(void)
{
    return (uint8_t)bench_read(vpit_port61, &pit, 0, 1);
}

static void out61(uint8_t value)
{
    bench_write(vpit_port61, &pit, 0, 1, value);
}

static void load(uint32_t channel, uint8_t control, uint16_t count)
{
    out(3, (uint8_t)(channel << 6 | 0x30 | control));
    out(channel, (uint8_t)count);
    out(channel, (uint8_t)(count >> 8));
}

static uint16_t latched(uint32_t channel)
{
    uint16_t low;

    out(3, (uint8_t)(channel << 6));
    low = in(channel);
    return (uint16_t)(low | in(channel) << 8);
}

static uint8_t status(uint32_t channel)
{
    out(3, (uint8_t)(0xe0 | 2u << channel));
    return in(channel);
}

/* To the start of the n-th tick from now on. */
static void ticks(uint64_t n)
{
    uint64_t tick = ticks_at(bench_now, VPIT_HZ) + n;

    bench_wait(ticks_ns(tick, VPIT_HZ) - bench_now);
}

static int start(void **state)
{
    struct irq_pin pin = wire_pin(&irq0);

    (void)state;
    bench_start(ticks_ns(1000, VPIT_HZ));
    vpit_init(&pit, &pin, &bench_timers);
    return 0;
}

static void test_tick_conversion(void **state)
{
    uint64_t random = 99;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        uint64_t n = support_random(&random) >> (14 + support_random(&random) % 40);

        assert_true(ticks_at(ticks_ns(n, VPIT_HZ), VPIT_HZ) == n);
        assert_true(n == 0 || ticks_at(ticks_ns(n, VPIT_HZ) - 1, VPIT_HZ) == n - 1);
    }
    assert_int_equal(ticks_at(3600 * NS_PER_SEC, VPIT_HZ), 3600 * VPIT_HZ);
}

static uint64_t exactly(uint64_t ns, uint64_t hz)
{
    return (uint64_t)((unsigned __int128)ns * hz / NS_PER_SEC);
}

/* At any time of 64 bits, and for all the crystals that there are. */
static void test_tick_conversion_is_exact(void **state)
{
    uint64_t random = 7;

    (void)state;
    for (int i = 0; i < 300000; i++) {
        uint64_t ns = support_random(&random) >> support_random(&random) % 64;

        assert_true(ticks_at(ns, VPIT_HZ) == exactly(ns, VPIT_HZ));
        assert_true(ticks_at(ns, 32768) == exactly(ns, 32768));
        assert_true(ticks_at(ns, 3579545) == exactly(ns, 3579545));
        assert_true(ticks_at(ns, 14318180) == exactly(ns, 14318180));
        assert_true(ticks_at(ns, NS_PER_SEC - 1) == exactly(ns, NS_PER_SEC - 1));
    }
    assert_true(ticks_at(UINT64_MAX, VPIT_HZ) == exactly(UINT64_MAX, VPIT_HZ));
}

static void test_periodic_rate(void **state)
{
    (void)state;
    load(0, 4, 1193); /* 1000.15 Hz */
    irq0.rises = 0;
    bench_wait(1000 * NS_PER_SEC);
    assert_int_equal(irq0.rises, (1000 * VPIT_HZ - 1) / 1193);
    load(0, 6, 0); /* mode 3, 18.2 Hz */
    irq0.rises = 0;
    bench_wait(3600 * NS_PER_SEC);
    assert_int_equal(irq0.rises, 3600 * VPIT_HZ / 65536);
}

static void test_one_shots(void **state)
{
    (void)state;
    load(0, 0, 1000);
    assert_false(irq0.level);
    ticks(1000);
    assert_false(irq0.level);
    assert_int_equal(status(0) & 0xc0, 0);
    ticks(1);
    assert_true(irq0.level);
    assert_int_equal(status(0), 0xb0);
    bench_wait(NS_PER_SEC);
    assert_int_equal(irq0.rises, 1);
    assert_true(timer_queue_next(&bench_timers) == TIMER_NEVER);
    /* Mode 4, which Linux uses for its one-shot clock event. */
    load(0, 8, 500);
    irq0.rises = 0;
    ticks(501);
    assert_int_equal(irq0.rises, 0);
    ticks(1);
    assert_int_equal(irq0.rises, 1);
    bench_wait(NS_PER_SEC);
    assert_int_equal(irq0.rises, 1);
}

/* Linux' pit_shutdown: a mode-0 control word without a count never fires. */
static void test_shutdown(void **state)
{
    (void)state;
    load(0, 4, 1000);
    out(3, 0x30);
    irq0.rises = 0;
    bench_wait(10 * NS_PER_SEC);
    assert_int_equal(irq0.rises, 0);
    assert_true(timer_queue_next(&bench_timers) == TIMER_NEVER);
}

static void test_backlog(void **state)
{
    (void)state;
    load(0, 4, 11932); /* 10 ms */
    irq0.rises = 0;
    bench_wait(11 * MS);
    assert_int_equal(irq0.rises, 1);
    bench_stall(50 * MS); /* at 20, 30, 40, 50, 60 ms */
    assert_int_equal(irq0.rises, 2);
    bench_wait(8 * MS);
    assert_int_equal(irq0.rises, 5);
    bench_wait(3 * MS);
    assert_int_equal(irq0.rises, 6); /* caught up, at 72 ms */
    bench_stall(NS_PER_SEC);
    irq0.rises = 0;
    bench_wait(100 * MS);
    assert_int_equal(irq0.rises, VPIT_BACKLOG + 10);
}

static void test_new_count_waits_for_period(void **state)
{
    (void)state;
    load(0, 4, 1000);
    irq0.rises = 0;
    ticks(500);
    out(0, 2000 & 0xff);
    out(0, 2000 >> 8);
    assert_int_equal(status(0) & 0x40, 0x40);
    ticks(501);
    assert_int_equal(irq0.rises, 1);
    assert_int_equal(status(0) & 0x40, 0);
    ticks(1999);
    assert_int_equal(irq0.rises, 1);
    ticks(1);
    assert_int_equal(irq0.rises, 2);
}

static void test_counting(void **state)
{
    (void)state;
    load(0, 4, 1000);
    ticks(1);
    assert_int_equal(latched(0), 1000);
    ticks(1);
    assert_int_equal(latched(0), 999);
    ticks(998);
    assert_int_equal(latched(0), 1);
    assert_int_equal(status(0) & 0x80, 0);
    ticks(1);
    assert_int_equal(latched(0), 1000);
    assert_int_equal(status(0) & 0x80, 0x80);
    /* Mode 3 counts by two. */
    load(0, 6, 5);
    ticks(1);
    for (int i = 0; i < 3; i++) {
        static const uint16_t values[] = {4, 2, 0, 4, 2};

        for (int j = 0; j < 5; j++) {
            assert_int_equal(latched(0), values[j]);
            assert_int_equal(status(0) >> 7, j < 3);
            ticks(1);
        }
    }
    /* Mode 0 goes on below 0. */
    load(0, 0, 2);
    ticks(4);
    assert_int_equal(latched(0), 0xffff);
}

static void test_bcd(void **state)
{
    (void)state;
    load(0, 5, 0x1000);
    ticks(2);
    assert_int_equal(latched(0), 0x0999);
    load(0, 5, 0);
    ticks(1);
    assert_int_equal(latched(0), 0);
    ticks(1);
    assert_int_equal(latched(0), 0x9999);
    load(0, 1, 1);
    ticks(3);
    assert_int_equal(latched(0), 0x9999);
}

static void test_latches(void **state)
{
    (void)state;
    load(0, 4, 0x1234);
    ticks(1);
    out(3, 0x00);
    ticks(100);
    out(3, 0x00); /* ignored: one is latched already */
    out(3, 0xc2); /* read-back of both: adds the status */
    assert_int_equal(in(0), 0xb4);
    assert_int_equal(in(0), 0x34);
    assert_int_equal(in(0), 0x12);
    /* Live, low then high. */
    assert_int_equal(in(0), (uint8_t)(0x1234 - 100));
    assert_int_equal(in(0), (0x1234 - 100) >> 8);
    /* Only one byte. */
    out(3, 0x14);
    out(0, 50);
    ticks(1);
    assert_int_equal(in(0), 50);
    assert_int_equal(in(0), 50);
    out(3, 0x24);
    out(0, 2);
    ticks(2);
    assert_int_equal(in(0), 1);
    /* The control port can't be read. */
    assert_int_equal(bench_access(vpit_ports, &pit, false, 3, 1, &(uint64_t){0}), BUS_UNCLAIMED);
}

/* Linux' pit_calibrate_tsc: channel 2, mode 0, gated by port 0x61. */
static void test_calibration(void **state)
{
    (void)state;
    out61((in61() & ~2) | 1);
    load(2, 0, 11932);
    ticks(11932);
    assert_int_equal(in61() & 0x20, 0);
    ticks(1);
    assert_int_equal(in61() & 0x20, 0x20);
    /* quick_pit_calibrate reads low and high alternately, and watches the high byte. */
    load(2, 0, 0xffff);
    ticks(1 + 0x180);
    in(2);
    assert_int_equal(in(2), 0xfe);
}

static void test_gate(void **state)
{
    (void)state;
    load(2, 0, 100); /* gate low: doesn't count */
    ticks(1000);
    assert_int_equal(latched(2), 100);
    out61(1);
    ticks(60);
    out61(0);
    ticks(1000);
    assert_int_equal(in61() & 0x20, 0);
    out61(1);
    ticks(40);
    assert_int_equal(in61() & 0x20, 0x20);
    /* Mode 1 starts at the edge and can be started again. */
    out61(0);
    load(2, 2, 10);
    ticks(100);
    assert_int_equal(in61() & 0x20, 0x20);
    out61(1);
    ticks(8);
    assert_int_equal(in61() & 0x20, 0);
    out61(0);
    out61(1);
    ticks(10);
    assert_int_equal(in61() & 0x20, 0);
    ticks(1);
    assert_int_equal(in61() & 0x20, 0x20);
    /* Mode 3 is high while it is gated off. */
    load(2, 6, 10);
    ticks(8);
    assert_int_equal(in61() & 0x20, 0);
    out61(0);
    assert_int_equal(in61() & 0x20, 0x20);
}

static void test_refresh_toggles(void **state)
{
    int toggles = 0;
    uint8_t before = in61();

    (void)state;
    for (int i = 0; i < 1000; i++) {
        bench_wait(1 * US);
        toggles += (in61() ^ before) >> 4 & 1;
        before = in61();
    }
    assert_in_range(toggles, 65, 67);
}

/* However short the period, interrupts keep a distance. */
static void test_flood(void **state)
{
    (void)state;
    load(0, 4, 2);
    irq0.rises = 0;
    bench_wait(10 * MS);
    assert_in_range(irq0.rises, 90, 101);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_tick_conversion, start),
        cmocka_unit_test_setup(test_tick_conversion_is_exact, start),
        cmocka_unit_test_setup(test_periodic_rate, start),
        cmocka_unit_test_setup(test_one_shots, start),
        cmocka_unit_test_setup(test_shutdown, start),
        cmocka_unit_test_setup(test_backlog, start),
        cmocka_unit_test_setup(test_new_count_waits_for_period, start),
        cmocka_unit_test_setup(test_counting, start),
        cmocka_unit_test_setup(test_bcd, start),
        cmocka_unit_test_setup(test_latches, start),
        cmocka_unit_test_setup(test_calibration, start),
        cmocka_unit_test_setup(test_gate, start),
        cmocka_unit_test_setup(test_refresh_toggles, start),
        cmocka_unit_test_setup(test_flood, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
