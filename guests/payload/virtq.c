#include "guests/payload/virtq.h"

bool virtq_device(struct vdev *dev, uint32_t id, uint64_t features)
{
    return vdev_find(dev, id, 0, 0) && vdev_negotiate(dev, features | VIRTIO_VERSION_1);
}

void virtq_init(const struct vdev *dev, struct virtq *q, uint16_t number, uint8_t vector)
{
    q->number = number;
    q->bell = (volatile uint16_t *)(dev->notify + 4 * number);
    if (vector) {
        pci_msix_point(dev->slot, number, vector);
        common16_set(dev, VIRTIO_QUEUE_SELECT, number);
        common16_set(dev, VIRTIO_QUEUE_VECTOR, number);
    }
    vdev_queue_set(dev, number, VIRTQ_SIZE, (const void *[]){q->desc, &q->avail, &q->used});
}
