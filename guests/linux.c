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
#define LOW_BDA_EBDA    0x40e /* BIOS data area: segment of the EBDA */
#define LOW_BDA_KIB     0x413 /* and kilobytes below it */
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
#define GDT_SIZE        (4 * 8)

#define PTE_PRESENT_WRITE 3ull
#define PTE_LARGE         BIT(7)

/* Flat segments with base 0 and limit 4G, accessed bit set: code (64-bit), code (32-bit), data. */
#define GDT_CODE64 0x00af9b000000ffffull
#define GDT_CODE32 0x00cf9b000000ffffull
#define GDT_DATA   0x00cf93000000ffffull

bool linux_probe(const void *file, uint64_t len)
{
    const uint8_t *bytes = file;

    return len >= LINUX_VERSION && bytes[LINUX_BOOT_FLAG] == 0x55 && bytes[LINUX_BOOT_FLAG + 1] == 0xaa &&
           memcmp(bytes + LINUX_MAGIC, "HdrS", 4) == 0;
}

/* Where a PC's BIOS says how much low memory there is, and where its own begins. */
static void low_memory_write(uint8_t *low)
{
    put_le16(low + LOW_BDA_EBDA, PC_EBDA >> 4);
    put_le16(low + LOW_BDA_KIB, PC_EBDA / KiB);
}

static void gdt_write(uint8_t *low, bool long_mode)
{
    memset(low + LOW_GDT, 0, GDT_SIZE);
    put_le64(low + LOW_GDT + LINUX_CS, long_mode ? GDT_CODE64 : GDT_CODE32);
    put_le64(low + LOW_GDT + LINUX_DS, GDT_DATA);
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

static void zero_page_write(uint8_t *page, const struct linux_files *files, const struct linux_header *header,
                            const struct linux_place *place)
{
    const uint8_t *file = files->kernel;
    uint32_t end = MAX(MIN(header->header_end, LINUX_HEADER_MAX), LINUX_SETUP_SECTS);

    memset(page, 0, PAGE_SIZE);
    memcpy(page + LINUX_SETUP_SECTS, file + LINUX_SETUP_SECTS, end - LINUX_SETUP_SECTS);
    page[LINUX_TYPE_OF_LOADER] = LOADER_UNKNOWN;
    put_le16(page + LINUX_VID_MODE, VID_MODE_NORMAL);
    put_le32(page + LINUX_CODE32_START, (uint32_t)place->kernel);
    put_le32(page + LINUX_CMD_LINE_PTR, LOW_CMDLINE);
    put_le32(page + LINUX_RAMDISK_IMAGE, (uint32_t)place->initrd);
    put_le32(page + LINUX_RAMDISK_SIZE, (uint32_t)files->initrd_len);
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

static int files_write(const struct gmem *mem, const struct linux_files *files,
                       const struct linux_header *header, const struct linux_place *place)
{
    const uint8_t *file = files->kernel;
    int err = gmem_write(mem, place->kernel, file + header->setup_len, header->body_len);

    if (!err && files->initrd_len)
        err = gmem_write(mem, place->initrd, files->initrd, files->initrd_len);
    return err;
}

int linux_load(const struct gmem *mem, const struct linux_files *files, const struct e820 *map, gpa_t rsdp,
               struct linux_entry *entry, char *why, size_t why_size)
{
    uint8_t *low = gmem_ptr(mem, 0, PC_EBDA);
    struct linux_header header;
    struct linux_place place;
    int err = linux_header_read(files->kernel, files->kernel_len, &header, why, why_size);

    if (!err)
        err = cmdline_check(&header, files->cmdline, why, why_size);
    if (!err && !low) {
        fmt_print(why, why_size, "the VM has less than 639 KiB of memory from 0 on");
        err = ERR_NOMEM;
    }
    if (!err)
        err = linux_place_find(mem, &header, files->initrd_len, &place, why, why_size);
    if (!err)
        err = files_write(mem, files, &header, &place);
    if (err)
        return err;
    low_memory_write(low);
    gdt_write(low, header.entry64);
    page_tables_write(low);
    memcpy(low + LOW_CMDLINE, files->cmdline, str_len(files->cmdline) + 1);
    zero_page_write(low + LOW_ZERO_PAGE, files, &header, &place);
    zero_page_describe(low + LOW_ZERO_PAGE, &header, mem, map, rsdp);
    *entry = (struct linux_entry){
        .long_mode = header.entry64,
        .rip = place.kernel + (header.entry64 ? ENTRY64 : 0),
        .zero_page = LOW_ZERO_PAGE,
        .cr3 = LOW_PML4,
        .gdt_base = LOW_GDT,
        .gdt_limit = GDT_SIZE - 1,
    };
    return 0;
}
