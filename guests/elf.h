/* ELF files (System V ABI, chapters 4 and 5), 32 and 64 bits, x86: headers read and checked, segments loaded, notes found. Pure. */
#pragma once

#include "guests/loader.h"

#define ELF_SEGMENTS_MAX 32

/* A part that is loaded; it lies within the file, and in memory it ends below 2^64. */
struct elf_segment {
    uint64_t vaddr, paddr;
    uint64_t offset, file_len, mem_len;
};

struct elf {
    const uint8_t *file;
    uint64_t len;
    bool wide; /* 64-bit */
    uint64_t entry;
    uint64_t headers; /* offset of the program headers */
    uint32_t header_size, header_count;
    uint32_t segment_count;
    struct elf_segment segments[ELF_SEGMENTS_MAX];
    uint64_t low, high; /* physical addresses that the segments lie between */
};

/* True if it begins as an ELF file does. */
bool elf_probe(const void *file, uint64_t len);
/* Reads the headers of a kernel; there is at least one segment. ERR_INVALID or ERR_NOTSUP with a sentence. */
int elf_read(struct loader *l, const void *file, uint64_t len, struct elf *elf) MUST_CHECK;
/* Loads all segments, `shift` above (modulo 2^64) where they want to be. */
int elf_load(struct loader *l, const struct elf *elf, uint64_t shift) MUST_CHECK;
/*
 * The physical address of the entry point, which most linkers give as a virtual one: that of the segment that it is in by its
 * virtual addresses, else as it is. ERR_INVALID if it is in none.
 */
int elf_entry(struct loader *l, const struct elf *elf, uint64_t *entry) MUST_CHECK;
/* Finds a note by owner and type; its description, of at least `least` bytes, or NULL. */
const uint8_t *elf_note(const struct elf *elf, const char *owner, uint32_t type, uint32_t least,
                        uint32_t *len);
