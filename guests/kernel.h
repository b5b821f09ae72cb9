/*
 * A kernel of any format that Keel knows, found by its content: Linux bzImage, Multiboot 2, Multiboot 1, PVH (ELF with the
 * note XEN_ELFNOTE_PHYS32_ENTRY). Each loader puts files and information into guest memory and says how the boot vCPU starts.
 * Pure: guest memory is written through gmem.h only.
 */
#pragma once

#include "guests/copies.h"
#include "guests/e820.h"
#include "mm/gmem.h"

#define GUEST_MODULES_MAX 8

/* A file that the boot loader handed over; its line's first word is its name. */
struct guest_file {
    const void *data; /* NULL: none */
    uint64_t len;
    const char *line;
};

struct guest_files {
    struct guest_file kernel;
    struct guest_file modules[GUEST_MODULES_MAX]; /* initrds, in order */
    uint32_t module_count;
    const char *cmdline;   /* without the kernel's name */
    struct copies *copies; /* what of them is to be copied later; NULL: nothing */
};

static inline uint64_t guest_module_bytes(const struct guest_files *files)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < files->module_count; i++)
        sum += files->modules[i].len;
    return sum;
}

/*
 * How the boot vCPU starts: interrupts off, GDTR = gdt_base/gdt_limit, CS = ENTRY_CS, DS = ES = SS (and FS and GS, but for Linux)
 * = ENTRY_DS, both flat with base 0 and limit 4G, and all other registers 0. In long mode (CS.L, CR0.PG, CR4.PAE, EFER.LME and
 * LMA) with CR3, which maps the first 4 GiB to themselves; else in protected mode without paging.
 */
struct guest_entry {
    const char *format; /* "linux", "multiboot", "multiboot2", "pvh" */
    bool long_mode;
    bool all_segments; /* FS and GS are loaded, too */
    bool bios;         /* the kernel may expect devices as a BIOS leaves them */
    uint64_t rip;
    uint64_t rax, rbx, rsi;
    gpa_t cr3;
    gpa_t gdt_base;
    uint16_t gdt_limit;
};

#define ENTRY_CS       0x10
#define ENTRY_DS       0x18
#define ENTRY_GDT_SIZE (4 * 8)

/* Writes that GDT: null, null, code, data; code is 64-bit in long mode. */
void entry_gdt_write(uint8_t *gdt, bool long_mode);

/*
 * Loads; `map` is the VM's memory map, rsdp where its ACPI tables begin (0: none). Returns 0, or an error of core/lib/error.h
 * with a sentence for a person in `why`.
 */
int kernel_load(const struct gmem *mem, const struct guest_files *files, const struct e820 *map, gpa_t rsdp,
                struct guest_entry *entry, char *why, size_t why_size);
