/*
 * A virtio network device (virtio 1.2, 5.1) on a port of a switch. What comes from others is given to the driver by a timer of
 * its own VM, so that each core touches the memory of the VM that it runs. Frames that are too long for this driver, or
 * whose checksum was left to it against its will, are cut and completed on the way to it.
 */
#pragma once

#include "drivers/virt/virtio.h"
#include "drivers/virt/vlimit.h"
#include "drivers/virt/vswitch.h"

#define VIRTIO_NET_PAIRS 4 /* of queues */
#define VIRTIO_NET_FLOWS 64

/* 5.1.3 */
#define VIRTIO_NET_F_CSUM                BIT(0)
#define VIRTIO_NET_F_GUEST_CSUM          BIT(1)
#define VIRTIO_NET_F_CTRL_GUEST_OFFLOADS BIT(2)
#define VIRTIO_NET_F_MAC                 BIT(5)
#define VIRTIO_NET_F_GUEST_TSO4          BIT(7)
#define VIRTIO_NET_F_GUEST_TSO6          BIT(8)
#define VIRTIO_NET_F_GUEST_ECN           BIT(9)
#define VIRTIO_NET_F_HOST_TSO4           BIT(11)
#define VIRTIO_NET_F_HOST_TSO6           BIT(12)
#define VIRTIO_NET_F_HOST_ECN            BIT(13)
#define VIRTIO_NET_F_MRG_RXBUF           BIT(15)
#define VIRTIO_NET_F_STATUS              BIT(16)
#define VIRTIO_NET_F_CTRL_VQ             BIT(17)
#define VIRTIO_NET_F_CTRL_RX             BIT(18)
#define VIRTIO_NET_F_CTRL_VLAN           BIT(19)
#define VIRTIO_NET_F_CTRL_RX_EXTRA       BIT(20)
#define VIRTIO_NET_F_MQ                  BIT(22)
#define VIRTIO_NET_F_CTRL_MAC_ADDR       BIT(23)

struct virtio_net {
    struct virtio v;
    struct vswitch_port port;
    struct timer arrived;
    struct vlimit limit;                /* of what the driver sends: it waits in the driver's queues */
    uint8_t mac[VSWITCH_MAC];           /* that it has after a reset */
    struct vfilter filter;              /* what the driver wants; the port has a copy */
    uint64_t off;                       /* offloads that were accepted, but are switched off */
    uint32_t pairs_max, pairs;          /* of queues: that there are; that the driver uses */
    uint8_t steering[VIRTIO_NET_FLOWS]; /* the pair on which a flow was sent */
    uint32_t piece;                     /* of the frame that is next for the driver, if it is being cut */
    uint64_t too_short, bad,
        cut; /* counters: lost because the driver's buffers were; bad headers; frames cut */
    uint64_t commands, commands_refused; /* of the control queue */
};

struct virtio_net_config {
    struct vswitch *net;
    uint8_t mac[VSWITCH_MAC];
    uint8_t *buffer; /* for frames that wait; a power of two, and twice the longest frame */
    uint32_t buffer_bytes;
    uint32_t pairs; /* of queues, at most VIRTIO_NET_PAIRS */
    struct vlimit_rates rates;
    bool packed;
};

/* False if the switch has no port left. */
bool virtio_net_init(struct virtio_net *n, const struct virtio_host *host, uint32_t slot,
                     const struct virtio_net_config *config);
/* Before its VM goes. */
void virtio_net_remove(struct virtio_net *n);
/* Plugs the cable in or out, and tells the driver. */
void virtio_net_link(struct virtio_net *n, bool up);
void virtio_net_limit(struct virtio_net *n, const struct vlimit_rates *rates);
