/* The socket device and where sockets meet: whole streams through a small buffer, refusals, and nobody waits for one who has gone. */
#include "drivers/virt/virtio_vsock.h"

#include "tests/unit/virtio_bench.h"

#define BUFFER 8192

static struct vsockets net;
static struct virtio_vsock s;
static struct vsockets_port peer;
static uint8_t buffer[BUFFER], peer_buffer[BUFFER], data[VSOCKETS_DATA];
static uint32_t woken;

static void wake(void *ctx)
{
    assert_ptr_equal(ctx, &peer);
    woken++;
}

/* The device is number 3 with its queue `queue` at the bench's place; a peer without a device is 4. */
static void begin(uint32_t queue)
{
    const struct virtio_vsock_config config = {&net, 3, buffer, BUFFER, true};

    virtio_bench();
    memset(&net, 0, sizeof(net));
    woken = 0;
    assert_true(virtio_vsock_init(&s, &bench_host, SLOT, &config));
    peer = (struct vsockets_port){
        .cid = 4, .buffer = peer_buffer, .buffer_bytes = BUFFER, .wake = wake, .ctx = &peer};
    assert_true(vsockets_attach(&net, &peer));
    vsockets_open(&peer);
    assert_true(negotiate(VIRTIO_F_VERSION_1));
    driver_start(false, 4);
    queue_enable(queue, 4);
    set(COMMON_STATUS, 1, GOOD_STATUS);
    assert_int_equal(pci_load(DEVICE, 8), 3);
    pci_store(NOTIFY + 4 * queue, 2, queue);
}

static struct vsockets_packet packet_of(uint64_t from, uint64_t to, uint16_t op, uint32_t len)
{
    return (struct vsockets_packet){.from = from,
                                    .to = to,
                                    .from_port = 7,
                                    .to_port = 8,
                                    .type = 1,
                                    .op = op,
                                    .len = len,
                                    .buffer = 99,
                                    .forwarded = 5};
}

/* A packet of the driver's, its data in two parts. */
static void driver_send(uint64_t from, uint64_t to, uint16_t op, uint32_t len)
{
    const struct buffer parts[] = {
        {DATA, VSOCKETS_HEADER, 0}, {DATA + 0x100, 100, 0}, {DATA + 0x200, len - 100, 0}};
    struct vsockets_packet packet = packet_of(from, to, op, len);

    vsockets_write_header(ram + DATA, &packet);
    driver_add(parts, len ? 3 : 1);
    pci_store(NOTIFY + 4, 2, 1);
}

static void test_header(void **state)
{
    struct vsockets_packet packet = packet_of(3, 4, VSOCKETS_RW, 10), back;
    uint8_t bytes[VSOCKETS_HEADER];

    (void)state;
    packet.flags = 3;
    vsockets_write_header(bytes, &packet);
    vsockets_read_header(bytes, &back);
    assert_memory_equal(&packet, &back, VSOCKETS_HEADER);
    assert_int_equal(bytes[16], 7);
    assert_int_equal(bytes[24], 10);
    assert_int_equal(bytes[28], 1);
    assert_int_equal(bytes[30], VSOCKETS_RW);
    assert_int_equal(bytes[36], 99);
    assert_int_equal(bytes[40], 5);
}

/* More than the receiver's buffer holds: the rest waits in the driver's own, and goes on when there is room. */
static void test_sending_waits(void **state)
{
    struct vsockets_packet packet;
    uint32_t taken = 0, len;
    uint16_t id;

    (void)state;
    begin(1);
    for (uint32_t i = 0; i < 20000; i++)
        ram[DATA + 0x200 + i] = (uint8_t)(i % 251);
    driver_send(3, 4, VSOCKETS_RW, 20100);
    assert_int_equal(woken, 1);
    assert_false(driver_collect(&id, &len, 1));
    while (vsockets_receive(&peer, &packet, data, 1000)) {
        assert_int_equal(packet.from, 3);
        assert_int_equal(packet.op, VSOCKETS_RW);
        assert_int_equal(packet.forwarded, 5);
        for (uint32_t i = 0; i < packet.len; i++, taken++)
            assert_int_equal(data[i], taken < 100 ? ram[DATA + 0x100 + taken] : (taken - 100) % 251);
        bench_wait(1);
    }
    assert_int_equal(taken, 20100);
    assert_true(driver_collect(&id, &len, 1));
    assert_int_equal(s.port.waiting | peer.waiting, 0);
}

/* Even for one that has room for all of it, no packet is gone through at one go, however long it says that it is. */
static void test_long_packets(void **state)
{
    static uint8_t much[0xa0000];
    const struct buffer parts[] = {
        {DATA, VSOCKETS_HEADER, 0}, {DATA, 0x30000, 0}, {DATA, 0x30000, 0}, {DATA, 0x30000, 0}};
    struct vsockets_packet packet = packet_of(3, 4, VSOCKETS_RW, 0x90000);
    uint32_t len, turns = 0;
    uint16_t id;

    (void)state;
    begin(1);
    peer.buffer = much;
    peer.buffer_bytes = sizeof(much);
    vsockets_write_header(ram + DATA, &packet);
    driver_add(parts, 4);
    for (pci_store(NOTIFY + 4, 2, 1); !driver_collect(&id, &len, 4); turns++) {
        assert_int_equal(peer.used - (peer.used / 16428 * VSOCKETS_HEADER), 0x40000 * (turns + 1));
        bench_wait(1);
    }
    assert_int_equal(turns, 2);
    assert_int_equal(s.port.sent, 0x90000 / VSOCKETS_DATA);
    /* What nobody gets is over with its first piece. */
    driver_send(3, 5, VSOCKETS_RW, 20000);
    assert_int_equal(s.port.refused, 1);
    assert_int_equal(s.port.used, VSOCKETS_HEADER);
}

/* Who waits for one that goes is told so. */
static void test_peer_goes(void **state)
{
    uint32_t len;
    uint16_t id;

    (void)state;
    begin(1);
    driver_send(3, 4, VSOCKETS_RW, 20000);
    assert_false(driver_collect(&id, &len, 1));
    vsockets_detach(&peer);
    bench_wait(1);
    assert_true(driver_collect(&id, &len, 1));
    assert_true(s.port.used >= VSOCKETS_HEADER); /* a reset waits for a buffer */
    assert_int_equal(s.port.refused, 1);
}

static void expect_reset(uint64_t from)
{
    struct vsockets_packet packet;

    assert_true(vsockets_receive(&s.port, &packet, data, 0));
    assert_int_equal(packet.op, VSOCKETS_RST);
    assert_int_equal(packet.from, from);
    assert_int_equal(packet.to, 3);
    assert_int_equal(packet.from_port, 8);
    assert_int_equal(packet.to_port, 7);
}

static void test_refusals(void **state)
{
    struct vsockets_packet packet;

    (void)state;
    begin(1);
    driver_send(3, 5, VSOCKETS_REQUEST, 0);
    expect_reset(5);
    driver_send(3, 4, 0, 0);
    expect_reset(4);
    driver_send(3, 4, 8, 0);
    expect_reset(4);
    driver_send(3, 5, VSOCKETS_RST, 0);
    driver_send(6, 4, VSOCKETS_REQUEST, 0);
    assert_false(vsockets_receive(&s.port, &packet, data, 0));
    assert_false(vsockets_receive(&peer, &packet, data, 0));
    assert_int_equal(status(), GOOD_STATUS);
    /* A length beyond the buffer. */
    packet = packet_of(3, 4, VSOCKETS_RW, 1000);
    vsockets_write_header(ram + DATA, &packet);
    driver_add((const struct buffer[]){{DATA, VSOCKETS_HEADER + 999, 0}}, 1);
    pci_store(NOTIFY + 4, 2, 1);
    assert_true(status() & VIRTIO_NEEDS_RESET);
}

/* The driver's buffers are smaller than what comes. */
static void test_receiving(void **state)
{
    const struct buffer small = {DATA, VSOCKETS_HEADER + 600, WRITE};
    struct vsockets_packet packet = packet_of(4, 3, VSOCKETS_RW, 1000);
    uint32_t len, taken = 0;
    uint16_t id;

    (void)state;
    begin(0);
    for (uint32_t i = 0; i < 1000; i++)
        data[i] = (uint8_t)(i % 253);
    assert_true(vsockets_send(&peer, &packet, data));
    packet.len = 0;
    packet.op = VSOCKETS_CREDIT_UPDATE;
    assert_true(vsockets_send(&peer, &packet, NULL));
    bench_wait(1);
    for (uint32_t n = 0; n < 3; n++) {
        driver_add(&small, 1);
        pci_store(NOTIFY, 2, 0);
        assert_true(driver_collect(&id, &len, 1));
        vsockets_read_header(ram + DATA, &packet);
        assert_int_equal(len, VSOCKETS_HEADER + packet.len);
        for (uint32_t i = 0; i < packet.len; i++, taken++)
            assert_int_equal(ram[DATA + VSOCKETS_HEADER + i], taken % 253);
        assert_int_equal(packet.op, n < 2 ? VSOCKETS_RW : VSOCKETS_CREDIT_UPDATE);
    }
    assert_int_equal(taken, 1000);
    /* One without room for data. */
    assert_true(vsockets_send(&peer, &packet, NULL));
    driver_add((const struct buffer[]){{DATA, VSOCKETS_HEADER, WRITE}}, 1);
    pci_store(NOTIFY, 2, 0);
    assert_true(status() & VIRTIO_NEEDS_RESET);
}

/* Who isn't there yet, or has just gone, says so: a request that waited for its driver would be forgotten by the reset. */
static void test_not_open(void **state)
{
    struct vsockets_packet packet = packet_of(4, 3, VSOCKETS_REQUEST, 0);

    (void)state;
    begin(0);
    set(COMMON_STATUS, 1, 0);
    for (uint32_t opens = 0; opens < 2; opens++) {
        assert_true(vsockets_send(&peer, &packet, NULL));
        assert_int_equal(s.port.used, 0);
        assert_true(vsockets_receive(&peer, &packet, data, 0));
        assert_int_equal(packet.op, VSOCKETS_RST);
        assert_int_equal(packet.from, 3);
        packet = packet_of(4, 3, VSOCKETS_REQUEST, 0);
        assert_true(negotiate(VIRTIO_F_VERSION_1));
        driver_start(false, 4);
        queue_enable(0, 4);
        set(COMMON_STATUS, 1, GOOD_STATUS);
        pci_store(NOTIFY, 2, 0);
        assert_true(vsockets_send(&peer, &packet, NULL));
        assert_int_equal(s.port.used, VSOCKETS_HEADER);
        set(COMMON_STATUS, 1, 0);
    }
}

static void test_numbers(void **state)
{
    static struct vsockets_port others[VSOCKETS_PORTS];

    (void)state;
    begin(1);
    others[0].cid = 4;
    assert_false(vsockets_attach(&net, &others[0]));
    for (uint32_t i = 0; i < VSOCKETS_PORTS; i++) {
        others[i].cid = 100 + i;
        assert_int_equal(vsockets_attach(&net, &others[i]), i < VSOCKETS_PORTS - 2);
    }
    /* What has arrived is gone with a reset of the device. */
    assert_true(
        vsockets_send(&peer, &(struct vsockets_packet){.from = 4, .to = 3, .type = 1, .op = 1}, NULL));
    assert_int_equal(s.port.used, VSOCKETS_HEADER);
    set(COMMON_STATUS, 1, 0);
    assert_int_equal(s.port.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header),    cmocka_unit_test(test_sending_waits),
        cmocka_unit_test(test_peer_goes), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_receiving), cmocka_unit_test(test_not_open),
        cmocka_unit_test(test_numbers),   cmocka_unit_test(test_long_packets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
