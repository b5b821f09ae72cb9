#include "boot/multiboot2.h"

#include "core/lib/bytes.h"
#include "core/lib/error.h"
#include "core/lib/string.h"

#define TAG_ALIGN  8u
#define TAG_HEADER 8u

enum tag_type {
    TAG_END = 0,
    TAG_CMDLINE = 1,
    TAG_LOADER = 2,
    TAG_MODULE = 3,
    TAG_MMAP = 6,
    TAG_FRAMEBUFFER = 8,
    TAG_EFI32 = 11,
    TAG_EFI64 = 12,
    TAG_RSDP_OLD = 14,
    TAG_RSDP_NEW = 15,
    TAG_EFI_MMAP = 17,
    TAG_EFI32_HANDLE = 19,
    TAG_EFI64_HANDLE = 20,
};

struct parser {
    struct boot_info *info;
    const char *error;
    bool have_mmap; /* tag 6, which goes before tag 17 */
    bool have_rsdp_new;
};

struct tag {
    const uint8_t *data; /* at the type field */
    uint32_t size;       /* header included */
};

static int fail(struct parser *p, int code, const char *error)
{
    p->error = error;
    return code;
}

/* Points *s at the string that begins at `offset` of the tag and ends with a NUL inside it. */
static int tag_string(struct parser *p, const struct tag *tag, uint32_t offset, const char **s)
{
    if (tag->size <= offset)
        return fail(p, ERR_INVALID, "the boot loader passed a tag that ends before its string begins");
    *s = (const char *)tag->data + offset;
    if (str_nlen(*s, tag->size - offset) == tag->size - offset)
        return fail(p, ERR_INVALID, "the boot loader passed a string without its closing NUL");
    return 0;
}

static int parse_cmdline(struct parser *p, const struct tag *tag)
{
    const char *s;
    int err = tag_string(p, tag, TAG_HEADER, &s);

    if (err)
        return err;
    if (!str_copy(p->info->cmdline, s, sizeof(p->info->cmdline)))
        return fail(p, ERR_NOMEM, "the multiboot2 line is too long, 1023 bytes are the most");
    return 0;
}

static int parse_loader(struct parser *p, const struct tag *tag)
{
    const char *s;
    int err = tag_string(p, tag, TAG_HEADER, &s);

    if (err)
        return err;
    str_copy(p->info->loader, s, sizeof(p->info->loader));
    return 0;
}

/* Keeps a copy of s in info->strings; NULL if there is no room. */
static const char *keep_string(struct boot_info *info, const char *s)
{
    char *copy = info->strings + info->strings_used;

    if (!str_copy(copy, s, sizeof(info->strings) - info->strings_used))
        return NULL;
    info->strings_used += str_len(copy) + 1;
    return copy;
}

static int parse_module(struct parser *p, const struct tag *tag)
{
    struct boot_info *info = p->info;
    struct boot_module *module = &info->modules[info->module_count];
    uint32_t start, end;
    const char *s;
    int err = tag_string(p, tag, 16, &s);

    if (err)
        return err;
    if (info->module_count == BOOT_MAX_MODULES)
        return fail(p, ERR_NOMEM, "the boot loader passed too many modules, 128 are the most");
    start = get_le32(tag->data + 8);
    end = get_le32(tag->data + 12);
    if (end < start)
        return fail(p, ERR_RANGE, "the boot loader passed a module that ends before it begins");
    module->base = start;
    module->len = end - start;
    module->cmdline = keep_string(info, s);
    if (!module->cmdline)
        return fail(p, ERR_NOMEM, "the module lines are too long, 32 KiB in all are the most");
    info->module_count++;
    return 0;
}

static int add_range(struct parser *p, hpa_t base, uint64_t len, enum boot_range_kind kind)
{
    struct boot_info *info = p->info;

    if (len == 0)
        return 0;
    if (base + len - 1 < base)
        return fail(p, ERR_RANGE, "the boot loader passed a memory range that wraps around");
    if (info->range_count == BOOT_MAX_RANGES)
        return fail(p, ERR_NOMEM, "the boot loader passed too many memory ranges, 256 are the most");
    info->ranges[info->range_count++] = (struct boot_range){.base = base, .len = len, .kind = kind};
    return 0;
}

/* Both memory maps: two 32-bit words, the first of which is the size of an entry, then the entries. */
static int parse_map(struct parser *p, const struct tag *tag, uint32_t least,
                     int (*parse_entry)(struct parser *p, const uint8_t *entry))
{
    uint32_t step;

    if (tag->size < 16)
        return fail(p, ERR_INVALID, "the boot loader passed a memory map that is cut off");
    step = get_le32(tag->data + 8);
    if (step < least || step % 8 != 0)
        return fail(p, ERR_INVALID, "the boot loader passed a memory map with an impossible entry size");
    if ((tag->size - 16) % step != 0)
        return fail(p, ERR_INVALID, "the boot loader passed a memory map with half an entry at its end");
    p->info->range_count = 0;
    for (uint32_t offset = 16; offset < tag->size; offset += step) {
        int err = parse_entry(p, tag->data + offset);
        if (err)
            return err;
    }
    return 0;
}

static int parse_mmap_entry(struct parser *p, const uint8_t *entry)
{
    uint32_t type = get_le32(entry + 16);
    bool known = type >= BOOT_RANGE_RAM &&
                 type <= BOOT_RANGE_BAD; /* the same numbers as ours (section 3.6.8) */

    return add_range(p, get_le64(entry), get_le64(entry + 8), known ? type : BOOT_RANGE_RESERVED);
}

/* EFI memory types (UEFI 2.10 section 7.2): what is free once boot services have ended. */
static enum boot_range_kind efi_kind(uint32_t type)
{
    switch (type) {
    case 1: /* loader code and data */
    case 2:
    case 3: /* boot services code and data */
    case 4:
    case 7: /* conventional */
        return BOOT_RANGE_RAM;
    case 8:
        return BOOT_RANGE_BAD;
    case 9:
        return BOOT_RANGE_ACPI;
    case 10:
        return BOOT_RANGE_NVS;
    default:
        return BOOT_RANGE_RESERVED;
    }
}

static int parse_efi_entry(struct parser *p, const uint8_t *entry)
{
    uint64_t pages = get_le64(entry + 24);

    if (pages > UINT64_MAX >> PAGE_SHIFT)
        return fail(p, ERR_RANGE, "the boot loader passed a memory range that wraps around");
    return add_range(p, get_le64(entry + 8), pages << PAGE_SHIFT, efi_kind(get_le32(entry)));
}

static int parse_mmap(struct parser *p, const struct tag *tag)
{
    p->have_mmap = true;
    return parse_map(p, tag, 24, parse_mmap_entry);
}

static int parse_efi_mmap(struct parser *p, const struct tag *tag)
{
    p->info->efi = true;
    if (p->have_mmap)
        return 0;
    return parse_map(p, tag, 40, parse_efi_entry);
}

static int parse_framebuffer(struct parser *p, const struct tag *tag)
{
    struct boot_screen *screen = &p->info->screen;
    const uint8_t *d = tag->data;
    uint32_t type;

    if (tag->size < 31)
        return fail(p, ERR_INVALID, "the boot loader passed a framebuffer tag that is cut off");
    type = d[29];
    if (type == 1 && tag->size < 38)
        return fail(p, ERR_INVALID, "the boot loader passed a framebuffer tag without its colours");
    if (type != 1 && type != 2)
        return 0; /* palette: not for us */

    screen->kind = type == 1 ? BOOT_SCREEN_RGB : BOOT_SCREEN_TEXT;
    screen->base = get_le64(d + 8);
    screen->pitch = get_le32(d + 16);
    screen->width = get_le32(d + 20);
    screen->height = get_le32(d + 24);
    screen->bpp = d[28];
    if (type == 1) {
        screen->red_pos = d[32];
        screen->red_size = d[33];
        screen->green_pos = d[34];
        screen->green_size = d[35];
        screen->blue_pos = d[36];
        screen->blue_size = d[37];
    }
    return 0;
}

static int keep_rsdp(struct parser *p, const struct tag *tag, uint32_t least)
{
    uint32_t len = tag->size - TAG_HEADER;

    if (len < least)
        return fail(p, ERR_INVALID, "the boot loader passed an ACPI RSDP that is cut off");
    p->info->rsdp_len = MIN(len, (uint32_t)sizeof(p->info->rsdp));
    memcpy(p->info->rsdp, tag->data + TAG_HEADER, p->info->rsdp_len);
    return 0;
}

static int parse_rsdp_old(struct parser *p, const struct tag *tag)
{
    return p->have_rsdp_new ? 0 : keep_rsdp(p, tag, 20);
}

static int parse_rsdp_new(struct parser *p, const struct tag *tag)
{
    p->have_rsdp_new = true;
    return keep_rsdp(p, tag, 36);
}

static int parse_efi(struct parser *p, const struct tag *tag)
{
    (void)tag;
    p->info->efi = true;
    return 0;
}

static const struct {
    uint32_t type;
    int (*parse)(struct parser *p, const struct tag *tag);
} parsers[] = {
    {TAG_CMDLINE, parse_cmdline},   {TAG_LOADER, parse_loader},           {TAG_MODULE, parse_module},
    {TAG_MMAP, parse_mmap},         {TAG_FRAMEBUFFER, parse_framebuffer}, {TAG_EFI32, parse_efi},
    {TAG_EFI64, parse_efi},         {TAG_RSDP_OLD, parse_rsdp_old},       {TAG_RSDP_NEW, parse_rsdp_new},
    {TAG_EFI_MMAP, parse_efi_mmap}, {TAG_EFI32_HANDLE, parse_efi},        {TAG_EFI64_HANDLE, parse_efi},
};

static int parse_tag(struct parser *p, uint32_t type, const struct tag *tag)
{
    for (size_t i = 0; i < ARRAY_SIZE(parsers); i++)
        if (parsers[i].type == type)
            return parsers[i].parse(p, tag);
    return 0;
}

static int parse_tags(struct parser *p, const uint8_t *mbi, uint32_t total)
{
    uint32_t offset = 8;

    while (total - offset >= TAG_HEADER) {
        uint32_t type = get_le32(mbi + offset);
        struct tag tag = {.data = mbi + offset, .size = get_le32(mbi + offset + 4)};
        int err;

        if (tag.size < TAG_HEADER)
            return fail(p, ERR_INVALID, "the boot loader passed a tag that is smaller than its own header");
        if (tag.size > total - offset)
            return fail(p, ERR_RANGE,
                        "the boot loader passed a tag that is larger than all of its information");
        if (type == TAG_END)
            return 0;
        err = parse_tag(p, type, &tag);
        if (err)
            return err;
        /* total is at most the limit, far below 2^32: this can't wrap */
        offset = MIN(ALIGN_UP(offset + tag.size, TAG_ALIGN), total);
    }
    return fail(p, ERR_INVALID, "the boot loader's information has no end tag");
}

int multiboot2_parse(const void *mbi, size_t limit, struct boot_info *info, const char **error)
{
    struct parser p = {.info = info};
    uint32_t total;
    int err;

    memset(info, 0, sizeof(*info));
    limit = MIN(limit, MULTIBOOT2_INFO_MAX);
    total = limit < 8 ? 0 : get_le32(mbi);
    if (total < 8 + TAG_HEADER)
        err = fail(&p, ERR_INVALID, "the boot loader's information is too short to hold anything");
    else if (total > limit)
        err = fail(&p, ERR_RANGE, "the boot loader's information claims to be larger than it can be");
    else
        err = parse_tags(&p, mbi, total);
    *error = p.error;
    return err;
}
