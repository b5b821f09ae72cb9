/* A network device on the bench, and a peer on its switch. */
#pragma once

#include "drivers/virt/virtio_net.h"
#include "tests/unit/virtio_bench.h"

#define FEATURES                                                                                             \
    (VIRTIO_F_VERSION_1 | VIRTIO_NET_F_MAC | VIRTIO_NET_F_STATUS | VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_MQ)
#define CONTROLS                                                                                             \
    (VIRTIO_NET_F_CTRL_RX | VIRTIO_NET_F_CTRL_RX_EXTRA | VIRTIO_NET_F_CTRL_VLAN | VIRTIO_NET_F_CTRL_MAC_ADDR)
#define GUEST_TSO4 (VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4)
#define HOST_TSO4  (VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO4)

#define PAIRS   2
#define CONTROL (2 * PAIRS)
#define HEADER  12
#define FRAME   100
#define TCP     54 /* bytes of headers before a payload */

static struct virtio_net n;
static struct vswitch net;
static struct vswitch_port peer;
static uint8_t buffer[256 * KiB], peer_buffer[256 * KiB], frame[PACKET_LONG_MAX];

static inline void peer_wake(void *ctx)
{
    assert_ptr_equal(ctx, &peer);
}

static inline int start(void **state)
{
    const struct virtio_net_config config = {.net = &net,
                                             .mac = {2, 0, 0, 0, 0, 1},
                                             .buffer = buffer,
                                             .buffer_bytes = sizeof(buffer),
                                             .pairs = PAIRS,
                                             .packed = true};

    (void)state;
    virtio_bench();
    memset(&net, 0, sizeof(net));
    assert_true(virtio_net_init(&n, &bench_host, SLOT, &config));
    peer = (struct vswitch_port){.buffer = peer_buffer,
                                 .buffer_bytes = sizeof(peer_buffer),
                                 .filter = {.promiscuous = true},
                                 .wake = peer_wake,
                                 .ctx = &peer};
    assert_true(vswitch_attach(&net, &peer));
    device_start(FEATURES, 16);
    return 0;
}

/* The queue of the driver's that the bench has is number `queue`. */
static inline void use_queue(uint32_t queue, uint64_t features, uint16_t size)
{
    assert_true(negotiate(FEATURES | features));
    driver_start(features & VIRTIO_F_RING_PACKED, size);
    set(0x10, 2, 0);
    queue_enable(queue, size);
    set(COMMON_STATUS, 1, GOOD_STATUS);
}

static inline void notify(uint32_t queue)
{
    pci_store(NOTIFY + 4 * queue, 2, queue);
}

/* A frame over TCP and IPv4 with its checksum begun, from 2:..:`from` to all, of `payload` bytes; returns its length. */
static inline uint32_t tcp_frame(uint8_t *to, uint8_t from, uint32_t payload)
{
    static const uint8_t headers[TCP] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,    0, 0,  0, 0, 0, 8,  0,
                                         0x45, 0,    0,    0,    0,    1,    0x40, 0, 64, 6, 0, 0, 10, 0,
                                         0,    1,    10,   0,    0,    2,    1,    2, 3,  4, 0, 0, 0,  5,
                                         0,    0,    0,    0,    0x50, 0x18, 1,    0, 0,  0, 0, 0};

    memcpy(to, headers, TCP);
    to[11] = from;
    for (uint32_t i = 0; i < payload; i++)
        to[TCP + i] = (uint8_t)(i * 3);
    return TCP + payload;
}

static inline void peer_send(const struct packet *packet)
{
    const struct vswitch_data data = {.head = frame, .head_len = packet->len};

    assert_true(vswitch_send(&peer, packet, &data));
}

/* A plain one, to all. */
static inline void peer_plain(uint32_t len)
{
    const struct packet packet = {.len = len};

    memset(frame, 0xab, len);
    memcpy(frame, "\xff\xff\xff\xff\xff\xff\2\0\0\0\0\2", 12);
    peer_send(&packet);
}

/* One of TCP, which is to be cut, or has just its checksum begun. */
static inline void peer_tcp(uint32_t payload, uint16_t segment)
{
    const struct packet packet = {.len = tcp_frame(frame, 2, payload),
                                  .sum = true,
                                  .sum_start = 34,
                                  .sum_offset = 16,
                                  .gso = segment ? PACKET_TCP4 : 0,
                                  .segment = segment,
                                  .network = 14,
                                  .header = TCP};

    peer_send(&packet);
}
