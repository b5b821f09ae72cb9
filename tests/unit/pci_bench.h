/* A PCI bus on the bench: both ways to configuration space, buses for what is decoded, and what goes out of functions. */
#pragma once

#include <string.h>

#include "drivers/virt/vhostbridge.h"
#include "drivers/virt/vpci.h"
#include "tests/unit/device.h"

#define PCI_SENT_MAX 64

static struct vpciconf pci_conf;
static struct vpcifixed pci_bridge;
static struct vpci_bus pci;
static struct bus pci_pio, pci_mmio;
static uint32_t pci_intx; /* slots that hold their pin, a bit each */
static struct {
    uint64_t address;
    uint32_t data;
} pci_sent[PCI_SENT_MAX];
static uint32_t pci_sent_count;

static inline void pci_set_intx(void *ctx, uint32_t slot, bool level)
{
    assert_ptr_equal(ctx, &pci);
    pci_intx = (pci_intx & ~(1u << slot)) | (uint32_t)level << slot;
}

static inline void pci_send(void *ctx, uint64_t address, uint32_t data)
{
    assert_ptr_equal(ctx, &pci);
    pci_sent[pci_sent_count % PCI_SENT_MAX].address = address;
    pci_sent[pci_sent_count++ % PCI_SENT_MAX].data = data;
}

static inline void pci_start(void)
{
    bench_start(0);
    pci_intx = pci_sent_count = 0;
    bus_init(&pci_pio, "port");
    bus_init(&pci_mmio, "mmio");
    vpciconf_init(&pci_conf, NULL, NULL);
    vhostbridge_init(&pci_bridge, &pci_conf);
    pci = (struct vpci_bus){.conf = &pci_conf,
                            .pio = &pci_pio,
                            .mmio = &pci_mmio,
                            .msi = {pci_send, &pci},
                            .intx = pci_set_intx,
                            .intx_ctx = &pci};
}

static inline uint32_t pci_in(uint32_t slot, uint32_t offset, uint32_t size)
{
    return (uint32_t)bench_read(vpciconf_ecam, &pci_conf, slot << 15 | offset, size);
}

static inline void pci_out(uint32_t slot, uint32_t offset, uint32_t size, uint32_t value)
{
    bench_write(vpciconf_ecam, &pci_conf, slot << 15 | offset, size, value);
}

/* The capability of that id, the first one after `from`, or 0. */
static inline uint32_t pci_cap(uint32_t slot, uint8_t id, uint32_t from)
{
    uint32_t at = from ? pci_in(slot, from + 1, 1) : pci_in(slot, PCI_CAPABILITIES, 1);

    while (at && pci_in(slot, at, 1) != id)
        at = pci_in(slot, at + 1, 1);
    return at;
}

/* Memory or a port as the guest's; false if nothing is there. */
static inline bool pci_dispatch(struct bus *bus, bool write, uint64_t addr, uint32_t size, uint64_t *value)
{
    struct bus_access access = {
        .addr = addr, .value = *value, .now = bench_now, .size = size, .write = write};
    enum bus_result result = bus_dispatch(bus, &access);

    *value = access.value;
    return result == BUS_OK;
}

static inline uint64_t pci_load(uint64_t addr, uint32_t size)
{
    uint64_t value = 0;

    assert_true(pci_dispatch(&pci_mmio, false, addr, size, &value));
    return value;
}

static inline void pci_store(uint64_t addr, uint32_t size, uint64_t value)
{
    assert_true(pci_dispatch(&pci_mmio, true, addr, size, &value));
}

static inline bool pci_decoded(uint64_t addr)
{
    uint64_t value = 0;

    return pci_dispatch(&pci_mmio, false, addr, 4, &value);
}
