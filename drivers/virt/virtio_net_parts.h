/* What the parts of the network device share: sending and the device, receiving, the control queue. */
#pragma once

#include "drivers/virt/virtio_net.h"

/* 5.1.6: the header of a frame, either way */
#define NET_HEADER         12
#define NET_HEADER_FLAGS   0
#define NET_HEADER_GSO     1
#define NET_HEADER_LENGTH  2
#define NET_HEADER_SEGMENT 4
#define NET_HEADER_START   6
#define NET_HEADER_OFFSET  8
#define NET_HEADER_BUFFERS 10
#define NET_NEEDS_SUM      BIT(0)
#define NET_GSO_ECN        0x80

/* What a driver takes, if it likes. */
#define NET_GUEST_OFFLOADS                                                                                   \
    (VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6 | VIRTIO_NET_F_GUEST_ECN)

/* How much is done in one go, before others get their turn: frames count for their bytes, and for this much. */
#define NET_BATCH      (256 * KiB)
#define NET_FRAME_COST (4 * KiB)

static inline struct virtio_net *net_of(struct virtio *v)
{
    return CONTAINER_OF(v, struct virtio_net, v);
}

/* Are these features good together (5.1.3.1)? */
bool net_accepts(uint64_t features);
/* The address that it has now, in its configuration. */
void net_set_mac(struct virtio_net *n, const uint8_t *mac);
/* Has the switch do what `filter` says. */
void net_apply_filter(struct virtio_net *n);
void net_receive(struct virtio_net *n);
void net_control(struct virtio_net *n, uint32_t queue);
