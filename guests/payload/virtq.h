/* Queues for measurements: longer than those of virtio.h, with MSI-X and the event index, told of only when it is asked for. */
#pragma once

#include "guests/payload/virtio.h"

#define VIRTQ_SIZE 128 /* descriptors of a queue */

#define VIRTIO_EVENT_IDX BIT(29)

struct virtq {
    struct {
        uint64_t address;
        uint32_t len;
        uint16_t flags, next;
    } desc[VIRTQ_SIZE];
    struct {
        uint16_t flags, index, ring[VIRTQ_SIZE], used_event;
    } avail __attribute__((aligned(64)));
    struct {
        uint16_t flags, index;
        struct {
            uint32_t id, len;
        } ring[VIRTQ_SIZE];
        uint16_t avail_event;
    } used __attribute__((aligned(64)));
    volatile uint16_t *bell; /* the device's register */
    uint16_t number;
} __attribute__((aligned(4096)));

/* The first device of that kind; false if there is none. It has accepted these features, and version 1. */
bool virtq_device(struct vdev *dev, uint32_t id, uint64_t features);
/* Sets up a queue, whose interrupt has this vector; 0: none. The device is up after vdev_set_status. */
void virtq_init(const struct vdev *dev, struct virtq *q, uint16_t number, uint8_t vector);

/* Puts descriptor n together. */
static inline void virtq_desc(struct virtq *q, uint16_t n, const volatile void *address, uint32_t len,
                              uint16_t flags)
{
    q->desc[n].address = (uintptr_t)address;
    q->desc[n].len = len;
    q->desc[n].flags = flags;
    q->desc[n].next = (uint16_t)(n + 1);
}

/* Makes the chain that begins there available; the device is told by virtq_kick. */
static inline void virtq_add(struct virtq *q, uint16_t head)
{
    q->avail.ring[q->avail.index % VIRTQ_SIZE] = head;
    __atomic_store_n(&q->avail.index, (uint16_t)(q->avail.index + 1), __ATOMIC_RELEASE);
}

static inline void virtq_kick(struct virtq *q)
{
    *q->bell = q->number;
}

static inline uint16_t virtq_used(const struct virtq *q)
{
    return __atomic_load_n(&q->used.index, __ATOMIC_ACQUIRE);
}
