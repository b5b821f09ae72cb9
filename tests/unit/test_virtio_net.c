/* The network device, and the entropy device: what goes through them, and what a driver may get wrong. */
#include "drivers/virt/virtio_rng.h"
#include "tests/unit/net_bench.h"

static struct virtio_rng rng;
static struct packet *got; /* what the peer received last */

/* The next frame that the peer gets, its length, or 0. */
static const uint8_t *peer_frame(uint32_t *len)
{
    const uint8_t *bytes = vswitch_peek(&peer, &got);

    *len = bytes ? got->len : 0;
    if (bytes)
        vswitch_next(&peer);
    return bytes;
}

static void expect_none(void)
{
    uint32_t len;

    assert_null(peer_frame(&len));
}

static void test_configuration(void **state)
{
    (void)state;
    assert_int_equal(pci_load(DEVICE, 8), 0x0001010000000002);
    assert_int_equal(pci_load(DEVICE + 8, 2), PAIRS);
    assert_int_equal(pci_in(SLOT, 0, 4), 0x10411af4);
    assert_int_equal(reg(0x12, 2), 2 * PAIRS + 1);
}

/* 5.1.3.1: what isn't worth anything alone is refused alone. */
static void test_features(void **state)
{
    static const uint64_t alone[] = {
        VIRTIO_NET_F_GUEST_TSO4,    VIRTIO_NET_F_GUEST_TSO6,
        VIRTIO_NET_F_GUEST_ECN,     VIRTIO_NET_F_HOST_TSO4,
        VIRTIO_NET_F_HOST_TSO6,     VIRTIO_NET_F_HOST_ECN,
        VIRTIO_NET_F_CTRL_RX_EXTRA, VIRTIO_NET_F_MQ,
        VIRTIO_NET_F_CTRL_RX,       VIRTIO_NET_F_CTRL_VLAN,
        VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
    };

    (void)state;
    for (uint32_t i = 0; i < ARRAY_SIZE(alone); i++)
        assert_false(negotiate(VIRTIO_F_VERSION_1 | alone[i]));
    assert_true(negotiate(n.v.offered));
    assert_true(negotiate(VIRTIO_F_VERSION_1));
}

static void test_transmit(void **state)
{
    const struct buffer split[] = {{DATA, 5, 0}, {DATA + 5, HEADER + FRAME - 5, 0}};
    const uint8_t *bytes;
    uint16_t id;
    uint32_t len;

    (void)state;
    use_queue(1, 0, 16);
    memset(ram + DATA + HEADER, 0xff, 6);
    memcpy(ram + DATA + HEADER + 6, "\2\0\0\0\0\1", 6);
    ram[DATA] = 0xff; /* no flag was negotiated: none means anything */
    driver_add(split, 2);
    notify(1);
    assert_true(driver_collect(&id, &len, 2));
    assert_int_equal(len, 0);
    bytes = peer_frame(&len);
    assert_int_equal(len, FRAME);
    assert_memory_equal(bytes, ram + DATA + HEADER, FRAME);
    assert_false(got->sum);
    /* Too long, or too short for a frame, or to be cut, which wasn't negotiated: lost. */
    driver_add((const struct buffer[]){{DATA, HEADER + PACKET_MAX + 1, 0}}, 1);
    driver_add((const struct buffer[]){{DATA, HEADER + 13, 0}}, 1);
    driver_add((const struct buffer[]){{DATA, HEADER, 0}}, 1);
    notify(1);
    ram[DATA + 1] = 1;
    driver_add((const struct buffer[]){{DATA, HEADER + FRAME, 0}}, 1);
    notify(1);
    assert_int_equal(n.port.in.dropped, 4);
    assert_int_equal(n.bad, 3);
    expect_none();
    assert_int_equal(status(), GOOD_STATUS);
    driver_add((const struct buffer[]){{DATA, HEADER - 1, 0}}, 1);
    notify(1);
    assert_int_equal(status(), GOOD_STATUS | VIRTIO_NEEDS_RESET);
}

static void tcp_header(uint8_t *header, uint16_t segment)
{
    memset(header, 0, HEADER);
    header[0] = 1;
    header[1] = segment ? PACKET_TCP4 : 0;
    put_le16(header + 2, 0xffff); /* a hint, which isn't taken */
    put_le16(header + 4, segment);
    put_le16(header + 6, 34);
    put_le16(header + 8, 16);
}

/* What a sender leaves to others arrives with the frame, when it is sound. */
static void test_transmit_offloads(void **state)
{
    const uint32_t payload = 40000;
    const struct buffer whole = {DATA, HEADER + TCP + payload, 0};
    static const struct {
        uint8_t at, value; /* in header and frame */
    } spoilt[] = {{1, 3}, {1, 4},    {1, 0x80}, {1, 0xff}, {6, 0xff},
                  {7, 1}, {9, 0xff}, {0, 0},    {4, 47},   {HEADER + 12, 0x86}};
    const uint8_t *bytes;
    uint32_t len;

    (void)state;
    use_queue(1, HOST_TSO4, 64);
    tcp_header(ram + DATA, 1000);
    tcp_frame(ram + DATA + HEADER, 1, payload);
    driver_add(&whole, 1);
    notify(1);
    bytes = peer_frame(&len);
    assert_int_equal(len, TCP + payload);
    assert_memory_equal(bytes, ram + DATA + HEADER, len);
    assert_int_equal(got->gso, PACKET_TCP4);
    assert_int_equal(got->segment, 1000);
    assert_int_equal(got->header, TCP);
    assert_true(got->sum && !got->ecn && got->sum_start == 34 && got->sum_offset == 16);
    put_le16(ram + DATA + 4, 255); /* so that one changed byte makes it too small */
    for (uint32_t i = 0; i < ARRAY_SIZE(spoilt); i++) {
        uint8_t *spoil = ram + DATA + spoilt[i].at, before = *spoil;

        *spoil = spoilt[i].value;
        driver_add(&whole, 1);
        notify(1);
        *spoil = before;
        expect_none();
        assert_int_equal(n.port.in.dropped, i + 1);
    }
    tcp_header(ram + DATA, 1000);
    driver_add((const struct buffer[]){{DATA, HEADER + PACKET_LONG_MAX + 1, 0}}, 1);
    notify(1);
    expect_none();
    /* Only a checksum, and only where there are bytes for it. */
    tcp_header(ram + DATA, 0);
    driver_add((const struct buffer[]){{DATA, HEADER + 52, 0}}, 1);
    driver_add((const struct buffer[]){{DATA, HEADER + 51, 0}}, 1);
    notify(1);
    assert_non_null(peer_frame(&len));
    assert_true(got->sum && !got->gso);
    expect_none();
    assert_int_equal(status(), GOOD_STATUS);
}

static void test_receive(void **state)
{
    const struct buffer to = {DATA, 1600, WRITE}, small = {DATA, HEADER + FRAME - 1, WRITE};
    uint16_t id;
    uint32_t len;

    (void)state;
    peer_plain(FRAME); /* waits for a buffer */
    bench_wait(1);
    driver_add(&to, 1);
    notify(0);
    assert_true(driver_collect(&id, &len, 1));
    assert_int_equal(len, HEADER + FRAME);
    assert_int_equal(get_le16(ram + DATA + 10), 1);
    assert_memory_equal(ram + DATA + HEADER, frame, FRAME);
    assert_int_equal(pci_sent_count, 1);
    /* A buffer waits for it; nothing happens on the sender's core. */
    driver_add(&to, 1);
    notify(0);
    peer_plain(PACKET_MAX);
    assert_false(driver_collect(&id, &len, 1));
    bench_wait(1);
    assert_true(driver_collect(&id, &len, 1));
    assert_int_equal(len, HEADER + PACKET_MAX);
    driver_add(&small, 1);
    peer_plain(FRAME);
    bench_wait(1);
    assert_true(driver_collect(&id, &len, 1));
    assert_int_equal(len, 0);
    assert_int_equal(n.too_short, 1);
    driver_add((const struct buffer[]){{DATA, 1600, 0}}, 1);
    peer_plain(FRAME);
    bench_wait(1);
    assert_int_equal(status(), GOOD_STATUS | VIRTIO_NEEDS_RESET);
}

/* A frame in several buffers: the first ones are full, and it comes with the last that it needs, or not at all. */
static void mergeable(uint64_t features)
{
    const uint32_t parts[] = {HEADER + 20, 30, 1, 200};
    uint64_t at = DATA, filled = 0;
    uint16_t id;
    uint32_t len;

    use_queue(0, VIRTIO_NET_F_MRG_RXBUF | features, 16);
    memset(ram + DATA, 0xee, 512);
    peer_plain(FRAME);
    for (uint32_t i = 0; i < 4; i++) {
        driver_add((const struct buffer[]){{at, parts[i] / 2, WRITE},
                                           {at + parts[i] / 2, parts[i] - parts[i] / 2, WRITE}},
                   2);
        notify(0);
        assert_int_equal(driver_collect(&id, &len, 2), i == 3);
        at += parts[i];
    }
    assert_int_equal(get_le16(ram + DATA + 10), 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(len, i < 3 ? parts[i] : FRAME - 51);
        filled += len;
        assert_int_equal(driver_collect(&id, &len, 2), i < 3);
    }
    assert_int_equal(filled, HEADER + FRAME);
    assert_memory_equal(ram + DATA + HEADER, frame, FRAME);
    assert_int_equal(ram[DATA + HEADER + FRAME], 0xee);
}

static void test_mergeable(void **state)
{
    uint16_t id;
    uint32_t len;

    (void)state;
    mergeable(0);
    mergeable(VIRTIO_F_RING_PACKED);
    /* More than the ring can hold is never going to fit. */
    use_queue(0, VIRTIO_NET_F_MRG_RXBUF, 4);
    peer_plain(1000);
    peer_plain(FRAME);
    for (uint32_t i = 0; i < 4; i++)
        driver_add((const struct buffer[]){{DATA + 0x100 * i, 0x100 - HEADER, WRITE}}, 1);
    notify(0);
    assert_int_equal(n.too_short, 1);
    assert_true(driver_collect(&id, &len, 1));
    assert_int_equal(len, HEADER + FRAME);
    /* Not even a header's worth. */
    use_queue(0, VIRTIO_NET_F_MRG_RXBUF, 4);
    peer_plain(FRAME);
    driver_add((const struct buffer[]){{DATA, HEADER - 1, WRITE}}, 1);
    notify(0);
    assert_int_equal(n.too_short, 2);
    assert_int_equal(status(), GOOD_STATUS);
    /* A second one that is to be read. */
    peer_plain(FRAME);
    driver_add((const struct buffer[]){{DATA, 20, WRITE}}, 1);
    driver_add((const struct buffer[]){{DATA, 20, 0}}, 1);
    notify(0);
    assert_int_equal(status(), GOOD_STATUS | VIRTIO_NEEDS_RESET);
}

/* Word sum of TCP's part of a frame at DATA, with its pseudo-header: ffff if it is right. */
static uint32_t tcp_sum(uint32_t len)
{
    const uint8_t *ip = ram + DATA + HEADER + 14;
    uint32_t sum = 6 + len - 34;

    for (uint32_t i = 12; i < len - 14; i++)
        sum += i % 2 ? ip[i] : (uint32_t)ip[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

/* Every kind of receiver gets what it takes; `pieces` frames come out of one of 2500 bytes, or of 900. */
static void offloads(uint64_t features, uint32_t payload, uint16_t segment, uint32_t pieces)
{
    const struct buffer to = {DATA, 4096, WRITE};
    const uint8_t *header = ram + DATA;
    bool sum = features & VIRTIO_NET_F_GUEST_CSUM, whole = pieces == 1;
    uint32_t len, all = 0;
    uint16_t id;

    use_queue(0, features, 16);
    peer_tcp(payload, segment);
    if (!segment && !sum) /* begun, as a sender has it: the device's part is the rest */
        put_le16(n.port.buffer + 24 + 50, 0);
    for (uint32_t i = 0; i < pieces; i++) {
        driver_add(&to, 1);
        notify(0);
        assert_true(driver_collect(&id, &len, 1));
        len -= HEADER;
        all += len - TCP;
        assert_int_equal(header[0], sum);
        assert_int_equal(header[1], whole && segment ? PACKET_TCP4 : 0);
        assert_int_equal(get_le16(header + 2), whole && segment ? TCP : 0);
        assert_int_equal(get_le16(header + 4), whole ? segment : 0);
        assert_int_equal(get_le16(header + 6), sum ? 34 : 0);
        assert_memory_equal(ram + DATA + HEADER + TCP, frame + TCP + i * (uint32_t)segment, len - TCP);
        if (!sum && segment)
            assert_int_equal(tcp_sum(len), 0xffff);
    }
    assert_int_equal(all, payload);
    driver_add(&to, 1);
    notify(0);
    assert_false(driver_collect(&id, &len, 1));
}

static void test_receive_offloads(void **state)
{
    (void)state;
    offloads(0, 2500, 1000, 3);
    offloads(VIRTIO_NET_F_GUEST_CSUM, 2500, 1000, 3);
    offloads(VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO6, 2500, 1000, 3);
    offloads(GUEST_TSO4, 2500, 1000, 1);
    offloads(VIRTIO_NET_F_GUEST_CSUM, 900, 0, 1);
    offloads(0, 900, 0, 1);
    assert_int_equal(n.cut, 3);
}

/* Without a driver, and after a reset, nothing is kept. */
static void test_nobody_listens(void **state)
{
    (void)state;
    peer_plain(FRAME);
    set(COMMON_STATUS, 1, 0);
    assert_int_equal(vswitch_waiting(&n.port), 0);
    peer_plain(FRAME);
    bench_wait(1);
    assert_int_equal(vswitch_waiting(&n.port), 0);
    virtio_net_remove(&n);
    peer_plain(FRAME);
    assert_false(timer_armed(&n.arrived));
}

static void fill(void *ctx, void *buf, uint32_t len)
{
    assert_ptr_equal(ctx, &net);
    memset(buf, 0x77, len);
}

static void test_entropy(void **state)
{
    const struct buffer to[] = {{DATA, 10, WRITE}, {DATA + 16, 5000, WRITE}};
    uint16_t id;
    uint32_t len;

    (void)state;
    virtio_bench();
    virtio_rng_init(&rng, &bench_host, SLOT, true, fill, &net);
    device_start(VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED, 4);
    driver_add(to, 2);
    pci_store(NOTIFY, 2, 0);
    assert_true(driver_collect(&id, &len, 2));
    assert_int_equal(len, 4096);
    assert_int_equal(ram[DATA + 9], 0x77);
    assert_int_equal(ram[DATA + 10], 0);
    assert_int_equal(ram[DATA + 16 + 4085], 0x77);
    assert_int_equal(ram[DATA + 16 + 4086], 0);
    driver_add((const struct buffer[]){{DATA, 10, 0}}, 1);
    pci_store(NOTIFY, 2, 0);
    assert_int_equal(status(), GOOD_STATUS | VIRTIO_NEEDS_RESET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_configuration, start),
        cmocka_unit_test_setup(test_features, start),
        cmocka_unit_test_setup(test_transmit, start),
        cmocka_unit_test_setup(test_transmit_offloads, start),
        cmocka_unit_test_setup(test_receive, start),
        cmocka_unit_test_setup(test_mergeable, start),
        cmocka_unit_test_setup(test_receive_offloads, start),
        cmocka_unit_test_setup(test_nobody_listens, start),
        cmocka_unit_test_setup(test_entropy, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
