/*
 * Two PCI functions under a guest that writes anything anywhere: what they are stays as it is, what they decode is on the bus
 * exactly when their registers say so, and no message goes out that nobody allowed.
 */
#include "core/lib/bytes.h"
#include "core/lib/string.h"
#include "drivers/virt/vpci.h"
#include "tests/fuzz/device.h"

static struct vpciconf conf;
static struct vpci_bus bus;
static struct bus pio, mmio;
static struct vpci f[2];
static struct vmsix msix;
static struct vmsi msi;
static uint32_t levels;

static enum bus_result device(void *dev, struct bus_access *access)
{
    (void)dev;
    assert(access->addr + access->size <= 0x4000);
    return access->addr < 0x1000   ? vmsix_table(&msix, access)
           : access->addr < 0x1008 ? vmsix_pending(&msix, &(struct bus_access){.size = 4})
                                   : BUS_UNCLAIMED;
}

static void send(void *ctx, uint64_t address, uint32_t data)
{
    (void)data;
    assert(ctx == &bus && address % 4 == 0);
    assert(msix.enabled || vmsi_enabled(&msi));
}

static void intx(void *ctx, uint32_t slot, bool level)
{
    assert(ctx == &bus && slot < 2);
    levels = (levels & ~(1u << slot)) | (uint32_t)level << slot;
}

static void start(void)
{
    const struct vpci_config desc = {.name = "fuzz", .vendor = 0x1af4, .device = 0x1042, .class = 0x0100};

    bus_init(&pio, "port");
    bus_init(&mmio, "mmio");
    vpciconf_init(&conf, NULL, NULL);
    memset(&bus, 0, sizeof(bus));
    bus.conf = &conf;
    bus.pio = &pio;
    bus.mmio = &mmio;
    bus.msi = (struct vmsi_port){send, &bus};
    bus.intx = intx;
    bus.intx_ctx = &bus;
    levels = 0;
    for (uint32_t i = 0; i < 2; i++) {
        vpci_init(&f[i], &bus, i, &desc);
        vpci_add_bar(&f[i], 0, VPCI_BAR_MEMORY64, 0x4000, device, &f[i]);
        vpci_add_bar(&f[i], 2, VPCI_BAR_IO, 0x20, device, &f[i]);
        vpci_add_bar(&f[i], 5, VPCI_BAR_MEMORY, 0x1000, device, &f[i]);
        vpci_add_flr(&f[i]);
    }
    vpci_add_msix(&f[0], &msix, 5, 0, 0, 0x1000);
    vpci_add_msi(&f[1], &msi, 3);
}

static void check(const struct vpci *p)
{
    uint32_t command = get_le16(&p->config[PCI_COMMAND]), claimed = 0;

    assert(get_le32(&p->config[0]) == 0x10421af4 && p->config[PCI_INTERRUPT_PIN] == 1);
    for (uint32_t n = 0; n < PCI_BARS; n++) {
        claimed += p->bars[n].claimed;
        if (p->bars[n].claimed)
            assert(command & (p->bars[n].kind == VPCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY));
    }
    assert(claimed <= 3);
    for (uint32_t at = p->config[PCI_CAPABILITIES], n = 0; at; at = p->config[at + 1], n++)
        assert(at >= 0x40 && n < 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bus_access access;

    fuzz_start(data, size);
    start();
    while (fuzz_more()) {
        uint32_t step = (uint32_t)fuzz_number(1);

        if (step < 0xa0) {
            vpciconf_write(&conf, 0, (step & 1) << 3, (step >> 1 & 0x3c) | (step & 0x80) / 2, 4,
                           (uint32_t)fuzz_number(4));
        } else if (step < 0xc0) {
            fuzz_access(vpciconf_ecam, &conf, 0x10000, &access);
        } else if (step < 0xe0) {
            access = (struct bus_access){.addr = fuzz_number(6), .size = 1u << (step & 3), .write = step & 4};
            bus_dispatch(&mmio, &access);
        } else if (step < 0xf0) {
            vpci_raise(&f[step & 1], (step >> 1) & 7);
        } else {
            vpci_set_intx(&f[step & 1], step & 2);
        }
        check(&f[0]);
        check(&f[1]);
    }
    return 0;
}
