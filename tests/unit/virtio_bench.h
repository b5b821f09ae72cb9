/* A virtio device on the bench, driven through its registers, with its queues in the memory of tests/unit/ring_driver.h. */
#pragma once

#include "drivers/virt/virtio.h"
#include "tests/unit/pci_bench.h"
#include "tests/unit/ring_driver.h"

#define SLOT          2
#define BAR           0xc0000000ull
#define NOTIFY        (BAR + 0x1000)
#define DEVICE        (BAR + 0x200)
#define COMMON_STATUS 0x14

#define GOOD_STATUS 0x0f
#define VECTOR_DATA 0x40 /* the message of vector n */

static struct vring_chain bench_chain;
static struct virtio_host bench_host;

static inline void virtio_bench(void)
{
    pci_start();
    memory_start();
    bench_host = (struct virtio_host){&pci, &mem, &bench_timers, &bench_chain};
}

static inline uint32_t reg(uint32_t offset, uint32_t size)
{
    return (uint32_t)pci_load(BAR + offset, size);
}

static inline void set(uint32_t offset, uint32_t size, uint64_t value)
{
    pci_store(BAR + offset, size, value);
}

static inline uint32_t status(void)
{
    return reg(COMMON_STATUS, 1);
}

/* Up to FEATURES_OK, with MSI-X; false if the device doesn't agree. */
static inline bool negotiate(uint64_t features)
{
    pci_out(SLOT, PCI_BAR(0), 4, (uint32_t)BAR);
    pci_out(SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    pci_out(SLOT, pci_cap(SLOT, PCI_CAP_MSIX, 0) + 2, 2, 0x8000);
    for (uint32_t i = 0; i < 2; i++) {
        pci_store(BAR + 0x2000 + 16 * i, 8, 0xfee00000);
        pci_store(BAR + 0x2008 + 16 * i, 8, VECTOR_DATA + i);
    }
    set(COMMON_STATUS, 1, 0);
    set(COMMON_STATUS, 1, VIRTIO_ACKNOWLEDGE);
    set(COMMON_STATUS, 1, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    for (uint32_t i = 0; i < 2; i++) {
        set(0x08, 4, i);
        set(0x0c, 4, features >> 32 * i & UINT32_MAX);
    }
    set(COMMON_STATUS, 1, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
    return status() & VIRTIO_FEATURES_OK;
}

/* The device's queue of this number is at RING_..., its vector is 1. */
static inline void queue_enable(uint32_t queue, uint16_t size)
{
    set(0x16, 2, queue);
    set(0x18, 2, size);
    set(0x1a, 2, 1);
    set(0x20, 8, RING_DESC);
    set(0x28, 4, RING_AVAIL);
    set(0x30, 4, RING_USED);
    set(0x1c, 2, 1);
}

/* Queue 0; the configuration's vector is 0. */
static inline void queue_start(uint64_t features, uint16_t size)
{
    driver_start(features & VIRTIO_F_RING_PACKED, size);
    set(0x10, 2, 0);
    queue_enable(0, size);
}

static inline void device_start(uint64_t features, uint16_t size)
{
    assert_true(negotiate(features));
    queue_start(features, size);
    set(COMMON_STATUS, 1, GOOD_STATUS);
    assert_int_equal(status(), GOOD_STATUS);
}
