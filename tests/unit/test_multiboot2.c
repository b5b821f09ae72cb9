#include "boot/multiboot2.h"

#include <stdlib.h>
#include <string.h>

#include "core/lib/bytes.h"
#include "core/lib/error.h"
#include "tests/unit/support.h"

/* Builds the information of a loader, tag by tag. */
static uint8_t mbi[64 * 1024];
static uint32_t used;
static struct boot_info info;
static const char *error;

static int set_up(void **state)
{
    (void)state;
    memset(mbi, 0xee, sizeof(mbi));
    used = 8;
    return 0;
}

static uint8_t *add_tag(uint32_t type, uint32_t size)
{
    uint8_t *tag = mbi + used;

    put_le32(tag, type);
    put_le32(tag + 4, size);
    used = (uint32_t)ALIGN_UP(used + size, 8u);
    assert_true(used < sizeof(mbi));
    return tag;
}

static void add_string(uint32_t type, const char *s)
{
    strcpy((char *)add_tag(type, (uint32_t)(8 + strlen(s) + 1)) + 8, s);
}

static void add_module(uint32_t start, uint32_t end, const char *line)
{
    uint8_t *tag = add_tag(3, (uint32_t)(16 + strlen(line) + 1));

    put_le32(tag + 8, start);
    put_le32(tag + 12, end);
    strcpy((char *)tag + 16, line);
}

static uint8_t *add_mmap(uint32_t step, uint32_t count)
{
    uint8_t *tag = add_tag(6, 16 + step * count);

    put_le32(tag + 8, step);
    put_le32(tag + 12, 0);
    return tag + 16;
}

static void put_range(uint8_t *entry, uint64_t base, uint64_t len, uint32_t type)
{
    put_le64(entry, base);
    put_le64(entry + 8, len);
    put_le32(entry + 16, type);
}

/* Parses a copy that ends where the information does, so that ASan sees every byte too many. */
static int parse_total(uint32_t total)
{
    uint8_t *copy = malloc(used);
    int err;

    put_le32(mbi, total);
    put_le32(mbi + 4, 0);
    memcpy(copy, mbi, used);
    error = NULL;
    err = multiboot2_parse(copy, used, &info, &error);
    free(copy);
    assert_true((err == 0) == (error == NULL));
    return err;
}

static int parse(void)
{
    add_tag(0, 8);
    return parse_total(used);
}

static void expect_error(const char *part)
{
    assert_true(parse() < 0);
    if (!strstr(error, part))
        fail_msg("'%s' has no '%s'", error, part);
}

static void test_all_of_grub(void **state)
{
    (void)state;
    add_string(1, "console=line log=debug");
    add_string(2, "GRUB 2.06");
    add_module(0x100000, 0x180000, "vmlinuz console=ttyS0");
    add_module(0x200000, 0x200000, "");
    uint8_t *entries = add_mmap(24, 3);
    put_range(entries, 0, 0x9fc00, 1);
    put_range(entries + 24, 0x100000, 0x3ff00000, 1);
    put_range(entries + 48, 0xfffc0000, 0x40000, 17);
    memcpy(add_tag(14, 8 + 20) + 8, "RSD PTR 1 old rsdp..", 20);
    memcpy(add_tag(15, 8 + 36) + 8, "RSD PTR 2 new rsdp, thirty-six long.", 36);
    put_le64(add_tag(12, 16) + 8, 0x1234);

    assert_int_equal(parse(), 0);
    assert_string_equal(info.cmdline, "console=line log=debug");
    assert_string_equal(info.loader, "GRUB 2.06");
    assert_int_equal(info.module_count, 2);
    assert_int_equal(info.modules[0].base, 0x100000);
    assert_int_equal(info.modules[0].len, 0x80000);
    assert_string_equal(info.modules[0].cmdline, "vmlinuz console=ttyS0");
    assert_int_equal(info.modules[1].len, 0);
    assert_string_equal(info.modules[1].cmdline, "");
    assert_int_equal(info.range_count, 3);
    assert_int_equal(info.ranges[1].len, 0x3ff00000);
    assert_int_equal(info.ranges[1].kind, BOOT_RANGE_RAM);
    assert_int_equal(info.ranges[2].kind, BOOT_RANGE_RESERVED);
    assert_int_equal(info.rsdp_len, 36);
    assert_memory_equal(info.rsdp, "RSD PTR 2", 9);
    assert_true(info.efi);
    assert_int_equal(info.screen.kind, BOOT_SCREEN_NONE);
}

static void test_nothing_but_an_end(void **state)
{
    (void)state;
    assert_int_equal(parse(), 0);
    assert_int_equal(info.range_count, 0);
    assert_string_equal(info.cmdline, "");
    assert_false(info.efi);
}

static void test_range_kinds(void **state)
{
    (void)state;
    uint8_t *entries = add_mmap(32, 7);

    for (uint32_t i = 0; i < 7; i++)
        put_range(entries + i * 32, i * MiB, i == 6 ? 0 : MiB, i);
    assert_int_equal(parse(), 0);
    const int kinds[] = {BOOT_RANGE_RESERVED, BOOT_RANGE_RAM, BOOT_RANGE_RESERVED,
                         BOOT_RANGE_ACPI,     BOOT_RANGE_NVS, BOOT_RANGE_BAD};
    assert_int_equal(info.range_count, 6);
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(info.ranges[i].kind, kinds[i]);
}

static void add_efi_map(void)
{
    uint8_t *tag = add_tag(17, 16 + 2 * 48);

    memset(tag + 8, 0, 8 + 2 * 48);
    put_le32(tag + 8, 48);
    put_le32(tag + 16, 7);
    put_le64(tag + 16 + 8, 0x100000);
    put_le64(tag + 16 + 24, 256);
    put_le32(tag + 64, 6);
    put_le64(tag + 64 + 8, 0x200000);
    put_le64(tag + 64 + 24, 1);
}

static void test_efi_map_is_a_fallback(void **state)
{
    (void)state;
    add_efi_map();
    assert_int_equal(parse(), 0);
    assert_true(info.efi);
    assert_int_equal(info.range_count, 2);
    assert_int_equal(info.ranges[0].base, 0x100000);
    assert_int_equal(info.ranges[0].len, MiB);
    assert_int_equal(info.ranges[0].kind, BOOT_RANGE_RAM);
    assert_int_equal(info.ranges[1].kind, BOOT_RANGE_RESERVED);
}

static void test_efi_map_gives_way(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        set_up(NULL);
        if (order == 0)
            add_efi_map();
        put_range(add_mmap(24, 1), 0x5000, 0x1000, 1);
        if (order == 1)
            add_efi_map();
        assert_int_equal(parse(), 0);
        assert_int_equal(info.range_count, 1);
        assert_int_equal(info.ranges[0].base, 0x5000);
    }
}

static void test_screens(void **state)
{
    (void)state;
    uint8_t *tag = add_tag(8, 38);

    memset(tag + 8, 0, 30);
    put_le64(tag + 8, 0x80000000);
    put_le32(tag + 16, 3200);
    put_le32(tag + 20, 800);
    put_le32(tag + 24, 600);
    tag[28] = 32;
    tag[29] = 1;
    memcpy(tag + 32, "\x10\x08\x08\x08\x00\x08", 6);
    assert_int_equal(parse(), 0);
    assert_int_equal(info.screen.kind, BOOT_SCREEN_RGB);
    assert_int_equal(info.screen.base, 0x80000000);
    assert_int_equal(info.screen.pitch, 3200);
    assert_int_equal(info.screen.red_pos, 16);
    assert_int_equal(info.screen.blue_size, 8);

    tag[29] = 2;
    assert_int_equal(parse_total(used), 0);
    assert_int_equal(info.screen.kind, BOOT_SCREEN_TEXT);
    tag[29] = 0;
    assert_int_equal(parse_total(used), 0);
    assert_int_equal(info.screen.kind, BOOT_SCREEN_NONE);
    tag[29] = 1;
    put_le32(tag + 4, 36);
    assert_int_equal(parse_total(used), ERR_INVALID);
    put_le32(tag + 4, 24);
    assert_int_equal(parse_total(used), ERR_INVALID);
}

static void test_old_rsdp_alone(void **state)
{
    (void)state;
    memcpy(add_tag(14, 8 + 20) + 8, "RSD PTR 1 old rsdp..", 20);
    assert_int_equal(parse(), 0);
    assert_int_equal(info.rsdp_len, 20);
}

static void test_old_rsdp_after_new(void **state)
{
    (void)state;
    memset(add_tag(15, 8 + 40) + 8, 'n', 40);
    memset(add_tag(14, 8 + 20) + 8, 'o', 20);
    assert_int_equal(parse(), 0);
    assert_int_equal(info.rsdp_len, 36);
    assert_int_equal(info.rsdp[0], 'n');
}

static void test_lying_tags(void **state)
{
    (void)state;
    add_module(0x2000, 0x1000, "x");
    expect_error("ends before it begins");

    set_up(NULL);
    add_tag(1, 8);
    expect_error("before its string");

    set_up(NULL);
    memset(add_tag(1, 16) + 8, 'x', 8);
    expect_error("closing NUL");

    set_up(NULL);
    add_tag(3, 16);
    expect_error("before its string");

    set_up(NULL);
    add_tag(6, 12);
    expect_error("cut off");

    set_up(NULL);
    add_mmap(16, 1);
    expect_error("entry size");

    set_up(NULL);
    add_mmap(0, 4);
    expect_error("entry size");

    set_up(NULL);
    add_mmap(25, 1);
    expect_error("entry size");

    set_up(NULL);
    add_mmap(24, 1);
    put_le32(mbi + 8 + 4, 16 + 24 + 8);
    used += 8;
    expect_error("half an entry");

    set_up(NULL);
    put_range(add_mmap(24, 1), UINT64_MAX - 0xfff, 0x2000, 1);
    expect_error("wraps");

    set_up(NULL);
    add_tag(14, 8 + 19);
    expect_error("RSDP");

    set_up(NULL);
    add_tag(5, 4);
    expect_error("smaller than its own header");

    set_up(NULL);
    add_tag(5, 0xfffffff8);
    used = 16;
    expect_error("larger than all");
}

static void test_wrapping_tag(void **state)
{
    (void)state;
    put_le32(add_tag(5, 16) + 4, 0xfffffffe);
    expect_error("larger than all");
}

static void test_sizes(void **state)
{
    (void)state;
    add_tag(0, 8);
    assert_int_equal(parse_total(used + 1), ERR_RANGE);
    assert_int_equal(parse_total(UINT32_MAX), ERR_RANGE);
    assert_int_equal(parse_total(0), ERR_INVALID);
    assert_int_equal(parse_total(8), ERR_INVALID);
    assert_int_equal(multiboot2_parse(mbi, 4, &info, &error), ERR_INVALID);
    assert_int_equal(multiboot2_parse(mbi, 0, &info, &error), ERR_INVALID);

    set_up(NULL);
    add_string(1, "no end");
    assert_int_equal(parse_total(used), ERR_INVALID);
    assert_non_null(strstr(error, "no end tag"));
}

static void test_too_many(void **state)
{
    (void)state;
    for (int i = 0; i < BOOT_MAX_MODULES; i++)
        add_module(0, 0, "m");
    assert_int_equal(parse(), 0);
    used -= 8;
    add_module(0, 0, "m");
    expect_error("too many modules");

    set_up(NULL);
    uint8_t *entries = add_mmap(24, BOOT_MAX_RANGES + 1);
    for (uint32_t i = 0; i <= BOOT_MAX_RANGES; i++)
        put_range(entries + i * 24, i * 0x10000, 0x1000, 1);
    expect_error("too many memory ranges");

    set_up(NULL);
    char line[2 * BOOT_CMDLINE_MAX];
    memset(line, 'x', sizeof(line));
    line[BOOT_CMDLINE_MAX] = '\0';
    add_string(1, line);
    expect_error("too long");

    set_up(NULL);
    line[BOOT_CMDLINE_MAX] = 'x';
    line[sizeof(line) - 1] = '\0';
    for (int i = 0; i < 17; i++)
        add_module(0, 0, line);
    expect_error("too long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_all_of_grub, set_up),
        cmocka_unit_test_setup(test_nothing_but_an_end, set_up),
        cmocka_unit_test_setup(test_range_kinds, set_up),
        cmocka_unit_test_setup(test_efi_map_is_a_fallback, set_up),
        cmocka_unit_test_setup(test_efi_map_gives_way, set_up),
        cmocka_unit_test_setup(test_screens, set_up),
        cmocka_unit_test_setup(test_old_rsdp_alone, set_up),
        cmocka_unit_test_setup(test_old_rsdp_after_new, set_up),
        cmocka_unit_test_setup(test_lying_tags, set_up),
        cmocka_unit_test_setup(test_wrapping_tag, set_up),
        cmocka_unit_test_setup(test_sizes, set_up),
        cmocka_unit_test_setup(test_too_many, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
