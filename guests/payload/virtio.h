/* A driver's side of virtio devices (virtio 1.2), as small as can be: split rings, one descriptor a buffer, no interrupts. */
#pragma once

#include "guests/payload/pci.h"

#define VQ_SIZE 16
#define VQ_MAX  16 /* queues of a device */

#define VIRTIO_VERSION_1 BIT(32)

/* Device status */
#define VIRTIO_ACKNOWLEDGE 0x01
#define VIRTIO_DRIVER      0x02
#define VIRTIO_DRIVER_OK   0x04
#define VIRTIO_FEATURES_OK 0x08
#define VIRTIO_NEEDS_RESET 0x40
#define VIRTIO_UP          0x0f

/* Offsets in the common configuration (4.1.4.3) */
#define VIRTIO_DEVICE_SELECT  0x00
#define VIRTIO_DEVICE_FEATURE 0x04
#define VIRTIO_DRIVER_SELECT  0x08
#define VIRTIO_DRIVER_FEATURE 0x0c
#define VIRTIO_CONFIG_VECTOR  0x10
#define VIRTIO_QUEUES         0x12
#define VIRTIO_STATUS         0x14
#define VIRTIO_QUEUE_SELECT   0x16
#define VIRTIO_QUEUE_SIZE     0x18
#define VIRTIO_QUEUE_VECTOR   0x1a
#define VIRTIO_QUEUE_ENABLE   0x1c
#define VIRTIO_QUEUE_DESC     0x20
#define VIRTIO_QUEUE_DRIVER   0x28
#define VIRTIO_QUEUE_DEVICE   0x30
#define VIRTIO_QUEUE_RESET    0x3a

#define VQ_NEXT     1
#define VQ_WRITE    2
#define VQ_INDIRECT 4

struct vq_desc {
    uint64_t address;
    uint32_t len;
    uint16_t flags, next;
};

/* In one page, as the device sees it. */
struct vq_memory {
    struct vq_desc desc[VQ_SIZE];
    uint16_t avail_flags, avail_index, avail[VQ_SIZE], used_event;
    uint16_t pad; /* the used ring is aligned to 4 */
    volatile uint16_t used_flags, used_index;
    volatile struct {
        uint32_t id, len;
    } used[VQ_SIZE];
    uint16_t avail_event;
} __attribute__((aligned(512)));

_Static_assert(offsetof(struct vq_memory, used_flags) % 4 == 0, "2.7: alignments");

struct vdev {
    uint32_t slot, id;
    uint64_t common, notify, config;
    uint32_t queues;
    uint16_t seen[VQ_MAX]; /* used entries that were taken */
    struct vq_memory *q;   /* of the device's queues, one behind the other */
};

/* The n-th device of that kind, reset and with memory for its queues from `memory` on; false if there is none. */
bool vdev_find(struct vdev *d, uint32_t id, uint32_t n, uint64_t memory);
uint8_t vdev_status(const struct vdev *d);
void vdev_set_status(const struct vdev *d, uint8_t status);
uint64_t vdev_offered(const struct vdev *d);
/* Up to FEATURES_OK; false if the device doesn't take them. */
bool vdev_negotiate(const struct vdev *d, uint64_t features);
/* A queue's size, and where its descriptors, its available and its used ring are; it is enabled. */
void vdev_queue_set(const struct vdev *d, uint16_t queue, uint16_t size, const void *const parts[3]);
/* All queues at their places, empty; then the device is up. */
void vdev_start(struct vdev *d);
/* The same from the reset on. */
bool vdev_up(struct vdev *d, uint64_t features);

/* Puts a buffer of some parts into a queue, at descriptors from `first` on, and tells the device. */
struct vq_part {
    const void *at;
    uint32_t len;
    bool write;
};
void vq_put(struct vdev *d, uint32_t queue, uint32_t first, const struct vq_part *parts, uint32_t count);
void vq_kick(const struct vdev *d, uint32_t queue);
/* Waits for the next that is given back, at most so long; false if none is. `len` may be NULL. */
bool vq_wait(struct vdev *d, uint32_t queue, uint32_t ms, uint32_t *id, uint32_t *len);

static inline uint16_t common16(const struct vdev *d, uint32_t offset)
{
    return *(volatile uint16_t *)(d->common + offset);
}

static inline void common16_set(const struct vdev *d, uint32_t offset, uint16_t value)
{
    *(volatile uint16_t *)(d->common + offset) = value;
}

static inline void common64_set(const struct vdev *d, uint32_t offset, uint64_t value)
{
    mmio_write(d->common + offset, (uint32_t)value);
    mmio_write(d->common + offset + 4, (uint32_t)(value >> 32));
}
