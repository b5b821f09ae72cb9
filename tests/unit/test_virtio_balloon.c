/* The balloon device: numbers of pages in and out, ranges that are free, and a driver that has to wait for memory. */
#include "drivers/virt/virtio_balloon.h"

#include "tests/unit/virtio_bench.h"

#define MUST_TELL BIT(0)
#define REPORTING BIT(5)

static struct virtio_balloon b;
static uint64_t given[16], taken[16];
static uint64_t reported[16][2];
static uint32_t give_count, take_count, report_count, emptied, settled;
static bool here, busy;

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

static void report(void *ctx, gpa_t gpa, uint64_t len)
{
    assert_ptr_equal(ctx, &b);
    reported[report_count % 16][0] = gpa;
    reported[report_count++ % 16][1] = len;
}

static bool is_busy(void *ctx)
{
    assert_ptr_equal(ctx, &b);
    return busy;
}

static void begin(uint32_t queue)
{
    const struct virtio_balloon_config config = {give, take, empty, report, settle, is_busy, &b, true};

    virtio_bench();
    virtio_balloon_init(&b, &bench_host, SLOT, &config);
    give_count = take_count = report_count = settled = 0;
    here = true;
    busy = false;
    assert_false(negotiate(VIRTIO_F_VERSION_1));
    assert_true(negotiate(VIRTIO_F_VERSION_1 | MUST_TELL | (queue > 1 ? REPORTING : 0)));
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

/* The buffer comes back when what it names has gone, by either number of the queue. */
static void test_report(void **state)
{
    const struct buffer parts[] = {{DATA, 0x1000, WRITE}, {DATA + 0x1000, 0x800, WRITE}};
    uint32_t len;
    uint16_t id;

    (void)state;
    for (uint32_t queue = 2; queue <= 4; queue += 2) {
        begin(queue);
        driver_add(parts, 2);
        driver_add(parts, 1);
        pci_store(NOTIFY + 4 * queue, 2, queue);
        assert_int_equal(report_count, 3);
        assert_int_equal(reported[0][0], DATA);
        assert_int_equal(reported[0][1], 0x1000);
        assert_int_equal(reported[1][0], DATA + 0x1000);
        assert_int_equal(reported[1][1], 0x800);
        assert_int_equal(reported[2][0], DATA);
        assert_true(driver_collect(&id, &len, 2));
        assert_int_equal(len, 0);
        assert_true(driver_collect(&id, &len, 1));
        assert_int_equal(settled, 1);
    }
}

static void report_busy(void *ctx, gpa_t gpa, uint64_t len)
{
    report(ctx, gpa, len);
    busy = true;
}

static void test_report_waits(void **state)
{
    const struct buffer part = {DATA, 0x1000, WRITE};
    uint32_t len;
    uint16_t id;

    (void)state;
    begin(2);
    b.config.report = report_busy;
    driver_add(&part, 1);
    pci_store(NOTIFY + 8, 2, 2);
    assert_int_equal(report_count, 1);
    bench_wait(10 * MS);
    assert_false(driver_collect(&id, &len, 1));
    busy = false;
    bench_wait(10 * MS);
    assert_true(driver_collect(&id, &len, 1));
    assert_int_equal(report_count, 1); /* what it names goes once */
    driver_add(&part, 1);
    pci_store(NOTIFY + 8, 2, 2);
    set(COMMON_STATUS, 1, 0);
    assert_int_equal(report_count, 2);
    assert_false(b.reported);
}

static void test_report_misuse(void **state)
{
    const struct buffer parts[] = {{DATA, 8, 0}, {DATA, 8, WRITE}},
                        beyond = {sizeof(ram) - 0x1000, 0x2000, WRITE};

    (void)state;
    begin(2);
    driver_add(parts, 2);
    pci_store(NOTIFY + 8, 2, 2);
    assert_true(status() & VIRTIO_NEEDS_RESET);
    begin(2);
    driver_add(&beyond, 1);
    pci_store(NOTIFY + 8, 2, 2);
    assert_true(status() & VIRTIO_NEEDS_RESET);
    assert_int_equal(report_count, 0);
}

/* Who didn't ask for the feature has no such queue. */
static void test_report_unasked(void **state)
{
    const struct buffer part = {DATA, 0x1000, WRITE};

    (void)state;
    begin(2);
    set(COMMON_STATUS, 1, 0);
    assert_true(negotiate(VIRTIO_F_VERSION_1 | MUST_TELL));
    driver_start(false, 8);
    set(0x10, 2, 0);
    queue_enable(2, 8);
    set(COMMON_STATUS, 1, GOOD_STATUS);
    driver_add(&part, 1);
    pci_store(NOTIFY + 8, 2, 2);
    assert_int_equal(report_count, 0);
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
        cmocka_unit_test(test_inflate),       cmocka_unit_test(test_deflate_waits),
        cmocka_unit_test(test_report),        cmocka_unit_test(test_report_waits),
        cmocka_unit_test(test_report_misuse), cmocka_unit_test(test_report_unasked),
        cmocka_unit_test(test_target),        cmocka_unit_test(test_misuse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
