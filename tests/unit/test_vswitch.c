/* The switch: who gets what, what is lost and counted, buffers that wrap, ports that come and go. */
#include "drivers/virt/vswitch.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/support.h"

#define PORTS  4
#define BUFFER 4096

static struct vswitch net;
static struct vswitch_port ports[PORTS];
static uint8_t buffers[PORTS][BUFFER], got[PACKET_MAX];
static uint32_t wakes[PORTS];

static void wake(void *ctx)
{
    wakes[(struct vswitch_port *)ctx - ports]++;
}

static int start(void **state)
{
    (void)state;
    memset(&net, 0, sizeof(net));
    memset(wakes, 0, sizeof(wakes));
    for (uint32_t i = 0; i < PORTS; i++) {
        ports[i] = (struct vswitch_port){
            .buffer = buffers[i], .buffer_bytes = BUFFER, .wake = wake, .ctx = &ports[i]};
        ports[i].filter.promiscuous = true;
        assert_true(vswitch_attach(&net, &ports[i]));
    }
    return 0;
}

/* As a device does it: the first bytes apart from the others, which are in two pieces. */
static bool send_bytes(uint32_t port, const uint8_t *frame, uint32_t len)
{
    uint32_t head = MIN(len, 20u), middle = (len - head) / 2;
    uint8_t *rest = (uint8_t *)(uintptr_t)frame + head;
    const struct vring_part parts[] = {{rest, middle}, {rest + middle, len - head - middle}};
    const struct vswitch_data data = {frame, head, {parts, parts + 2, 0}};
    const struct packet packet = {.len = len, .segment = (uint16_t)len};

    return vswitch_send(&ports[port], &packet, &data);
}

/* Takes the next one into `got`; 0: there is none. */
static uint32_t receive(uint32_t port)
{
    struct packet *packet;
    const uint8_t *bytes = vswitch_peek(&ports[port], &packet);
    uint32_t len;

    if (!bytes)
        return 0;
    assert_ptr_equal(vswitch_peek(&ports[port], &packet), bytes);
    len = packet->len;
    assert_int_equal(packet->segment, len);
    memcpy(got, bytes, len);
    vswitch_next(&ports[port]);
    return len;
}

/* A frame from one station to another, which is named by its last byte; 0xff: all. */
static void send(uint32_t port, uint8_t from, uint8_t to, uint32_t len)
{
    uint8_t frame[PACKET_MAX] = {0};

    memset(frame, to == 0xff ? 0xff : 0x52, 6);
    memset(frame + 6, 0x52, 6);
    frame[0] &= to == 0xff ? 0xff : 0xfe;
    frame[5] = to;
    frame[11] = from;
    for (uint32_t i = 14; i < len; i++)
        frame[i] = (uint8_t)(i + from);
    assert_true(send_bytes(port, frame, len));
}

static void expect(uint32_t port, uint8_t from, uint32_t len)
{
    assert_int_equal(receive(port), len);
    assert_int_equal(got[11], from);
    for (uint32_t i = 14; i < len; i++)
        assert_int_equal(got[i], (uint8_t)(i + from));
}

static void expect_none(uint32_t port)
{
    assert_int_equal(receive(port), 0);
}

static void test_learning(void **state)
{
    (void)state;
    send(0, 10, 11, 60); /* nobody knows 11 yet */
    for (uint32_t i = 1; i < PORTS; i++)
        expect(i, 10, 60);
    expect_none(0);
    send(1, 11, 10, 70);
    expect(0, 11, 70);
    expect_none(2);
    send(0, 10, 11, 60);
    expect(1, 10, 60);
    expect_none(2);
    send(2, 12, 0xff, 64);
    expect(0, 12, 64);
    expect(1, 12, 64);
    expect(3, 12, 64);
    expect_none(2);
    send(0, 10, 10, 60); /* to itself: it stays there */
    for (uint32_t i = 0; i < PORTS; i++)
        expect_none(i);
    send(3, 10, 11, 60); /* it has moved */
    send(1, 11, 10, 60);
    expect(3, 11, 60);
    expect_none(0);
}

static void test_lengths(void **state)
{
    uint8_t frame[2000] = {0x52};

    (void)state;
    assert_false(send_bytes(0, frame, 13));
    assert_false(send_bytes(0, frame, PACKET_MAX + 1));
    assert_int_equal(ports[0].in.dropped, 2);
    send(0, 10, 0xff, PACKET_MIN);
    send(0, 10, 0xff, PACKET_MAX);
    expect(1, 10, PACKET_MIN);
    expect(1, 10, PACKET_MAX);
}

/* A receiver that doesn't take loses frames; the others don't notice. */
static void test_full(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 10; i++) {
        send(0, (uint8_t)(10 + i), 0xff, 1000);
        expect(2, (uint8_t)(10 + i), 1000);
    }
    assert_int_equal(ports[1].out.frames, 4);
    assert_int_equal(ports[1].out.dropped, 6);
    assert_int_equal(ports[2].out.dropped, 0);
    assert_int_equal(ports[0].in.frames, 10);
    assert_int_equal(ports[0].in.bytes, 10000);
    assert_int_equal(wakes[1], 1);
    assert_int_equal(wakes[2], 10);
    expect(1, 10, 1000);
    expect(1, 11, 1000);
    vswitch_flush(&ports[1]);
    expect_none(1);
}

static void test_wrapping(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t len = 14 + (uint32_t)rand() % 1500;

        send(0, (uint8_t)(i % 100), 0xff, len);
        send(0, (uint8_t)(i % 100 + 1), 0xff, 14 + len / 2);
        expect(1, (uint8_t)(i % 100), len);
        expect(1, (uint8_t)(i % 100 + 1), 14 + len / 2);
        vswitch_flush(&ports[2]);
        vswitch_flush(&ports[3]);
    }
}

static void test_detach(void **state)
{
    struct vswitch_port more[VSWITCH_PORTS];

    (void)state;
    send(1, 11, 0xff, 60);
    vswitch_flush(&ports[0]);
    vswitch_flush(&ports[2]);
    vswitch_detach(&ports[1]);
    vswitch_detach(&ports[1]);
    send(0, 10, 11, 60); /* unknown again */
    expect(2, 10, 60);
    for (uint32_t i = 0; i < VSWITCH_PORTS; i++) {
        more[i] = ports[1];
        assert_int_equal(vswitch_attach(&net, &more[i]), i <= VSWITCH_PORTS - PORTS);
    }
}

/* A long frame is taken only as such, and needs a buffer that has room for it in one piece. */
static void test_long(void **state)
{
    static uint8_t bytes[PACKET_LONG_MAX + 1], buffer[128 * KiB];
    const struct vswitch_data data = {bytes, sizeof(bytes), {NULL, NULL, 0}};
    struct packet packet = {.len = PACKET_LONG_MAX, .gso = PACKET_TCP4}, *got_packet;

    (void)state;
    vswitch_detach(&ports[1]);
    ports[1].buffer = buffer;
    ports[1].buffer_bytes = sizeof(buffer);
    assert_true(vswitch_attach(&net, &ports[1]));
    for (uint32_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
    for (uint32_t i = 0; i < 10; i++) {
        assert_true(vswitch_send(&ports[0], &packet, &data));
        assert_memory_equal(vswitch_peek(&ports[1], &got_packet), bytes, PACKET_LONG_MAX);
        assert_memory_equal(got_packet, &packet, sizeof(packet));
        vswitch_next(&ports[1]);
        assert_null(vswitch_peek(&ports[1], &got_packet));
    }
    assert_int_equal(ports[1].out.dropped, 0);
    assert_int_equal(ports[2].out.dropped, 10);
    packet.len++;
    assert_false(vswitch_send(&ports[0], &packet, &data));
}

static void test_link(void **state)
{
    (void)state;
    vswitch_link(&ports[1], false);
    send(0, 10, 0xff, 60);
    expect_none(1);
    expect(2, 10, 60);
    send(1, 11, 0xff, 60);
    expect_none(0);
    assert_int_equal(ports[1].in.dropped, 1);
    assert_int_equal(ports[1].out.dropped, 1);
    vswitch_link(&ports[1], true);
    send(0, 10, 0xff, 60);
    expect(1, 10, 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_learning, start), cmocka_unit_test_setup(test_lengths, start),
        cmocka_unit_test_setup(test_full, start),     cmocka_unit_test_setup(test_wrapping, start),
        cmocka_unit_test_setup(test_detach, start),   cmocka_unit_test_setup(test_long, start),
        cmocka_unit_test_setup(test_link, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
