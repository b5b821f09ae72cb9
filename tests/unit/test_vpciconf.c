/* PCI configuration with the host bridge, the reset register inside it, port 0x92, and the debug consoles. */
#include "drivers/virt/vpciconf.h"

#include <string.h>

#include "drivers/virt/vdebug.h"
#include "drivers/virt/vhostbridge.h"
#include "drivers/virt/vpiix.h"
#include "drivers/virt/vreset.h"
#include "tests/unit/device.h"

static struct vpciconf conf;
static struct vpcifixed bridge;
static struct vreset switches;
static int resets;

static void reset(void *ctx)
{
    assert_ptr_equal(ctx, &switches);
    resets++;
}

static int start(void **state)
{
    (void)state;
    resets = 0;
    vreset_init(&switches, reset, &switches);
    vpciconf_init(&conf, vreset_control_port, &switches);
    vhostbridge_init(&bridge, &conf);
    return 0;
}

static void address(uint32_t bus, uint32_t device, uint32_t function, uint32_t offset)
{
    bench_write(vpciconf_ports, &conf, 0, 4, BIT(31) | bus << 16 | device << 11 | function << 8 | offset);
}

static uint32_t in(uint32_t offset, uint32_t size)
{
    address(0, 0, 0, offset & ~3u);
    return (uint32_t)bench_read(vpciconf_ports, &conf, 4 + (offset & 3), size);
}

static void out(uint32_t offset, uint32_t size, uint32_t value)
{
    address(0, 0, 0, offset & ~3u);
    bench_write(vpciconf_ports, &conf, 4 + (offset & 3), size, value);
}

static uint32_t function_in(uint32_t function, uint32_t offset, uint32_t size)
{
    return vpciconf_read(&conf, 0, VPCI_DEVFN(1, function), offset, size);
}

static enum bus_result pm_ports(void *dev, struct bus_access *access)
{
    (void)dev;
    access->value = 0x4b + access->addr;
    return BUS_OK;
}

static uint64_t port_in(struct bus *bus, uint64_t port)
{
    struct bus_access access = {.addr = port, .size = 1};

    bus_dispatch(bus, &access);
    return access.value;
}

static void pm_out(uint32_t offset, uint32_t size, uint32_t value)
{
    vpciconf_write(&conf, 0, VPCI_DEVFN(1, 3), offset, size, value);
}

/* The PM ports are where firmware puts them (SeaBIOS at 0x600, OVMF at 0xb000), and where the ACPI tables say. */
static void test_pm_ports(void **state)
{
    static struct vpiix piix;
    static struct bus bus;
    const struct vpiix_ports ports = {&bus, pm_ports, &piix, 12, 0x600};

    (void)state;
    bus_init(&bus, "port");
    assert_int_equal(bus_claim(&bus, 0x600, 12, pm_ports, &piix, "pm"), 0);
    assert_int_equal(bus_claim(&bus, 0x708, 1, pm_ports, &piix, "other"), 0);
    vpiix_init(&piix, &conf, 1, &ports);
    assert_int_equal(function_in(3, 0x40, 4), 1);
    assert_int_equal(function_in(3, 0x80, 1), 0);
    pm_out(0x40, 4, 0xb001);
    assert_int_equal(port_in(&bus, 0xb008), 0xff); /* not decoded yet */
    pm_out(0x80, 1, 0xff);
    assert_int_equal(function_in(3, 0x80, 1), 1);
    assert_int_equal(port_in(&bus, 0xb008), 0x53);
    pm_out(0x40, 4, 0xffffa03e);
    assert_int_equal(function_in(3, 0x40, 4), 0xa001);
    assert_int_equal(port_in(&bus, 0xb008), 0xff);
    assert_int_equal(port_in(&bus, 0xa00b), 0x56);
    pm_out(0x40, 2, 0x700); /* where another device is */
    assert_int_equal(port_in(&bus, 0xa000), 0xff);
    assert_int_equal(port_in(&bus, 0x700), 0xff);
    assert_int_equal(port_in(&bus, 0x708), 0x4b);
    pm_out(0x40, 4, 0x601);
    assert_int_equal(port_in(&bus, 0x608), 0x53);
    pm_out(0x40, 1, 0xc0);
    assert_int_equal(port_in(&bus, 0x6c8), 0x53);
    vpiix_reset(&piix);
    assert_int_equal(function_in(3, 0x40, 4), 1);
    assert_int_equal(port_in(&bus, 0x6c8), 0xff);
    assert_int_equal(port_in(&bus, 0x608), 0x53);
}

/* What SeaBIOS and OVMF know the PIIX by. */
static void test_piix(void **state)
{
    static struct vpiix piix;
    static struct bus bus;

    (void)state;
    vpiix_init(&piix, &conf, 1, &(struct vpiix_ports){.bus = &bus});
    assert_int_equal(function_in(0, 0, 4), 0x70008086);
    assert_int_equal(function_in(0, 10, 2), 0x0601);
    assert_int_equal(function_in(0, 14, 1), 0x80); /* there is more than one function */
    assert_int_equal(function_in(0, 0x60, 4), 0x80808080);
    vpciconf_write(&conf, 0, VPCI_DEVFN(1, 0), 0x60, 4, 0x0a0a0b0b);
    assert_int_equal(function_in(0, 0x60, 4), 0x0a0a0b0b);
    assert_int_equal(function_in(1, 0, 4), UINT32_MAX);
    assert_int_equal(function_in(3, 0, 4), 0x71138086);
    assert_int_equal(function_in(3, 0x5b, 1), 0x02);
    vpiix_reset(&piix);
    assert_int_equal(function_in(0, 0x60, 4), 0x80808080);
}

static void test_host_bridge(void **state)
{
    (void)state;
    assert_int_equal(in(0, 4), 0x12378086);
    assert_int_equal(in(2, 2), 0x1237);
    assert_int_equal(in(1, 1), 0x80);
    assert_int_equal(in(10, 2), 0x0600);
    assert_int_equal(in(14, 1), 0);
    out(0, 4, 0);
    out(4, 2, 0);
    assert_int_equal(in(0, 4), 0x12378086);
    assert_int_equal(in(4, 2), 6);
    /* PAM0 to PAM6 as SeaBIOS opens them. */
    out(0x59, 1, 0x30);
    out(0x5a, 2, 0x3333);
    out(0x5c, 4, 0x33333333);
    assert_int_equal(in(0x58, 4), 0x33333000);
    assert_int_equal(in(0x5c, 4), 0x33333333);
    out(0x72, 1, 0x4a);
    assert_int_equal(in(0x70, 4), 0x4a0000);
}

/* Linux' pci_check_type1: a byte to 0xcfb doesn't change the address, a dword to 0xcf8 does. */
static void test_mechanism(void **state)
{
    uint64_t value = 1;

    (void)state;
    assert_int_equal(bench_access(vpciconf_ports, &conf, true, 3, 1, &value), BUS_UNCLAIMED);
    bench_write(vpciconf_ports, &conf, 0, 4, 0x80000000);
    assert_int_equal(bench_read(vpciconf_ports, &conf, 0, 4), 0x80000000);
    bench_write(vpciconf_ports, &conf, 0, 4, 0xffffffff);
    assert_int_equal(bench_read(vpciconf_ports, &conf, 0, 4), 0x80fffffc);
    assert_int_equal(bench_access(vpciconf_ports, &conf, false, 0, 2, &value), BUS_UNCLAIMED);
    /* Not enabled, not aligned. */
    bench_write(vpciconf_ports, &conf, 0, 4, 0);
    assert_int_equal(bench_access(vpciconf_ports, &conf, false, 4, 4, &value), BUS_UNCLAIMED);
    address(0, 0, 0, 0);
    assert_int_equal(bench_access(vpciconf_ports, &conf, false, 5, 2, &value), BUS_UNCLAIMED);
}

static void test_nobody_home(void **state)
{
    (void)state;
    for (uint32_t device = 1; device < 32; device++) {
        address(0, device, 0, 0);
        assert_int_equal(bench_read(vpciconf_ports, &conf, 4, 4), 0xffffffff);
        bench_write(vpciconf_ports, &conf, 4, 4, 0);
    }
    address(1, 0, 0, 0);
    assert_int_equal(bench_read(vpciconf_ports, &conf, 4, 4), 0xffffffff);
    address(0, 0, 1, 0);
    assert_int_equal(bench_read(vpciconf_ports, &conf, 4, 4), 0xffffffff);
    assert_true(vpciconf_read(&conf, 0, 8, 0, 4) == UINT32_MAX);
    EXPECT_PANIC(vpciconf_add(&conf, 0, &bridge.function));
}

static void test_reset_register(void **state)
{
    uint64_t value = 6;

    (void)state;
    bench_write(vpciconf_ports, &conf, 1, 1, 0x02);
    assert_int_equal(resets, 0);
    assert_int_equal(bench_read(vpciconf_ports, &conf, 1, 1), 0x02);
    bench_write(vpciconf_ports, &conf, 1, 1, 0x06);
    assert_int_equal(resets, 1);
    bench_write(vpciconf_ports, &conf, 1, 1, 0x0e); /* no rising edge */
    assert_int_equal(resets, 1);
    bench_write(vpciconf_ports, &conf, 1, 1, 0x00);
    assert_int_equal(bench_access(vpciconf_ports, &conf, true, 1, 2, &value), BUS_UNCLAIMED);
    address(0, 0, 0, 0x600); /* a dword isn't for it */
    assert_int_equal(resets, 1);
}

/* A system that was reset this way can be so again, by one write as the FADT says. */
static void test_reset_again(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= 3; i++) {
        bench_write(vpciconf_ports, &conf, 1, 1, 0x06);
        assert_int_equal(resets, 2 * i - 1);
        bench_write(vreset_port92, &switches, 0, 1, 0x01);
        assert_int_equal(resets, 2 * i);
        vreset_reset(&switches);
        assert_int_equal(bench_read(vpciconf_ports, &conf, 1, 1), 0);
        assert_int_equal(bench_read(vreset_port92, &switches, 0, 1), 2);
    }
}

static void test_reset_forgets(void **state)
{
    (void)state;
    address(0, 0, 0, 0x58);
    bench_write(vpciconf_ports, &conf, 5, 1, 0x33);
    assert_int_equal(bench_read(vpciconf_ports, &conf, 5, 1), 0x33);
    vpciconf_reset(&conf);
    vpcifixed_reset(&bridge);
    assert_int_equal(bench_read(vpciconf_ports, &conf, 0, 4), 0);
    address(0, 0, 0, 0x58);
    assert_int_equal(bench_read(vpciconf_ports, &conf, 5, 1), 0);
    address(0, 0, 0, 0);
    assert_int_equal(bench_read(vpciconf_ports, &conf, 4, 4), 0x12378086);
}

static void test_port92(void **state)
{
    (void)state;
    assert_int_equal(bench_read(vreset_port92, &switches, 0, 1), 2);
    bench_write(vreset_port92, &switches, 0, 1, 0x00);
    assert_int_equal(bench_read(vreset_port92, &switches, 0, 1), 0);
    bench_write(vreset_port92, &switches, 0, 1, 0x03);
    assert_int_equal(resets, 1);
}

static void note_byte(void *ctx, uint8_t byte)
{
    char *text = ctx;
    size_t len = strlen(text);

    text[len] = (char)byte;
}

static void test_debug_console(void **state)
{
    struct vdebug debug;
    char text[8] = "";

    (void)state;
    vdebug_init(&debug, note_byte, text);
    bench_write(vdebug_port, &debug, 0, 1, 'h');
    bench_write(vdebug_port, &debug, 0, 1, 'i');
    bench_write(vdebug_port, &debug, 0, 2, 'j' | 'k' << 8);
    assert_string_equal(text, "hijk");
    assert_int_equal(bench_read(vdebug_port, &debug, 0, 1), 0xe9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_host_bridge, start),    cmocka_unit_test_setup(test_pm_ports, start),
        cmocka_unit_test_setup(test_piix, start),           cmocka_unit_test_setup(test_mechanism, start),
        cmocka_unit_test_setup(test_nobody_home, start),    cmocka_unit_test_setup(test_port92, start),
        cmocka_unit_test_setup(test_reset_register, start), cmocka_unit_test_setup(test_debug_console, start),
        cmocka_unit_test_setup(test_reset_again, start),    cmocka_unit_test_setup(test_reset_forgets, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
