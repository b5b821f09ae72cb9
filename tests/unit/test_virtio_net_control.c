/* The network device's control queue, its pairs of queues, its limit and its cable. */
#include "tests/unit/net_bench.h"

/* The bytes of a command, its answer behind them: 0 is good. */
static uint8_t command(uint8_t class, uint8_t number, const void *bytes, uint32_t len)
{
    uint8_t *at = ram + DATA;
    uint16_t id;
    uint32_t written;

    at[0] = class;
    at[1] = number;
    memcpy(at + 2, bytes, len);
    ram[DATA + 0x1000] = 0x55;
    driver_add((const struct buffer[]){{DATA, 2, 0}, {DATA + 2, len, 0}, {DATA + 0x1000, 1, WRITE}}, 3);
    notify(CONTROL);
    assert_true(driver_collect(&id, &written, 3));
    assert_int_equal(written, 1);
    return ram[DATA + 0x1000];
}

/* How many of these frames arrive: to its own address, to another one, to a group, to all, with a VLAN tag; a bit each. */
static uint32_t reachable(void)
{
    static const uint8_t to[5][6] = {{2, 0, 0, 0, 0, 1},
                                     {2, 0, 0, 0, 0, 7},
                                     {1, 0, 0, 0, 0, 1},
                                     {255, 255, 255, 255, 255, 255},
                                     {2, 0, 0, 0, 0, 1}};
    const struct packet packet = {.len = 60};
    uint32_t mask = 0;

    memset(frame, 0, 60);
    frame[6] = 2;
    for (uint32_t i = 0; i < 5; i++) {
        uint64_t before = n.port.out.frames;

        memcpy(frame, to[i], 6);
        if (i == 4)
            memcpy(frame + 12, "\x81\x00\x00\x05", 4);
        peer_send(&packet);
        mask |= (uint32_t)(n.port.out.frames - before) << i;
    }
    return mask;
}

static void test_filter_commands(void **state)
{
    (void)state;
    use_queue(CONTROL, CONTROLS, 16);
    assert_int_equal(reachable(), 0x1f); /* all, until it says something */
    assert_int_equal(command(0, 0, "\0", 1), 0);
    assert_int_equal(reachable(), 0x09);
    assert_int_equal(command(0, 1, "\1", 1), 0);
    assert_int_equal(reachable(), 0x0d);
    assert_int_equal(command(0, 2, "\1", 1), 0);
    assert_int_equal(reachable(), 0x0f);
    assert_int_equal(command(2, 0, "\5\0", 2), 0);
    assert_int_equal(reachable(), 0x1f);
    assert_int_equal(command(2, 1, "\5\0", 2), 0);
    assert_int_equal(command(0, 3, "\1", 1), 0);
    assert_int_equal(command(0, 4, "\1", 1), 0);
    assert_int_equal(command(0, 5, "\1", 1), 0);
    assert_int_equal(reachable(), 0);
    assert_int_equal(command(0, 0, "\1", 1), 0);
    assert_int_equal(reachable(), 0x1f);
    /* The tables, and an address of its own. */
    for (uint8_t i = 0; i < 6; i++)
        assert_int_equal(command(0, i, "\0", 1), 0);
    assert_int_equal(command(1, 0, "\1\0\0\0\2\0\0\0\0\7\1\0\0\0\1\0\0\0\0\1", 20), 0);
    assert_int_equal(reachable(), 0x0f);
    assert_int_equal(command(1, 0, "\0\0\0\0\0\0\0\0", 8), 0);
    assert_int_equal(reachable(), 0x09);
    assert_int_equal(command(1, 1, "\2\0\0\0\0\7", 6), 0);
    assert_int_equal(reachable(), 0x0a);
    assert_int_equal(pci_load(DEVICE, 4) | pci_load(DEVICE + 4, 2) << 32, 0x070000000002);
    set(COMMON_STATUS, 1, 0);
    assert_int_equal(pci_load(DEVICE + 4, 2), 0x0100);
    assert_int_equal(reachable(), 0x1f);
}

/* More addresses than there is room for: the device lets all of that kind in. */
static void test_many_addresses(void **state)
{
    uint8_t table[8 + 6 * (VFILTER_ADDRESSES + 1)] = {VFILTER_ADDRESSES + 1};

    (void)state;
    use_queue(CONTROL, CONTROLS, 16);
    assert_int_equal(command(0, 0, "\0", 1), 0);
    assert_int_equal(command(1, 0, table, sizeof(table)), 0);
    assert_int_equal(reachable(), 0x0b);
    table[0] = 0;
    table[4] = VFILTER_ADDRESSES + 1;
    assert_int_equal(command(1, 0, table, sizeof(table)), 0);
    assert_int_equal(reachable(), 0x0d);
    table[4] = VFILTER_ADDRESSES;
    assert_int_equal(command(1, 0, table, sizeof(table) - 6), 0);
    assert_int_equal(reachable(), 0x09);
}

static void test_bad_commands(void **state)
{
    static const struct {
        uint8_t class, number, len, bytes[12];
    } bad[] = {
        {0, 0, 0, {0}},
        {0, 0, 1, {2}},
        {0, 6, 1, {0}},
        {1, 0, 3, {0}},
        {1, 0, 4, {0}},
        {1, 0, 7, {0}},
        {1, 0, 8, {1}},
        {1, 0, 8, {0, 0, 0, 0, 1}},
        {1, 0, 4, {255, 255, 255, 255}},
        {1, 1, 5, {2}},
        {1, 1, 6, {3}},
        {1, 2, 6, {2}},
        {2, 0, 1, {0}},
        {2, 0, 2, {0, 0x10}},
        {2, 2, 2, {0}},
        {3, 0, 0, {0}},
        {4, 0, 1, {1}},
        {4, 0, 2, {0}},
        {4, 0, 2, {PAIRS + 1}},
        {4, 1, 2, {1}},
        {5, 0, 8, {2}},
        {6, 0, 8, {0}},
        {255, 255, 8, {0}},
    };

    (void)state;
    use_queue(CONTROL, CONTROLS, 16);
    assert_int_equal(command(0, 0, "\0", 1), 0);
    for (uint32_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(command(bad[i].class, bad[i].number, bad[i].bytes, bad[i].len), 1);
    assert_int_equal(reachable(), 0x09);
    assert_int_equal(n.pairs, 1);
    assert_int_equal(n.commands_refused, ARRAY_SIZE(bad));
    /* Nor is there what wasn't negotiated. */
    use_queue(CONTROL, 0, 16);
    for (uint8_t class = 0; class < 3; class ++)
        assert_int_equal(command(class, 0, "\0\0\0\0\0\0\0\0", 8), 1);
    assert_int_equal(status(), GOOD_STATUS);
    driver_add((const struct buffer[]){{DATA, 3, 0}}, 1); /* no place for an answer */
    notify(CONTROL);
    assert_int_equal(status(), GOOD_STATUS | VIRTIO_NEEDS_RESET);
    use_queue(CONTROL, 0, 16);
    driver_add((const struct buffer[]){{DATA, 1, 0}, {DATA, 1, WRITE}}, 2); /* no command */
    notify(CONTROL);
    assert_int_equal(status(), GOOD_STATUS | VIRTIO_NEEDS_RESET);
    /* Without MQ the control queue is the third. */
    assert_true(negotiate(VIRTIO_F_VERSION_1 | VIRTIO_NET_F_CTRL_VQ));
    driver_start(false, 16);
    queue_enable(2, 16);
    set(COMMON_STATUS, 1, GOOD_STATUS);
    driver_add((const struct buffer[]){{DATA, 3, 0}, {DATA, 1, WRITE}}, 2);
    notify(2);
    assert_int_equal(ram[DATA], 1);
}

/* Further rings, each with memory of its own. */
static __typeof__(driver) drivers[2 * PAIRS + 1];
static uint32_t ring_now;

static void ring_use(uint32_t queue)
{
    drivers[ring_now] = driver;
    ring_now = queue;
    driver = drivers[queue];
    ring_at = queue ? 0x20000 + 0x6000 * queue : 0;
}

static void rings_start(uint64_t features)
{
    assert_true(negotiate(FEATURES | features));
    for (uint32_t i = 0; i <= CONTROL; i++) {
        ring_use(i);
        driver_start(false, 8);
        queue_enable(i, 8);
    }
    set(COMMON_STATUS, 1, GOOD_STATUS);
}

static bool received(uint32_t queue)
{
    uint16_t id;
    uint32_t len;

    ring_use(queue);
    return driver_collect(&id, &len, 1);
}

/* What comes back of a flow goes to the pair that it was sent on; with no buffer there, to the other. */
static void test_pairs(void **state)
{
    const struct buffer to = {DATA, 1600, WRITE};

    (void)state;
    rings_start(0);
    for (uint32_t queue = 0; queue < 3; queue += 2) {
        ring_use(queue);
        for (uint32_t i = 0; i < 4; i++)
            driver_add(&to, 1);
    }
    for (uint32_t on = 1; on <= 3; on += 2) {
        ring_use(3); /* on the second pair */
        memset(ram + DATA + 0x2000, 0, HEADER);
        tcp_frame(ram + DATA + 0x2000 + HEADER, 1, 100);
        driver_add((const struct buffer[]){{DATA + 0x2000, HEADER + TCP + 100, 0}}, 1);
        notify(3);
        peer_tcp(100, 0);
        bench_wait(1);
        assert_int_equal(received(0), on == 1); /* of pairs there is but one to begin with */
        assert_int_equal(received(2), on == 3);
        ring_use(CONTROL);
        if (on == 1)
            assert_int_equal(command(4, 0, "\2\0", 2), 0);
    }
    for (uint32_t i = 0; i < 6; i++)
        peer_tcp(100, 0);
    bench_wait(1);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(received(2) && received(0));
    assert_false(received(2) || received(0));
}

/* 5.1.6.5.8: switched off and on while it runs; a frame that is half delivered stays what it is. */
static void test_offload_commands(void **state)
{
    const struct buffer to = {DATA, 4096, WRITE};
    const uint64_t all = GUEST_TSO4, sum = VIRTIO_NET_F_GUEST_CSUM, alone = VIRTIO_NET_F_GUEST_TSO4;

    (void)state;
    rings_start(GUEST_TSO4 | VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
    assert_int_equal(command(5, 0, &alone, 8), 1);
    assert_int_equal(command(5, 0, &sum, 8), 0);
    peer_tcp(1500, 1000);
    peer_tcp(1500, 1000);
    ring_use(0);
    driver_add(&to, 1);
    notify(0);
    assert_true(received(0));
    ring_use(CONTROL);
    assert_int_equal(command(5, 0, &all, 8), 0);
    for (uint32_t i = 0; i < 2; i++) {
        ring_use(0);
        driver_add(&to, 1);
        notify(0);
        assert_true(received(0));
        assert_int_equal(ram[DATA + 1], i ? PACKET_TCP4 : 0);
    }
    assert_int_equal(n.cut, 1);
}

/* Frames beyond the limit wait in the driver's queue. */
static void test_limit(void **state)
{
    (void)state;
    use_queue(1, 0, 16);
    virtio_net_limit(&n, &(struct vlimit_rates){.ops = 100, .bytes = 1000000}); /* ten are a burst */
    for (uint32_t i = 0; i < 14; i++)
        driver_add((const struct buffer[]){{DATA, HEADER + FRAME, 0}}, 1);
    notify(1);
    assert_int_equal(n.port.in.frames, 11);
    notify(1);
    assert_int_equal(n.port.in.frames, 11);
    bench_wait(10000000);
    assert_int_equal(n.port.in.frames, 12);
    virtio_net_limit(&n, &(struct vlimit_rates){0, 0});
    bench_wait(2);
    assert_int_equal(n.port.in.frames, 14);
    assert_int_equal(n.port.in.dropped, 0);
}

static void test_link(void **state)
{
    (void)state;
    use_queue(0, 0, 16);
    pci_sent_count = 0;
    virtio_net_link(&n, true); /* as it is */
    assert_int_equal(pci_sent_count, 0);
    virtio_net_link(&n, false);
    assert_int_equal(pci_sent_count, 1);
    assert_int_equal(pci_sent[0].data, VECTOR_DATA); /* the configuration's */
    assert_int_equal(pci_load(DEVICE + 6, 2), 0);
    peer_plain(FRAME);
    assert_int_equal(vswitch_waiting(&n.port), 0);
    set(COMMON_STATUS, 1, 0); /* a reset doesn't plug it in again */
    assert_int_equal(pci_load(DEVICE + 6, 2), 0);
    virtio_net_link(&n, true);
    assert_int_equal(pci_load(DEVICE + 6, 2), 1);
    peer_plain(FRAME);
    assert_true(vswitch_waiting(&n.port) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_filter_commands, start),
        cmocka_unit_test_setup(test_many_addresses, start),
        cmocka_unit_test_setup(test_bad_commands, start),
        cmocka_unit_test_setup(test_pairs, start),
        cmocka_unit_test_setup(test_offload_commands, start),
        cmocka_unit_test_setup(test_limit, start),
        cmocka_unit_test_setup(test_link, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
