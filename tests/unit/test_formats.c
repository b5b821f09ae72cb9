/* Multiboot 1 and 2 and PVH kernels that are made here, loaded into a small VM. The system tests have real ones say what they got. */
#include "tests/unit/support.h"

#include <stdlib.h>
#include <string.h>

#include "core/lib/bytes.h"
#include "core/lib/error.h"
#include "guests/kernel.h"
#include "guests/platform.h"

#define RAM      (32 * MiB)
#define FILE_LEN 4096u
#define CODE     0x800u /* offset of what is loaded */
#define CODE_LEN 0x400u
#define RSDP     0xe0000u

static struct gmem mem;
static struct e820 map;
static uint8_t *ram, *file;
static struct guest_files files;
static struct guest_entry entry;
static char why[200];

static void ram_make(uint64_t size)
{
    gmem_init(&mem, ram);
    assert_int_equal(gmem_add(&mem, 0, PC_LOW_RAM_END, true), 0);
    assert_int_equal(gmem_add(&mem, PC_ROM, PC_HIGH_RAM - PC_ROM, false), 0);
    assert_int_equal(gmem_add(&mem, PC_HIGH_RAM, size - PC_HIGH_RAM, true), 0);
    e820_build(&map, &mem, false);
}

static int setup(void **state)
{
    (void)state;
    ram = calloc(1, RAM);
    file = calloc(1, FILE_LEN);
    for (uint32_t i = 0; i < CODE_LEN; i++)
        file[CODE + i] = (uint8_t)(i + 3);
    ram_make(RAM);
    memcpy(ram + RSDP, "RSD PTR ", 8);
    files = (struct guest_files){.kernel = {file, FILE_LEN, "dir/kernel rest"}, .cmdline = "a b"};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(ram);
    free(file);
    return 0;
}

static int load(void)
{
    why[0] = 0;
    return kernel_load(&mem, &files, &map, RSDP, &entry, why, sizeof(why));
}

static void expect_refusal(int err, const char *words)
{
    assert_int_equal(load(), err);
    if (!strstr(why, words))
        fail_msg("\"%s\" is not in \"%s\"", words, why);
}

/* -- files ------------------------------------------------------------------------------------------------------ */

static uint8_t *phdr32(uint32_t i)
{
    return file + 52 + 32 * i;
}

static void segment32(uint32_t i, uint32_t type, uint32_t vaddr, uint32_t paddr, uint32_t offset,
                      uint32_t len, uint32_t mem_len)
{
    const uint32_t words[] = {type, offset, vaddr, paddr, len, mem_len, 7, 4};

    for (uint32_t w = 0; w < ARRAY_SIZE(words); w++)
        put_le32(phdr32(i) + 4 * w, words[w]);
    put_le16(file + 44, (uint16_t)(i + 1));
}

static void elf32_make(uint32_t entry_point)
{
    memcpy(file,
           "\x7f"
           "ELF\1\1\1",
           7);
    put_le16(file + 16, 2);
    put_le16(file + 18, 3);
    put_le32(file + 24, entry_point);
    put_le32(file + 28, 52);
    put_le16(file + 42, 32);
    segment32(0, 1, 0xc0100000, MiB, CODE, CODE_LEN, CODE_LEN + 0x100);
}

static void elf64_make(uint64_t entry_point)
{
    uint8_t *phdr = file + 64;

    memcpy(file,
           "\x7f"
           "ELF\2\1\1",
           7);
    put_le16(file + 16, 2);
    put_le16(file + 18, 62);
    put_le64(file + 24, entry_point);
    put_le64(file + 32, 64);
    put_le16(file + 54, 56);
    put_le16(file + 56, 1);
    put_le32(phdr, 1);
    put_le64(phdr + 8, CODE);
    put_le64(phdr + 16, 0xffffffff80100000);
    put_le64(phdr + 24, MiB);
    put_le64(phdr + 32, CODE_LEN);
    put_le64(phdr + 40, CODE_LEN + 0x100);
}

#define MB1 0x200u /* where in the file the headers are */
#define MB2 0x300u

static void mb1_make(uint32_t flags)
{
    put_le32(file + MB1, 0x1badb002);
    put_le32(file + MB1 + 4, flags);
    put_le32(file + MB1 + 8, -(0x1badb002 + flags));
}

static void mb1_kludge(uint32_t header, uint32_t from, uint32_t to, uint32_t bss, uint32_t entry_point)
{
    const uint32_t words[] = {header, from, to, bss, entry_point};

    mb1_make(0x10003);
    for (uint32_t w = 0; w < ARRAY_SIZE(words); w++)
        put_le32(file + MB1 + 12 + 4 * w, words[w]);
}

static uint32_t mb2_len;

static void mb2_close(void)
{
    put_le32(file + MB2 + 8, mb2_len);
    put_le32(file + MB2 + 12, -(0xe85250d6 + mb2_len));
}

static void mb2_tag(uint16_t type, uint16_t flags, uint32_t count, const uint32_t *words)
{
    uint8_t *tag = file + MB2 + mb2_len;

    put_le16(tag, type);
    put_le16(tag + 2, flags);
    put_le32(tag + 4, 8 + 4 * count);
    for (uint32_t w = 0; w < count; w++)
        put_le32(tag + 8 + 4 * w, words[w]);
    mb2_len += ALIGN_UP(8 + 4 * count, 8u);
    mb2_close();
}

static void mb2_begin(void)
{
    memset(file + MB2, 0, 0x100);
    put_le32(file + MB2, 0xe85250d6);
    mb2_len = 16;
    mb2_close();
}

static void note_make(uint32_t at, uint32_t type, uint32_t count, const uint32_t *words)
{
    put_le32(file + at, 4);
    put_le32(file + at + 4, 4 * count);
    put_le32(file + at + 8, type);
    memcpy(file + at + 12, "Xen", 4);
    for (uint32_t w = 0; w < count; w++)
        put_le32(file + at + 16 + 4 * w, words[w]);
}

static void expect_code_at(gpa_t at)
{
    assert_memory_equal(ram + at, file + CODE, CODE_LEN);
    for (uint32_t i = 0; i < 0x100; i++)
        assert_int_equal(ram[at + CODE_LEN + i], 0);
}

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

static const char *string_at(uint32_t at)
{
    assert_in_range(at, 2 * PAGE_SIZE, PC_EBDA - 1);
    return (const char *)ram + at;
}

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

/* -- PVH -------------------------------------------------------------------------------------------------------- */

static void test_pvh(void **state)
{
    const uint32_t at[] = {MiB + 0x30};
    const uint8_t *start, *mods;

    (void)state;
    elf32_make(0);
    note_make(0x400, 17, 1, at); /* another kind before it */
    note_make(0x414, 18, 1, at);
    segment32(1, 4, 0, 0, 0x400, 0x28, 0x28);
    files.modules[0] = (struct guest_file){"hello", 5, "m0"};
    files.module_count = 1;
    assert_int_equal(load(), 0);
    assert_string_equal(entry.format, "pvh");
    assert_int_equal(entry.rip, MiB + 0x30);
    assert_int_equal(entry.rax, 0);
    assert_false(entry.bios);
    expect_code_at(MiB);
    start = ram + entry.rbx;
    assert_int_equal(get_le32(start), 0x336ec578);
    assert_int_equal(get_le32(start + 4), 1);
    assert_int_equal(get_le32(start + 12), 1);
    mods = ram + get_le64(start + 16);
    assert_memory_equal(ram + get_le64(mods), "hello", 5);
    assert_int_equal(get_le64(mods + 8), 5);
    assert_string_equal(string_at(get_le32(mods + 16)), "m0");
    assert_string_equal(string_at(get_le32(start + 24)), "a b");
    assert_int_equal(get_le64(start + 32), RSDP);
    assert_int_equal(get_le32(start + 48), map.count);
    assert_int_equal(get_le64(ram + get_le64(start + 40) + 8), PC_EBDA);
    put_le32(file + 0x414 + 4, 0x10000000); /* a description that ends nowhere */
    expect_refusal(ERR_NOTSUP, "without a PVH entry note");
}

static void test_pvh_relocation(void **state)
{
    const uint32_t at[] = {RAM + 0x30}, reloc[] = {2 * MiB, 4 * MiB, 0xffffffff},
                   narrow[] = {MiB, MiB, MiB + 0x100};

    (void)state;
    elf32_make(0);
    segment32(0, 1, 0, RAM, CODE, CODE_LEN, CODE_LEN + 0x100);
    segment32(1, 4, 0, 0, 0x400, 0x30, 0x30);
    note_make(0x400, 18, 1, at);
    expect_refusal(ERR_NOMEM, "the kernel needs 2 KiB at 0x2000000");
    note_make(0x414, 19, 3, reloc);
    assert_int_equal(load(), 0);
    assert_int_equal(entry.rip, 4 * MiB + 0x30);
    expect_code_at(4 * MiB);
    note_make(0x414, 19, 3, narrow);
    expect_refusal(ERR_NOMEM, "where its note allows it");
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
        cmocka_unit_test_setup_teardown(test_pvh, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pvh_relocation, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
