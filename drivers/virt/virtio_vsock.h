/* A virtio socket device (virtio 1.2, 5.10): streams to the other VMs that have one. */
#pragma once

#include "drivers/virt/virtio.h"
#include "drivers/virt/vsockets.h"

struct virtio_vsock_config {
    struct vsockets *net;
    uint64_t cid;
    uint8_t *buffer; /* for packets on their way to the driver */
    uint32_t buffer_bytes;
    bool packed;
};

#define VIRTIO_VSOCK_TRANSMIT 1 /* the queue's number */
#define VIRTIO_VSOCK_HELD     128
#define VIRTIO_VSOCK_PARTS    1024

/* A packet of the driver's that waits for its receiver. */
struct virtio_vsock_held {
    uint64_t to, sent; /* whom, and what of its data has gone */
    uint32_t parts;
    uint16_t id, descs; /* of its chain */
};

struct virtio_vsock {
    struct virtio v;
    struct vsockets_port port;
    struct timer again;    /* something arrived, or there is room elsewhere */
    struct timer patience; /* for those who take nothing, while packets to others have to wait */
    uint32_t budget;       /* bytes that may still be sent in this turn */
    uint32_t held_parts;   /* of the buffers that the transmit queue keeps, in their order */
    struct virtio_vsock_held held[VIRTIO_VSOCK_HELD];
    struct vring_part parts[VIRTIO_VSOCK_PARTS];
    uint8_t data[VSOCKETS_DATA];
};

/* Makes the device and puts it into a PCI slot; false if its number is taken. */
bool virtio_vsock_init(struct virtio_vsock *s, const struct virtio_host *host, uint32_t slot,
                       const struct virtio_vsock_config *config);
/* Before its memory goes. */
void virtio_vsock_remove(struct virtio_vsock *s);

/* The transmit queue's part (virtio_vsock_transmit.c). */
void virtio_vsock_transmit(struct virtio_vsock *s);
void virtio_vsock_patience(struct timer *timer, uint64_t now);
