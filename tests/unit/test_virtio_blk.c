/* The block device: each request, cut in all ways, and what a driver can ask for that there isn't. */
#include "drivers/virt/virtio_blk.h"

#include "tests/unit/virtio_bench.h"

#define FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | BIT(9) | BIT(13) | BIT(14))
#define SECTORS  8192
#define HEADER   DATA
#define STATUS   (DATA + 0x100)
#define BUFFER   (DATA + 0x1000)

static struct virtio_blk blk;
static uint8_t image[SECTORS * 512];

static void make(bool read_only)
{
    const struct virtio_blk_config config = {
        .disk = {.image = image, .len = sizeof(image), .read_only = read_only},
        .serial = "a-name-of-more-than-20-characters",
        .queues = 2,
        .packed = true};

    virtio_bench();
    for (uint32_t i = 0; i < sizeof(image); i++)
        image[i] = (uint8_t)(i / 512 + i);
    virtio_blk_init(&blk, &bench_host, SLOT, &config);
}

static int start(void **state)
{
    (void)state;
    make(false);
    device_start(FEATURES | VIRTIO_F_RING_PACKED, 16);
    return 0;
}

/* Fills in the header, sends these buffers, and returns the status. */
static uint32_t request(uint32_t type, uint64_t sector, const struct buffer *buffers, uint32_t count,
                        uint32_t *len)
{
    uint16_t id;

    put_le32(ram + HEADER, type);
    put_le64(ram + HEADER + 8, sector);
    ram[STATUS] = 0xff;
    driver_add(buffers, count);
    pci_store(NOTIFY, 2, 0);
    assert_true(driver_collect(&id, len, (uint16_t)count));
    return ram[STATUS];
}

static uint32_t simple(uint32_t type, uint64_t sector, uint32_t bytes, bool write)
{
    const struct buffer buffers[] = {{HEADER, 16, 0}, {BUFFER, bytes, write ? WRITE : 0}, {STATUS, 1, WRITE}};
    uint32_t len;

    return request(type, sector, buffers, 3, &len);
}

static void test_configuration(void **state)
{
    (void)state;
    assert_int_equal(pci_load(DEVICE, 8), SECTORS);
    assert_true((uint64_t)pci_load(DEVICE + 8, 4) * pci_load(DEVICE + 12, 4) <=
                16 * MiB); /* as test_long_write has it */
    assert_int_equal(reg(0x200 + 12, 4), 254);
    assert_int_equal(reg(0x200 + 20, 4), 512);
    assert_int_equal(reg(0x200 + 34, 2), 2);
    assert_int_equal(reg(0x12, 2), 2);
    assert_int_equal(pci_in(SLOT, 0, 4), 0x10421af4);
}

static void test_read_and_write(void **state)
{
    (void)state;
    assert_int_equal(simple(0, 5, 1024, true), 0);
    assert_memory_equal(ram + BUFFER, image + 5 * 512, 1024);
    memset(ram + BUFFER, 0x5a, 512);
    assert_int_equal(simple(1, SECTORS - 1, 512, false), 0);
    assert_memory_equal(image + (SECTORS - 1) * 512, ram + BUFFER, 512);
    assert_int_equal(simple(4, 0, 0, false), 0);
    assert_int_equal(blk.reads, 1);
    assert_int_equal(blk.written_bytes, 512);
}

/* 2.6.4: how a driver cuts a request into buffers means nothing. */
static void test_layout(void **state)
{
    const struct buffer read[] = {{HEADER, 3, 0},
                                  {HEADER + 3, 13, 0},
                                  {BUFFER, 100, WRITE},
                                  {BUFFER + 100, 0, WRITE},
                                  {BUFFER + 100, 413, WRITE}};
    const struct buffer write[] = {
        {HEADER, 16, 0}, {BUFFER, 200, 0}, {BUFFER + 200, 312, 0}, {STATUS, 1, WRITE}};
    uint32_t len;

    (void)state;
    request(0, 7, read, 5, &len);
    assert_int_equal(len, 513);
    assert_memory_equal(ram + BUFFER, image + 7 * 512, 512);
    assert_int_equal(ram[BUFFER + 512], 0); /* the status follows the data */
    assert_int_equal(request(1, 9, write, 4, &len), 0);
    assert_int_equal(len, 1);
    assert_memory_equal(image + 9 * 512, image + 7 * 512, 512);
}

static void test_errors(void **state)
{
    (void)state;
    assert_int_equal(simple(0, SECTORS, 512, true), 1);
    assert_int_equal(simple(0, SECTORS - 1, 1024, true), 1);
    assert_int_equal(simple(0, UINT64_MAX, 512, true), 1);
    assert_int_equal(simple(0, UINT64_MAX / 512 + 1, 512, true), 1); /* would wrap to 0 */
    assert_int_equal(simple(1, 0, 100, false), 1);
    assert_int_equal(simple(2, 0, 0, false), 2);
    assert_int_equal(simple(99, 0, 0, false), 2);
    assert_int_equal(blk.errors, 7);
    assert_int_equal(status(), GOOD_STATUS);
}

static void test_id(void **state)
{
    (void)state;
    assert_int_equal(simple(8, 0, 20, true), 0);
    assert_memory_equal(ram + BUFFER, "a-name-of-more-than-20-c", 20);
    assert_int_equal(simple(8, 0, 4, true), 0);
}

static void range(uint32_t n, uint64_t sector, uint32_t sectors, uint32_t flags)
{
    put_le64(ram + BUFFER + 16 * n, sector);
    put_le32(ram + BUFFER + 16 * n + 8, sectors);
    put_le32(ram + BUFFER + 16 * n + 12, flags);
}

static void test_ranges(void **state)
{
    static const uint8_t zeros[1024];

    (void)state;
    range(0, 10, 2, 0);
    range(1, 20, 2, 1);
    assert_int_equal(simple(13, 0, 32, false), 0);
    assert_memory_equal(image + 10 * 512, zeros, 1024);
    assert_memory_equal(image + 20 * 512, zeros, 1024);
    assert_int_equal(image[12 * 512 + 1], 13);
    range(1, SECTORS - 1, 2, 0);
    range(0, 30, 2, 0);
    assert_int_equal(simple(13, 0, 32, false), 1);
    assert_int_equal(image[30 * 512 + 1], 31); /* all or nothing */
    range(0, 0, UINT32_MAX, 0);
    assert_int_equal(simple(13, 0, 16, false), 1);
    range(0, 0, 8, 2);
    assert_int_equal(simple(13, 0, 16, false), 2);
    range(0, 0, 8, 1); /* discarding has no flags */
    assert_int_equal(simple(11, 0, 16, false), 2);
    range(0, 0, 8, 0);
    assert_int_equal(simple(11, 0, 16, false), 0);
    assert_int_equal(simple(11, 0, 17, false), 1);
    assert_int_equal(simple(11, 0, 17 * 16, false), 1);
}

static void test_read_only(void **state)
{
    (void)state;
    make(true);
    device_start(VIRTIO_F_VERSION_1 | BIT(5), 8);
    assert_false(blk.v.offered & (BIT(13) | BIT(14)));
    assert_int_equal(simple(1, 0, 512, false), 1);
    range(0, 0, 8, 0);
    assert_int_equal(simple(13, 0, 16, false), 1);
    assert_int_equal(simple(11, 0, 16, false), 1);
    assert_int_equal(simple(0, 1, 512, true), 0);
    assert_int_equal(image[512], 1);
}

/* What is no request at all ends it. */
static void test_malformed(void **state)
{
    const struct buffer cases[][2] = {{{HEADER, 16, 0}, {BUFFER, 512, 0}},
                                      {{HEADER, 15, 0}, {STATUS, 1, WRITE}},
                                      {{HEADER, 0, 0}, {STATUS, 1, WRITE}},
                                      {{HEADER, 16, 0}, {STATUS, 0, WRITE}}};

    (void)state;
    for (uint32_t i = 0; i < ARRAY_SIZE(cases); i++) {
        device_start(FEATURES, 8);
        driver_add(cases[i], 2);
        pci_store(NOTIFY, 2, 0);
        assert_int_equal(status(), GOOD_STATUS | VIRTIO_NEEDS_RESET);
    }
}

/* Much work is done in pieces: others get their turn. */
static void test_batches(void **state)
{
    const struct buffer buffers[] = {{HEADER, 16, 0}, {BUFFER, 0x20000, WRITE}, {STATUS, 1, WRITE}};

    (void)state;
    device_start(FEATURES, 64);
    put_le32(ram + HEADER, 0);
    put_le64(ram + HEADER + 8, 0);
    for (uint32_t i = 0; i < 20; i++)
        driver_add(buffers, 3);
    pci_store(NOTIFY, 2, 0);
    assert_int_equal(get_le16(ram + RING_USED + 2), 8);
    bench_wait(10);
    assert_int_equal(get_le16(ram + RING_USED + 2), 20);
    assert_int_equal(pci_sent_count, 3);
}

#define PART       0x20000
#define PARTS      20
#define LONG_DESCS (PARTS + 2)

/* A read of 20 parts, all to the same place: the last one is what is there at the end. */
static void long_read_add(uint64_t sector)
{
    struct buffer buffers[LONG_DESCS] = {{HEADER, 16, 0}};

    for (uint32_t i = 1; i <= PARTS; i++)
        buffers[i] = (struct buffer){BUFFER, PART, WRITE};
    buffers[PARTS + 1] = (struct buffer){STATUS, 1, WRITE};
    put_le32(ram + HEADER, 0);
    put_le64(ram + HEADER + 8, sector);
    ram[STATUS] = 0xff;
    driver_add(buffers, LONG_DESCS);
}

/* One request that is as much work as many takes its turns, too; a reset of its ring ends it. */
static void test_long_read(void **state)
{
    uint32_t len;
    uint16_t id;

    (void)state;
    for (uint32_t packed = 0; packed < 2; packed++) {
        device_start(FEATURES | VIRTIO_F_RING_RESET | (packed ? VIRTIO_F_RING_PACKED : 0), 32);
        long_read_add(3);
        pci_store(NOTIFY, 2, 0);
        assert_memory_equal(ram + BUFFER, image + 3 * 512 + 7 * PART, PART);
        pci_store(NOTIFY, 2, 0);
        assert_memory_equal(ram + BUFFER, image + 3 * 512 + 15 * PART, PART);
        assert_false(driver_collect(&id, &len, LONG_DESCS));
        bench_wait(10);
        assert_true(driver_collect(&id, &len, LONG_DESCS));
        assert_int_equal(len, PARTS * PART + 1);
        assert_int_equal(ram[STATUS], 0);
        assert_memory_equal(ram + BUFFER, image + 3 * 512 + (PARTS - 1) * PART, PART);
        assert_int_equal(blk.read_bytes, (packed + 1) * PARTS * PART + packed * 512);
        long_read_add(0);
        pci_store(NOTIFY, 2, 0);
        set(0x3a, 2, 1);
        queue_start(packed ? VIRTIO_F_RING_PACKED : 0, 32);
        assert_int_equal(simple(0, 9, 512, true), 0);
        assert_memory_equal(ram + BUFFER, image + 9 * 512, 512);
    }
    /* Its driver makes it shorter meanwhile, and then something else. */
    device_start(FEATURES, 32);
    long_read_add(0);
    pci_store(NOTIFY, 2, 0);
    put_le32(ram + RING_DESC + 16 * 2 + 8, 512);
    put_le16(ram + RING_DESC + 16 * 2 + 14, PARTS + 1);
    bench_wait(10);
    assert_true(driver_collect(&id, &len, LONG_DESCS));
    assert_int_equal(len, PART + 512 + 1);
}

/* What a range costs counts as well. */
static void test_ranges_in_batches(void **state)
{
    const struct buffer buffers[] = {{HEADER, 16, 0}, {BUFFER, 32, 0}, {STATUS, 1, WRITE}};

    (void)state;
    device_start(FEATURES, 64);
    range(0, 0, 2048, 0);
    range(1, 512, 2048, 0);
    put_le32(ram + HEADER, 13);
    for (uint32_t i = 0; i < 5; i++)
        driver_add(buffers, 3);
    pci_store(NOTIFY, 2, 0);
    assert_int_equal(get_le16(ram + RING_USED + 2), 1);
    bench_wait(10);
    assert_int_equal(get_le16(ram + RING_USED + 2), 5);
    device_start(FEATURES, 64);
    range(0, 0, 2049, 0);
    assert_int_equal(simple(13, 0, 16, false), 1);
}

/* What is written at one go is limited. */
static void test_long_write(void **state)
{
    struct buffer buffers[67] = {{HEADER, 16, 0}};
    uint32_t len;

    (void)state;
    device_start(FEATURES, 128);
    blk.disk.len = 64 * MiB;
    for (uint32_t i = 1; i <= 64; i++)
        buffers[i] = (struct buffer){0, 256 * KiB, 0};
    buffers[65] = (struct buffer){0, 512, 0};
    buffers[66] = (struct buffer){STATUS, 1, WRITE};
    assert_int_equal(request(1, 0, buffers, 67, &len), 1);
    assert_int_equal(status(), GOOD_STATUS);
}

/* What is beyond the limit waits, for a timer alone, and comes in its turn; a new limit lets it go at once. */
static void test_limit(void **state)
{
    const struct buffer read[] = {{HEADER, 16, 0}, {BUFFER, 512, WRITE}, {STATUS, 1, WRITE}};
    uint32_t len, done = 0;
    uint16_t id;

    (void)state;
    virtio_blk_limit(&blk, &(struct vlimit_rates){.ops = 20}); /* two of them are a burst */
    put_le32(ram + HEADER, 0);
    for (uint32_t i = 0; i < 5; i++)
        driver_add(read, 3);
    pci_store(NOTIFY, 2, 0);
    while (driver_collect(&id, &len, 3))
        done++;
    assert_int_equal(done, 3);
    pci_store(NOTIFY, 2, 0); /* asking again doesn't help */
    assert_false(driver_collect(&id, &len, 3));
    bench_wait(40000000);
    assert_false(driver_collect(&id, &len, 3));
    bench_wait(11000000);
    assert_true(driver_collect(&id, &len, 3));
    assert_false(driver_collect(&id, &len, 3));
    virtio_blk_limit(&blk, &(struct vlimit_rates){.bytes = 5120});
    bench_wait(2);
    assert_true(driver_collect(&id, &len, 3));
    assert_true(blk.limit.held >= 3);
    /* Of bytes: 512 are the burst, then each sector takes a tenth of a second. Zeros count, too. */
    driver_add(read, 3);
    pci_store(NOTIFY, 2, 0);
    driver_add(read, 3);
    pci_store(NOTIFY, 2, 0);
    assert_true(driver_collect(&id, &len, 3));
    assert_false(driver_collect(&id, &len, 3));
    bench_wait(100000000);
    assert_true(driver_collect(&id, &len, 3));
    /* A reset of the device takes what waits with it. */
    driver_add(read, 3);
    pci_store(NOTIFY, 2, 0);
    set(COMMON_STATUS, 1, 0);
    bench_wait(1000000000);
    assert_int_equal(blk.v.waiting, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_configuration, start),
        cmocka_unit_test_setup(test_read_and_write, start),
        cmocka_unit_test_setup(test_layout, start),
        cmocka_unit_test_setup(test_errors, start),
        cmocka_unit_test_setup(test_id, start),
        cmocka_unit_test_setup(test_ranges, start),
        cmocka_unit_test_setup(test_read_only, start),
        cmocka_unit_test_setup(test_malformed, start),
        cmocka_unit_test_setup(test_batches, start),
        cmocka_unit_test_setup(test_long_read, start),
        cmocka_unit_test_setup(test_ranges_in_batches, start),
        cmocka_unit_test_setup(test_long_write, start),
        cmocka_unit_test_setup(test_limit, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
