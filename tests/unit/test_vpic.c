#include "drivers/virt/vpic.h"

#include "tests/unit/device.h"

static struct vpic pic;
static struct wire intr;

static uint8_t in(uint16_t port)
{
    if (port >= 0x4d0)
        return (uint8_t)bench_read(vpic_elcr_ports, &pic, port & 1, 1);
    return (uint8_t)bench_read(port < 0xa0 ? vpic_master_ports : vpic_slave_ports, &pic, port & 1, 1);
}

static void out(uint16_t port, uint8_t value)
{
    if (port >= 0x4d0)
        bench_write(vpic_elcr_ports, &pic, port & 1, 1, value);
    else
        bench_write(port < 0xa0 ? vpic_master_ports : vpic_slave_ports, &pic, port & 1, 1, value);
}

/* As Linux' init_8259A does it, with everything unmasked. */
static void program(uint8_t icw4)
{
    out(0x20, 0x11);
    out(0x21, 0x30);
    out(0x21, 0x04);
    out(0x21, icw4);
    out(0xa0, 0x11);
    out(0xa1, 0x38);
    out(0xa1, 0x02);
    out(0xa1, icw4);
}

static int start(void **state)
{
    struct irq_pin pin = wire_pin(&intr);

    (void)state;
    bench_start(0);
    vpic_init(&pic, &pin);
    program(1);
    return 0;
}

static void pulse(uint32_t line)
{
    vpic_set_line(&pic, line, true);
    vpic_set_line(&pic, line, false);
}

static void take(int vector)
{
    assert_int_equal(vpic_peek(&pic), vector);
    assert_int_equal(vpic_peek(&pic), vector);
    vpic_accept(&pic, vector);
}

static void test_before_init(void **state)
{
    struct irq_pin pin = wire_pin(&intr);

    (void)state;
    vpic_init(&pic, &pin);
    for (uint32_t line = 0; line < 16; line++)
        vpic_set_line(&pic, line, true);
    assert_int_equal(vpic_peek(&pic), -1);
    assert_int_equal(in(0x21), 0xff);
    out(0x21, 0xfb);
    assert_int_equal(in(0x21), 0xfb); /* Linux' probe */
}

static void test_edge(void **state)
{
    (void)state;
    vpic_set_line(&pic, 4, true);
    assert_true(intr.level && vpic_asserted(&pic));
    take(0x34);
    assert_false(intr.level);
    out(0x20, 0x20);
    assert_false(intr.level); /* still high, but no new edge */
    vpic_set_line(&pic, 4, false);
    vpic_set_line(&pic, 4, true);
    take(0x34);
    out(0x20, 0x64);
    /* A short pulse is kept. */
    pulse(0);
    take(0x30);
}

static void test_level(void **state)
{
    (void)state;
    out(0x4d0, 0xff);
    out(0x4d1, 0xff);
    assert_int_equal(in(0x4d0), 0xf8);
    assert_int_equal(in(0x4d1), 0xde);
    vpic_set_line(&pic, 9, true);
    take(0x39);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    take(0x39); /* as long as it is high */
    vpic_set_line(&pic, 9, false);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    assert_int_equal(vpic_peek(&pic), -1);
}

static void test_priorities(void **state)
{
    (void)state;
    pulse(5);
    take(0x35);
    pulse(6);
    assert_false(intr.level);
    pulse(1);
    take(0x31);
    out(0x20, 0x20); /* ends 1, the higher one */
    out(0x20, 0x0b);
    assert_int_equal(in(0x20), 0x20);
    out(0x20, 0x0a);
    assert_int_equal(in(0x20), 0x40);
    out(0x20, 0x20);
    take(0x36);
}

static void test_cascade(void **state)
{
    (void)state;
    pulse(12);
    out(0x20, 0x0a);
    assert_int_equal(in(0x20), 0x04);
    take(0x3c);
    out(0x20, 0x0b);
    assert_int_equal(in(0x20), 0x04);
    /* A higher one of the slave has to wait for the master, unless specially nested. */
    pulse(8);
    assert_false(intr.level);
    out(0xa0, 0x20);
    out(0x20, 0x62);
    take(0x38);
}

static void test_special_nesting(void **state)
{
    (void)state;
    program(0x11);
    pulse(12);
    take(0x3c);
    pulse(8);
    take(0x38);
    pulse(13);
    assert_false(intr.level);
}

static void test_auto_eoi_and_rotation(void **state)
{
    (void)state;
    program(3);
    pulse(3);
    take(0x33);
    pulse(3);
    take(0x33);
    out(0x20, 0x80); /* rotate */
    pulse(3);
    take(0x33); /* 3 is the lowest now */
    pulse(3);
    pulse(4);
    take(0x34);
    take(0x33);
}

static void test_set_priority(void **state)
{
    (void)state;
    out(0x20, 0xc4); /* 4 is the lowest, 5 the highest */
    pulse(0);
    pulse(5);
    pulse(4);
    take(0x35);
    out(0x20, 0xa0); /* end it, and make it the lowest */
    take(0x30);
    out(0x20, 0xe0); /* the same for 0 */
    take(0x34);
    out(0x20, 0x20);
    assert_int_equal(vpic_peek(&pic), -1);
}

static void test_special_mask(void **state)
{
    (void)state;
    pulse(1);
    take(0x31);
    pulse(6);
    assert_false(intr.level);
    out(0x20, 0x68);
    out(0x21, 0x02);
    take(0x36);
    out(0x20, 0x20); /* not the masked one */
    out(0x20, 0x0b);
    assert_int_equal(in(0x20), 0x02);
    out(0x20, 0x48);
}

static void test_poll(void **state)
{
    (void)state;
    out(0x20, 0x0c);
    assert_int_equal(in(0x20), 0);
    pulse(7);
    out(0x20, 0x0c);
    assert_int_equal(in(0x20), 0x87);
    assert_false(intr.level);
    assert_int_equal(in(0x20), 0); /* IRR again */
}

static void test_mask(void **state)
{
    (void)state;
    out(0x21, 0x10);
    pulse(4);
    assert_false(intr.level);
    out(0x21, 0);
    assert_true(intr.level);
    out(0x21, 0x10);
    assert_false(intr.level);
}

/* A request that goes after it was seen: 7 is a default interrupt and leaves no trace. */
static void test_default_interrupt(void **state)
{
    (void)state;
    out(0x4d0, 0x80);
    vpic_set_line(&pic, 7, true);
    assert_int_equal(vpic_peek(&pic), 0x37);
    vpic_set_line(&pic, 7, false);
    vpic_accept(&pic, 0x37);
    out(0x20, 0x0b);
    assert_int_equal(in(0x20), 0);
    out(0x4d1, 0x80);
    vpic_set_line(&pic, 15, true);
    assert_int_equal(vpic_peek(&pic), 0x3f);
    vpic_set_line(&pic, 15, false);
    vpic_accept(&pic, 0x3f);
    assert_int_equal(in(0x20), 0x04); /* the master was asked */
    out(0xa0, 0x0b);
    assert_int_equal(in(0xa0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_before_init, start),
        cmocka_unit_test_setup(test_edge, start),
        cmocka_unit_test_setup(test_level, start),
        cmocka_unit_test_setup(test_priorities, start),
        cmocka_unit_test_setup(test_cascade, start),
        cmocka_unit_test_setup(test_special_nesting, start),
        cmocka_unit_test_setup(test_auto_eoi_and_rotation, start),
        cmocka_unit_test_setup(test_set_priority, start),
        cmocka_unit_test_setup(test_special_mask, start),
        cmocka_unit_test_setup(test_poll, start),
        cmocka_unit_test_setup(test_mask, start),
        cmocka_unit_test_setup(test_default_interrupt, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
