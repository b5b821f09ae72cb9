/*
 * A virtio network device (virtio 1.2, 5.1) on a port of a switch: one queue each way, whole frames, no offloads. What comes
 * from others is given to the driver by a timer of its own VM, so that each core touches the memory of the VM that it runs.
 */
#pragma once

#include "drivers/virt/virtio.h"
#include "drivers/virt/vswitch.h"

struct virtio_net {
    struct virtio v;
    struct vswitch_port port;
    struct timer arrived;
    uint8_t frame[VSWITCH_FRAME_MAX]; /* on its way in or out */
    uint64_t too_short;               /* frames lost because the driver's buffers were */
};

struct virtio_net_config {
    struct vswitch *net;
    uint8_t mac[VSWITCH_MAC];
    uint8_t *buffer; /* for frames that wait */
    uint32_t buffer_bytes;
    bool packed;
};

/* False if the switch has no port left. */
bool virtio_net_init(struct virtio_net *n, const struct virtio_host *host, uint32_t slot,
                     const struct virtio_net_config *config);
/* Before its VM goes. */
void virtio_net_remove(struct virtio_net *n);
