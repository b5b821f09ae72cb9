/* The memory map that a PC's firmware hands to a system (ACPI 6.5, 15.1), made from what the VM has. Pure. */
#pragma once

#include "mm/gmem.h"

enum e820_type { E820_RAM = 1, E820_RESERVED = 2 };

struct e820_entry {
    gpa_t base;
    uint64_t len;
    uint32_t type;
};

/* A slot makes at most three entries; two more are the PC's own. */
#define E820_MAX (3 * GMEM_MAX_SLOTS + 2)

struct e820 {
    uint32_t count;
    struct e820_entry entries[E820_MAX]; /* ascending, no two overlap */
};

/*
 * RAM is usable but for the EBDA and the ROM area, which are reserved, as are ROM and, with `ecam`, PCI Express configuration
 * space.
 */
void e820_build(struct e820 *map, const struct gmem *mem, bool ecam);
