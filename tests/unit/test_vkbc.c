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
    const struct vkbc_config config = {
        .pin = wire_pin(&irq1), .timers = &bench_timers, .reset = reset, .ctx = &kbc};

    bench_start(0);
    vkbc_init(&kbc, &config);
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

/* A byte that isn't for the controller goes to the keyboard, which answers; there is nothing at the other connector. */
static void test_keyboard_answers(void **state)
{
    (void)state;
    command(0x60);
    operand(0x05);
    operand(0xf2); /* GETID */
    assert_true(irq1.level);
    assert_int_equal(data(), 0xfa);
    assert_int_equal(data(), 0xab);
    expect(0x83);
    assert_false(irq1.level);
    assert_int_equal(irq1.rises, 3); /* an edge for each byte */
    command(0x60);
    operand(0x45); /* translated */
    operand(0xf2);
    assert_int_equal(data(), 0xfa);
    assert_int_equal(data(), 0xab);
    expect(0x41);
    command(0xd4);
    operand(0xff);
    assert_int_equal(status() & 0x41, 0x41);
    expect(0xfe);
    command(0xd2);
    operand(0x1e);
    expect(0x1e);
    command(0x60);
    operand(0x04);
    operand(0xee);
    assert_false(irq1.level);
    expect(0xee);
}

/* All that is typed, read as it comes. */
static void expect_typed(const char *text, const char *codes)
{
    size_t count = 0;

    for (; *text; text++)
        vkbc_type(&kbc, (uint8_t)*text, bench_now);
    for (uint32_t i = 0; i < 200; i++, bench_wait(MS))
        for (; status() & 1; count++) {
            assert_true(codes[count] != 0);
            assert_int_equal(data(), (uint8_t)codes[count]);
        }
    assert_int_equal(codes[count], 0);
}

static void test_typing(void **state)
{
    (void)state;
    expect_typed("aB\r", "\x1e\x9e\x2a\x30\xb0\xaa\x1c\x9c");
    expect_typed("\x03", "\x1d\x2e\xae\x9d");             /* Ctrl-C */
    expect_typed("\x1b[A", "\xe0\x48\xe0\xc8");           /* up */
    expect_typed("\x1b[3~x", "\xe0\x53\xe0\xd3\x2d\xad"); /* delete, x */
    expect_typed("\x1b", "\x01\x81");
    expect_typed("\x1bq", "\x01\x81\x10\x90");
    expect_typed("\x1b[", "\x01\x81\x1a\x9a");
    expect_typed("\xc3\xa4~", "\x2a\x29\xa9\xaa"); /* what is on no key is lost */
    command(0x60);
    operand(0x05); /* not translated */
    expect_typed("a", "\x1c\xf0\x1c");
    operand(0xf0);
    expect(0xfa);
    operand(0x01); /* by the keyboard itself */
    expect(0xfa);
    expect_typed("a", "\x1e\x9e");
}

/* A key that the guest doesn't read holds up the next, and comes after an answer that it asked for meanwhile. */
static void test_keys_wait(void **state)
{
    (void)state;
    vkbc_type(&kbc, 'a', bench_now);
    vkbc_type(&kbc, 'b', bench_now);
    bench_wait(100 * MS);
    assert_int_equal(irq1.rises, 1);
    command(0x20);
    expect_typed("", "\x65\x1e\x9e\x30\xb0");
    command(0xad); /* its clock is held */
    vkbc_type(&kbc, 'c', bench_now);
    bench_wait(100 * MS);
    assert_int_equal(status() & 1, 0);
    command(0xae);
    expect_typed("", "\x2e\xae");
    operand(0xf5);
    expect(0xfa);
    vkbc_type(&kbc, 'd', bench_now);
    bench_wait(100 * MS);
    assert_int_equal(status() & 1, 0);
    operand(0xf4);
    expect_typed("", "\xfa\x20\xa0");
    for (uint32_t i = 0; i < 1000; i++)
        vkbc_type(&kbc, 'e', bench_now);
    assert_int_equal(kbc.keyboard.typed_count, VKEYBOARD_TYPED);
    vkbc_reset(&kbc);
    expect_typed("", "");
}

/* No faster than a BIOS takes them: 16 keys have room with it. */
static void test_pace(void **state)
{
    uint32_t codes = 0;

    (void)state;
    for (uint32_t i = 0; i < 30; i++)
        vkbc_type(&kbc, 'a', bench_now);
    for (uint32_t i = 0; i < 50; i++, bench_wait(MS))
        for (; status() & 1; codes++)
            data();
    assert_in_range(codes, 18, 22);
}

static void test_keyboard_commands(void **state)
{
    (void)state;
    operand(0xff);
    assert_int_equal(data(), 0xfa);
    expect(0xaa);
    operand(0xed);
    expect(0xfa);
    operand(0x07);
    expect(0xfa);
    operand(0xf3);
    expect(0xfa);
    operand(0xee); /* no operand, but the next command */
    expect(0xee);
    operand(0xf0);
    expect(0xfa);
    operand(0x00);
    assert_int_equal(data(), 0xfa);
    expect(0x41); /* 2, translated */
    command(0x60);
    operand(0x05);
    operand(0xf0);
    expect(0xfa);
    operand(0x03); /* a set that isn't there */
    expect(0xfe);
    operand(0xfe);
    expect(0xfe);
    operand(0xe7);
    expect(0xfe);
    operand(0xf6);
    expect(0xfa);
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
        cmocka_unit_test_setup(test_ram, start),    cmocka_unit_test_setup(test_keyboard_answers, start),
        cmocka_unit_test_setup(test_typing, start), cmocka_unit_test_setup(test_keys_wait, start),
        cmocka_unit_test_setup(test_pace, start),   cmocka_unit_test_setup(test_keyboard_commands, start),
        cmocka_unit_test_setup(test_resets, start), cmocka_unit_test_setup(test_a20, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
