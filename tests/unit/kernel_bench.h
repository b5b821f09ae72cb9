/* A small VM and a file that is made piece by piece, for tests of the loaders: ELF headers, Multiboot headers, notes. */
#pragma once
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

static inline void ram_make(uint64_t size)
{
    gmem_init(&mem, ram);
    assert_int_equal(gmem_add(&mem, 0, PC_LOW_RAM_END, true), 0);
    assert_int_equal(gmem_add(&mem, PC_ROM, PC_HIGH_RAM - PC_ROM, false), 0);
    assert_int_equal(gmem_add(&mem, PC_HIGH_RAM, size - PC_HIGH_RAM, true), 0);
    e820_build(&map, &mem, false);
}

static inline int setup(void **state)
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

static inline int teardown(void **state)
{
    (void)state;
    free(ram);
    free(file);
    return 0;
}

static inline int load(void)
{
    why[0] = 0;
    return kernel_load(&mem, &files, &map, RSDP, &entry, why, sizeof(why));
}

static inline void expect_refusal(int err, const char *words)
{
    assert_int_equal(load(), err);
    if (!strstr(why, words))
        fail_msg("\"%s\" is not in \"%s\"", words, why);
}

/* -- files ------------------------------------------------------------------------------------------------------ */

static inline uint8_t *phdr32(uint32_t i)
{
    return file + 52 + 32 * i;
}

static inline void segment32(uint32_t i, uint32_t type, uint32_t vaddr, uint32_t paddr, uint32_t offset,
                             uint32_t len, uint32_t mem_len)
{
    const uint32_t words[] = {type, offset, vaddr, paddr, len, mem_len, 7, 4};

    for (uint32_t w = 0; w < ARRAY_SIZE(words); w++)
        put_le32(phdr32(i) + 4 * w, words[w]);
    put_le16(file + 44, (uint16_t)(i + 1));
}

static inline void elf32_make(uint32_t entry_point)
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

static inline void elf64_make(uint64_t entry_point)
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

static inline void mb1_make(uint32_t flags)
{
    put_le32(file + MB1, 0x1badb002);
    put_le32(file + MB1 + 4, flags);
    put_le32(file + MB1 + 8, -(0x1badb002 + flags));
}

static inline void mb1_kludge(uint32_t header, uint32_t from, uint32_t to, uint32_t bss, uint32_t entry_point)
{
    const uint32_t words[] = {header, from, to, bss, entry_point};

    mb1_make(0x10003);
    for (uint32_t w = 0; w < ARRAY_SIZE(words); w++)
        put_le32(file + MB1 + 12 + 4 * w, words[w]);
}

static uint32_t mb2_len;

static inline void mb2_close(void)
{
    put_le32(file + MB2 + 8, mb2_len);
    put_le32(file + MB2 + 12, -(0xe85250d6 + mb2_len));
}

static inline void mb2_tag(uint16_t type, uint16_t flags, uint32_t count, const uint32_t *words)
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

static inline void mb2_begin(void)
{
    memset(file + MB2, 0, 0x100);
    put_le32(file + MB2, 0xe85250d6);
    mb2_len = 16;
    mb2_close();
}

static inline void note_make(uint32_t at, uint32_t type, uint32_t count, const uint32_t *words)
{
    put_le32(file + at, 4);
    put_le32(file + at + 4, 4 * count);
    put_le32(file + at + 8, type);
    memcpy(file + at + 12, "Xen", 4);
    for (uint32_t w = 0; w < count; w++)
        put_le32(file + at + 16 + 4 * w, words[w]);
}

static inline void expect_code_at(gpa_t at)
{
    assert_memory_equal(ram + at, file + CODE, CODE_LEN);
    for (uint32_t i = 0; i < 0x100; i++)
        assert_int_equal(ram[at + CODE_LEN + i], 0);
}

static inline const char *string_at(uint32_t at)
{
    assert_in_range(at, 2 * PAGE_SIZE, PC_EBDA - 1);
    return (const char *)ram + at;
}
