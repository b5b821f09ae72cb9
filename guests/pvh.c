#include "guests/pvh.h"

#include "core/lib/bytes.h"
#include "core/lib/error.h"
#include "core/lib/string.h"
#include "guests/elf.h"

#define NOTE_OWNER "Xen"
#define NOTE_ENTRY 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
#define NOTE_RELOC 19 /* XEN_ELFNOTE_PHYS32_RELOC: alignment, and perhaps lowest and highest address */

/* struct hvm_start_info */
#define START_LEN     56u
#define START_MAGIC   0x336ec578u
#define START_VERSION 1
#define MODULE_LEN    32u
#define MAP_LEN       24u

static const uint8_t *entry_note(const struct elf *elf)
{
    uint32_t len;

    return elf_note(elf, NOTE_OWNER, NOTE_ENTRY, 4, &len);
}

bool pvh_probe(const void *file, uint64_t len)
{
    struct loader silent = {0};
    struct elf elf;

    return elf_probe(file, len) && elf_read(&silent, file, len, &elf) == 0 && entry_note(&elf);
}

/* Where a kernel that can be moved goes if its own place isn't free: the lowest one that the note allows. */
static bool relocation_find(const struct loader *l, const struct elf *elf, uint64_t *base)
{
    uint32_t len = 0;
    const uint8_t *note = elf_note(elf, NOTE_OWNER, NOTE_RELOC, 4, &len);
    uint64_t size = elf->high - elf->low, align, min, max;

    *base = elf->low;
    if (!note || loader_free(l, elf->low, size))
        return true;
    align = get_le32(note);
    min = len >= 8 ? get_le32(note + 4) : 0;
    max = len >= 12 ? get_le32(note + 8) : UINT32_MAX;
    if (align == 0 || (align & (align - 1)) || max < min || size > max - min)
        return false;
    return loader_find(l, size, align, min, max - size + 1, false, base);
}

static int kernel_load_elf(struct loader *l, uint64_t *entry)
{
    struct elf elf;
    uint64_t base;
    int err = elf_read(l, l->files->kernel.data, l->files->kernel.len, &elf);

    if (err)
        return err;
    if (!relocation_find(l, &elf, &base))
        return loader_refuse(l, ERR_NOMEM,
                             "there is no room for the kernel of %llu KiB where its note allows it",
                             (unsigned long long)(elf.high - elf.low + KiB - 1) / KiB);
    *entry = get_le32(entry_note(&elf)) + (base - elf.low);
    return elf_load(l, &elf, base - elf.low);
}

/* -- what the kernel is told ------------------------------------------------------------------------------------ */

static int modules_tell(struct loader *l, uint8_t *start)
{
    const struct guest_files *files = l->files;
    gpa_t list = 0, string;
    int err = loader_modules(l);

    if (!err && files->module_count)
        err = loader_place(l, files->module_count * MODULE_LEN, 8, "the list of modules", &list);
    for (uint32_t i = 0; !err && i < files->module_count; i++) {
        uint8_t module[MODULE_LEN] = {0};

        err = loader_string(l, NULL, files->modules[i].line, &string);
        if (err)
            break;
        put_le64(module, l->modules[i]);
        put_le64(module + 8, files->modules[i].len);
        put_le64(module + 16, string);
        err = gmem_write(l->mem, list + i * MODULE_LEN, module, MODULE_LEN);
    }
    put_le32(start + 12, files->module_count);
    put_le64(start + 16, list);
    return err;
}

static int map_tell(struct loader *l, uint8_t *start)
{
    uint32_t count = l->map->count;
    gpa_t at;
    int err = loader_place(l, (uint64_t)count * MAP_LEN, 8, "the memory map", &at);

    for (uint32_t i = 0; !err && i < count; i++) {
        uint8_t entry[MAP_LEN] = {0};

        put_le64(entry, l->map->entries[i].base);
        put_le64(entry + 8, l->map->entries[i].len);
        put_le32(entry + 16, l->map->entries[i].type);
        err = gmem_write(l->mem, at + i * MAP_LEN, entry, MAP_LEN);
    }
    put_le64(start + 40, at);
    put_le32(start + 48, count);
    return err;
}

static int start_write(struct loader *l, gpa_t *at)
{
    uint8_t start[START_LEN] = {0};
    gpa_t cmdline;
    int err = modules_tell(l, start);

    if (!err)
        err = map_tell(l, start);
    if (!err)
        err = loader_string(l, NULL, l->files->cmdline, &cmdline);
    if (!err)
        err = loader_place(l, START_LEN, 8, "the start information", at);
    if (err)
        return err;
    put_le32(start, START_MAGIC);
    put_le32(start + 4, START_VERSION);
    put_le64(start + 24, cmdline);
    put_le64(start + 32, l->rsdp);
    return gmem_write(l->mem, *at, start, sizeof(start));
}

int pvh_load(struct loader *l, struct guest_entry *entry)
{
    int err = kernel_load_elf(l, &entry->rip);

    if (!err)
        err = start_write(l, &entry->rbx);
    if (!err)
        err = loader_gdt(l, entry);
    entry->format = "pvh";
    entry->all_segments = true;
    return err;
}
