#include "guests/multiboot2_info.h"

#include "core/lib/bytes.h"
#include "core/lib/error.h"
#include "core/lib/string.h"
#include "guests/platform.h"

#define TAG_ALIGN  8u
#define TAG_HEADER 8u
#define INFO_START 8u /* total size, reserved */

enum info_tag {
    INFO_END = 0,
    INFO_CMDLINE = 1,
    INFO_LOADER = 2,
    INFO_MODULE = 3,
    INFO_MEMORY = 4,
    INFO_MMAP = 6,
    INFO_FRAMEBUFFER = 8,
    INFO_RSDP_OLD = 14,
    INFO_RSDP_NEW = 15,
    INFO_BASE = 21,
};

#define MMAP_ENTRY  24u
#define RSDP_OLD    20u
#define RSDP_NEW    36u
#define FB_EGA_TEXT 2

/* The tags are written one behind the other; without memory behind `mem` they are only counted. */
struct writer {
    const struct gmem *mem;
    gpa_t base;
    uint64_t used;
    int err;
};

bool multiboot2_info_has(uint32_t tag)
{
    return tag <= INFO_RSDP_NEW
               ? (1u << INFO_CMDLINE | 1u << INFO_LOADER | 1u << INFO_MODULE | 1u << INFO_MEMORY |
                  1u << INFO_MMAP | 1u << INFO_FRAMEBUFFER | 1u << INFO_RSDP_OLD | 1u << INFO_RSDP_NEW) >>
                         tag &
                     1
               : tag == INFO_BASE;
}

static void put(struct writer *w, const void *data, uint64_t len)
{
    if (w->mem && !w->err && len)
        w->err = gmem_write(w->mem, w->base + w->used, data, len);
    w->used += len;
}

static void put_32(struct writer *w, uint32_t value)
{
    uint8_t bytes[4];

    put_le32(bytes, value);
    put(w, bytes, sizeof(bytes));
}

static void put_64(struct writer *w, uint64_t value)
{
    uint8_t bytes[8];

    put_le64(bytes, value);
    put(w, bytes, sizeof(bytes));
}

/* Each tag begins aligned; its size counts neither that nor what follows. */
static void tag_begin(struct writer *w, uint32_t type, uint64_t body)
{
    w->used = ALIGN_UP(w->used, (uint64_t)TAG_ALIGN);
    put_32(w, type);
    put_32(w, (uint32_t)(TAG_HEADER + body));
}

static void put_string(struct writer *w, const char *s)
{
    put(w, s, str_len(s) + 1);
}

static void cmdline_put(struct writer *w, const struct guest_files *files)
{
    const char *name = files->kernel.line, *blank = str_find(name, ' ');
    uint64_t head = blank ? (uint64_t)(blank - name) : str_len(name);
    uint64_t between = head && files->cmdline[0] ? 1 : 0;

    tag_begin(w, INFO_CMDLINE, head + between + str_len(files->cmdline) + 1);
    put(w, name, head);
    put(w, " ", between);
    put_string(w, files->cmdline);
}

static void modules_put(struct writer *w, const struct loader *l)
{
    for (uint32_t i = 0; i < l->files->module_count; i++) {
        const struct guest_file *m = &l->files->modules[i];

        tag_begin(w, INFO_MODULE, 8 + str_len(m->line) + 1);
        put_32(w, (uint32_t)l->modules[i]);
        put_32(w, (uint32_t)(l->modules[i] + m->len));
        put_string(w, m->line);
    }
}

static void memory_put(struct writer *w, const struct loader *l)
{
    tag_begin(w, INFO_MEMORY, 8);
    put_32(w, loader_lower_kib(l));
    put_32(w, loader_upper_kib(l));
    tag_begin(w, INFO_MMAP, 8 + (uint64_t)l->map->count * MMAP_ENTRY);
    put_32(w, MMAP_ENTRY);
    put_32(w, 0); /* version */
    for (uint32_t i = 0; i < l->map->count; i++) {
        put_64(w, l->map->entries[i].base);
        put_64(w, l->map->entries[i].len);
        put_32(w, l->map->entries[i].type);
        put_32(w, 0);
    }
}

static void framebuffer_put(struct writer *w)
{
    tag_begin(w, INFO_FRAMEBUFFER, 24);
    put_64(w, PC_VGA_TEXT);
    put_32(w, 2 * PC_VGA_COLUMNS);
    put_32(w, PC_VGA_COLUMNS);
    put_32(w, PC_VGA_ROWS);
    put_32(w, 16 | FB_EGA_TEXT << 8); /* bits per character, type, reserved */
}

/* Copies of the RSDP: the part that ACPI 1.0 had, and all of it. */
static void acpi_put(struct writer *w, const struct loader *l)
{
    const void *rsdp = l->rsdp ? gmem_ptr(l->mem, l->rsdp, RSDP_NEW) : NULL;

    if (!rsdp)
        return;
    tag_begin(w, INFO_RSDP_OLD, RSDP_OLD);
    put(w, rsdp, RSDP_OLD);
    tag_begin(w, INFO_RSDP_NEW, RSDP_NEW);
    put(w, rsdp, RSDP_NEW);
}

static void tags_put(struct writer *w, const struct loader *l, uint32_t base, uint32_t total)
{
    put_32(w, total);
    put_32(w, 0);
    cmdline_put(w, l->files);
    tag_begin(w, INFO_LOADER, sizeof(LOADER_NAME));
    put_string(w, LOADER_NAME);
    modules_put(w, l);
    memory_put(w, l);
    framebuffer_put(w);
    acpi_put(w, l);
    if (base != UINT32_MAX) {
        tag_begin(w, INFO_BASE, 4);
        put_32(w, base);
    }
    tag_begin(w, INFO_END, 0);
}

int multiboot2_info_write(struct loader *l, uint32_t base, gpa_t *at)
{
    struct writer w = {0};
    uint32_t total;
    int err = loader_modules(l);

    if (err)
        return err;
    tags_put(&w, l, base, 0);
    total = (uint32_t)w.used;
    err = loader_place(l, total, TAG_ALIGN, "the boot information", at);
    if (err)
        return err;
    w = (struct writer){.mem = l->mem, .base = *at};
    tags_put(&w, l, base, total);
    return w.err;
}
