#include "drivers/virt/vkbc.h"

#include "tests/unit/device.h"

static struct vkbc kbc;
static struct wire irq1;
static int resets;

static void reset(void *ctx)
{
    assert_ptr_equal(ctx, &kbc);
    resets++;
}

static int start(void **state)
{
    (void)state;
    vkbc_init(&kbc, &(struct vkbc_config){.pin = wire_pin(&irq1), .reset = reset, .ctx = &kbc});
    resets = 0;
    return 0;
}

static uint8_t status(void)
{
    return (uint8_t)bench_read(vkbc_command_port, &kbc, 0, 1);
}

static uint8_t data(void)
{
    return (uint8_t)bench_read(vkbc_data_port, &kbc, 0, 1);
}

static void command(uint8_t value)
{
    bench_write(vkbc_command_port, &kbc, 0, 1, value);
}

static void operand(uint8_t value)
{
    bench_write(vkbc_data_port, &kbc, 0, 1, value);
}

/* Has an answer, and it is this one. */
static void expect(uint8_t value)
{
    assert_int_equal(status() & 3, 1);
    assert_int_equal(data(), value);
    assert_int_equal(status() & 3, 0);
}

static void test_tests(void **state)
{
    (void)state;
    assert_int_equal(status(), 0x14);
    command(0xaa);
    assert_int_equal(status() & 0x08, 0x08);
    expect(0x55);
    command(0xab);
    expect(0);
    command(0xe0);
    expect(0);
    command(0xa4);
    expect(0xf1);
    command(0xc0);
    expect(0x80);
}

/* As Linux' i8042_controller_init and i8042_check_aux go about it. */
static void test_linux_finds_no_aux(void **state)
{
    uint8_t mode;

    (void)state;
    command(0x20);
    mode = data();
    command(0x60);
    operand(mode | 0x10);
    command(0x20);
    expect(mode | 0x10);
    command(0xd3);
    operand(0x5a);
    assert_int_not_equal(data(), 0x5a);
    command(0xa9);
    expect(1);
    command(0xa8);
    command(0x20);
    assert_int_equal(data() & 0x20, 0);
    command(0xa7);
    command(0x20);
    assert_int_equal(data() & 0x20, 0x20);
}

static void test_keyboard_is_silent(void **state)
{
    (void)state;
    command(0x60);
    operand(0x05);
    operand(0xf2); /* GETID */
    assert_true(irq1.level);
    assert_int_equal(status() & 0x49, 0x41);
    expect(0xfe);
    assert_false(irq1.level);
    assert_int_equal(status() & 0x40, 0);
    command(0xd4);
    operand(0xff);
    expect(0xfe);
    command(0xd2);
    operand(0x1e);
    expect(0x1e);
    command(0x60);
    operand(0x04);
    operand(0xf2);
    assert_false(irq1.level);
}

static void test_ram(void **state)
{
    (void)state;
    command(0x7f);
    operand(0xa5);
    command(0x3f);
    expect(0xa5);
    command(0xad);
    command(0x20);
    assert_int_equal(data() & 0x10, 0x10);
    command(0xae);
    command(0x20);
    assert_int_equal(data() & 0x10, 0);
    command(0x60);
    operand(0);
    assert_int_equal(status() & 4, 0);
    /* A new command forgets the one that waits for a byte. */
    command(0x61);
    command(0xae);
    operand(0x77);
    command(0x21);
    data();
    assert_int_equal(kbc.ram[1], 0);
}

static void test_resets(void **state)
{
    (void)state;
    command(0xfe);
    assert_int_equal(resets, 1);
    command(0xff); /* pulses nothing */
    command(0xfd);
    assert_int_equal(resets, 1);
    command(0xf0);
    assert_int_equal(resets, 2);
    command(0xd1);
    operand(0xfe);
    assert_int_equal(resets, 3);
    command(0xd1);
    operand(0xdd);
    assert_int_equal(resets, 3);
}

static void test_a20(void **state)
{
    (void)state;
    command(0xd0);
    assert_int_equal(data() & 3, 3);
    command(0xdd);
    command(0xd0);
    assert_int_equal(data() & 3, 1);
    command(0xdf);
    command(0xd0);
    assert_int_equal(data() & 3, 3);
    command(0xd1);
    operand(0xdd);
    command(0xd0);
    assert_int_equal(data(), 0xdd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_tests, start),  cmocka_unit_test_setup(test_linux_finds_no_aux, start),
        cmocka_unit_test_setup(test_ram, start),    cmocka_unit_test_setup(test_keyboard_is_silent, start),
        cmocka_unit_test_setup(test_resets, start), cmocka_unit_test_setup(test_a20, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
