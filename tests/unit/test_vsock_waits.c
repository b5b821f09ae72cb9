/* Packets whose receiver takes none: those to others pass them, and one that takes nothing at all is given up; and who goes is told of. */
#include "drivers/virt/virtio_vsock.h"

#include "tests/unit/virtio_bench.h"

#define BUFFER 8192
#define SIZE   256
#define STEP   0x40 /* from header to header */
#define BYTES  (DATA + SIZE * STEP)
#define SECOND 1000000000ull

static struct vsockets net;
static struct virtio_vsock s;
static struct vsockets_port still, busy; /* 4 and 6 */
static uint8_t buffer[BUFFER], still_buffer[BUFFER], busy_buffer[BUFFER], data[VSOCKETS_DATA];
static uint32_t woken, sent;

static void wake(void *ctx)
{
    (void)ctx;
    woken++;
}

static void peer_make(struct vsockets_port *port, uint64_t cid, uint8_t *memory)
{
    *port = (struct vsockets_port){
        .cid = cid, .buffer = memory, .buffer_bytes = BUFFER, .wake = wake, .ctx = port};
    assert_true(vsockets_attach(&net, port));
    vsockets_open(port);
}

/* The device is number 3; the bench's ring is what it sends by. */
static void begin(bool packed)
{
    const struct virtio_vsock_config config = {&net, 3, buffer, BUFFER, true};

    virtio_bench();
    memset(&net, 0, sizeof(net));
    woken = sent = 0;
    assert_true(virtio_vsock_init(&s, &bench_host, SLOT, &config));
    peer_make(&still, 4, still_buffer);
    peer_make(&busy, 6, busy_buffer);
    assert_true(negotiate(VIRTIO_F_VERSION_1 | VIRTIO_F_RING_RESET | (packed ? VIRTIO_F_RING_PACKED : 0)));
    driver_start(packed, SIZE);
    queue_enable(1, SIZE);
    set(COMMON_STATUS, 1, GOOD_STATUS);
    pci_store(NOTIFY + 4, 2, 1);
    for (uint32_t i = 0; i < 4096; i++)
        ram[BYTES + i] = (uint8_t)(i % 251);
}

static struct vsockets_packet packet_of(uint64_t from, uint64_t to, uint16_t op, uint32_t len)
{
    return (struct vsockets_packet){
        .from = from, .to = to, .from_port = 7, .to_port = 8, .type = 1, .op = op, .len = len};
}

/* A packet of the driver's, in a header of its own; returns its buffer's id. */
static uint16_t driver_send(uint64_t to, uint16_t op, uint32_t len)
{
    struct vsockets_packet packet = packet_of(3, to, op, len);
    struct buffer parts[] = {{DATA + sent % SIZE * STEP, VSOCKETS_HEADER, 0}, {BYTES, len, 0}};
    uint16_t id;

    packet.forwarded = sent++;
    vsockets_write_header(ram + parts[0].addr, &packet);
    id = driver_add(parts, len ? 2 : 1);
    pci_store(NOTIFY + 4, 2, 1);
    return id;
}

static void expect_back(uint16_t id, uint16_t descs)
{
    uint32_t len;
    uint16_t back;

    assert_true(driver_collect(&back, &len, descs));
    assert_int_equal(back, id);
    assert_int_equal(len, 0);
}

static void expect_none_back(void)
{
    uint32_t len;
    uint16_t id;

    assert_false(driver_collect(&id, &len, 1));
}

static struct vsockets_packet taken(struct vsockets_port *port)
{
    struct vsockets_packet packet;

    assert_true(vsockets_receive(port, &packet, data, sizeof(data)));
    return packet;
}

static void expect_op(struct vsockets_port *port, uint64_t from, uint16_t op)
{
    struct vsockets_packet packet = taken(port);

    assert_int_equal(packet.op, op);
    assert_int_equal(packet.from, from);
    assert_int_equal(packet.to, port->cid);
    assert_int_equal(packet.from_port, 8 - (from == 3));
    assert_int_equal(packet.to_port, 7 + (from == 3));
}

/* Two buffers fill that of the peer, which has room for 8148 bytes of data in one packet; the second is cut. */
static void still_fill(uint16_t ids[2])
{
    ids[0] = driver_send(4, VSOCKETS_RW, 4096);
    ids[1] = driver_send(4, VSOCKETS_RW, 4096);
    expect_back(ids[0], 2);
    expect_none_back();
}

static void others_pass(bool packed)
{
    uint16_t ids[4];
    uint32_t got = 0;

    begin(packed);
    still_fill(ids);
    ids[2] = driver_send(4, VSOCKETS_CREDIT_UPDATE, 0); /* stays behind what is before it */
    ids[3] = driver_send(6, VSOCKETS_RW, 1000);
    expect_back(ids[3], 2);
    expect_none_back();
    assert_int_equal(s.v.queues[1].kept, 2);
    expect_op(&busy, 3, VSOCKETS_RW);
    assert_int_equal(get_le32(data + 100), get_le32(ram + BYTES + 100));
    while (got < 8192) {
        struct vsockets_packet packet = taken(&still);

        assert_int_equal(packet.op, VSOCKETS_RW);
        for (uint32_t i = 0; i < packet.len; i++, got++)
            assert_int_equal(data[i], got % 4096 % 251);
        bench_wait(1);
    }
    expect_op(&still, 3, VSOCKETS_CREDIT_UPDATE);
    expect_back(ids[1], 2);
    expect_back(ids[2], 1);
    assert_int_equal(s.v.queues[1].kept, 0);
}

static void test_others_pass(void **state)
{
    (void)state;
    others_pass(false);
    others_pass(true);
}

/* So many that no more can be set aside: they wait, all, while the other takes something now and then, and no longer if it doesn't. */
static void test_given_up(void **state)
{
    uint16_t ids[2];

    (void)state;
    begin(false);
    driver_send(4, VSOCKETS_REQUEST, 0);
    expect_op(&still, 3, VSOCKETS_REQUEST);
    driver_send(6, VSOCKETS_REQUEST, 0);
    expect_op(&busy, 3, VSOCKETS_REQUEST);
    driver_collect(&ids[0], &(uint32_t){0}, 1);
    driver_collect(&ids[0], &(uint32_t){0}, 1);
    still_fill(ids);
    for (uint32_t i = 1; i < VIRTIO_VSOCK_HELD; i++)
        driver_send(4, VSOCKETS_CREDIT_UPDATE, 0);
    driver_send(6, VSOCKETS_CREDIT_UPDATE, 0);
    expect_op(&busy, 3, VSOCKETS_CREDIT_UPDATE);
    driver_send(4, VSOCKETS_CREDIT_UPDATE, 0);
    driver_send(6, VSOCKETS_SHUTDOWN, 0);
    assert_int_equal(busy.used, 0);
    bench_wait(SECOND);
    vsockets_receive(&still, &(struct vsockets_packet){0}, data, 1);
    bench_wait(3 * SECOND / 2); /* it took something */
    assert_int_equal(busy.used, 0);
    assert_int_equal(s.port.refused, 0);
    bench_wait(3 * SECOND);
    for (uint32_t i = 0; i < 8; i++)
        bench_wait(1);
    expect_op(&busy, 3, VSOCKETS_SHUTDOWN);
    assert_int_equal(s.v.queues[1].kept, 0);
    expect_op(&s.port, 4, VSOCKETS_RST);
    /* What comes now isn't waited with, until it takes packets again: what there was, and the stream's end. */
    driver_send(4, VSOCKETS_REQUEST, 0);
    assert_int_equal(s.port.refused, VIRTIO_VSOCK_HELD + 2);
    while (still.used)
        assert_int_equal(taken(&still).op, VSOCKETS_RW);
    expect_op(&still, 3, VSOCKETS_RST);
    assert_false(vsockets_waits(&still));
    driver_send(4, VSOCKETS_REQUEST, 0);
    expect_op(&still, 3, VSOCKETS_REQUEST);
}

/* A reset of the queue gives its buffers back to the driver. */
static void test_queue_reset(void **state)
{
    uint16_t ids[2];

    (void)state;
    begin(false);
    still_fill(ids);
    assert_int_equal(s.v.queues[1].kept, 1);
    set(0x16, 2, 1);
    set(0x3a, 2, 1);
    assert_int_equal(s.v.queues[1].kept, 0);
    driver_start(false, SIZE);
    queue_enable(1, SIZE);
    while (still.used)
        taken(&still);
    bench_wait(1);
    assert_int_equal(still.used, 0);
    ids[0] = driver_send(4, VSOCKETS_RW, 4096);
    expect_back(ids[0], 2);
    expect_op(&still, 3, VSOCKETS_RW);
}

/* A header that the driver changes while its packet waits, to one that isn't sound. */
static void test_changed(void **state)
{
    uint16_t ids[2];

    (void)state;
    begin(true);
    still_fill(ids);
    put_le32(ram + DATA + STEP + 24, 5000);
    taken(&still);
    bench_wait(1);
    assert_true(status() & VIRTIO_NEEDS_RESET);
}

/* Its streams end with a VM, those of others don't; what it has sent comes first. */
static void test_ends_are_told(void **state)
{
    struct vsockets_packet packet = packet_of(4, 3, VSOCKETS_RESPONSE, 0);

    (void)state;
    begin(false);
    driver_send(4, VSOCKETS_REQUEST, 0);
    driver_send(6, VSOCKETS_REQUEST, 0);
    packet.from_port = 8;
    packet.to_port = 7;
    assert_int_equal(vsockets_send(&still, &packet, NULL), VSOCKETS_SENT);
    woken = 0;
    vsockets_detach(&still);
    assert_int_equal(woken, 0);
    assert_true(timer_armed(&s.again));
    expect_op(&s.port, 4, VSOCKETS_RESPONSE);
    expect_op(&s.port, 4, VSOCKETS_RST);
    assert_false(vsockets_waits(&s.port));
    /* Our driver starts anew: what it hasn't heard of is nothing to it, but those at the other ends hear. */
    expect_op(&busy, 3, VSOCKETS_REQUEST);
    set(COMMON_STATUS, 1, 0);
    assert_int_equal(woken, 1);
    expect_op(&busy, 3, VSOCKETS_RST);
    assert_false(vsockets_waits(&busy));
}

/* A stream that was reset isn't told of; one between the same ports begins when the end of the one before was told. */
static void test_ends_in_order(void **state)
{
    (void)state;
    begin(false);
    driver_send(4, VSOCKETS_REQUEST, 0);
    driver_send(4, VSOCKETS_RST, 0);
    driver_send(6, VSOCKETS_REQUEST, 0);
    expect_op(&busy, 3, VSOCKETS_REQUEST);
    set(COMMON_STATUS, 1, 0);
    expect_op(&still, 3, VSOCKETS_REQUEST);
    expect_op(&still, 3, VSOCKETS_RST);
    assert_false(vsockets_waits(&still));
    assert_true(negotiate(VIRTIO_F_VERSION_1));
    driver_start(false, SIZE);
    queue_enable(1, SIZE);
    set(COMMON_STATUS, 1, GOOD_STATUS);
    driver_send(6, VSOCKETS_REQUEST, 0);
    assert_int_equal(s.v.queues[1].kept, 1);
    expect_op(&busy, 3, VSOCKETS_RST);
    bench_wait(1);
    expect_op(&busy, 3, VSOCKETS_REQUEST);
}

/* However small the packets are in which a stream comes, what waits is little more than its bytes. */
static void test_joined(void **state)
{
    struct vsockets_packet packet;
    uint32_t got = 0;

    (void)state;
    begin(false);
    for (uint32_t i = 0; i < 1000; i++)
        driver_send(4, VSOCKETS_RW, 7);
    assert_int_equal(still.used, VSOCKETS_HEADER + 7000);
    packet = taken(&still);
    assert_int_equal(packet.len, sizeof(data));
    assert_int_equal(packet.forwarded, 999);
    driver_send(4, VSOCKETS_RW, 7);
    for (got = packet.len; got < 7007; got += packet.len) {
        packet = taken(&still);
        for (uint32_t i = 0; i < packet.len; i++)
            assert_int_equal(data[i], (got + i) % 7);
    }
    assert_int_equal(got, 7007);
    assert_int_equal(still.used, 0);
}

static void test_streams(void **state)
{
    static struct vstreams streams;
    struct vstream stream = {4, 0, 1024};
    uint32_t told = 0;

    (void)state;
    memset(&streams, 0, sizeof(streams));
    for (; stream.peer_port < 100; stream.peer_port++)
        vstreams_add(&streams, &stream);
    stream.peer_port = 50;
    assert_false(vstreams_has_ended(&streams, &stream));
    vstreams_remove(&streams, &stream);
    assert_false(vstreams_end(&streams, &stream));
    stream.peer_port = 51;
    assert_true(vstreams_end(&streams, &stream));
    assert_true(vstreams_has_ended(&streams, &stream));
    assert_false(vstreams_end_all(&streams, 5));
    assert_true(vstreams_end_all(&streams, 4));
    while (vstreams_take(&streams, &stream))
        told++;
    assert_int_equal(told, 99);
    /* The newest is always known. */
    for (stream.peer = 9, stream.own_port = 0; stream.own_port < 5000; stream.own_port++) {
        vstreams_add(&streams, &stream);
        vstreams_end(&streams, &stream);
        assert_true(vstreams_has_ended(&streams, &stream));
    }
    assert_in_range(streams.ended, 1, VSTREAMS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_others_pass),   cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_queue_reset),   cmocka_unit_test(test_changed),
        cmocka_unit_test(test_ends_are_told), cmocka_unit_test(test_ends_in_order),
        cmocka_unit_test(test_joined),        cmocka_unit_test(test_streams),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
