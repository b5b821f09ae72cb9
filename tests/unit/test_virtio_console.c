/* The console device: text that waits in the guest's buffers until there is room for it, and typed bytes. */
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
    const struct virtio_console_config config = {take, ready, &c, true};
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

static void test_typing(void **state)
{
    const struct buffer to = {DATA, 2, WRITE};
    uint16_t id;
    uint32_t len;

    (void)state;
    begin(false, 0);
    assert_true(virtio_console_listens(&c));
    for (uint32_t i = 0; i < 300; i++)
        virtio_console_type(&c, (uint8_t)i);
    bench_wait(1);
    driver_add(&to, 1);
    pci_store(NOTIFY, 2, 0);
    assert_true(driver_collect(&id, &len, 1));
    assert_int_equal(len, 2);
    assert_memory_equal(ram + DATA, "\0\1", 2);
    assert_int_equal(c.typed, VIRTIO_CONSOLE_TYPED - 2);
    for (uint32_t i = 2; i < VIRTIO_CONSOLE_TYPED; i += 2) {
        driver_add(&to, 1);
        pci_store(NOTIFY, 2, 0);
        assert_int_equal(ram[DATA], i);
    }
    driver_add(&to, 1);
    pci_store(NOTIFY, 2, 0);
    assert_int_equal(pci_sent_count, VIRTIO_CONSOLE_TYPED / 2);
    virtio_console_type(&c, 'x'); /* a buffer waits; only the VM's own timer touches it */
    assert_int_equal(pci_sent_count, VIRTIO_CONSOLE_TYPED / 2);
    bench_wait(1);
    assert_int_equal(ram[DATA], 'x');
    set(COMMON_STATUS, 1, 0);
    assert_false(virtio_console_listens(&c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_transmit), cmocka_unit_test(test_typing)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
