/*
 * A network device under a hostile driver, with a peer on its switch that sends at any time: plain frames, and such as are
 * to be cut. What the driver sends is mostly sound TCP; its commands are any.
 */
#include "drivers/virt/virtio_net.h"

#include "tests/fuzz/virtio_fuzz.h"

#define HEADER 12
#define TCP    54

static struct virtio_net n;
static struct vswitch net;
static struct vswitch_port peer;
static uint8_t buffer[16 * KiB], peer_buffer[16 * KiB], frame[8 * KiB];

static void wake(void *ctx)
{
    assert(ctx == &peer);
}

/* Headers of TCP over IPv4 or IPv6, as a sender's that leaves checksum and cutting to others. */
static uint32_t tcp_fill(uint8_t *at, bool six)
{
    uint32_t tcp = six ? TCP : 34;

    memset(at, 0x52, 12);
    memcpy(at + 12, six ? "\x86\xdd\x60" : "\x08\x00\x45", 3);
    memset(at + 15, 0, tcp + 20 - 15);
    at[six ? 20 : 23] = 6;
    at[tcp + 12] = 0x50;
    at[tcp + 13] = (uint8_t)fuzz_number(1);
    return tcp;
}

static void transmit_fill(uint8_t *at)
{
    bool six = fuzz_number(1) & 1;
    uint32_t tcp = tcp_fill(at + HEADER, six), spoil = (uint32_t)fuzz_number(1);

    memset(at, 0, HEADER);
    at[0] = 1;
    at[1] = six ? PACKET_TCP6 : PACKET_TCP4;
    put_le16(at + 4, (uint16_t)(48 + fuzz_number(1) * 4));
    put_le16(at + 6, (uint16_t)tcp);
    put_le16(at + 8, 16);
    if (spoil < 128)
        at[spoil] = (uint8_t)fuzz_number(1);
}

/* Something that the queue is for: a frame, a command, or a buffer for either kind of answer. */
static void chain_put(void)
{
    uint32_t queue = (uint32_t)fuzz_number(1) % n.v.desc.queues, len = (uint32_t)fuzz_number(2) % 0x1800;
    uint32_t control = virtio_has(&n.v, VIRTIO_NET_F_MQ) ? 2 * n.pairs_max : 2;
    const struct vring *ring = &n.v.queues[queue].ring;
    uint8_t *base = fuzz_ring(&n.v, queue), *data = fuzz_memory + 0x5000;

    if (!base)
        return;
    if (queue == control) {
        for (uint32_t i = 0; i < 16; i++)
            data[i] = (uint8_t)fuzz_number(1) & (i < 2 ? 7 : 0xff);
        fuzz_desc_put(ring, base, 0, 0x5000, len % 32, 1);
        fuzz_desc_put(ring, base, 1, 0x5100, 1, 2);
    } else if (queue % 2) {
        transmit_fill(data);
        fuzz_desc_put(ring, base, 0, 0x5000, len, 0);
    } else {
        fuzz_desc_put(ring, base, 0, 0x5000, len % 2048, 2);
    }
    fuzz_chain_ready(&n.v, queue);
}

/* What the switch lets through is sound: the peer is another such device. */
static void peer_send(void)
{
    uint32_t kind = (uint32_t)fuzz_number(1);
    struct packet p = {.len = (uint32_t)fuzz_number(2) % sizeof(frame),
                       .gso = kind & 1 ? PACKET_TCP6 : PACKET_TCP4,
                       .sum = true,
                       .sum_offset = 16,
                       .ecn = kind & 8,
                       .segment = (uint16_t)(48 + fuzz_number(1) * 8)};
    const struct vswitch_data data = {.head = frame, .head_len = p.len};

    p.sum_start = (uint16_t)tcp_fill(frame, kind & 1);
    if (!(kind & 2) || !packet_parse(frame, &p)) {
        p.gso = 0;
        p.sum = (kind & 4) && packet_sum_sound(&p);
    }
    frame[0] = (uint8_t)fuzz_number(1);
    vswitch_send(&peer, &p, &data);
}

/* What the driver sent and the switch let through can be cut and completed. */
static void peer_receive(void)
{
    struct packet_piece piece;
    struct packet *p;
    uint8_t *bytes = vswitch_peek(&peer, &p);

    if (!bytes)
        return;
    assert(p->len >= PACKET_MIN && p->len <= (p->gso ? PACKET_LONG_MAX : PACKET_MAX));
    for (uint32_t i = 0; p->gso && i < packet_pieces(p); i++) {
        packet_cut(bytes, p, i, i & 1, &piece);
        assert(piece.body_len > 0 && piece.body + piece.body_len <= bytes + p->len);
    }
    if (p->sum)
        packet_complete(bytes, p);
    vswitch_next(&peer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct virtio_net_config config = {
        .net = &net, .mac = {2}, .buffer = buffer, .buffer_bytes = sizeof(buffer), .packed = true};

    fuzz_start(data, size);
    fuzz_virtio_start();
    memset(&net, 0, sizeof(net));
    config.pairs = 1 + fuzz_number(1) % 2;
    assert(virtio_net_init(&n, &fuzz_host, 2, &config));
    peer = (struct vswitch_port){.buffer = peer_buffer,
                                 .buffer_bytes = sizeof(peer_buffer),
                                 .filter = {.promiscuous = true},
                                 .wake = wake,
                                 .ctx = &peer};
    assert(vswitch_attach(&net, &peer));
    while (fuzz_more()) {
        switch (fuzz_number(1) & 7) {
        case 0:
        case 1:
        case 2:
            fuzz_virtio_step(&n.v);
            break;
        case 3:
            peer_send();
            break;
        case 4:
            virtio_net_link(&n, fuzz_number(1) & 1);
            break;
        default:
            chain_put();
        }
        peer_receive();
        assert(vswitch_waiting(&n.port) <= sizeof(buffer) && vswitch_waiting(&peer) <= sizeof(peer_buffer));
        assert(n.pairs >= 1 && n.pairs <= n.pairs_max);
    }
    return 0;
}
