#include "guests/multiboot2.h"

#include "core/lib/bytes.h"
#include "core/lib/error.h"
#include "core/lib/string.h"
#include "guests/elf.h"
#include "guests/loadspan.h"
#include "guests/multiboot2_info.h"

/* The header (3.1.1): 8-byte aligned, wholly within the first 32 KiB, tags behind it. */
#define HEADER_AREA  32768u
#define HEADER_MAGIC 0xe85250d6u
#define HEADER_LEN   16u
#define ARCH_I386    0
#define TAG_LEN      8u
#define TAG_OPTIONAL BIT(0)
#define BOOT_MAGIC   0x36d76289u

enum header_tag {
    TAG_END = 0,
    TAG_REQUEST = 1,
    TAG_ADDRESS = 2,
    TAG_ENTRY = 3,
    TAG_CONSOLE = 4,
    TAG_FRAMEBUFFER = 5,
    TAG_MODULE_ALIGN = 6,
    TAG_EFI_SERVICES = 7,
    TAG_EFI_ENTRY32 = 8,
    TAG_EFI_ENTRY64 = 9,
    TAG_RELOCATABLE = 10,
    TAG_COUNT,
};

/* What a tag's size must be at least. */
static const uint32_t tag_least[TAG_COUNT] = {
    [TAG_END] = 8,          [TAG_REQUEST] = 8,      [TAG_ADDRESS] = 24,     [TAG_ENTRY] = 12,
    [TAG_CONSOLE] = 12,     [TAG_FRAMEBUFFER] = 20, [TAG_MODULE_ALIGN] = 8, [TAG_EFI_SERVICES] = 8,
    [TAG_EFI_ENTRY32] = 12, [TAG_EFI_ENTRY64] = 12, [TAG_RELOCATABLE] = 24,
};

#define PREFER_HIGH 2

/* What the tags say. */
struct request {
    const uint8_t *address, *entry, *relocatable; /* the tags, or NULL */
};

static const uint8_t *header_find(const void *file, uint64_t len)
{
    const uint8_t *bytes = file;
    uint64_t end = MIN(len, HEADER_AREA);

    for (uint64_t at = 0; at + HEADER_LEN <= end; at += 8) {
        const uint8_t *h = bytes + at;

        if (get_le32(h) == HEADER_MAGIC &&
            (uint32_t)(get_le32(h) + get_le32(h + 4) + get_le32(h + 8) + get_le32(h + 12)) == 0)
            return h;
    }
    return NULL;
}

bool multiboot2_probe(const void *file, uint64_t len)
{
    return header_find(file, len);
}

/* -- the header's tags ------------------------------------------------------------------------------------------ */

static int request_check(struct loader *l, const uint8_t *tag, uint32_t size)
{
    for (uint32_t at = TAG_LEN; at + 4 <= size; at += 4)
        if (!multiboot2_info_has(get_le32(tag + at)))
            return loader_refuse(
                l, ERR_NOTSUP,
                "the kernel's Multiboot 2 header asks for information of type %u, which Keel doesn't "
                "have",
                get_le32(tag + at));
    return 0;
}

/* Console and framebuffer are wishes: the kernel is told what there is. EFI tags say what else the kernel could do. */
static int tag_take(struct loader *l, const uint8_t *tag, uint32_t size, struct request *request)
{
    uint32_t type = get_le16(tag);
    bool optional = get_le16(tag + 2) & TAG_OPTIONAL;

    switch (type) {
    case TAG_REQUEST:
        return optional ? 0 : request_check(l, tag, size);
    case TAG_ADDRESS:
        request->address = tag;
        return 0;
    case TAG_ENTRY:
        request->entry = tag;
        return 0;
    case TAG_RELOCATABLE:
        request->relocatable = tag;
        return 0;
    default:
        if (type < TAG_COUNT || optional)
            return 0;
        return loader_refuse(l, ERR_NOTSUP,
                             "the kernel's Multiboot 2 header has a tag of type %u, which Keel doesn't know",
                             type);
    }
}

static int tags_read(struct loader *l, const uint8_t *header, struct request *request)
{
    const struct guest_file *kernel = &l->files->kernel;
    uint64_t left = kernel->len - (uint64_t)(header - (const uint8_t *)kernel->data);
    uint64_t len = get_le32(header + 8), at = HEADER_LEN;
    int err = 0;

    if (get_le32(header + 4) != ARCH_I386)
        return loader_refuse(l, ERR_NOTSUP,
                             "the kernel's Multiboot 2 header is for architecture %u, not for x86",
                             get_le32(header + 4));
    left = MIN(left, len);
    while (!err && at <= left && left - at >= TAG_LEN) {
        const uint8_t *tag = header + at;
        uint32_t type = get_le16(tag), size = get_le32(tag + 4);

        if (size < (type < TAG_COUNT ? tag_least[type] : TAG_LEN) || size > left - at)
            break;
        if (type == TAG_END)
            return 0;
        err = tag_take(l, tag, size, request);
        at = ALIGN_UP(at + size, 8ull);
    }
    if (err)
        return err;
    return loader_refuse(l, ERR_INVALID, "the kernel's Multiboot 2 header is damaged: its tags don't end");
}

/* -- loading ---------------------------------------------------------------------------------------------------- */

static int address_load(struct loader *l, const uint8_t *header, const struct request *request)
{
    const struct guest_file *kernel = &l->files->kernel;
    struct loadspan span = {
        .file = kernel->data,
        .file_len = kernel->len,
        .header_offset = (uint64_t)(header - (const uint8_t *)kernel->data),
        .header_addr = get_le32(request->address + 8),
        .load_addr = get_le32(request->address + 12),
        .load_end = get_le32(request->address + 16),
        .bss_end = get_le32(request->address + 20),
    };

    if (!request->entry)
        return loader_refuse(l, ERR_INVALID,
                             "the kernel's Multiboot 2 header has an address tag and no entry address tag");
    return loadspan_load(l, &span);
}

/*
 * The address for an image that can be moved (3.1.13): in the range and with the alignment that it names, the lowest or highest
 * free one as it prefers, and where it was linked if it has no preference and that is free. False: there is none.
 */
static bool relocation_find(const struct loader *l, const uint8_t *tag, const struct elf *elf, uint64_t *base)
{
    uint64_t min = get_le32(tag + 8), max = get_le32(tag + 12), align = MAX(get_le32(tag + 16), 1u);
    uint32_t preference = get_le32(tag + 20);
    uint64_t len = elf->high - elf->low;

    if ((align & (align - 1)) || max < min || len > max - min)
        return false;
    if (preference == 0 && elf->low >= min && elf->high - 1 <= max && IS_ALIGNED(elf->low, align) &&
        loader_free(l, elf->low, len))
        return *base = elf->low, true;
    return loader_find(l, len, align, min, max - len + 1, preference == PREFER_HIGH, base);
}

static int elf_load_moved(struct loader *l, const struct request *request, const struct elf *elf,
                          uint64_t *base)
{
    *base = elf->low;
    if (request->relocatable && !relocation_find(l, request->relocatable, elf, base))
        return loader_refuse(l, ERR_NOMEM,
                             "the kernel needs %llu KiB between 0x%x and 0x%x, which aren't free in this VM",
                             (unsigned long long)(elf->high - elf->low + KiB - 1) / KiB,
                             get_le32(request->relocatable + 8), get_le32(request->relocatable + 12));
    return elf_load(l, elf, *base - elf->low);
}

static int kernel_load_elf(struct loader *l, const struct request *request, uint64_t *entry,
                           uint32_t *told_base)
{
    struct elf elf;
    uint64_t base;
    int err = elf_read(l, l->files->kernel.data, l->files->kernel.len, &elf);

    if (!err)
        err = elf_load_moved(l, request, &elf, &base);
    if (!err && request->entry)
        *entry = get_le32(request->entry + 8);
    else if (!err)
        err = elf_entry(l, &elf, entry);
    if (err)
        return err;
    *entry += base - elf.low;
    if (request->relocatable)
        *told_base = (uint32_t)base;
    return 0;
}

int multiboot2_load(struct loader *l, struct guest_entry *entry)
{
    const uint8_t *header = header_find(l->files->kernel.data, l->files->kernel.len);
    struct request request = {0};
    uint32_t base = UINT32_MAX;
    int err = tags_read(l, header, &request);

    if (!err && request.address) {
        err = address_load(l, header, &request);
        entry->rip = request.entry ? get_le32(request.entry + 8) : 0;
    } else if (!err) {
        err = kernel_load_elf(l, &request, &entry->rip, &base);
    }
    if (!err)
        err = multiboot2_info_write(l, base, &entry->rbx);
    if (!err)
        err = loader_gdt(l, entry);
    entry->format = "multiboot2";
    entry->all_segments = entry->bios = true;
    entry->rax = BOOT_MAGIC;
    return err;
}
