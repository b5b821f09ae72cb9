/* PCI configuration: a function is never asked for what lies outside of its 256 bytes, and the bridge keeps its ids. */
#include "drivers/virt/vpciconf.h"

#include "drivers/virt/vdebug.h"
#include "drivers/virt/vhostbridge.h"
#include "drivers/virt/vpiix.h"
#include "drivers/virt/vreset.h"
#include "tests/fuzz/device.h"

static struct vpciconf conf;
static struct vpcifixed bridge;
static struct vreset switches;
static struct vdebug debug;
static struct vpiix piix;
static struct bus bus;

static uint32_t probe_read(void *dev, uint32_t offset, uint32_t size)
{
    assert(dev == &conf && offset % size == 0 && offset + size <= 256);
    return offset;
}

static void probe_write(void *dev, uint32_t offset, uint32_t size, uint32_t value)
{
    (void)value;
    probe_read(dev, offset, size);
}

static enum bus_result pm_ports(void *dev, struct bus_access *access)
{
    assert(dev == &piix && access->addr < 12);
    return BUS_OK;
}

/* The PM ports are at one place at most beside their fixed one, and that is where the registers say. */
static void check_pm_ports(void)
{
    uint32_t base = vpciconf_read(&conf, 0, VPCI_DEVFN(1, 3), 0x40, 4);
    bool on = vpciconf_read(&conf, 0, VPCI_DEVFN(1, 3), 0x80, 1) & 1;

    assert((base & ~0xffc0u) == 1 && bus.count == (piix.placed ? 2 : 1));
    assert(!piix.placed || (on && piix.placed == (base & 0xffc0) && bus_holds(&bus, piix.placed)));
    assert(piix.placed || !on || base == 1 || (base & 0xffc0) == 0x600);
}

static void reset(void *ctx)
{
    assert(ctx == &switches);
}

static void sink(void *ctx, uint8_t byte)
{
    (void)byte;
    assert(ctx == &debug);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct vpci_function probe = {.read = probe_read, .write = probe_write, .dev = &conf};
    static const struct vpiix_ports ports = {&bus, pm_ports, &piix, 12, 0x600};
    struct bus_access access;

    fuzz_start(data, size);
    vreset_init(&switches, reset, &switches);
    vdebug_init(&debug, sink, &debug);
    vpciconf_init(&conf, vreset_control_port, &switches);
    vhostbridge_init(&bridge, &conf);
    vpciconf_add(&conf, VPCI_DEVFN(3, 1), &probe);
    bus_init(&bus, "port");
    assert(bus_claim(&bus, ports.fixed, ports.len, pm_ports, &piix, "pm") == 0);
    vpiix_init(&piix, &conf, 1, &ports);
    while (fuzz_more()) {
        uint64_t step = fuzz_number(1);

        if (step % 8 == 0)
            assert(fuzz_access(vreset_port92, &switches, 1, &access) == BUS_OK);
        else if (step % 8 == 1)
            assert(fuzz_access(vdebug_port, &debug, 1, &access) == BUS_OK);
        else if (step % 8 == 3)
            vpciconf_write(&conf, 0, VPCI_DEVFN(1, 3), step & 8 ? 0x80 : 0x40, step & 8 ? 1 : 4,
                           (uint32_t)fuzz_number(2));
        else if (step == 4)
            vpiix_reset(&piix);
        else if (step % 8 == 2)
            conf.address = BIT(31) | VPCI_DEVFN(step & 8 ? 3 : 0, step & 8 ? 1 : 0) << 8 | (step & 0xf0);
        else
            fuzz_access(vpciconf_ports, &conf, 8, &access);
        check_pm_ports();
        assert((conf.address & 0x7f000003) == 0);
        assert(vpciconf_read(&conf, 0, 0, 0, 4) == 0x12378086);
    }
    return 0;
}
