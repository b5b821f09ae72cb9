/*
 * The Linux boot protocol (Documentation/arch/x86/boot.rst), from 2.06 on: puts a bzImage, its initrd and command line into
 * guest memory, with the zero page and what the entry point expects. Pure: guest memory is written through gmem.h only.
 */
#pragma once

#include "guests/e820.h"
#include "mm/gmem.h"

struct linux_files {
    const void *kernel; /* the bzImage */
    uint64_t kernel_len;
    const void *initrd; /* NULL: none */
    uint64_t initrd_len;
    const char *cmdline;
};

/*
 * How the boot vCPU starts: interrupts off, GDTR = gdt_base/gdt_limit, CS = 0x10 and DS = ES = SS = 0x18, both flat with base 0
 * and limit 4G, RSI = zero_page, and all other registers 0. In long mode (CS.L, CR0.PG, CR4.PAE, EFER.LME and LMA) with CR3,
 * which maps the first 4 GiB to themselves; else in protected mode without paging.
 */
struct linux_entry {
    bool long_mode;
    uint64_t rip;
    gpa_t zero_page;
    gpa_t cr3;
    gpa_t gdt_base;
    uint16_t gdt_limit;
};

#define LINUX_CS 0x10
#define LINUX_DS 0x18

/* True if the file looks like a Linux kernel image of any kind; linux_load tells what is wrong with it. */
bool linux_probe(const void *file, uint64_t len);
/*
 * Loads; `map` is the VM's memory map, rsdp where its ACPI tables begin (0: none). Returns 0, or an error of core/lib/error.h
 * with a sentence for a person in `why`.
 */
int linux_load(const struct gmem *mem, const struct linux_files *files, const struct e820 *map, gpa_t rsdp,
               struct linux_entry *entry, char *why, size_t why_size);
