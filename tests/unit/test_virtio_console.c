/* The console device: text that waits in the guest's buffers until there is room for it, typed bytes, and ports with names. */
#include "drivers/virt/virtio_console.h"

#include "tests/unit/virtio_bench.h"

static struct virtio_console c;
static char written[20000];
static uint32_t written_len, room;

static void take(void *ctx, const uint8_t *bytes, uint32_t len)
{
    assert_ptr_equal(ctx, &c);
    assert_true(len <= VIRTIO_CONSOLE_PIECE && written_len + len <= sizeof(written));
    memcpy(written + written_len, bytes, len);
    written_len += len;
    room -= MIN(room, len);
}

static bool ready(void *ctx)
{
    (void)ctx;
    return room > 0;
}

/* The bench's queue is the device's number `queue`. */
static void begin(bool packed, uint32_t queue)
{
    const struct virtio_console_config config = {
        .count = 1, .console = true, .ends = {{"console", take, ready, &c}}, .packed = true};
    uint64_t features = VIRTIO_F_VERSION_1 | (packed ? VIRTIO_F_RING_PACKED : 0);

    virtio_bench();
    virtio_console_init(&c, &bench_host, SLOT, &config);
    written_len = 0;
    room = sizeof(written);
    assert_true(negotiate(features));
    driver_start(packed, 4);
    queue_enable(queue, 4);
    set(COMMON_STATUS, 1, GOOD_STATUS);
    for (uint32_t i = 0; i < 10000; i++)
        ram[DATA + i] = (uint8_t)(i % 251);
}

static void transmit(bool packed)
{
    const struct buffer text[] = {{DATA, 700, 0}, {DATA + 700, 9300, 0}}, end = {DATA, 3, 0};
    uint16_t id;
    uint32_t len;

    begin(packed, 1);
    room = 600;
    driver_add(text, 2);
    driver_add(&end, 1);
    pci_store(NOTIFY + 4, 2, 1);
    assert_int_equal(written_len, 700); /* asked again after each piece: 512, then what ends the first part */
    assert_false(driver_collect(&id, &len, 2));
    bench_wait(MS / 2);
    room = sizeof(written);
    assert_int_equal(written_len, 700);
    bench_wait(MS);
    assert_int_equal(written_len, 10003);
    assert_memory_equal(written, ram + DATA, 10000);
    assert_memory_equal(written + 10000, ram + DATA, 3);
    assert_true(driver_collect(&id, &len, 2));
    assert_true(driver_collect(&id, &len, 1));
}

static void test_transmit(void **state)
{
    (void)state;
    transmit(false);
    transmit(true);
}

/* What was out of a buffer that is gone with its ring isn't taken off the next one's. */
static void test_ring_reset(void **state)
{
    const struct buffer text = {DATA, 1000, 0};

    (void)state;
    begin(false, 1);
    set(COMMON_STATUS, 1, 0);
    assert_true(negotiate(VIRTIO_F_VERSION_1 | VIRTIO_F_RING_RESET));
    for (uint32_t i = 0; i < 2; i++) {
        written_len = 0;
        room = i ? sizeof(written) : 500;
        driver_start(false, 4);
        queue_enable(1, 4);
        set(COMMON_STATUS, 1, GOOD_STATUS);
        driver_add(&text, 1);
        pci_store(NOTIFY + 4, 2, 1);
        assert_int_equal(written_len, i ? 1000 : 512);
        set(0x3a, 2, 1);
    }
    assert_memory_equal(written, ram + DATA, 1000);
}

static void test_typing(void **state)
{
    const struct buffer to = {DATA, 2, WRITE};
    uint16_t id;
    uint32_t len;

    (void)state;
    begin(false, 0);
    assert_true(virtio_console_listens(&c, 0));
    for (uint32_t i = 0; i < 300; i++)
        virtio_console_type(&c, 0, (uint8_t)i);
    bench_wait(1);
    driver_add(&to, 1);
    pci_store(NOTIFY, 2, 0);
    assert_true(driver_collect(&id, &len, 1));
    assert_int_equal(len, 2);
    assert_memory_equal(ram + DATA, "\0\1", 2);
    assert_int_equal(c.ports[0].typed, VIRTIO_CONSOLE_TYPED - 2);
    for (uint32_t i = 2; i < VIRTIO_CONSOLE_TYPED; i += 2) {
        driver_add(&to, 1);
        pci_store(NOTIFY, 2, 0);
        assert_int_equal(ram[DATA], i);
    }
    driver_add(&to, 1);
    pci_store(NOTIFY, 2, 0);
    assert_int_equal(pci_sent_count, VIRTIO_CONSOLE_TYPED / 2);
    virtio_console_type(&c, 0, 'x'); /* a buffer waits; only the VM's own timer touches it */
    assert_int_equal(pci_sent_count, VIRTIO_CONSOLE_TYPED / 2);
    bench_wait(1);
    assert_int_equal(ram[DATA], 'x');
    set(COMMON_STATUS, 1, 0);
    assert_false(virtio_console_listens(&c, 0));
}

/* -- several ports ---------------------------------------------------------------------------------------------- */

#define F_MULTIPORT BIT(1)

/* Queue n is at its own place, with room for 16 buffers; `used` are those that were collected. */
struct place {
    uint16_t made, used;
};
static struct place places[12];

static uint32_t place_at(uint32_t queue)
{
    return 0x10000 + queue * 0x1000;
}

static void place_enable(uint32_t queue)
{
    set(0x16, 2, queue);
    set(0x18, 2, 16);
    set(0x20, 8, place_at(queue));
    set(0x28, 4, place_at(queue) + 0x200);
    set(0x30, 4, place_at(queue) + 0x400);
    set(0x1c, 2, 1);
}

/* One buffer of its own, at 0x800 + 64 times its number. */
static uint8_t *place_buffer(uint32_t queue, uint32_t n)
{
    return ram + place_at(queue) + 0x800 + 64 * (n % 16);
}

static void place_add(uint32_t queue, const void *bytes, uint32_t len, bool write)
{
    struct place *p = &places[queue];
    uint8_t *d = ram + place_at(queue) + 16 * (p->made % 16);

    if (bytes)
        memcpy(place_buffer(queue, p->made), bytes, len);
    put_le64(d, (uint64_t)(place_buffer(queue, p->made) - ram));
    put_le32(d + 8, len);
    put_le16(d + 12, write ? 2 : 0);
    put_le16(ram + place_at(queue) + 0x204 + 2 * (p->made % 16), p->made % 16);
    put_le16(ram + place_at(queue) + 0x202, ++p->made);
    pci_store(NOTIFY + 4 * queue, 2, queue);
}

/* The length of the next that was given back, or -1. */
static int place_collect(uint32_t queue)
{
    struct place *p = &places[queue];

    if (p->used == get_le16(ram + place_at(queue) + 0x402))
        return -1;
    return (int)get_le32(ram + place_at(queue) + 0x408 + 8 * (p->used++ % 16));
}

static void expect_told(uint32_t id, uint16_t event, const char *name)
{
    uint32_t n = places[2].used;
    const uint8_t *m = place_buffer(2, n);

    assert_int_equal(place_collect(2), 8 + strlen(name));
    assert_int_equal(get_le32(m), id);
    assert_int_equal(get_le16(m + 4), event);
    assert_int_equal(get_le16(m + 6), 1);
    assert_memory_equal(m + 8, name, strlen(name));
}

static void say(uint32_t id, uint16_t event, uint16_t value)
{
    uint8_t m[8];

    put_le32(m, id);
    put_le16(m + 4, event);
    put_le16(m + 6, value);
    place_add(3, m, sizeof(m), false);
    assert_int_equal(place_collect(3), 0);
}

static void several_begin(bool console)
{
    const struct virtio_console_end first = {"console", take, ready, &c}, log = {"log", take, ready, &c};
    const struct virtio_console_config config = {
        .count = console ? 2 : 1, .console = console, .ends = {console ? first : log, log}, .packed = true};

    virtio_bench();
    virtio_console_init(&c, &bench_host, SLOT, &config);
    memset(places, 0, sizeof(places));
    memset(ram + 0x10000, 0, 0xc000);
    written_len = 0;
    room = sizeof(written);
    assert_true(negotiate(VIRTIO_F_VERSION_1 | F_MULTIPORT));
    for (uint32_t i = 0; i < (console ? 6 : 4); i++)
        place_enable(i);
    set(COMMON_STATUS, 1, GOOD_STATUS);
    assert_int_equal(pci_load(DEVICE + 4, 4), console ? 2 : 1);
}

static void test_ports(void **state)
{
    (void)state;
    several_begin(true);
    for (int i = 0; i < 12; i++)
        place_add(2, NULL, 64, true);
    assert_int_equal(place_collect(2), -1);
    say(0, 0, 1);
    expect_told(0, 1, "");
    expect_told(1, 1, "");
    say(0, 3, 1);
    expect_told(0, 4, "");
    expect_told(0, 6, "");
    expect_told(0, 7, "console");
    say(1, 3, 1);
    expect_told(1, 6, "");
    expect_told(1, 7, "log");
    assert_int_equal(place_collect(2), -1);
    /* Nobody has it open: what is typed waits. */
    virtio_console_type(&c, 1, 'x');
    place_add(4, NULL, 8, true);
    bench_wait(1);
    assert_int_equal(place_collect(4), -1);
    assert_false(virtio_console_listens(&c, 1));
    say(1, 6, 1);
    bench_wait(2);
    assert_int_equal(place_collect(4), 1);
    assert_int_equal(*place_buffer(4, 0), 'x');
    place_add(5, "text", 4, false);
    assert_int_equal(place_collect(5), 0);
    assert_memory_equal(written, "text", 4);
    say(1, 6, 0);
    assert_false(virtio_console_listens(&c, 1));
}

/* A device without a console has no console port; numbers and events that aren't there are passed over. */
static void test_odd_messages(void **state)
{
    (void)state;
    several_begin(false);
    say(0, 0, 0);
    say(1, 3, 1);
    say(UINT32_MAX, 6, 1);
    say(0, 99, 1);
    place_add(3, "short", 5, false);
    assert_int_equal(place_collect(3), 0);
    place_add(2, NULL, 4, true); /* too short for what comes */
    assert_int_equal(place_collect(2), -1);
    say(0, 3, 1);
    assert_int_equal(place_collect(2), 0);
    place_add(2, NULL, 64, true);
    expect_told(0, 7, "log");
    assert_int_equal(status(), GOOD_STATUS);
}

/* A driver that doesn't know of ports has the first one. */
static void test_without_ports(void **state)
{
    (void)state;
    several_begin(true);
    assert_true(negotiate(VIRTIO_F_VERSION_1));
    memset(places, 0, sizeof(places));
    memset(ram + 0x10000, 0, 0xc000);
    for (uint32_t i = 0; i < 6; i++)
        place_enable(i);
    set(COMMON_STATUS, 1, GOOD_STATUS);
    place_add(1, "one", 3, false);
    assert_int_equal(place_collect(1), 0);
    place_add(5, "two", 3, false);
    assert_int_equal(place_collect(5), -1);
    assert_int_equal(written_len, 3);
    assert_true(virtio_console_listens(&c, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transmit),     cmocka_unit_test(test_ring_reset),
        cmocka_unit_test(test_typing),       cmocka_unit_test(test_ports),
        cmocka_unit_test(test_odd_messages), cmocka_unit_test(test_without_ports),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
