#include "drivers/virt/vpm.h"

#include "drivers/virt/ticks.h"
#include "tests/unit/device.h"

#define TOP_BIT_NS ticks_ns(BIT(23), VPM_HZ)

static struct vpm pm;
static struct wire sci;
static int offs;

static void power_off(void *ctx)
{
    assert_ptr_equal(ctx, &pm);
    offs++;
}

static void make(uint8_t bits)
{
    struct vpm_config config = {
        .sci = wire_pin(&sci),
        .timers = &bench_timers,
        .timer_bits = bits,
        .s5_type = 5,
        .power_off = power_off,
        .ctx = &pm,
    };

    vpm_init(&pm, &config);
}

static int start(void **state)
{
    (void)state;
    bench_start(0);
    offs = 0;
    make(24);
    return 0;
}

static uint32_t in(uint32_t port, uint32_t size)
{
    return (uint32_t)bench_read(vpm_ports, &pm, port, size);
}

static void out(uint32_t port, uint32_t size, uint32_t value)
{
    bench_write(vpm_ports, &pm, port, size, value);
}

static void test_timer_counts(void **state)
{
    (void)state;
    assert_int_equal(in(8, 4), 0);
    bench_wait(NS_PER_SEC);
    assert_int_equal(in(8, 4), 3579545);
    assert_int_equal(in(8, 2), 3579545 & 0xffff);
    assert_int_equal(in(10, 2), 3579545 >> 16);
    assert_int_equal(in(9, 1), 3579545 >> 8 & 0xff);
    out(8, 4, 0);
    bench_wait(9 * NS_PER_SEC);
    assert_int_equal(in(8, 4), 35795450 & 0xffffff);
    make(32);
    assert_int_equal(in(8, 4), 35795450);
}

static void test_timer_status(void **state)
{
    (void)state;
    bench_wait(TOP_BIT_NS - 1);
    assert_int_equal(in(0, 2), 0);
    bench_wait(1);
    assert_int_equal(in(0, 2), 1);
    assert_int_equal(in(8, 4), 0x800000);
    assert_false(sci.level);
    assert_true(timer_queue_next(&bench_timers) == TIMER_NEVER);
    out(0, 2, 1);
    assert_int_equal(in(0, 2), 0);
    out(2, 2, 1);
    bench_wait(TOP_BIT_NS - 2);
    assert_false(sci.level);
    bench_wait(2);
    assert_true(sci.level);
    assert_true(timer_queue_next(&bench_timers) == TIMER_NEVER); /* until it is cleared */
    out(0, 1, 1);
    assert_false(sci.level);
    bench_wait(TOP_BIT_NS);
    assert_int_equal(sci.rises, 2);
}

static void test_power_button(void **state)
{
    (void)state;
    vpm_press_power(&pm);
    assert_false(sci.level);
    assert_int_equal(in(0, 4), 0x100);
    out(3, 1, 0x01);
    assert_true(sci.level);
    assert_int_equal(in(0, 4), 0x01000100);
    out(0, 1, 0xff); /* the other byte */
    assert_true(sci.level);
    out(1, 1, 0x01);
    assert_false(sci.level);
    /* Both registers at once, as a dword. */
    vpm_press_power(&pm);
    out(0, 4, 0x00000100);
    assert_int_equal(in(0, 4), 0);
}

static void test_sleep(void **state)
{
    (void)state;
    assert_int_equal(in(4, 2), 1);
    out(4, 2, 0);
    assert_int_equal(in(4, 2), 1); /* SCI_EN is fixed */
    out(4, 2, 5 << 10);
    assert_int_equal(offs, 0);
    out(4, 2, 1 << 13 | 1 << 10); /* not S5 */
    assert_int_equal(offs, 0);
    assert_int_equal(in(4, 2), 1 << 10 | 1);
    out(4, 2, 1 << 13 | 5 << 10);
    assert_int_equal(offs, 1);
    /* By bytes: the high one has it all. */
    out(5, 1, 0x34);
    assert_int_equal(offs, 2);
    assert_int_equal(in(5, 1), 0x14);
    assert_int_equal(in(6, 2), 0);
}

static void test_reset(void **state)
{
    (void)state;
    out(2, 2, 0xffff);
    assert_int_equal(in(2, 2), 0x0721);
    vpm_press_power(&pm);
    vpm_reset(&pm);
    assert_false(sci.level);
    assert_int_equal(in(0, 4), 0);
    assert_true(timer_queue_next(&bench_timers) == TIMER_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_timer_counts, start), cmocka_unit_test_setup(test_timer_status, start),
        cmocka_unit_test_setup(test_power_button, start), cmocka_unit_test_setup(test_sleep, start),
        cmocka_unit_test_setup(test_reset, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
