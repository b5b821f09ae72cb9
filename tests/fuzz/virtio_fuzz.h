/*
 * A virtio device under a driver that means harm: it writes registers and memory as it likes, at any time. Guest memory is RAM
 * with ROM behind it, at addresses that lie close together, so that random ones hit something.
 */
#pragma once

#include <string.h>

#include "core/lib/bytes.h"
#include "drivers/virt/vhostbridge.h"
#include "drivers/virt/virtio.h"
#include "tests/fuzz/device.h"

#define RAM_BYTES 0x8000
#define ROM_BYTES 0x1000
#define BAR       0xc0000000ull

static uint8_t fuzz_memory[RAM_BYTES + ROM_BYTES];
static struct gmem fuzz_mem;
static struct vpciconf fuzz_conf;
static struct vpci_bus fuzz_pci;
static struct bus fuzz_pio, fuzz_mmio;
static struct vring_chain fuzz_scratch;
static struct virtio_host fuzz_host;

static inline void fuzz_send(void *ctx, uint64_t address, uint32_t data)
{
    (void)data;
    assert(ctx == &fuzz_pci && address % 4 == 0);
}

static inline void fuzz_virtio_start(void)
{
    memset(fuzz_memory, 0, sizeof(fuzz_memory));
    gmem_init(&fuzz_mem, fuzz_memory);
    assert(gmem_add(&fuzz_mem, 0, RAM_BYTES, true) == 0 &&
           gmem_add(&fuzz_mem, RAM_BYTES, ROM_BYTES, false) == 0);
    bus_init(&fuzz_pio, "port");
    bus_init(&fuzz_mmio, "mmio");
    vpciconf_init(&fuzz_conf, NULL, NULL);
    memset(&fuzz_pci, 0, sizeof(fuzz_pci));
    fuzz_pci.conf = &fuzz_conf;
    fuzz_pci.pio = &fuzz_pio;
    fuzz_pci.mmio = &fuzz_mmio;
    fuzz_pci.msi = (struct vmsi_port){fuzz_send, &fuzz_pci};
    fuzz_host = (struct virtio_host){&fuzz_pci, &fuzz_mem, &fuzz_timers, &fuzz_scratch};
}

static inline void fuzz_set(uint64_t offset, uint32_t size, uint64_t value)
{
    struct bus_access access = {
        .addr = BAR + offset, .size = size, .write = true, .value = value, .now = fuzz_now};

    bus_dispatch(&fuzz_mmio, &access);
}

/* Where a queue's rings are; those of further ones lie over the first four's. */
static inline uint32_t fuzz_place(uint32_t queue)
{
    return (queue & 3) * 0x1000;
}

/* As a driver would, so that what follows has a device that works; addresses of the rings are anywhere in two pages. */
static inline void fuzz_virtio_bring_up(const struct virtio *v)
{
    uint32_t choice = (uint32_t)fuzz_number(1);
    uint64_t features = v->offered & ~(choice & 1 ? VIRTIO_F_RING_PACKED : 0) &
                        ~(choice & 2 ? VIRTIO_F_EVENT_IDX : 0);

    vpciconf_write(&fuzz_conf, 0, v->pci.slot << 3, PCI_BAR(0), 4, (uint32_t)BAR);
    vpciconf_write(&fuzz_conf, 0, v->pci.slot << 3, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    fuzz_set(0x14, 1, 0);
    fuzz_set(0x14, 1, 3);
    fuzz_set(0x08, 4, 0);
    fuzz_set(0x0c, 4, features & UINT32_MAX);
    fuzz_set(0x08, 4, 1);
    fuzz_set(0x0c, 4, features >> 32);
    fuzz_set(0x14, 1, 11);
    for (uint32_t queue = 0; queue < v->desc.queues; queue++) {
        fuzz_set(0x16, 2, queue);
        fuzz_set(0x18, 2, 4u << (choice >> 2 & 3));
        fuzz_set(0x20, 8, fuzz_place(queue));
        fuzz_set(0x28, 8, fuzz_place(queue) + 0x400);
        fuzz_set(0x30, 8, fuzz_place(queue) + 0x800);
        fuzz_set(0x1c, 2, 1);
    }
    fuzz_set(0x14, 1, 15);
}

/* A descriptor, an entry of the available ring or its index, or any bytes. */
static inline void fuzz_memory_write(void)
{
    uint32_t at = (uint32_t)fuzz_number(2) % RAM_BYTES, len = 1 + fuzz_number(1) % 24;
    uint8_t *d = fuzz_memory + (at & 0x3ff0);

    if (at >= 0x4000) { /* address and length small, so that most are good */
        put_le64(d, fuzz_number(2) % (RAM_BYTES + ROM_BYTES + 0x100));
        put_le32(d + 8, (uint32_t)fuzz_number(1) * 17);
        put_le16(d + 12, (uint16_t)fuzz_number(2));
        put_le16(d + 14, (uint16_t)fuzz_number(2));
        return;
    }
    for (uint32_t i = 0; i < len && at + i < RAM_BYTES; i++)
        fuzz_memory[at + i] = (uint8_t)fuzz_number(1);
}

#define FUZZ_DATA 0x4000 /* buffers; a request's header is at their start */

/* Where the n-th descriptor that the device hasn't taken yet is. */
static inline void fuzz_desc_put(const struct vring *ring, uint8_t *table, uint32_t n, uint64_t address,
                                 uint32_t len, uint16_t flags)
{
    uint32_t at = (ring->avail + n) % ring->size;
    uint8_t *d = table + 16 * at;

    put_le64(d, address);
    put_le32(d + 8, len);
    if (ring->packed) {
        put_le16(d + 12, (uint16_t)at);
        put_le16(d + 14, flags | (uint16_t)(((at < ring->avail) != ring->avail_wrap) ? 0x80 : 0x8000));
    } else {
        put_le16(d + 12, flags);
        put_le16(d + 14, (uint16_t)((at + 1) % ring->size));
    }
}

/* The ring is where fuzz_virtio_bring_up puts it; NULL: it isn't, or it is too large. */
static inline uint8_t *fuzz_ring(const struct virtio *v, uint32_t queue)
{
    const struct vring *ring = &v->queues[queue].ring;
    bool good = v->queues[queue].enabled && ring->desc == fuzz_place(queue) && ring->size <= 32;

    return good ? fuzz_memory + fuzz_place(queue) : NULL;
}

/* The descriptors that were put become a chain, and the device is told. */
static inline void fuzz_chain_ready(const struct virtio *v, uint32_t queue)
{
    const struct vring *ring = &v->queues[queue].ring;
    uint8_t *base = fuzz_memory + fuzz_place(queue);

    if (!ring->packed) {
        put_le16(base + 0x400 + 4 + 2 * (ring->avail % ring->size), ring->avail % ring->size);
        put_le16(base + 0x402, (uint16_t)(ring->avail + 1));
    }
    fuzz_set(0x1000 + 4 * queue, 2, 0);
}

/* Descriptors of a chain as a driver would have them, but for what the input spoils. */
static inline void fuzz_chain_desc(const struct vring *ring, uint8_t *table, uint32_t i, uint32_t count,
                                   uint32_t writable)
{
    uint32_t len = i == 0 ? 16 : i + 1 == count ? 1 : (uint32_t)(fuzz_number(1) % 5) * 512;
    uint16_t flags = (uint16_t)((i + 1 < count ? 1 : 0) | (i >= writable ? 2 : 0));
    uint8_t spoil = (uint8_t)fuzz_number(1);

    if (spoil == 1)
        len = (uint32_t)fuzz_number(4);
    if (spoil == 2)
        flags ^= (uint16_t)fuzz_number(2);
    fuzz_desc_put(ring, table, i, FUZZ_DATA + (i ? 0x100 + (fuzz_number(1) << 4) : 0), len, flags);
}

/* A request with a header, data and a status, where the device looks for the next one of that queue. */
static inline void fuzz_chain(const struct virtio *v)
{
    uint32_t queue = (uint32_t)fuzz_number(1) % v->desc.queues, count = 1 + fuzz_number(1) % 4;
    uint32_t writable = (uint32_t)fuzz_number(1) % (count + 1);
    uint8_t *base = fuzz_ring(v, queue);

    if (!base)
        return;
    put_le32(fuzz_memory + FUZZ_DATA, (uint32_t)fuzz_number(1) % 16);
    put_le64(fuzz_memory + FUZZ_DATA + 8, fuzz_number(1) % 80);
    put_le64(fuzz_memory + FUZZ_DATA + 0x100, fuzz_number(1) % 80); /* a range */
    put_le64(fuzz_memory + FUZZ_DATA + 0x108, fuzz_number(1) % 80);
    for (uint32_t i = 0; i < count; i++)
        fuzz_chain_desc(&v->queues[queue].ring, base, i, count, writable);
    fuzz_chain_ready(v, queue);
}

static inline void fuzz_virtio_step(const struct virtio *v)
{
    struct bus_access access;
    uint32_t step = (uint32_t)fuzz_number(1);

    if (step < 0x10) {
        fuzz_virtio_bring_up(v);
    } else if (step < 0x70) {
        fuzz_chain(v);
    } else if (step < 0x90) {
        fuzz_memory_write();
    } else if (step < 0xd0) {
        fuzz_set(0x1000 + 4 * (step & 7), 2, 0);
    } else if (step < 0xd8) {
        fuzz_wait();
    } else if (step < 0xe0) {
        vpciconf_write(&fuzz_conf, 0, v->pci.slot << 3, (uint32_t)fuzz_number(1) & 0xfc, 4,
                       (uint32_t)fuzz_number(4));
    } else {
        access = (struct bus_access){
            .addr = BAR + fuzz_number(2) % 0x4000, .size = 1u << (step & 3), .write = step & 4};
        access.value = access.write ? fuzz_number(access.size) : 0;
        access.now = fuzz_now;
        bus_dispatch(&fuzz_mmio, &access);
    }
    for (uint32_t i = 0; i < ROM_BYTES; i += 64)
        assert(fuzz_memory[RAM_BYTES + i] == 0);
    assert(!(v->accepted & ~v->offered) || !(v->status & VIRTIO_FEATURES_OK));
    assert(!(v->status & VIRTIO_DRIVER_OK) || (v->status & VIRTIO_FEATURES_OK));
}
