#include "guests/elf.h"

#include "core/lib/bytes.h"
#include "core/lib/error.h"
#include "core/lib/string.h"

#define CLASS     4 /* in e_ident */
#define CLASS_32  1
#define CLASS_64  2
#define DATA      5
#define DATA_LSB  1
#define IDENT_LEN 16

#define TYPE       16
#define TYPE_EXEC  2
#define TYPE_DYN   3
#define MACHINE    18
#define EM_386     3
#define EM_X86_64  62
#define PT_LOAD    1
#define PT_NOTE    4
#define NOTE_FIXED 12 /* name size, description size, type */

/* Where the two classes have the fields that we read. */
static const struct elf_layout {
    uint32_t ehdr_len, entry, phoff, phentsize, phnum;
    uint32_t phdr_len, offset, vaddr, paddr, filesz, memsz, align;
} layouts[2] = {
    {52, 24, 28, 42, 44, 32, 4, 8, 12, 16, 20, 28},
    {64, 24, 32, 54, 56, 56, 8, 16, 24, 32, 40, 48},
};

bool elf_probe(const void *file, uint64_t len)
{
    return len >= IDENT_LEN && memcmp(file,
                                      "\x7f"
                                      "ELF",
                                      4) == 0;
}

static uint64_t word_get(const struct elf *elf, const uint8_t *at)
{
    return elf->wide ? get_le64(at) : get_le32(at);
}

static const struct elf_layout *elf_layout(const struct elf *elf)
{
    return &layouts[elf->wide];
}

static const uint8_t *program_header(const struct elf *elf, uint32_t i)
{
    return elf->file + elf->headers + (uint64_t)i * elf->header_size;
}

static bool in_file(const struct elf *elf, uint64_t offset, uint64_t len)
{
    return offset <= elf->len && len <= elf->len - offset;
}

/* Class, kind and machine, and where the program headers are. */
static int header_read(struct loader *l, struct elf *elf)
{
    const uint8_t *file = elf->file;
    const struct elf_layout *at;
    uint16_t machine, type;

    if (!elf_probe(file, elf->len))
        return loader_refuse(l, ERR_INVALID, "the kernel is no ELF file");
    if ((file[CLASS] != CLASS_32 && file[CLASS] != CLASS_64) || file[DATA] != DATA_LSB)
        return loader_refuse(l, ERR_NOTSUP, "the kernel is an ELF file, but not for x86: class %u, data %u",
                             file[CLASS], file[DATA]);
    elf->wide = file[CLASS] == CLASS_64;
    at = elf_layout(elf);
    if (elf->len < at->ehdr_len)
        return loader_refuse(l, ERR_INVALID, "the kernel is cut off in its ELF header: it has %llu bytes",
                             (unsigned long long)elf->len);
    machine = get_le16(file + MACHINE);
    type = get_le16(file + TYPE);
    if ((machine != EM_386 && machine != EM_X86_64) || (type != TYPE_EXEC && type != TYPE_DYN))
        return loader_refuse(l, ERR_NOTSUP,
                             "the kernel is an ELF file, but no executable for x86: machine %u, type %u",
                             machine, type);
    elf->entry = word_get(elf, file + at->entry);
    elf->headers = word_get(elf, file + at->phoff);
    elf->header_size = get_le16(file + at->phentsize);
    elf->header_count = get_le16(file + at->phnum);
    if (elf->header_size < at->phdr_len ||
        !in_file(elf, elf->headers, (uint64_t)elf->header_size * elf->header_count))
        return loader_refuse(l, ERR_INVALID,
                             "the kernel's ELF header is damaged: %u program headers of %u bytes at 0x%llx",
                             elf->header_count, elf->header_size, (unsigned long long)elf->headers);
    return 0;
}

static int segment_add(struct loader *l, struct elf *elf, uint32_t i)
{
    const struct elf_layout *at = elf_layout(elf);
    const uint8_t *header = program_header(elf, i);
    struct elf_segment s = {
        .vaddr = word_get(elf, header + at->vaddr),
        .paddr = word_get(elf, header + at->paddr),
        .offset = word_get(elf, header + at->offset),
        .file_len = word_get(elf, header + at->filesz),
        .mem_len = word_get(elf, header + at->memsz),
    };

    if (s.mem_len == 0)
        return 0;
    if (s.file_len > s.mem_len || !in_file(elf, s.offset, s.file_len) || s.paddr + s.mem_len < s.paddr)
        return loader_refuse(
            l, ERR_INVALID,
            "the kernel's program header %u is damaged: 0x%llx bytes at 0x%llx of the file, 0x%llx "
            "at 0x%llx in memory",
            i, (unsigned long long)s.file_len, (unsigned long long)s.offset, (unsigned long long)s.mem_len,
            (unsigned long long)s.paddr);
    if (elf->segment_count == ELF_SEGMENTS_MAX)
        return loader_refuse(l, ERR_NOTSUP, "the kernel has more than %u segments", ELF_SEGMENTS_MAX);
    elf->segments[elf->segment_count++] = s;
    elf->low = MIN(elf->low, s.paddr);
    elf->high = MAX(elf->high, s.paddr + s.mem_len);
    return 0;
}

int elf_read(struct loader *l, const void *file, uint64_t len, struct elf *elf)
{
    int err;

    *elf = (struct elf){.file = file, .len = len, .low = UINT64_MAX};
    err = header_read(l, elf);
    for (uint32_t i = 0; !err && i < elf->header_count; i++)
        if (get_le32(program_header(elf, i)) == PT_LOAD)
            err = segment_add(l, elf, i);
    if (!err && elf->segment_count == 0)
        return loader_refuse(l, ERR_INVALID, "the kernel is an ELF file with nothing in it to load");
    return err;
}

int elf_load(struct loader *l, const struct elf *elf, uint64_t shift)
{
    for (uint32_t i = 0; i < elf->segment_count; i++) {
        const struct elf_segment *s = &elf->segments[i];
        int err = loader_segment(l, s->paddr + shift, elf->file + s->offset, s->file_len, s->mem_len);

        if (err)
            return err;
    }
    return 0;
}

int elf_entry(struct loader *l, const struct elf *elf, uint64_t *entry)
{
    for (uint32_t i = 0; i < elf->segment_count; i++) {
        const struct elf_segment *s = &elf->segments[i];

        if (elf->entry - s->vaddr < s->mem_len) {
            *entry = elf->entry - s->vaddr + s->paddr;
            return 0;
        }
    }
    for (uint32_t i = 0; i < elf->segment_count; i++)
        if (elf->entry - elf->segments[i].paddr < elf->segments[i].mem_len) {
            *entry = elf->entry;
            return 0;
        }
    return loader_refuse(l, ERR_INVALID, "the kernel's entry point 0x%llx is in none of its segments",
                         (unsigned long long)elf->entry);
}

/* In one PT_NOTE's bytes. Name and description are padded to 4 bytes, in segments with an alignment of 8 to 8. */
static const uint8_t *notes_search(const uint8_t *notes, uint64_t size, uint64_t align, const char *owner,
                                   uint32_t type, uint32_t least, uint32_t *len)
{
    uint64_t at = 0, owner_size = str_len(owner) + 1;

    while (at <= size && size - at >= NOTE_FIXED) {
        uint64_t name_len = get_le32(notes + at), desc_len = get_le32(notes + at + 4);
        uint64_t name = at + NOTE_FIXED, desc = ALIGN_UP(name + name_len, align);

        if (desc > size || desc_len > size - desc)
            return NULL;
        if (get_le32(notes + at + 8) == type && name_len == owner_size && desc_len >= least &&
            memcmp(notes + name, owner, owner_size) == 0) {
            *len = (uint32_t)desc_len;
            return notes + desc;
        }
        at = ALIGN_UP(desc + desc_len, align);
    }
    return NULL;
}

const uint8_t *elf_note(const struct elf *elf, const char *owner, uint32_t type, uint32_t least,
                        uint32_t *len)
{
    const struct elf_layout *at = elf_layout(elf);

    for (uint32_t i = 0; i < elf->header_count; i++) {
        const uint8_t *header = program_header(elf, i), *found;
        uint64_t offset = word_get(elf, header + at->offset), size = word_get(elf, header + at->filesz);

        if (get_le32(header) != PT_NOTE || !in_file(elf, offset, size))
            continue;
        found = notes_search(elf->file + offset, size, word_get(elf, header + at->align) == 8 ? 8 : 4, owner,
                             type, least, len);
        if (found)
            return found;
    }
    return NULL;
}
