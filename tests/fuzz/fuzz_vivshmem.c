/* Two shared memory devices of one group under guests that write any register: no access leaves the memory. */
#include <string.h>

#include "drivers/virt/vivshmem.h"
#include "tests/fuzz/device.h"

#define LEN 0x1000

static struct vpciconf conf;
static struct vpci_bus bus;
static struct bus pio, mmio;
static struct vivshmem_group group;
static struct vivshmem s[2];
static uint8_t memory[LEN];
static uint64_t place[2];

static void placed(void *ctx, bool there, uint64_t addr)
{
    *(uint64_t *)ctx = there ? addr : UINT64_MAX;
}

static void send(void *ctx, uint64_t address, uint32_t data)
{
    (void)data;
    assert(ctx == &bus && address % 4 == 0);
}

static void start(void)
{
    bus_init(&pio, "port");
    bus_init(&mmio, "mmio");
    vpciconf_init(&conf, NULL, NULL);
    memset(&bus, 0, sizeof(bus));
    memset(&group, 0, sizeof(group));
    bus.conf = &conf;
    bus.pio = &pio;
    bus.mmio = &mmio;
    bus.msi = (struct vmsi_port){send, &bus};
    for (uint32_t i = 0; i < 2; i++) {
        const struct vivshmem_config config = {&group, &fuzz_timers, memory, LEN, placed, &place[i]};

        place[i] = UINT64_MAX;
        assert(vivshmem_init(&s[i], &bus, 2 + i, &config) && s[i].id == i);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start(data, size);
    start();
    while (fuzz_more()) {
        uint32_t step = (uint32_t)fuzz_number(1);
        struct vivshmem *one = &s[step & 1];

        if (step < 0x60) {
            vpciconf_write(&conf, 0, one->pci.slot << 3, step & 0x3c, 4, (uint32_t)fuzz_number(4));
        } else if (step < 0x80) {
            vpciconf_write(&conf, 0, one->pci.slot << 3, (uint32_t)fuzz_number(1) & 0xfc, 4,
                           (uint32_t)fuzz_number(4));
        } else if (step < 0xf0) {
            const struct vpci_bar *bar = &one->pci.bars[(step >> 1) % 3];
            struct bus_access access = {.addr = bar->base + fuzz_number(2) % bar->size,
                                        .size = 1u << (step >> 4 & 3),
                                        .write = step & 8};

            access.value = access.write ? fuzz_number(access.size) : 0;
            if (bar->claimed)
                bus_dispatch(&mmio, &access);
        } else {
            fuzz_wait();
        }
        for (uint32_t i = 0; i < 2; i++) {
            assert(place[i] == UINT64_MAX || (s[i].pci.bars[2].claimed && s[i].pci.bars[2].base == place[i]));
            assert(s[i].rung < BIT(VIVSHMEM_VECTORS));
        }
    }
    return 0;
}
