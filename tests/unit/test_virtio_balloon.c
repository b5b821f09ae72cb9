/* The balloon device: numbers of pages in and out, and a driver that has to wait for memory. */
#include "drivers/virt/virtio_balloon.h"

#include "tests/unit/virtio_bench.h"

#define MUST_TELL BIT(0)

static struct virtio_balloon b;
static uint64_t given[16], taken[16];
static uint32_t give_count, take_count, emptied, settled;
static bool here;

static void give(void *ctx, uint64_t page)
{
    assert_ptr_equal(ctx, &b);
    given[give_count++ % 16] = page;
}

static bool take(void *ctx, uint64_t page)
{
    assert_ptr_equal(ctx, &b);
    taken[take_count++ % 16] = page;
    return here;
}

static void empty(void *ctx)
{
    assert_ptr_equal(ctx, &b);
    emptied++;
}

static void settle(void *ctx)
{
    assert_ptr_equal(ctx, &b);
    settled++;
}

static void begin(uint32_t queue)
{
    const struct virtio_balloon_config config = {give, take, empty, settle, &b, true};

    virtio_bench();
    virtio_balloon_init(&b, &bench_host, SLOT, &config);
    give_count = take_count = settled = 0;
    here = true;
    assert_false(negotiate(VIRTIO_F_VERSION_1));
    assert_true(negotiate(VIRTIO_F_VERSION_1 | MUST_TELL));
    driver_start(false, 8);
    set(0x10, 2, 0);
    queue_enable(queue, 8);
    set(COMMON_STATUS, 1, GOOD_STATUS);
    emptied = settled = 0;
}

static void test_inflate(void **state)
{
    const struct buffer parts[] = {{DATA, 6, 0}, {DATA + 6, 6, 0}};
    uint32_t len;
    uint16_t id;

    (void)state;
    begin(0);
    put_le32(ram + DATA, 7);
    put_le32(ram + DATA + 4, 0x12345);
    put_le32(ram + DATA + 8, UINT32_MAX);
    driver_add(parts, 2);
    pci_store(NOTIFY, 2, 0);
    assert_true(driver_collect(&id, &len, 2));
    assert_int_equal(give_count, 3);
    assert_int_equal(given[0], 7);
    assert_int_equal(given[1], 0x12345);
    assert_int_equal(given[2], UINT32_MAX);
    assert_int_equal(settled, 1);
}

static void test_deflate_waits(void **state)
{
    const struct buffer part = {DATA, 8, 0};
    uint32_t len;
    uint16_t id;

    (void)state;
    begin(1);
    here = false;
    put_le32(ram + DATA, 1);
    put_le32(ram + DATA + 4, 2);
    driver_add(&part, 1);
    pci_store(NOTIFY + 4, 2, 1);
    assert_int_equal(take_count, 2); /* all of them are asked for at once */
    assert_false(driver_collect(&id, &len, 1));
    bench_wait(10 * MS);
    assert_true(take_count >= 4);
    assert_false(driver_collect(&id, &len, 1));
    here = true;
    bench_wait(10 * MS);
    assert_true(driver_collect(&id, &len, 1));
    assert_int_equal(b.deflated, 2);
    assert_int_equal(take_count % 2, 0);
}

static void test_target(void **state)
{
    (void)state;
    begin(0);
    assert_int_equal(pci_load(DEVICE, 4), 0);
    virtio_balloon_set_target(&b, 512);
    assert_int_equal(pci_load(DEVICE, 4), 512);
    assert_int_equal(pci_sent_count, 1);
    assert_int_equal(pci_sent[0].data, VECTOR_DATA);
    pci_store(DEVICE + 4, 4, 99);
    assert_int_equal(virtio_balloon_actual(&b), 99);
    pci_store(DEVICE, 4, 1); /* isn't the driver's */
    assert_int_equal(pci_load(DEVICE, 4), 512);
    set(COMMON_STATUS, 1, 0);
    assert_int_equal(virtio_balloon_actual(&b), 0);
    assert_int_equal(pci_load(DEVICE, 4), 512);
    assert_int_equal(emptied, 1);
    assert_int_equal(settled, 1);
}

static void test_misuse(void **state)
{
    const struct buffer write = {DATA, 8, WRITE}, large = {0, 4 * 4096 + 4, 0};

    (void)state;
    begin(0);
    driver_add(&write, 1);
    pci_store(NOTIFY, 2, 0);
    assert_true(status() & VIRTIO_NEEDS_RESET);
    begin(0);
    driver_add(&large, 1);
    pci_store(NOTIFY, 2, 0);
    assert_true(status() & VIRTIO_NEEDS_RESET);
    assert_int_equal(give_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inflate),
        cmocka_unit_test(test_deflate_waits),
        cmocka_unit_test(test_target),
        cmocka_unit_test(test_misuse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
