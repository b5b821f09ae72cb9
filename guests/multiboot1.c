#include "guests/multiboot1.h"

#include "core/lib/bytes.h"
#include "core/lib/error.h"
#include "core/lib/log.h"
#include "core/lib/string.h"
#include "guests/elf.h"
#include "guests/loadspan.h"
#include "guests/platform.h"

/* The header (3.1): 4-byte aligned, wholly within the first 8 KiB. */
#define HEADER_AREA     8192u
#define HEADER_MAGIC    0x1badb002u
#define HEADER_LEN      12u
#define HEADER_KLUDGE   32u /* the length with the a.out kludge's fields */
#define FLAG_PAGE_ALIGN BIT(0)
#define FLAG_MEMORY     BIT(1)
#define FLAG_VIDEO      BIT(2)
#define FLAG_KLUDGE     BIT(16)
#define FLAGS_MUST      0xffffu /* the loader must understand these */
#define HEADER_FLAGS    4
#define HEADER_CHECKSUM 8
#define HEADER_ADDR     12
#define HEADER_LOAD     16
#define HEADER_LOAD_END 20
#define HEADER_BSS_END  24
#define HEADER_ENTRY    28

/* What the kernel is told (3.3). */
#define BOOT_MAGIC       0x2badb002u
#define INFO_LEN         120u
#define INFO_FLAGS       0
#define INFO_MEM_LOWER   4
#define INFO_MEM_UPPER   8
#define INFO_CMDLINE     16
#define INFO_MODS_COUNT  20
#define INFO_MODS_ADDR   24
#define INFO_MMAP_LENGTH 44
#define INFO_MMAP_ADDR   48
#define INFO_LOADER      64
#define INFO_FB_ADDR     88
#define INFO_FB_PITCH    96
#define INFO_FB_WIDTH    100
#define INFO_FB_HEIGHT   104
#define INFO_FB_BPP      108
#define INFO_FB_TYPE     109
#define INFO_HAS_MEM     BIT(0)
#define INFO_HAS_CMDLINE BIT(2)
#define INFO_HAS_MODS    BIT(3)
#define INFO_HAS_MMAP    BIT(6)
#define INFO_HAS_LOADER  BIT(9)
#define INFO_HAS_FB      BIT(12)
#define FB_EGA_TEXT      2
#define MODULE_LEN       16u
#define MMAP_ENTRY_LEN   24u /* with its own size field, which doesn't count itself */

static const uint8_t *header_find(const void *file, uint64_t len)
{
    const uint8_t *bytes = file;
    uint64_t end = MIN(len, HEADER_AREA);

    for (uint64_t at = 0; at + HEADER_LEN <= end; at += 4)
        if (get_le32(bytes + at) == HEADER_MAGIC &&
            (uint32_t)(HEADER_MAGIC + get_le32(bytes + at + HEADER_FLAGS) +
                       get_le32(bytes + at + HEADER_CHECKSUM)) == 0)
            return bytes + at;
    return NULL;
}

bool multiboot1_probe(const void *file, uint64_t len)
{
    return header_find(file, len);
}

/* An image that is described by the header alone (3.1.3). */
static int kludge_load(struct loader *l, const uint8_t *header, uint64_t *entry)
{
    const struct guest_file *kernel = &l->files->kernel;
    struct loadspan span = {
        .file = kernel->data,
        .file_len = kernel->len,
        .header_offset = (uint64_t)(header - (const uint8_t *)kernel->data),
    };

    if (span.header_offset + HEADER_KLUDGE > kernel->len)
        return loader_refuse(l, ERR_INVALID, "the kernel's Multiboot header is cut off");
    span.header_addr = get_le32(header + HEADER_ADDR);
    span.load_addr = get_le32(header + HEADER_LOAD);
    span.load_end = get_le32(header + HEADER_LOAD_END);
    span.bss_end = get_le32(header + HEADER_BSS_END);
    *entry = get_le32(header + HEADER_ENTRY);
    return loadspan_load(l, &span);
}

static int kernel_load_elf(struct loader *l, uint64_t *entry)
{
    struct elf elf;
    int err = elf_read(l, l->files->kernel.data, l->files->kernel.len, &elf);

    if (!err)
        err = elf_load(l, &elf, 0);
    return err ? err : elf_entry(l, &elf, entry);
}

/* -- the information -------------------------------------------------------------------------------------------- */

static int modules_tell(struct loader *l, uint8_t *info)
{
    const struct guest_files *files = l->files;
    gpa_t list, string;
    int err = loader_modules(l);

    if (!err && files->module_count)
        err = loader_place(l, files->module_count * MODULE_LEN, 4, "the list of modules", &list);
    for (uint32_t i = 0; !err && i < files->module_count; i++) {
        uint8_t module[MODULE_LEN] = {0};

        err = loader_string(l, NULL, files->modules[i].line, &string);
        if (err)
            break;
        put_le32(module, (uint32_t)l->modules[i]);
        put_le32(module + 4, (uint32_t)(l->modules[i] + files->modules[i].len));
        put_le32(module + 8, (uint32_t)string);
        err = gmem_write(l->mem, list + i * MODULE_LEN, module, MODULE_LEN);
    }
    if (!err && files->module_count) {
        put_le32(info + INFO_MODS_COUNT, files->module_count);
        put_le32(info + INFO_MODS_ADDR, (uint32_t)list);
    }
    return err;
}

static int map_tell(struct loader *l, uint8_t *info)
{
    uint32_t count = l->map->count;
    gpa_t at;
    int err = loader_place(l, (uint64_t)count * MMAP_ENTRY_LEN, 4, "the memory map", &at);

    for (uint32_t i = 0; !err && i < count; i++) {
        uint8_t entry[MMAP_ENTRY_LEN];

        put_le32(entry, MMAP_ENTRY_LEN - 4);
        put_le64(entry + 4, l->map->entries[i].base);
        put_le64(entry + 12, l->map->entries[i].len);
        put_le32(entry + 20, l->map->entries[i].type);
        err = gmem_write(l->mem, at + i * MMAP_ENTRY_LEN, entry, sizeof(entry));
    }
    put_le32(info + INFO_MMAP_LENGTH, count * MMAP_ENTRY_LEN);
    put_le32(info + INFO_MMAP_ADDR, (uint32_t)at);
    return err;
}

/* There are no graphics: whatever mode the kernel would like, it gets the one of the machine, and is told. */
static void framebuffer_tell(uint8_t *info)
{
    put_le64(info + INFO_FB_ADDR, PC_VGA_TEXT);
    put_le32(info + INFO_FB_PITCH, 2 * PC_VGA_COLUMNS);
    put_le32(info + INFO_FB_WIDTH, PC_VGA_COLUMNS);
    put_le32(info + INFO_FB_HEIGHT, PC_VGA_ROWS);
    info[INFO_FB_BPP] = 16;
    info[INFO_FB_TYPE] = FB_EGA_TEXT;
}

static int strings_tell(struct loader *l, uint8_t *info)
{
    gpa_t at;
    int err = loader_string(l, l->files->kernel.line, l->files->cmdline, &at);

    if (err)
        return err;
    put_le32(info + INFO_CMDLINE, (uint32_t)at);
    err = loader_string(l, NULL, LOADER_NAME, &at);
    put_le32(info + INFO_LOADER, (uint32_t)at);
    return err;
}

static int info_write(struct loader *l, bool video, gpa_t *at)
{
    uint8_t info[INFO_LEN] = {0};
    uint32_t has = INFO_HAS_MEM | INFO_HAS_CMDLINE | INFO_HAS_MODS | INFO_HAS_MMAP | INFO_HAS_LOADER;
    int err = modules_tell(l, info);

    if (!err)
        err = map_tell(l, info);
    if (!err)
        err = strings_tell(l, info);
    if (!err)
        err = loader_place(l, INFO_LEN, 8, "the boot information", at);
    if (err)
        return err;
    if (video)
        framebuffer_tell(info);
    put_le32(info + INFO_FLAGS, has | (video ? INFO_HAS_FB : 0));
    put_le32(info + INFO_MEM_LOWER, loader_lower_kib(l));
    put_le32(info + INFO_MEM_UPPER, loader_upper_kib(l));
    return gmem_write(l->mem, *at, info, sizeof(info));
}

int multiboot1_load(struct loader *l, struct guest_entry *entry)
{
    const uint8_t *header = header_find(l->files->kernel.data, l->files->kernel.len);
    uint32_t flags = get_le32(header + HEADER_FLAGS);
    uint32_t unknown = flags & FLAGS_MUST & ~(uint32_t)(FLAG_PAGE_ALIGN | FLAG_MEMORY | FLAG_VIDEO);
    gpa_t info = 0;
    int err;

    if (unknown)
        return loader_refuse(l, ERR_NOTSUP,
                             "the kernel's Multiboot header asks for what Keel doesn't know: flags 0x%x",
                             unknown);
    err = flags & FLAG_KLUDGE ? kludge_load(l, header, &entry->rip) : kernel_load_elf(l, &entry->rip);
    if (!err)
        err = info_write(l, flags & FLAG_VIDEO, &info);
    if (!err)
        err = loader_gdt(l, entry);
    entry->format = "multiboot";
    entry->all_segments = entry->bios = true;
    entry->rax = BOOT_MAGIC;
    entry->rbx = info;
    return err;
}
