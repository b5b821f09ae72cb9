/* CD-ROM drives behind a virtio SCSI host: each command, how a driver may cut its requests, and what it asks for that there isn't. */
#include "drivers/virt/virtio_scsi.h"

#include "tests/unit/virtio_bench.h"

#define FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC)
#define BLOCKS   100
#define HEADER   DATA
#define ANSWER   (DATA + 0x100)
#define BUFFER   (DATA + 0x1000)
#define SIZE_CFG 0x214 /* sense_size, then cdb_size */

static struct virtio_scsi scsi;
static uint8_t disc[BLOCKS * 2048 + 512]; /* what is left over isn't part of the disc */
static uint8_t empty[512];
static uint8_t lun[8];
static uint32_t sense_size;

static int start(void **state)
{
    (void)state;
    virtio_bench();
    memset(&scsi, 0, sizeof(scsi));
    for (uint32_t i = 0; i < sizeof(disc); i++)
        disc[i] = (uint8_t)(i / 2048 + i * 3);
    scsi.targets[0].disc = (struct vdisk){.image = disc, .len = sizeof(disc), .read_only = true};
    scsi.targets[1].disc = (struct vdisk){.image = empty, .len = sizeof(empty), .read_only = true};
    scsi.target_count = 2;
    virtio_scsi_init(&scsi, &bench_host, SLOT, true);
    device_start(FEATURES | VIRTIO_F_RING_PACKED, 16);
    set(0x16, 2, 0);
    set(0x1c, 2, 0);
    virtio_reset_queue(&scsi.v.queues[0]); /* the bench's one ring is the request queue's */
    queue_enable(2, 16);
    sense_size = 96;
    memset(lun, 0, sizeof(lun));
    lun[0] = 1;
    lun[2] = 0x40;
    return 0;
}

/* Sends these buffers; returns the response code. */
static uint32_t request(const char *cdb, uint32_t cdb_len, const struct buffer *buffers, uint32_t count,
                        uint32_t *len)
{
    uint16_t id;

    memset(ram + HEADER, 0, 0x100);
    memcpy(ram + HEADER, lun, sizeof(lun));
    memcpy(ram + HEADER + 19, cdb, cdb_len);
    memset(ram + ANSWER, 0xee, 0x100);
    memset(ram + BUFFER, 0, 0x2000);
    driver_add(buffers, count);
    pci_store(NOTIFY + 8, 2, 2);
    assert_true(driver_collect(&id, len, (uint16_t)count));
    return ram[ANSWER + 11];
}

/* With a buffer of so many bytes; returns how many there were, or the response code as a negative number. */
static int send_cdb(const char *cdb, uint32_t cdb_len, uint32_t room)
{
    const struct buffer buffers[] = {{HEADER, 51, 0}, {ANSWER, 12 + 96, WRITE}, {BUFFER, room, WRITE}};
    uint32_t len, code = request(cdb, cdb_len, buffers, room ? 3 : 2, &len);

    assert_int_equal(get_le32(ram + ANSWER + 4), room - (len - 108));
    return code ? -(int)code : (int)len - 108;
}

#define SEND(cdb, room) send_cdb(cdb, sizeof(cdb) - 1, room)

/* The command was refused, with this sense. */
static void expect_sense(uint32_t code)
{
    assert_int_equal(ram[ANSWER + 10], 2);
    assert_int_equal(get_le32(ram + ANSWER), 18);
    assert_int_equal(ram[ANSWER + 12], 0x70);
    assert_int_equal(ram[ANSWER + 12 + 7], 10);
    assert_int_equal(ram[ANSWER + 14] << 16 | ram[ANSWER + 24] << 8 | ram[ANSWER + 25], code);
}

static void expect_good(int got, int wanted)
{
    assert_int_equal(got, wanted);
    assert_int_equal(ram[ANSWER + 10], 0);
    assert_int_equal(get_le32(ram + ANSWER), 0);
}

static void test_configuration(void **state)
{
    (void)state;
    assert_int_equal(pci_in(SLOT, 0, 4), 0x10481af4);
    assert_int_equal(reg(0x12, 2), 3);
    assert_int_equal(reg(0x200, 4), 1);
    assert_int_equal(reg(0x204, 4), 254);
    assert_int_equal(reg(SIZE_CFG, 4), 96);
    assert_int_equal(reg(SIZE_CFG + 4, 4), 32);
    assert_int_equal(reg(0x21e, 2), 1); /* the last target */
    assert_int_equal(reg(0x220, 4), 0); /* the last LUN */
    set(0x200, 4, 7);
    set(SIZE_CFG, 4, 30);
    assert_int_equal(reg(0x200, 4), 1);
    assert_int_equal(reg(SIZE_CFG, 4), 30);
    set(COMMON_STATUS, 1, 0);
    assert_int_equal(reg(SIZE_CFG, 4), 96);
}

static void test_read(void **state)
{
    (void)state;
    expect_good(SEND("\x28\0\0\0\0\x05\0\0\x02", 4096), 4096);
    assert_memory_equal(ram + BUFFER, disc + 5 * 2048, 4096);
    expect_good(SEND("\xa8\0\0\0\0\x63\0\0\0\x01", 2048), 2048);
    assert_memory_equal(ram + BUFFER, disc + 99 * 2048, 2048);
    expect_good(SEND("\x28\0\0\0\0\x05\0\0\0", 2048), 0);
    assert_int_equal(scsi.targets[0].reads, 2);
    assert_int_equal(scsi.targets[0].read_bytes, 3 * 2048);
    /* Beyond the end, or more than there is a buffer for. */
    assert_int_equal(SEND("\x28\0\0\0\0\x63\0\0\x02", 4096), 0);
    expect_sense(0x052100);
    assert_int_equal(SEND("\xa8\0\xff\xff\xff\xff\xff\xff\xff\xff", 4096), 0);
    expect_sense(0x052100);
    assert_int_equal(SEND("\x28\0\0\0\0\x05\0\0\x02", 2048), -1);
    assert_memory_equal(ram + BUFFER, disc + 5 * 2048, 2048);
    assert_int_equal(scsi.targets[0].errors, 2);
}

static void test_drive(void **state)
{
    (void)state;
    expect_good(SEND("\x12\0\0\0\x24", 36), 36);
    assert_memory_equal(ram + BUFFER, "\x05\x80\x05\x02\x1f\0\0\0KEEL    CD-ROM          1.0 ", 36);
    expect_good(SEND("\x12\0\0\0\x05", 36), 5);
    expect_good(SEND("\x12\x01\0\0\x24", 36), 5);
    assert_memory_equal(ram + BUFFER, "\x05\0\0\x01\0", 5);
    assert_int_equal(SEND("\x12\x01\x80\0\x24", 36), 0);
    expect_sense(0x052400);
    expect_good(SEND("\x03\0\0\0\x12", 18), 18);
    assert_memory_equal(ram + BUFFER, "\x70\0\0\0\0\0\0\x0a\0\0\0\0\0\0\0\0\0", 18);
    expect_good(SEND("\xa0\0\0\0\0\0\0\0\0\x10", 16), 16);
    assert_memory_equal(ram + BUFFER, "\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0", 16);
    expect_good(SEND("\x1e\0\0\0\x01", 0), 0);
    expect_good(SEND("\x1b\0\0\0\x03", 0), 0);
    assert_int_equal(SEND("\x1b\0\0\0\x02", 0), 0);
    expect_sense(0x055302);
    assert_int_equal(SEND("\x2a\0\0\0\0\0\0\0\x01", 0), 0);
    expect_sense(0x052000);
}

static void test_pages(void **state)
{
    (void)state;
    expect_good(SEND("\x5a\0\x2a\0\0\0\0\0\x40", 64), 28);
    assert_memory_equal(ram + BUFFER, "\0\x1a\0\0\0\0\0\0\x2a\x12\x03", 11);
    expect_good(SEND("\x1a\0\x3f\0\x40", 64), 24);
    assert_memory_equal(ram + BUFFER, "\x17\0\0\0\x2a\x12\x03", 7);
    assert_int_equal(SEND("\x1a\0\x08\0\x40", 64), 0);
    expect_sense(0x052400);
    expect_good(SEND("\x46\0\0\0\0\0\0\0\x40", 64), 16);
    assert_memory_equal(ram + BUFFER, "\0\0\0\x0c\0\0\0\x08\0\0\x03\x04\0\x08\x01\0", 16);
    expect_good(SEND("\x46\0\0\x01\0\0\0\0\x40", 64), 8);
    expect_good(SEND("\x4a\x01\0\0\x10\0\0\0\x08", 8), 8);
    assert_memory_equal(ram + BUFFER, "\0\x06\x04\x10\0\x02\0\0", 8);
    expect_good(SEND("\x4a\x01\0\0\x02\0\0\0\x08", 8), 4);
    assert_int_equal(SEND("\x4a\0\0\0\x10\0\0\0\x08", 8), 0);
    expect_sense(0x052400);
}

static void test_disc(void **state)
{
    (void)state;
    expect_good(SEND("\0\0\0\0\0\0", 0), 0);
    expect_good(SEND("\x25\0\0\0\0\0\0\0\0\0", 8), 8);
    assert_memory_equal(ram + BUFFER, "\0\0\0\x63\0\0\x08\0", 8);
    expect_good(SEND("\x43\0\0\0\0\0\0\0\x40", 64), 20);
    assert_memory_equal(ram + BUFFER, "\0\x12\x01\x01\0\x14\x01\0\0\0\0\0\0\x14\xaa\0\0\0\0\x64", 20);
    expect_good(SEND("\x43\x02\0\0\0\0\xaa\0\x40", 64), 12);
    assert_memory_equal(ram + BUFFER, "\0\x0a\x01\x01\0\x14\xaa\0\0\0\x03\x19", 12); /* 250 frames */
    expect_good(SEND("\x43\0\x01\0\0\0\0\0\x0c", 12), 12);
    assert_memory_equal(ram + BUFFER, "\0\x0a\x01\x01\0\x14\x01\0\0\0\0\0", 12);
    assert_int_equal(SEND("\x43\0\0\0\0\0\x02\0\x40", 64), 0);
    expect_sense(0x052400);
    assert_int_equal(SEND("\x43\0\x02\0\0\0\0\0\x40", 64), 0);
    expect_sense(0x052400);
    expect_good(SEND("\x51\0\0\0\0\0\0\0\x40", 64), 34);
    assert_memory_equal(ram + BUFFER, "\0\x20\x0e\x01\x01\x01\x01", 7);
}

/* A file shorter than a block: the drive is there, and nothing is in it. */
static void test_no_disc(void **state)
{
    (void)state;
    lun[1] = 1;
    expect_good(SEND("\x12\0\0\0\x24", 36), 36);
    assert_int_equal(SEND("\0\0\0\0\0\0", 0), 0);
    expect_sense(0x023a00);
    assert_int_equal(SEND("\x25\0\0\0\0\0\0\0\0\0", 8), 0);
    expect_sense(0x023a00);
    assert_int_equal(SEND("\x28\0\0\0\0\0\0\0\0", 0), 0);
    expect_sense(0x023a00);
}

static void test_targets(void **state)
{
    (void)state;
    lun[2] = 0; /* the same LUN, in the other form */
    expect_good(SEND("\0\0\0\0\0\0", 0), 0);
    lun[1] = 2;
    assert_int_equal(SEND("\0\0\0\0\0\0", 0), -3);
    lun[1] = 0;
    lun[3] = 1;
    assert_int_equal(SEND("\0\0\0\0\0\0", 0), -3);
    lun[3] = 0;
    lun[0] = 0xc1;
    assert_int_equal(SEND("\0\0\0\0\0\0", 0), -3);
}

/* 2.6.4: how a driver cuts a request means nothing; and it says how long a CDB and sense data are. */
static void test_layout(void **state)
{
    const struct buffer cut[] = {{HEADER, 5, 0},        {HEADER + 5, 30, 0},
                                 {ANSWER, 3, WRITE},    {ANSWER + 3, 17, WRITE},
                                 {BUFFER, 1000, WRITE}, {BUFFER + 1000, 1048, WRITE}};
    const struct buffer small[] = {{HEADER, 19 + 6, 0}, {ANSWER, 12 + 4, WRITE}};
    const struct buffer lacking[] = {{HEADER, 19 + 5, 0}, {ANSWER, 12 + 4, WRITE}};
    uint32_t len;

    (void)state;
    set(SIZE_CFG, 4, 8);
    set(SIZE_CFG + 4, 4, 16);
    assert_int_equal(request("\x28\0\0\0\0\x07\0\0\x01", 9, cut, 6, &len), 0);
    assert_int_equal(len, 20 + 2048);
    assert_memory_equal(ram + BUFFER, disc + 7 * 2048, 2048);
    set(SIZE_CFG, 4, 4);
    set(SIZE_CFG + 4, 4, 6);
    assert_int_equal(request("\xff\0\0\0\0\0", 6, small, 2, &len), 0);
    assert_int_equal(get_le32(ram + ANSWER), 4);
    assert_int_equal(ram[ANSWER + 14], 0x05);
    assert_int_equal(ram[ANSWER + 16], 0xee);
    driver_add(lacking, 2);
    pci_store(NOTIFY + 8, 2, 2);
    assert_int_equal(status(), GOOD_STATUS | VIRTIO_NEEDS_RESET);
}

/* A task is done when it could be asked about: what manages tasks finds none, and nothing is ever told. */
static void test_control(void **state)
{
    const struct buffer buffers[] = {{HEADER, 24, 0}, {ANSWER, 5, WRITE}};
    const struct {
        uint8_t type, target, len, code;
    } rows[] = {{0, 0, 1, 0}, {0, 5, 1, 3}, {1, 0, 5, 0}, {2, 1, 5, 0}, {2, 2, 5, 3}, {9, 0, 1, 9}};
    uint32_t len;
    uint16_t id;

    (void)state;
    set(COMMON_STATUS, 1, 0);
    device_start(FEATURES, 16);
    for (uint32_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint32_t at = rows[i].type == 0 ? 8 : 4;

        memset(ram + HEADER, 0, 24);
        memset(ram + ANSWER, 0xee, 8);
        ram[HEADER] = rows[i].type;
        ram[HEADER + at] = 1;
        ram[HEADER + at + 1] = rows[i].target;
        driver_add(buffers, 2);
        pci_store(NOTIFY, 2, 0);
        assert_true(driver_collect(&id, &len, 2));
        assert_int_equal(len, rows[i].len);
        assert_int_equal(ram[ANSWER + rows[i].len - 1], rows[i].code);
    }
    driver_add(buffers, 1);
    pci_store(NOTIFY, 2, 0);
    assert_int_equal(status(), GOOD_STATUS | VIRTIO_NEEDS_RESET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_configuration, start), cmocka_unit_test_setup(test_read, start),
        cmocka_unit_test_setup(test_drive, start),         cmocka_unit_test_setup(test_pages, start),
        cmocka_unit_test_setup(test_disc, start),          cmocka_unit_test_setup(test_no_disc, start),
        cmocka_unit_test_setup(test_targets, start),       cmocka_unit_test_setup(test_layout, start),
        cmocka_unit_test_setup(test_control, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
