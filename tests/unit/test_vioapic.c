#include "drivers/virt/vioapic.h"

#include "tests/unit/device.h"

static struct vioapic ioapic;
static struct apic_message message;
static uint32_t messages;

static void note_send(void *ctx, const struct apic_message *m)
{
    assert_ptr_equal(ctx, &ioapic);
    message = *m;
    messages++;
}

static int start(void **state)
{
    (void)state;
    vioapic_init(&ioapic, &(struct vioapic_config){.send = note_send, .ctx = &ioapic});
    messages = 0;
    return 0;
}

static uint32_t in(uint8_t reg)
{
    bench_write(vioapic_mmio, &ioapic, 0, 4, reg);
    return (uint32_t)bench_read(vioapic_mmio, &ioapic, 0x10, 4);
}

static void out(uint8_t reg, uint32_t value)
{
    bench_write(vioapic_mmio, &ioapic, 0, 4, reg);
    bench_write(vioapic_mmio, &ioapic, 0x10, 4, value);
}

static void route(uint32_t pin, uint32_t low, uint8_t dest)
{
    out((uint8_t)(0x11 + 2 * pin), (uint32_t)dest << 24);
    out((uint8_t)(0x10 + 2 * pin), low);
}

static void pulse(uint32_t pin)
{
    vioapic_set_pin(&ioapic, pin, true);
    vioapic_set_pin(&ioapic, pin, false);
}

static void test_registers(void **state)
{
    (void)state;
    assert_int_equal(in(1), 0x170020);
    out(1, 0);
    assert_int_equal(in(1), 0x170020);
    out(0, 0xffffffff);
    assert_int_equal(in(0), 0x0f000000);
    assert_int_equal(in(2), 0x0f000000);
    for (uint8_t pin = 0; pin < 24; pin++)
        assert_int_equal(in((uint8_t)(0x10 + 2 * pin)), 0x10000);
    out(0x10, 0xffffffff);
    assert_int_equal(in(0x10), 0x1afff); /* delivery status and remote IRR are read-only */
    out(0x11, 0xffffffff);
    assert_int_equal(in(0x11), 0xff000000);
    assert_int_equal(in(0x40), 0);
    out(0xff, 1);
    assert_int_equal(bench_read(vioapic_mmio, &ioapic, 0, 4), 0xff);
    assert_int_equal(bench_read(vioapic_mmio, &ioapic, 0xffc, 4), 0);
    bench_write(vioapic_mmio, &ioapic, 0, 1, 1);
    assert_int_equal(bench_read(vioapic_mmio, &ioapic, 0x10, 4), 0x170020);
}

static void test_edge(void **state)
{
    (void)state;
    pulse(2); /* masked: forgotten */
    route(2, 0x30, 1);
    assert_int_equal(messages, 0);
    vioapic_set_pin(&ioapic, 2, true);
    assert_int_equal(messages, 1);
    assert_int_equal(message.vector, 0x30);
    assert_int_equal(message.dest, 1);
    assert_int_equal(message.dest_mode, APIC_PHYSICAL);
    assert_int_equal(message.trigger, APIC_EDGE);
    vioapic_set_pin(&ioapic, 2, true);
    assert_int_equal(messages, 1);
    vioapic_set_pin(&ioapic, 2, false);
    vioapic_set_pin(&ioapic, 2, true);
    assert_int_equal(messages, 2);
    vioapic_eoi(&ioapic, 0x30);
    assert_int_equal(messages, 2);
}

static void test_level(void **state)
{
    (void)state;
    route(9, 0x8839, 0xff);
    vioapic_set_pin(&ioapic, 9, true);
    assert_int_equal(messages, 1);
    assert_int_equal(message.trigger, APIC_LEVEL);
    assert_int_equal(message.dest_mode, APIC_LOGICAL);
    assert_true(message.dest == APIC_BROADCAST);
    assert_int_equal(in(0x22), 0xc839);
    pulse(9); /* remote IRR holds it */
    assert_int_equal(messages, 1);
    vioapic_eoi(&ioapic, 0x38);
    assert_int_equal(in(0x22), 0xc839);
    vioapic_set_pin(&ioapic, 9, true);
    vioapic_eoi(&ioapic, 0x39);
    assert_int_equal(messages, 2); /* still high */
    vioapic_set_pin(&ioapic, 9, false);
    vioapic_eoi(&ioapic, 0x39);
    assert_int_equal(messages, 2);
    assert_int_equal(in(0x22), 0x8839);
    /* The EOI register does the same. */
    vioapic_set_pin(&ioapic, 9, true);
    bench_write(vioapic_mmio, &ioapic, 0x40, 4, 0x39);
    assert_int_equal(messages, 4);
}

static void test_level_masked(void **state)
{
    (void)state;
    route(9, 0x18039, 0);
    vioapic_set_pin(&ioapic, 9, true);
    assert_int_equal(messages, 0);
    out(0x22, 0x8039);
    assert_int_equal(messages, 1);
    out(0x22, 0x18039); /* masked while waiting: the EOI doesn't deliver, unmasking does */
    vioapic_eoi(&ioapic, 0x39);
    assert_int_equal(messages, 1);
    out(0x22, 0x8039);
    assert_int_equal(messages, 2);
    /* Linux' other way to an EOI: edge and back. */
    out(0x22, 0x10039);
    assert_int_equal(in(0x22), 0x10039);
    out(0x22, 0x8039);
    assert_int_equal(messages, 3);
}

static void test_other_deliveries(void **state)
{
    (void)state;
    route(0, 0x8400, 2); /* an NMI, level-triggered: nobody would end it */
    vioapic_set_pin(&ioapic, 0, true);
    assert_int_equal(message.delivery, APIC_NMI);
    assert_int_equal(in(0x10), 0x8400);
    route(1, 0x100 | 0x41, 3);
    pulse(1);
    assert_int_equal(message.delivery, APIC_LOWEST);
    vioapic_set_pin(&ioapic, 24, true);
    vioapic_set_pin(&ioapic, UINT32_MAX, true);
    assert_int_equal(messages, 2);
}

/* Two pins, one vector: an EOI ends both. */
static void test_shared_vector(void **state)
{
    (void)state;
    route(10, 0x8050, 0);
    route(11, 0x8050, 0);
    vioapic_set_pin(&ioapic, 10, true);
    vioapic_set_pin(&ioapic, 11, true);
    vioapic_set_pin(&ioapic, 11, false);
    assert_int_equal(messages, 2);
    vioapic_eoi(&ioapic, 0x50);
    assert_int_equal(messages, 3);
    vioapic_reset(&ioapic);
    assert_int_equal(in(0x24), 0x10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_registers, start),
        cmocka_unit_test_setup(test_edge, start),
        cmocka_unit_test_setup(test_level, start),
        cmocka_unit_test_setup(test_level_masked, start),
        cmocka_unit_test_setup(test_other_deliveries, start),
        cmocka_unit_test_setup(test_shared_vector, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
