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

struct virtio_vsock {
    struct virtio v;
    struct vsockets_port port;
    struct timer again; /* something arrived, or there is room elsewhere */
    uint8_t data[VSOCKETS_DATA];
};

/* Makes the device and puts it into a PCI slot; false if its number is taken. */
bool virtio_vsock_init(struct virtio_vsock *s, const struct virtio_host *host, uint32_t slot,
                       const struct virtio_vsock_config *config);
/* Before its memory goes. */
void virtio_vsock_remove(struct virtio_vsock *s);
