#include "guests/payload/virtio.h"

#include "core/lib/string.h"

#define VENDOR     0x1af4
#define DEVICE     0x1040
#define CAP_VENDOR 0x09
#define RESET_MS   100

enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE };

/* Where the structure of that type is in memory; 0: nowhere. */
static uint64_t structure_find(uint32_t slot, uint32_t type)
{
    for (uint32_t at = pci_cap(slot, CAP_VENDOR, 0); at; at = pci_cap(slot, CAP_VENDOR, at))
        if (pci_read(slot, at) >> 24 == type)
            return pci_bar(slot, pci_read(slot, at + 4) & 0xff) + pci_read(slot, at + 8);
    return 0;
}

bool vdev_find(struct vdev *d, uint32_t id, uint32_t n, uint64_t memory)
{
    memset(d, 0, sizeof(*d));
    d->id = id;
    d->slot = pci_find(VENDOR, (uint16_t)(DEVICE + id), n);
    if (d->slot == PCI_NONE)
        return false;
    pci_enable(d->slot, true);
    d->common = structure_find(d->slot, CAP_COMMON);
    d->notify = structure_find(d->slot, CAP_NOTIFY);
    d->config = structure_find(d->slot, CAP_DEVICE);
    d->queues = common16(d, VIRTIO_QUEUES);
    d->q = (struct vq_memory *)memory;
    return d->common && d->notify && d->queues <= VQ_MAX;
}

uint8_t vdev_status(const struct vdev *d)
{
    return *(volatile uint8_t *)(d->common + VIRTIO_STATUS);
}

void vdev_set_status(const struct vdev *d, uint8_t status)
{
    *(volatile uint8_t *)(d->common + VIRTIO_STATUS) = status;
}

uint64_t vdev_offered(const struct vdev *d)
{
    uint64_t features;

    mmio_write(d->common + VIRTIO_DEVICE_SELECT, 1);
    features = (uint64_t)mmio_read(d->common + VIRTIO_DEVICE_FEATURE) << 32;
    mmio_write(d->common + VIRTIO_DEVICE_SELECT, 0);
    return features | mmio_read(d->common + VIRTIO_DEVICE_FEATURE);
}

bool vdev_negotiate(const struct vdev *d, uint64_t features)
{
    vdev_set_status(d, 0);
    for (uint32_t i = 0; i < RESET_MS && vdev_status(d); i++)
        sleep_us(1000);
    vdev_set_status(d, VIRTIO_ACKNOWLEDGE);
    vdev_set_status(d, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    for (uint32_t i = 0; i < 2; i++) {
        mmio_write(d->common + VIRTIO_DRIVER_SELECT, i);
        mmio_write(d->common + VIRTIO_DRIVER_FEATURE, (uint32_t)(features >> 32 * i));
    }
    vdev_set_status(d, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
    return vdev_status(d) & VIRTIO_FEATURES_OK;
}

void vdev_queue_set(const struct vdev *d, uint16_t queue, uint16_t size, const void *const parts[3])
{
    common16_set(d, VIRTIO_QUEUE_SELECT, queue);
    common16_set(d, VIRTIO_QUEUE_SIZE, size);
    common64_set(d, VIRTIO_QUEUE_DESC, (uint64_t)parts[0]);
    common64_set(d, VIRTIO_QUEUE_DRIVER, (uint64_t)parts[1]);
    common64_set(d, VIRTIO_QUEUE_DEVICE, (uint64_t)parts[2]);
    common16_set(d, VIRTIO_QUEUE_ENABLE, 1);
}

void vdev_start(struct vdev *d)
{
    memset(d->q, 0, d->queues * sizeof(*d->q));
    memset(d->seen, 0, sizeof(d->seen));
    for (uint32_t i = 0; i < d->queues; i++) {
        struct vq_memory *q = &d->q[i];

        vdev_queue_set(d, (uint16_t)i, VQ_SIZE,
                       (const void *[]){q->desc, &q->avail_flags, (const void *)&q->used_flags});
    }
    vdev_set_status(d, VIRTIO_UP);
}

bool vdev_up(struct vdev *d, uint64_t features)
{
    if (!vdev_negotiate(d, features))
        return false;
    vdev_start(d);
    return vdev_status(d) == VIRTIO_UP;
}

void vq_kick(const struct vdev *d, uint32_t queue)
{
    *(volatile uint16_t *)(d->notify + 4 * queue) = (uint16_t)queue;
}

void vq_put(struct vdev *d, uint32_t queue, uint32_t first, const struct vq_part *parts, uint32_t count)
{
    struct vq_memory *q = &d->q[queue];

    for (uint32_t i = 0; i < count; i++)
        q->desc[first + i] = (struct vq_desc){
            .address = (uint64_t)parts[i].at,
            .len = parts[i].len,
            .flags = (uint16_t)((parts[i].write ? VQ_WRITE : 0) | (i + 1 < count ? VQ_NEXT : 0)),
            .next = (uint16_t)(first + i + 1),
        };
    q->avail[q->avail_index % VQ_SIZE] = (uint16_t)first;
    __atomic_store_n(&q->avail_index, (uint16_t)(q->avail_index + 1), __ATOMIC_RELEASE);
    vq_kick(d, queue);
}

bool vq_wait(struct vdev *d, uint32_t queue, uint32_t ms, uint32_t *id, uint32_t *len)
{
    struct vq_memory *q = &d->q[queue];
    uint64_t end = rdtsc() + ms * (tsc_hz / 1000);
    uint32_t at = d->seen[queue] % VQ_SIZE;

    while (q->used_index == d->seen[queue])
        if (rdtsc() > end)
            return false;
        else
            sleep_us(200);
    d->seen[queue]++;
    *id = q->used[at].id;
    if (len)
        *len = q->used[at].len;
    return true;
}
