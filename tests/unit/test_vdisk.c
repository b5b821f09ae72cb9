/* What is behind a disk: every access against a plain copy, on memory and on an overlay that fills up; images declared. */
#include "drivers/virt/vdisk.h"

#include <stdlib.h>
#include <string.h>

#include "core/lib/error.h"
#include "mm/frame.h"
#include "mm/image.h"
#include "tests/unit/support.h"

#define CLUSTERS 20
#define LEN      (CLUSTERS * VDISK_CLUSTER - 3 * VDISK_SECTOR) /* ends within a cluster */
#define SLOTS    8

static uint8_t image[LEN], before[LEN], copy[LEN], got[LEN];
static uint32_t index_words[CLUSTERS];
static uint8_t overlay[SLOTS * VDISK_CLUSTER];
static struct vdisk disk;

static int start(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < LEN; i++)
        image[i] = (uint8_t)(i * 7 + i / 251);
    memcpy(before, image, LEN);
    memcpy(copy, image, LEN);
    memset(index_words, 0, sizeof(index_words));
    memset(overlay, 0xee, sizeof(overlay));
    disk = (struct vdisk){
        .image = image, .len = LEN, .index = index_words, .overlay = overlay, .slots = SLOTS};
    return 0;
}

static void expect_same(void)
{
    vdisk_read(&disk, 0, got, LEN);
    assert_memory_equal(got, copy, LEN);
}

static void test_bounds(void **state)
{
    (void)state;
    assert_true(vdisk_holds(&disk, 0, LEN));
    assert_true(vdisk_holds(&disk, LEN, 0));
    assert_true(vdisk_holds(&disk, LEN - 512, 512));
    assert_false(vdisk_holds(&disk, LEN - 512, 1024));
    assert_false(vdisk_holds(&disk, LEN + 512, 0));
    assert_false(vdisk_holds(&disk, 0, 511));
    assert_false(vdisk_holds(&disk, 1, 512));
    assert_false(vdisk_holds(&disk, UINT64_MAX - 511, 512));
    assert_false(vdisk_holds(&disk, 512, UINT64_MAX - 511));
}

static void change(uint32_t kind, uint64_t offset, uint64_t len)
{
    static uint8_t data[LEN];

    for (uint64_t i = 0; i < len; i++)
        data[i] = (uint8_t)rand();
    if (kind == 0) {
        assert_true(vdisk_write(&disk, offset, data, len));
        memcpy(copy + offset, data, len);
    } else if (kind == 1) {
        assert_true(vdisk_zero(&disk, offset, len));
        memset(copy + offset, 0, len);
    } else {
        assert_true(vdisk_discard(&disk, offset, len));
        vdisk_read(&disk, offset, copy + offset, len); /* whatever is there now */
    }
}

static void many(void)
{
    for (uint32_t round = 0; round < 2000; round++) {
        uint64_t offset = (uint64_t)(rand() % (LEN / 512)) * 512;
        uint64_t len = (uint64_t)(rand() % 20) * 512;

        change((uint32_t)rand() % 3, offset, len > LEN - offset ? LEN - offset : len);
        if (disk.index && vdisk_overlay_used(&disk) > SLOTS / 2)
            change(2, 0, LEN);
        expect_same();
    }
}

static void test_memory(void **state)
{
    (void)state;
    disk.index = NULL;
    many();
    assert_memory_equal(image, copy, LEN);
}

static void test_overlay(void **state)
{
    (void)state;
    disk.slots = CLUSTERS;
    disk.overlay = malloc(CLUSTERS * VDISK_CLUSTER);
    many();
    assert_memory_equal(image, before, LEN);
    free(disk.overlay);
}

static void test_full(void **state)
{
    static const uint8_t sector[VDISK_SECTOR] = {1};

    (void)state;
    for (uint32_t i = 0; i < SLOTS; i++)
        assert_true(vdisk_write(&disk, i * VDISK_CLUSTER + 512, sector, 512));
    assert_false(vdisk_write(&disk, SLOTS * VDISK_CLUSTER, sector, 512));
    assert_false(vdisk_zero(&disk, SLOTS * VDISK_CLUSTER, 512));
    assert_true(vdisk_write(&disk, 0, sector, 512)); /* what is there already stays writable */
    assert_true(vdisk_zero(&disk, SLOTS * VDISK_CLUSTER, VDISK_CLUSTER)); /* zeros need no place */
    assert_int_equal(vdisk_overlay_used(&disk), SLOTS);
    assert_true(vdisk_discard(&disk, VDISK_CLUSTER, VDISK_CLUSTER));
    assert_int_equal(vdisk_overlay_used(&disk), SLOTS - 1);
    assert_true(vdisk_write(&disk, (SLOTS + 1) * VDISK_CLUSTER, sector, 512));
    vdisk_read(&disk, (SLOTS + 1) * VDISK_CLUSTER, got, VDISK_CLUSTER);
    assert_memory_equal(got, sector, 512);
    assert_memory_equal(got + 512, before + (SLOTS + 1) * VDISK_CLUSTER + 512, VDISK_CLUSTER - 512);
}

static void test_images(void **state)
{
    (void)state;
    image_forget_all();
    assert_int_equal(image_declare(0x100000, 0x2001, OWNER_VM + 1), 0);
    assert_int_equal(image_declare(0x100000, 0x2001, OWNER_VM + 1), 0);
    assert_int_equal(image_declare(0x100000, 0x2001, OWNER_VM + 2), ERR_BUSY);
    assert_int_equal(image_declare(0x100000, 0x2001, OWNER_FREE), ERR_BUSY);
    assert_int_equal(image_declare(0x200000, 0x1000, OWNER_FREE), 0);
    assert_true(image_allows(0x102000, 0x1000, OWNER_VM + 1, true));
    assert_false(image_allows(0x102000, 0x2000, OWNER_VM + 1, true));
    assert_false(image_allows(0x102000, 0x1000, OWNER_VM + 2, false));
    assert_true(image_allows(0x200000, 0x1000, OWNER_VM + 2, false));
    assert_false(image_allows(0x200000, 0x1000, OWNER_VM + 2, true));
    assert_false(image_allows(0x300000, 0x1000, OWNER_VM + 2, false));
    assert_true(image_is_private(0xff000, 0x2000));
    assert_false(image_is_private(0x200000, 0x1000));
    assert_false(image_is_private(0x103000, 0x1000));
    image_forget_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_bounds, start),  cmocka_unit_test_setup(test_memory, start),
        cmocka_unit_test_setup(test_overlay, start), cmocka_unit_test_setup(test_full, start),
        cmocka_unit_test_setup(test_images, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
