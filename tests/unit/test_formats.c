/* Multiboot 1 and 2 kernels that are made here, loaded into a small VM. The system tests have real ones say what they got. */
#include "tests/unit/kernel_bench.h"

/* -- ELF -------------------------------------------------------------------------------------------------------- */

static void test_elf32(void **state)
{
    (void)state;
    memset(ram + MiB, 0xee, 2 * CODE_LEN);
    elf32_make(0xc0100010);
    mb1_make(3);
    assert_int_equal(load(), 0);
    assert_int_equal(entry.rip, MiB + 0x10);
    expect_code_at(MiB);
    assert_int_equal(ram[MiB + CODE_LEN + 0x100], 0xee);
    /* An entry point that is physical already. */
    put_le32(file + 24, MiB + 0x20);
    assert_int_equal(load(), 0);
    assert_int_equal(entry.rip, MiB + 0x20);
    put_le32(file + 24, 0x12345678);
    expect_refusal(ERR_INVALID, "entry point 0x12345678 is in none of its segments");
}

static void test_elf64(void **state)
{
    (void)state;
    elf64_make(0xffffffff80100010);
    mb1_make(3);
    assert_int_equal(load(), 0);
    assert_int_equal(entry.rip, MiB + 0x10);
    assert_false(entry.long_mode);
    expect_code_at(MiB);
}

static void test_elf_lies(void **state)
{
    static const struct {
        uint32_t vaddr, paddr, offset, len, mem_len;
        int err;
        const char *words;
    } bad[] = {
        {0, MiB, CODE, FILE_LEN, FILE_LEN, ERR_INVALID, "program header 0 is damaged"},
        {0, MiB, 0xfffffff0, 0x20, 0x20, ERR_INVALID, "program header 0 is damaged"},
        {0, MiB, CODE, 0x20, 0x10, ERR_INVALID, "program header 0 is damaged"},
        {0, RAM - 0x100, CODE, 0x20, 0x101, ERR_NOMEM, "the kernel needs 1 KiB at 0x1ffff00"},
        {0, 0x9ff00, CODE, 0x20, 0x20, ERR_NOMEM, "the kernel needs"}, /* EBDA */
        {0, PC_ROM, CODE, 0x20, 0x20, ERR_NOMEM, "the kernel needs"},  /* ROM */
        {0, 0xfffffff0, CODE, 0x20, 0xffffffff, ERR_NOMEM, "the kernel needs"},
        {0, MiB, 0, 0, 0, ERR_INVALID, "nothing in it to load"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        elf32_make(MiB);
        mb1_make(3);
        segment32(0, 1, bad[i].vaddr, bad[i].paddr, bad[i].offset, bad[i].len, bad[i].mem_len);
        expect_refusal(bad[i].err, bad[i].words);
    }
    elf32_make(MiB);
    segment32(1, 1, 0, MiB + CODE_LEN, CODE, 4, 4); /* over the first one's zeros */
    expect_refusal(ERR_INVALID, "which is taken already");
    elf32_make(MiB);
    put_le16(file + 42, 31);
    expect_refusal(ERR_INVALID, "ELF header is damaged");
    elf32_make(MiB);
    put_le32(file + 28, FILE_LEN - 16);
    expect_refusal(ERR_INVALID, "ELF header is damaged");
    elf32_make(MiB);
    put_le16(file + 18, 40);
    expect_refusal(ERR_NOTSUP, "no executable for x86: machine 40");
    elf32_make(MiB);
    file[5] = 2;
    expect_refusal(ERR_NOTSUP, "not for x86");
}

/* Every length of a file that is cut off; what is read beyond its end, ASan sees. */
static void test_cut_off(void **state)
{
    const uint32_t note[] = {MiB};

    (void)state;
    elf32_make(MiB);
    mb1_make(3);
    mb2_begin();
    mb2_tag(0, 0, 0, NULL);
    note_make(0x400, 18, 1, note);
    segment32(1, 4, 0, 0, 0x400, 0x20, 0x20);
    for (uint32_t len = 0; len < CODE + CODE_LEN; len += 3) {
        uint8_t *cut = malloc(len ? len : 1);

        memcpy(cut, file, len);
        files.kernel.data = cut;
        files.kernel.len = len;
        assert_int_not_equal(load(), 0);
        assert_true(why[0]);
        free(cut);
    }
}

static void test_unknown(void **state)
{
    (void)state;
    expect_refusal(ERR_INVALID, "no bzImage, no Multiboot kernel and no ELF file");
    elf32_make(MiB);
    expect_refusal(ERR_NOTSUP, "without a Multiboot header and without a PVH entry note");
}

/* -- Multiboot 1 ------------------------------------------------------------------------------------------------ */

static void test_mb1_info(void **state)
{
    static uint8_t big[100 * KiB];
    const uint8_t *info, *mods;

    (void)state;
    elf32_make(MiB);
    mb1_make(7);
    files.modules[0] = (struct guest_file){"hello", 5, "m0"};
    files.modules[1] = (struct guest_file){big, sizeof(big), "m1 x"};
    files.modules[2] = (struct guest_file){NULL, 0, "empty"};
    files.module_count = 3;
    assert_int_equal(load(), 0);
    assert_int_equal(entry.rax, 0x2badb002);
    assert_true(entry.bios && entry.all_segments);
    assert_in_range(entry.rbx, 2 * PAGE_SIZE, PC_EBDA - 120);
    info = ram + entry.rbx;
    assert_int_equal(get_le32(info), 0x124d);
    assert_int_equal(get_le32(info + 4), 639);
    assert_int_equal(get_le32(info + 8), RAM / KiB - 1024);
    assert_string_equal(string_at(get_le32(info + 16)), "dir/kernel a b");
    assert_string_equal(string_at(get_le32(info + 64)), "Keel " KEEL_VERSION);
    assert_int_equal(get_le32(info + 20), 3);
    mods = ram + get_le32(info + 24);
    assert_memory_equal(string_at(get_le32(mods)), "hello", 5);
    assert_int_equal(get_le32(mods + 4), get_le32(mods) + 5);
    assert_string_equal(string_at(get_le32(mods + 8)), "m0");
    /* Large ones go to the end of memory, on a page of their own. */
    assert_int_equal(get_le32(mods + 16), RAM - sizeof(big));
    assert_string_equal(string_at(get_le32(mods + 24)), "m1 x");
    assert_int_equal(get_le32(mods + 32), get_le32(mods + 36));
    assert_int_equal(get_le32(info + 44), map.count * 24);
    assert_int_equal(get_le64(ram + get_le32(info + 48) + 4), 0);
    assert_int_equal(get_le64(info + 88), PC_VGA_TEXT);
    assert_int_equal(info[109], 2);
    /* Without the wish nothing is said of a framebuffer. */
    mb1_make(3);
    assert_int_equal(load(), 0);
    assert_int_equal(get_le32(ram + entry.rbx) & BIT(12), 0);
}

static void test_mb1_refusals(void **state)
{
    (void)state;
    elf32_make(MiB);
    mb1_make(0x8007);
    expect_refusal(ERR_NOTSUP, "flags 0x8000");
    mb1_make(3);
    files.modules[0] = (struct guest_file){file, RAM, "huge"};
    files.module_count = 1;
    expect_refusal(ERR_NOMEM, "no room for a module of 32768 KiB");
    /* A wrong checksum is no header. */
    file[MB1 + 8]++;
    expect_refusal(ERR_NOTSUP, "without a Multiboot header");
}

/* What the loader adds keeps clear of a kernel in low memory, and of page 0. */
static void test_low_kernel(void **state)
{
    const uint32_t from = 3 * PAGE_SIZE, to = 0x9fc00;

    (void)state;
    elf32_make(0x4000);
    mb1_make(3);
    segment32(0, 1, from, from, CODE, CODE_LEN, to - from);
    assert_int_equal(load(), 0);
    assert_in_range(entry.rbx, 2 * PAGE_SIZE, from - 120);
    expect_code_at(from);
    segment32(0, 1, 0, 0, CODE, CODE_LEN, to);
    assert_int_equal(load(), 0);
    assert_in_range(entry.rbx, MiB, RAM - 120);
    expect_code_at(0);
}

static void test_kludge(void **state)
{
    (void)state;
    /* From 0x100 before the header; zeros behind it. */
    mb1_kludge(2 * MiB + 0x100, 2 * MiB, 2 * MiB + 0x900, 2 * MiB + 0x1000, 2 * MiB + 0x40);
    memset(ram + 2 * MiB, 0xee, 0x1100);
    assert_int_equal(load(), 0);
    assert_int_equal(entry.rip, 2 * MiB + 0x40);
    assert_memory_equal(ram + 2 * MiB, file + MB1 - 0x100, 0x900);
    assert_int_equal(ram[2 * MiB + 0x900], 0);
    assert_int_equal(ram[2 * MiB + 0xfff], 0);
    assert_int_equal(ram[2 * MiB + 0x1000], 0xee);
    /* To the end of the file, and nothing behind it. */
    mb1_kludge(2 * MiB, 2 * MiB, 0, 0, 2 * MiB + 0x40);
    assert_int_equal(load(), 0);
    assert_memory_equal(ram + 2 * MiB, file + MB1, FILE_LEN - MB1);
    mb1_kludge(2 * MiB, 2 * MiB + 4, 0, 0, 2 * MiB);
    expect_refusal(ERR_INVALID, "addresses that don't fit");
    mb1_kludge(2 * MiB + 0x1000, 2 * MiB, 0, 0, 2 * MiB);
    expect_refusal(ERR_INVALID, "addresses that don't fit");
    mb1_kludge(2 * MiB, 2 * MiB, 2 * MiB + FILE_LEN, 0, 2 * MiB);
    expect_refusal(ERR_INVALID, "addresses that don't fit");
    mb1_kludge(2 * MiB, 2 * MiB, 2 * MiB + 0x100, 2 * MiB + 0x80, 2 * MiB);
    expect_refusal(ERR_INVALID, "addresses that don't fit");
    mb1_kludge(2 * MiB, 2 * MiB, 0, 0xffffffff, 2 * MiB);
    expect_refusal(ERR_NOMEM, "the kernel needs");
    mb1_kludge(2 * MiB, 2 * MiB, 0, 0, 0xfffffff0);
    expect_refusal(ERR_RANGE, "entry point 0xfffffff0 is where the VM has no memory");
}

/* -- Multiboot 2 ------------------------------------------------------------------------------------------------ */

static const uint8_t *info_tag(uint32_t type, uint32_t skip)
{
    const uint8_t *info = ram + entry.rbx;

    for (uint32_t at = 8; at < get_le32(info); at += ALIGN_UP(get_le32(info + at + 4), 8u))
        if (get_le32(info + at) == type && skip-- == 0)
            return info + at;
    return NULL;
}

static void test_mb2_info(void **state)
{
    const uint32_t wanted[] = {1, 2, 3, 4, 6, 8, 14, 15, 21};

    (void)state;
    elf32_make(MiB);
    mb1_make(3);
    mb2_begin();
    mb2_tag(1, 0, ARRAY_SIZE(wanted), wanted);
    mb2_tag(0, 0, 0, NULL);
    files.modules[0] = (struct guest_file){"hello", 5, "m0"};
    files.modules[1] = (struct guest_file){"you", 3, "m1 x"};
    files.module_count = 2;
    assert_int_equal(load(), 0);
    assert_string_equal(entry.format, "multiboot2");
    assert_int_equal(entry.rax, 0x36d76289);
    assert_int_equal(entry.rip, MiB);
    assert_true(IS_ALIGNED(entry.rbx, 8));
    assert_string_equal((const char *)info_tag(1, 0) + 8, "dir/kernel a b");
    assert_memory_equal(ram + get_le32(info_tag(3, 1) + 8), "you", 3);
    assert_int_equal(get_le32(info_tag(3, 1) + 12) - get_le32(info_tag(3, 1) + 8), 3);
    assert_string_equal((const char *)info_tag(3, 1) + 16, "m1 x");
    assert_int_equal(get_le32(info_tag(4, 0) + 8), 639);
    assert_int_equal(get_le32(info_tag(6, 0) + 4), 16 + map.count * 24);
    assert_int_equal(info_tag(8, 0)[29], 2);
    assert_memory_equal(info_tag(14, 0) + 8, "RSD PTR ", 8);
    assert_int_equal(get_le32(info_tag(15, 0) + 4), 8 + 36);
    assert_null(info_tag(21, 0));
    assert_int_equal(info_tag(0, 0) + 8 - (ram + entry.rbx), get_le32(ram + entry.rbx));
}

static void test_mb2_refusals(void **state)
{
    const uint32_t elf_sections[] = {9};

    (void)state;
    elf32_make(MiB);
    mb2_begin();
    expect_refusal(ERR_INVALID, "its tags don't end");
    mb2_tag(77, 0, 0, NULL);
    mb2_tag(0, 0, 0, NULL);
    expect_refusal(ERR_NOTSUP, "a tag of type 77");
    mb2_begin();
    mb2_tag(77, 1, 0, NULL);
    mb2_tag(1, 1, 1, elf_sections);
    mb2_tag(0, 0, 0, NULL);
    assert_int_equal(load(), 0);
    mb2_begin();
    mb2_tag(1, 0, 1, elf_sections);
    mb2_tag(0, 0, 0, NULL);
    expect_refusal(ERR_NOTSUP, "information of type 9");
    mb2_begin();
    mb2_tag(3, 0, 0, NULL); /* too short for its address */
    mb2_tag(0, 0, 0, NULL);
    expect_refusal(ERR_INVALID, "its tags don't end");
    mb2_begin();
    mb2_tag(0, 0, 0, NULL);
    put_le32(file + MB2 + 4, 4); /* MIPS */
    put_le32(file + MB2 + 12, -(0xe85250d6 + 4 + mb2_len));
    expect_refusal(ERR_NOTSUP, "architecture 4");
}

static void test_mb2_address(void **state)
{
    const uint32_t address[] = {2 * MiB, 0xffffffff, 0, 2 * MiB + 0x2000};
    const uint32_t start[] = {2 * MiB + 0x40, 0};

    (void)state;
    mb2_begin();
    mb2_tag(2, 0, ARRAY_SIZE(address), address);
    mb2_tag(0, 0, 0, NULL);
    expect_refusal(ERR_INVALID, "no entry address tag");
    mb2_begin();
    mb2_tag(2, 0, ARRAY_SIZE(address), address);
    mb2_tag(3, 0, 1, start);
    mb2_tag(0, 0, 0, NULL);
    assert_int_equal(load(), 0);
    assert_int_equal(entry.rip, 2 * MiB + 0x40);
    assert_memory_equal(ram + 2 * MiB - MB2, file, FILE_LEN);
}

static void relocatable(uint32_t min, uint32_t max, uint32_t align, uint32_t preference)
{
    const uint32_t words[] = {min, max, align, preference};

    mb2_begin();
    mb2_tag(10, 0, ARRAY_SIZE(words), words);
    mb2_tag(0, 0, 0, NULL);
}

static void expect_moved(gpa_t to)
{
    assert_int_equal(load(), 0);
    assert_int_equal(entry.rip, to + 0x10);
    assert_int_equal(get_le32(info_tag(21, 0) + 8), to);
    expect_code_at(to);
}

static void test_mb2_relocation(void **state)
{
    (void)state;
    elf32_make(0xc0100010);
    relocatable(0, 0xffffffff, PAGE_SIZE, 0);
    expect_moved(MiB);
    relocatable(2 * MiB, 0xffffffff, 4 * MiB, 0); /* not where it is linked, then */
    expect_moved(4 * MiB);
    relocatable(2 * MiB + 1, 0xffffffff, PAGE_SIZE, 1);
    expect_moved(2 * MiB + PAGE_SIZE);
    relocatable(0, 0xffffffff, PAGE_SIZE, 2);
    expect_moved(RAM - PAGE_SIZE);
    relocatable(0, 5 * MiB - 1, PAGE_SIZE, 2);
    expect_moved(5 * MiB - PAGE_SIZE);
    segment32(0, 1, 0xc0100000, RAM, CODE, CODE_LEN, CODE_LEN + 0x100);
    relocatable(0, 0xffffffff, MiB, 0); /* its own place isn't RAM */
    expect_moved(0);
    relocatable(RAM, 0xffffffff, PAGE_SIZE, 1);
    expect_refusal(ERR_NOMEM, "which aren't free in this VM");
    relocatable(4 * MiB, 2 * MiB, PAGE_SIZE, 1);
    expect_refusal(ERR_NOMEM, "which aren't free in this VM");
    relocatable(0, 0xffffffff, 3, 1);
    expect_refusal(ERR_NOMEM, "which aren't free in this VM");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_elf32, setup, teardown),
        cmocka_unit_test_setup_teardown(test_elf64, setup, teardown),
        cmocka_unit_test_setup_teardown(test_elf_lies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mb1_info, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mb1_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_low_kernel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_kludge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mb2_info, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mb2_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mb2_address, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mb2_relocation, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
