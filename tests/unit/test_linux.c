/* The bzImage loader with kernels made here: every field, every refusal, and where things end up in memory. */
#include "tests/unit/support.h"

#include <stdlib.h>
#include <string.h>

#include "core/lib/bytes.h"
#include "core/lib/error.h"
#include "guests/linux.h"
#include "guests/linux_header.h"
#include "guests/platform.h"

#define RAM       (96 * MiB)
#define SETUP_LEN 1024u /* setup_sects = 1 */
#define BODY_LEN  (64 * 1024u)
#define FILE_LEN  (SETUP_LEN + BODY_LEN)

static struct gmem mem;
static struct e820 map;
static uint8_t *ram, *kernel, *initrd;
static struct guest_files files;
static struct guest_entry entry;
static char why[160];

static void kernel_make(uint16_t version)
{
    memset(kernel, 0, SETUP_LEN);
    for (uint32_t i = 0; i < BODY_LEN; i++)
        kernel[SETUP_LEN + i] = (uint8_t)(i * 7 + i / 256);
    kernel[LINUX_SETUP_SECTS] = 1;
    put_le32(kernel + LINUX_SYSSIZE, BODY_LEN / 16);
    put_le16(kernel + LINUX_BOOT_FLAG, 0xaa55);
    kernel[LINUX_JUMP] = 0xeb;
    kernel[LINUX_JUMP + 1] = 0x6a; /* header up to 0x26c */
    memcpy(kernel + LINUX_MAGIC, "HdrS", 4);
    put_le16(kernel + LINUX_VERSION, version);
    kernel[LINUX_LOADFLAGS] = 1;
    put_le32(kernel + LINUX_INITRD_ADDR_MAX, 0x37ffffff);
    put_le32(kernel + LINUX_ALIGNMENT, SIZE_2M);
    kernel[LINUX_RELOCATABLE] = 1;
    put_le16(kernel + LINUX_XLOADFLAGS, 1);
    put_le32(kernel + LINUX_CMDLINE_SIZE, 2047);
    put_le64(kernel + LINUX_PREF_ADDRESS, 16 * MiB);
    put_le32(kernel + LINUX_INIT_SIZE, 20 * MiB);
}

static void vm_make(uint64_t low, uint64_t high)
{
    gmem_init(&mem, ram);
    if (low)
        assert_int_equal(gmem_add(&mem, 0, low, true), 0);
    assert_int_equal(gmem_add(&mem, PC_ACPI_TABLES, PC_ACPI_SIZE, false), 0);
    assert_int_equal(gmem_add(&mem, PC_HIGH_RAM, high - PC_HIGH_RAM, true), 0);
    e820_build(&map, &mem, false);
}

static int setup(void **state)
{
    (void)state;
    ram = calloc(1, RAM);
    kernel = malloc(FILE_LEN);
    initrd = malloc(MiB);
    memset(initrd, 0x5c, MiB);
    kernel_make(0x20f);
    vm_make(PC_LOW_RAM_END, RAM);
    files = (struct guest_files){.kernel = {kernel, FILE_LEN, "vmlinuz"},
                                 .modules = {{initrd, 12345, "initrd"}},
                                 .module_count = 1,
                                 .cmdline = "console=ttyS0"};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(ram);
    free(kernel);
    free(initrd);
    return 0;
}

static int load(void)
{
    why[0] = 0;
    return linux_load(&mem, &files, &map, 0xe0000, &entry, why, sizeof(why));
}

static void expect_refusal(int err, const char *words)
{
    assert_int_equal(load(), err);
    if (!strstr(why, words))
        fail_msg("\"%s\" is not in \"%s\"", words, why);
}

/* With a list for large parts: they come when that is done, and where they come at once else. */
static void test_copied_later(void **state)
{
    static struct copies copies;
    uint8_t *at_once = malloc(RAM);

    (void)state;
    files.modules[0].len = MiB;
    assert_int_equal(load(), 0);
    memcpy(at_once, ram, RAM);
    memset(ram, 0, RAM);
    files.copies = &copies;
    assert_int_equal(load(), 0);
    assert_int_not_equal(copies.count, 0);
    while (copies.count)
        copies_step(&copies, &mem);
    assert_memory_equal(ram, at_once, RAM);
    free(at_once);
}

static void test_64bit(void **state)
{
    const uint8_t *zero;

    (void)state;
    assert_true(linux_probe(kernel, FILE_LEN));
    assert_int_equal(load(), 0);
    assert_true(entry.long_mode);
    assert_int_equal(entry.rip, 16 * MiB + 0x200);
    assert_memory_equal(ram + 16 * MiB, kernel + SETUP_LEN, BODY_LEN);
    zero = ram + entry.rsi;
    assert_memory_equal(zero + LINUX_MAGIC, "HdrS", 4);
    assert_int_equal(zero[LINUX_TYPE_OF_LOADER], 0xff);
    assert_int_equal(get_le16(zero + LINUX_VID_MODE), 0xffff);
    assert_int_equal(get_le32(zero + LINUX_CODE32_START), 16 * MiB);
    assert_string_equal(ram + get_le32(zero + LINUX_CMD_LINE_PTR), "console=ttyS0");
    assert_int_equal(get_le32(zero + LINUX_RAMDISK_SIZE), 12345);
    assert_int_equal(get_le32(zero + LINUX_RAMDISK_IMAGE), RAM - 4 * PAGE_SIZE);
    assert_memory_equal(ram + RAM - 4 * PAGE_SIZE, initrd, 12345);
    assert_int_equal(get_le64(zero + LINUX_ACPI_RSDP), 0xe0000);
    assert_int_equal(get_le32(zero + LINUX_ALT_MEM_K), RAM / KiB - 1024);
    /* Nothing of the file's is before or after the setup header. */
    assert_int_equal(zero[LINUX_SETUP_SECTS - 1], 0);
    assert_int_equal(get_le32(zero + 0x26c), 0);
}

static void test_e820_in_zero_page(void **state)
{
    static const struct e820_entry expected[] = {
        {0, 0x9fc00, E820_RAM},
        {0x9fc00, 0x400, E820_RESERVED},
        {0xe0000, 0x20000, E820_RESERVED},
        {MiB, RAM - MiB, E820_RAM},
    };
    const uint8_t *zero;

    (void)state;
    assert_int_equal(load(), 0);
    zero = ram + entry.rsi;
    assert_int_equal(zero[LINUX_E820_ENTRIES], ARRAY_SIZE(expected));
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        const uint8_t *e = zero + LINUX_E820_TABLE + i * 20;

        assert_int_equal(get_le64(e), expected[i].base);
        assert_int_equal(get_le64(e + 8), expected[i].len);
        assert_int_equal(get_le32(e + 16), expected[i].type);
    }
}

static void test_page_tables_and_gdt(void **state)
{
    const uint64_t addresses[] = {0, 0x123456, 0x12345678, 0xfee00030, 0xffffffff};

    (void)state;
    assert_int_equal(load(), 0);
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        uint64_t table = entry.cr3, at = addresses[i];

        for (int shift = 39; shift > 21; shift -= 9) {
            uint64_t e = get_le64(ram + table + (at >> shift & 511) * 8);

            assert_int_equal(e & 0xfff, 3);
            table = e & ~0xfffull;
        }
        assert_int_equal(get_le64(ram + table + (at >> 21 & 511) * 8), (at & ~(SIZE_2M - 1)) | 0x83);
    }
    assert_int_equal(get_le64(ram + entry.cr3 + 8), 0);
    assert_int_equal(entry.gdt_limit, 31);
    assert_int_equal(get_le64(ram + entry.gdt_base + ENTRY_CS), 0x00af9b000000ffffull);
    assert_int_equal(get_le64(ram + entry.gdt_base + ENTRY_DS), 0x00cf93000000ffffull);
}

static void test_32bit(void **state)
{
    (void)state;
    put_le16(kernel + LINUX_XLOADFLAGS, 0);
    assert_int_equal(load(), 0);
    assert_false(entry.long_mode);
    assert_int_equal(entry.rip, 16 * MiB);
    assert_int_equal(get_le64(ram + entry.gdt_base + ENTRY_CS), 0x00cf9b000000ffffull);
    /* Before 2.12 the flags aren't there, whatever the bytes say; before 2.10 it runs at 1 MiB. */
    kernel_make(0x20b);
    assert_int_equal(load(), 0);
    assert_false(entry.long_mode);
    kernel_make(0x206);
    kernel[LINUX_JUMP + 1] = LINUX_CMDLINE_SIZE + 4 - LINUX_MAGIC;
    kernel[LINUX_RELOCATABLE] = 0;
    files.modules[0].len = 0;
    assert_int_equal(load(), 0);
    assert_int_equal(entry.rip, MiB);
    assert_int_equal(get_le64(ram + entry.rsi + LINUX_ACPI_RSDP), 0);
    assert_int_equal(get_le32(ram + entry.rsi + LINUX_RAMDISK_IMAGE), 0);
}

static void test_places(void **state)
{
    (void)state;
    /* Above a hole, at its alignment. */
    gmem_init(&mem, ram);
    assert_int_equal(gmem_add(&mem, 0, PC_LOW_RAM_END, true), 0);
    assert_int_equal(gmem_add(&mem, PC_HIGH_RAM, 19 * MiB, true), 0);
    assert_int_equal(gmem_add(&mem, 31 * MiB, 40 * MiB, true), 0);
    put_le32(kernel + LINUX_INITRD_ADDR_MAX, 20 * MiB - 1);
    assert_int_equal(load(), 0);
    assert_int_equal(entry.rip, 32 * MiB + 0x200);
    assert_int_equal(get_le32(ram + entry.rsi + LINUX_RAMDISK_IMAGE), 20 * MiB - 4 * PAGE_SIZE);
    /* One that can't move must have its place. */
    kernel[LINUX_RELOCATABLE] = 0;
    expect_refusal(ERR_NOMEM, "the kernel needs 20 MiB from 16 MiB on; the VM has 60 MiB");
    /* The initrd goes below the kernel if nothing is left above, and exactly full is fine. */
    kernel[LINUX_RELOCATABLE] = 1;
    put_le32(kernel + LINUX_INITRD_ADDR_MAX, UINT32_MAX);
    vm_make(PC_LOW_RAM_END, 36 * MiB);
    assert_int_equal(load(), 0);
    assert_int_equal(get_le32(ram + entry.rsi + LINUX_RAMDISK_IMAGE), 16 * MiB - 4 * PAGE_SIZE);
    vm_make(PC_LOW_RAM_END, 36 * MiB - PAGE_SIZE);
    expect_refusal(ERR_NOMEM, "needs 20 MiB");
}

/* As one: each archive but the first at a multiple of 4 bytes, with zeros between them. */
static void test_initrds(void **state)
{
    const uint8_t *at, *zero;

    (void)state;
    memset(initrd, 0x5c, 9);
    files.modules[0].len = 5;
    files.modules[1] = (struct guest_file){initrd, 0, "none"};
    files.modules[2] = (struct guest_file){initrd, 3, "second"};
    files.module_count = 3;
    memset(ram + RAM - PAGE_SIZE, 0xee, PAGE_SIZE);
    assert_int_equal(load(), 0);
    zero = ram + entry.rsi;
    assert_int_equal(get_le32(zero + LINUX_RAMDISK_SIZE), 11);
    at = ram + get_le32(zero + LINUX_RAMDISK_IMAGE);
    assert_memory_equal(at, "\x5c\x5c\x5c\x5c\x5c\0\0\0\x5c\x5c\x5c\xee", 12);
    files.modules[1].len = UINT64_MAX;
    assert_int_equal(load(), ERR_NOMEM);
}

static void test_too_little_memory(void **state)
{
    (void)state;
    vm_make(PC_LOW_RAM_END, 8 * MiB);
    expect_refusal(ERR_NOMEM, "the kernel needs 20 MiB from 16 MiB on; the VM has 8 MiB");
    vm_make(PC_LOW_RAM_END, 36 * MiB);
    files.modules[0].len = 30 * MiB; /* never read: it doesn't fit */
    expect_refusal(ERR_NOMEM,
                   "the kernel needs 20 MiB from 16 MiB on and the initrd 30 MiB; the VM has 36 MiB");
    files.modules[0].len = UINT64_MAX;
    assert_int_equal(load(), ERR_NOMEM);
    files.modules[0].len = 0;
    vm_make(0, 64 * MiB);
    expect_refusal(ERR_NOMEM, "639 KiB");
}

static void test_no_kernel(void **state)
{
    (void)state;
    memset(kernel + LINUX_MAGIC, 'x', 4);
    assert_false(linux_probe(kernel, FILE_LEN));
    expect_refusal(ERR_INVALID, "no bzImage");
    kernel_make(0x20f);
    put_le16(kernel + LINUX_BOOT_FLAG, 0);
    assert_false(linux_probe(kernel, FILE_LEN));
    expect_refusal(ERR_INVALID, "no bzImage");
    files.kernel.len = 0;
    assert_false(linux_probe(kernel, 0));
    expect_refusal(ERR_INVALID, "it has 0 bytes");
}

static void test_cut_off(void **state)
{
    (void)state;
    for (uint64_t len = 0; len < FILE_LEN - 15; len += len < 2 * SETUP_LEN ? 1 : 777) {
        /* Exactly that many bytes on the heap, so that reading one more is noticed. */
        uint8_t *cut = malloc(len ? len : 1);

        memcpy(cut, kernel, len);
        files.kernel.data = cut;
        files.kernel.len = len;
        expect_refusal(ERR_INVALID, len <= SETUP_LEN ? "cut off in its header" : "cut off in its body");
        free(cut);
    }
}

static void test_bad_fields(void **state)
{
    (void)state;
    put_le16(kernel + LINUX_VERSION, 0x205);
    expect_refusal(ERR_NOTSUP, "2.05");
    kernel_make(0x20f);
    kernel[LINUX_LOADFLAGS] = 0;
    expect_refusal(ERR_NOTSUP, "zImage");
    kernel_make(0x20f);
    kernel[LINUX_JUMP + 1] = 0x20;
    expect_refusal(ERR_INVALID, "header is damaged");
    kernel_make(0x20f);
    put_le32(kernel + LINUX_ALIGNMENT, 3 * SIZE_2M);
    expect_refusal(ERR_INVALID, "header is damaged");
    kernel_make(0x20f);
    put_le64(kernel + LINUX_PREF_ADDRESS, 4 * GiB);
    expect_refusal(ERR_INVALID, "header is damaged");
    kernel_make(0x20f);
    put_le32(kernel + LINUX_SYSSIZE, 0);
    expect_refusal(ERR_INVALID, "cut off in its body");
    kernel_make(0x20f);
    put_le32(kernel + LINUX_SYSSIZE, UINT32_MAX);
    expect_refusal(ERR_INVALID, "cut off in its body");
    kernel_make(0x20f);
    put_le32(kernel + LINUX_CMDLINE_SIZE, 12);
    expect_refusal(ERR_RANGE, "the command line has 13 characters; this kernel takes 12");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_64bit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_copied_later, setup, teardown),
        cmocka_unit_test_setup_teardown(test_e820_in_zero_page, setup, teardown),
        cmocka_unit_test_setup_teardown(test_page_tables_and_gdt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_32bit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_places, setup, teardown),
        cmocka_unit_test_setup_teardown(test_initrds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_little_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_kernel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_fields, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
