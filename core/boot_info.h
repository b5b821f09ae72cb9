/*
 * What a boot loader told us, in no loader's own format. boot/multiboot2.c fills it; everyone else reads only this.
 * Strings are copied into the struct, so that nothing refers to the loader's memory afterwards.
 */
#pragma once

#include "core/lib/types.h"

#define BOOT_MAX_RANGES  256
#define BOOT_MAX_MODULES 128
#define BOOT_CMDLINE_MAX 1024
#define BOOT_STRINGS_MAX (32 * 1024)

enum boot_range_kind {
    BOOT_RANGE_RAM = 1,
    BOOT_RANGE_RESERVED,
    BOOT_RANGE_ACPI, /* ACPI tables that could be reclaimed; Keel keeps them */
    BOOT_RANGE_NVS,
    BOOT_RANGE_BAD,
};

struct boot_range {
    hpa_t base;
    uint64_t len;
    enum boot_range_kind kind;
};

struct boot_module {
    hpa_t base;
    uint64_t len;
    const char *cmdline; /* the whole line of the module, points into strings[]; never NULL */
    bool disk;           /* only a VM's disk: not mapped for the hypervisor as a whole */
};

enum boot_screen_kind { BOOT_SCREEN_NONE, BOOT_SCREEN_TEXT, BOOT_SCREEN_RGB };

struct boot_screen {
    enum boot_screen_kind kind;
    hpa_t base;
    uint32_t pitch, width, height; /* text: in characters; pitch always in bytes */
    uint8_t bpp;
    uint8_t red_pos, red_size, green_pos, green_size, blue_pos, blue_size;
};

struct boot_info {
    char cmdline[BOOT_CMDLINE_MAX]; /* of Keel itself */
    char loader[64];                /* "GRUB 2.06-13" */
    bool efi;                       /* booted by UEFI firmware */
    uint32_t range_count;
    struct boot_range ranges[BOOT_MAX_RANGES]; /* as given: unsorted, perhaps overlapping */
    uint32_t module_count;
    struct boot_module modules[BOOT_MAX_MODULES];
    uint8_t rsdp[36]; /* a copy of the RSDP; rsdp_len 0 if the loader gave none */
    uint32_t rsdp_len;
    struct boot_screen screen;
    size_t strings_used;
    char strings[BOOT_STRINGS_MAX];
};
