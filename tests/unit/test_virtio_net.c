/* The network device, and the entropy device: what goes through them, and what a driver may get wrong. */
#include "drivers/virt/virtio_net.h"

#include "drivers/virt/virtio_rng.h"
#include "tests/unit/virtio_bench.h"

#define FEATURES (VIRTIO_F_VERSION_1 | BIT(5) | BIT(16))
#define HEADER   12
#define FRAME    100

static struct virtio_net n;
static struct virtio_rng rng;
static struct vswitch net;
static struct vswitch_port peer;
static uint8_t buffer[8192], peer_buffer[8192], frame[VSWITCH_FRAME_MAX];

static void peer_wake(void *ctx)
{
    assert_ptr_equal(ctx, &peer);
}

static int start(void **state)
{
    const struct virtio_net_config config = {.net = &net,
                                             .mac = {2, 0, 0, 0, 0, 1},
                                             .buffer = buffer,
                                             .buffer_bytes = sizeof(buffer),
                                             .packed = true};

    (void)state;
    virtio_bench();
    memset(&net, 0, sizeof(net));
    assert_true(virtio_net_init(&n, &bench_host, SLOT, &config));
    peer = (struct vswitch_port){
        .buffer = peer_buffer, .buffer_bytes = sizeof(peer_buffer), .wake = peer_wake, .ctx = &peer};
    assert_true(vswitch_attach(&net, &peer));
    device_start(FEATURES, 16);
    return 0;
}

/* The queue of the driver's that the bench has is number `queue`. */
static void use_queue(uint32_t queue)
{
    assert_true(negotiate(FEATURES));
    driver_start(false, 16);
    queue_enable(queue, 16);
    set(COMMON_STATUS, 1, GOOD_STATUS);
}

static void test_configuration(void **state)
{
    (void)state;
    assert_int_equal(pci_load(DEVICE, 8), 0x0001010000000002);
    assert_int_equal(pci_in(SLOT, 0, 4), 0x10411af4);
    assert_int_equal(reg(0x12, 2), 2);
}

static void test_transmit(void **state)
{
    const struct buffer split[] = {{DATA, 5, 0}, {DATA + 5, HEADER + FRAME - 5, 0}};
    uint16_t id;
    uint32_t len;

    (void)state;
    use_queue(1);
    memset(ram + DATA + HEADER, 0xff, 6);
    memcpy(ram + DATA + HEADER + 6, "\2\0\0\0\0\1", 6);
    driver_add(split, 2);
    pci_store(NOTIFY + 4, 2, 1);
    assert_true(driver_collect(&id, &len, 2));
    assert_int_equal(len, 0);
    assert_int_equal(vswitch_receive(&peer, frame), FRAME);
    assert_memory_equal(frame, ram + DATA + HEADER, FRAME);
    /* Too long, or too short for a frame: lost. */
    driver_add((const struct buffer[]){{DATA, HEADER + VSWITCH_FRAME_MAX + 1, 0}}, 1);
    driver_add((const struct buffer[]){{DATA, HEADER + 13, 0}}, 1);
    driver_add((const struct buffer[]){{DATA, HEADER, 0}}, 1);
    pci_store(NOTIFY + 4, 2, 1);
    assert_int_equal(n.port.in.dropped, 3);
    assert_int_equal(vswitch_receive(&peer, frame), 0);
    assert_int_equal(status(), GOOD_STATUS);
    driver_add((const struct buffer[]){{DATA, HEADER - 1, 0}}, 1);
    pci_store(NOTIFY + 4, 2, 1);
    assert_int_equal(status(), GOOD_STATUS | VIRTIO_NEEDS_RESET);
}

static void peer_send(uint32_t len)
{
    memset(frame, 0xab, sizeof(frame));
    memcpy(frame, "\xff\xff\xff\xff\xff\xff\2\0\0\0\0\2", 12);
    assert_true(vswitch_send(&peer, frame, len));
}

static void test_receive(void **state)
{
    const struct buffer to = {DATA, 1600, WRITE}, small = {DATA, HEADER + FRAME - 1, WRITE};
    uint16_t id;
    uint32_t len;

    (void)state;
    peer_send(FRAME); /* waits for a buffer */
    bench_wait(1);
    driver_add(&to, 1);
    pci_store(NOTIFY, 2, 0);
    assert_true(driver_collect(&id, &len, 1));
    assert_int_equal(len, HEADER + FRAME);
    assert_int_equal(get_le16(ram + DATA + 10), 1);
    assert_memory_equal(ram + DATA + HEADER, frame, FRAME);
    assert_int_equal(pci_sent_count, 1);
    /* A buffer waits for it; nothing happens on the sender's core. */
    driver_add(&to, 1);
    pci_store(NOTIFY, 2, 0);
    peer_send(VSWITCH_FRAME_MAX);
    assert_false(driver_collect(&id, &len, 1));
    bench_wait(1);
    assert_true(driver_collect(&id, &len, 1));
    assert_int_equal(len, HEADER + VSWITCH_FRAME_MAX);
    driver_add(&small, 1);
    peer_send(FRAME);
    bench_wait(1);
    assert_true(driver_collect(&id, &len, 1));
    assert_int_equal(len, 0);
    assert_int_equal(n.too_short, 1);
    driver_add((const struct buffer[]){{DATA, 1600, 0}}, 1);
    peer_send(FRAME);
    bench_wait(1);
    assert_int_equal(status(), GOOD_STATUS | VIRTIO_NEEDS_RESET);
}

/* Without a driver, and after a reset, nothing is kept. */
static void test_nobody_listens(void **state)
{
    (void)state;
    peer_send(FRAME);
    set(COMMON_STATUS, 1, 0);
    assert_int_equal(n.port.used, 0);
    peer_send(FRAME);
    bench_wait(1);
    assert_int_equal(n.port.used, 0);
    virtio_net_remove(&n);
    peer_send(FRAME);
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
        cmocka_unit_test_setup(test_configuration, start), cmocka_unit_test_setup(test_transmit, start),
        cmocka_unit_test_setup(test_receive, start),       cmocka_unit_test_setup(test_nobody_listens, start),
        cmocka_unit_test_setup(test_entropy, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
