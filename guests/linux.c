#include "guests/linux.h"

#include "core/lib/bytes.h"
#include "core/lib/error.h"
#include "core/lib/format.h"
#include "core/lib/string.h"
#include "guests/linux_header.h"
#include "guests/linux_place.h"
#include "guests/platform.h"

/*
 * What the loader itself puts into low memory, which the kernel leaves alone until it has copied it: its KASLR places
 * nothing below 1 MiB.
 */
#define LOW_GDT         0x6000
#define LOW_ZERO_PAGE   0x7000
#define LOW_PML4        0x8000
#define LOW_PDPT        0x9000
#define LOW_PD          0xa000 /* four of them */
#define LOW_PD_COUNT    4
#define LOW_CMDLINE     0x10000
#define LOW_CMDLINE_MAX 0x10000

#define VERSION_RSDP    0x20e
#define LOADER_UNKNOWN  0xff /* type_of_loader: none that has a number of its own */
#define VID_MODE_NORMAL 0xffff
#define ENTRY64         0x200
#define EXT_MEM_K_MAX   0xfc00u /* what an old BIOS could say: 64 MiB in all */
#define INITRD_ALIGN    4ull    /* of each archive but the first */

#define PTE_PRESENT_WRITE 3ull
#define PTE_LARGE         BIT(7)

bool linux_probe(const void *file, uint64_t len)
{
    const uint8_t *bytes = file;

    return len >= LINUX_VERSION && bytes[LINUX_BOOT_FLAG] == 0x55 && bytes[LINUX_BOOT_FLAG + 1] == 0xaa &&
           memcmp(bytes + LINUX_MAGIC, "HdrS", 4) == 0;
}

/* Maps the first 4 GiB to themselves with 2 MiB pages, which every 64-bit CPU has. */
static void page_tables_write(uint8_t *low)
{
    memset(low + LOW_PML4, 0, 2 * PAGE_SIZE);
    put_le64(low + LOW_PML4, LOW_PDPT | PTE_PRESENT_WRITE);
    for (uint64_t i = 0; i < LOW_PD_COUNT; i++)
        put_le64(low + LOW_PDPT + i * 8, (LOW_PD + i * PAGE_SIZE) | PTE_PRESENT_WRITE);
    for (uint64_t i = 0; i < LOW_PD_COUNT * 512; i++)
        put_le64(low + LOW_PD + i * 8, i * SIZE_2M | PTE_LARGE | PTE_PRESENT_WRITE);
}

static int cmdline_check(const struct linux_header *header, const char *cmdline, char *why, size_t why_size)
{
    size_t len = str_len(cmdline), max = MIN(header->cmdline_max, LOW_CMDLINE_MAX - 1u);

    if (len <= max)
        return 0;
    fmt_print(why, why_size, "the command line has %zu characters; this kernel takes %zu", len, max);
    return ERR_RANGE;
}

/* Kilobytes of the RAM that begins at 1 MiB, for what doesn't know the memory map. */
static uint32_t extended_kib(const struct gmem *mem)
{
    for (uint32_t i = 0; i < mem->count; i++)
        if (mem->slots[i].base == PC_HIGH_RAM && mem->slots[i].writable)
            return (uint32_t)MIN(mem->slots[i].len / KiB, UINT32_MAX);
    return 0;
}

static void e820_write(uint8_t *zero_page, const struct e820 *map)
{
    uint32_t count = MIN(map->count, LINUX_E820_MAX);

    zero_page[LINUX_E820_ENTRIES] = (uint8_t)count;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *entry = zero_page + LINUX_E820_TABLE + i * 20;

        put_le64(entry, map->entries[i].base);
        put_le64(entry + 8, map->entries[i].len);
        put_le32(entry + 16, map->entries[i].type);
    }
}

static void zero_page_write(uint8_t *page, const uint8_t *file, const struct linux_header *header,
                            const struct linux_place *place, uint64_t initrd_len)
{
    uint32_t end = MAX(MIN(header->header_end, LINUX_HEADER_MAX), LINUX_SETUP_SECTS);

    memset(page, 0, PAGE_SIZE);
    memcpy(page + LINUX_SETUP_SECTS, file + LINUX_SETUP_SECTS, end - LINUX_SETUP_SECTS);
    page[LINUX_TYPE_OF_LOADER] = LOADER_UNKNOWN;
    put_le16(page + LINUX_VID_MODE, VID_MODE_NORMAL);
    put_le32(page + LINUX_CODE32_START, (uint32_t)place->kernel);
    put_le32(page + LINUX_CMD_LINE_PTR, LOW_CMDLINE);
    put_le32(page + LINUX_RAMDISK_IMAGE, (uint32_t)place->initrd);
    put_le32(page + LINUX_RAMDISK_SIZE, (uint32_t)initrd_len);
}

/* What the kernel is to know of the machine. */
static void zero_page_describe(uint8_t *page, const struct linux_header *header, const struct gmem *mem,
                               const struct e820 *map, gpa_t rsdp)
{
    uint32_t kib = extended_kib(mem);

    put_le16(page + LINUX_EXT_MEM_K, (uint16_t)MIN(kib, EXT_MEM_K_MAX));
    put_le32(page + LINUX_ALT_MEM_K, kib);
    if (header->version >= VERSION_RSDP)
        put_le64(page + LINUX_ACPI_RSDP, rsdp);
    e820_write(page, map);
}

/* UINT64_MAX if that is more than any machine has. */
static uint64_t initrds_len(const struct guest_files *files)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < files->module_count; i++) {
        sum = ALIGN_UP(sum, INITRD_ALIGN);
        if (files->modules[i].len > UINT64_MAX - INITRD_ALIGN - sum)
            return UINT64_MAX;
        sum += files->modules[i].len;
    }
    return sum;
}

static int initrds_write(const struct gmem *mem, const struct guest_files *files, gpa_t base)
{
    uint64_t at = 0;
    int err = 0;

    for (uint32_t i = 0; i < files->module_count && !err; i++) {
        const struct guest_file *m = &files->modules[i];
        uint64_t next = ALIGN_UP(at, INITRD_ALIGN);

        if (next > at)
            err = gmem_fill(mem, base + at, 0, next - at);
        if (!err && m->len)
            err = copies_add(files->copies, mem, base + next, m->data, m->len);
        at = next + m->len;
    }
    return err;
}

int linux_load(const struct gmem *mem, const struct guest_files *files, const struct e820 *map, gpa_t rsdp,
               struct guest_entry *entry, char *why, size_t why_size)
{
    const uint8_t *file = files->kernel.data;
    uint8_t *low = gmem_ptr(mem, 0, PC_EBDA);
    uint64_t initrd_len = initrds_len(files);
    struct linux_header header;
    struct linux_place place = {0};
    int err = linux_header_read(file, files->kernel.len, &header, why, why_size);

    if (!err)
        err = cmdline_check(&header, files->cmdline, why, why_size);
    if (!err && !low) {
        fmt_print(why, why_size, "the VM has less than 639 KiB of memory from 0 on");
        err = ERR_NOMEM;
    }
    if (!err)
        err = linux_place_find(mem, &header, initrd_len, &place, why, why_size);
    if (!err)
        err = copies_add(files->copies, mem, place.kernel, file + header.setup_len, header.body_len);
    if (!err)
        err = initrds_write(mem, files, place.initrd);
    if (err)
        return err;
    entry_gdt_write(low + LOW_GDT, header.entry64);
    page_tables_write(low);
    memcpy(low + LOW_CMDLINE, files->cmdline, str_len(files->cmdline) + 1);
    zero_page_write(low + LOW_ZERO_PAGE, file, &header, &place, initrd_len);
    zero_page_describe(low + LOW_ZERO_PAGE, &header, mem, map, rsdp);
    *entry = (struct guest_entry){
        .format = "linux",
        .long_mode = header.entry64,
        .rip = place.kernel + (header.entry64 ? ENTRY64 : 0),
        .rsi = LOW_ZERO_PAGE,
        .cr3 = LOW_PML4,
        .gdt_base = LOW_GDT,
        .gdt_limit = ENTRY_GDT_SIZE - 1,
    };
    return 0;
}
