/*
 * What the firmware's ACPI tables say, as far as a hypervisor needs it (ACPI 6.5 chapter 5). Pure: memory is
 * reached through an accessor. A table that isn't sound costs one log line and is left out; the rest counts.
 */
#pragma once

#include "core/lib/types.h"

#define ACPI_MAX_CPUS      512
#define ACPI_MAX_IOAPICS   32
#define ACPI_MAX_OVERRIDES 32
#define ACPI_MAX_ECAMS     16

/*
 * Reaches physical memory. map returns NULL if it can't; what it returned is given back with the same length.
 */
struct acpi_memory {
    const void *(*map)(void *ctx, hpa_t addr, uint64_t len);
    void (*unmap)(void *ctx, const void *ptr, uint64_t len);
    void *ctx;
};

enum acpi_space { ACPI_SPACE_MEMORY = 0, ACPI_SPACE_IO = 1, ACPI_SPACE_PCI = 2 };

/* A register's place (5.2.3.2, generic address structure); address 0: there is none. */
struct acpi_address {
    uint64_t address;
    uint8_t space; /* enum acpi_space, or one that Keel doesn't use */
    uint8_t bits;
    uint8_t access; /* 1, 2, 3, 4: byte, word, dword, qword; 0: not said */
};

struct acpi_ioapic {
    hpa_t address;
    uint32_t gsi_base;
    uint8_t id;
};

/* An ISA interrupt that isn't at the GSI of its own number, or not active-high and edge (5.2.12.5). */
struct acpi_override {
    uint32_t gsi;
    uint8_t irq;
    bool active_low, level;
};

struct acpi_power {
    bool sound;      /* the FADT was there */
    bool hw_reduced; /* no PM1 registers: sleep_control instead */
    bool has_s5;     /* slp_typa and slp_typb are known */
    bool reset_supported;
    bool has_8042;
    bool timer_32bit;
    uint8_t slp_typa, slp_typb;
    uint8_t reset_value, acpi_enable, century;
    uint32_t smi_command; /* port; 0: none, ACPI mode is always on */
    uint32_t flags;
    struct acpi_address pm1a_control, pm1b_control, timer, reset, sleep_control;
};

struct acpi_uart {
    bool present;
    struct acpi_address regs;
    uint8_t irq;       /* 0 if it is not on a PC interrupt */
    uint32_t gsi;      /* 0: not said */
    uint32_t baud;     /* 0: leave it as the firmware set it */
    uint32_t clock_hz; /* 0: 1.8432 MHz */
};

struct acpi_ecam {
    hpa_t base;
    uint16_t segment;
    uint8_t first_bus, last_bus;
};

struct acpi_info {
    bool present;         /* an RSDP and a sound root table */
    uint8_t revision;     /* of the RSDP: 0 is ACPI 1.0 */
    uint32_t table_count; /* sound ones */
    uint32_t bad_count;   /* left out, each with its log line */
    hpa_t lapic_address;  /* 0: not said */
    bool has_8259;
    uint32_t cpu_count;           /* cores that are enabled */
    uint32_t cpu_offline;         /* could be plugged in later */
    uint32_t cpus[ACPI_MAX_CPUS]; /* APIC ids as listed, no two the same */
    uint32_t ioapic_count;
    struct acpi_ioapic ioapics[ACPI_MAX_IOAPICS];
    uint32_t override_count;
    struct acpi_override overrides[ACPI_MAX_OVERRIDES];
    struct acpi_power power;
    struct acpi_uart uart;
    hpa_t hpet; /* 0: none */
    uint32_t ecam_count;
    struct acpi_ecam ecams[ACPI_MAX_ECAMS];
};

/*
 * Reads all tables. `rsdp` is the loader's copy of the RSDP, rsdp_len 0 if it had none; then `search` allows
 * looking for it where a BIOS puts it. Returns 0, or ERR_NOTFOUND when there is no RSDP or root table to be
 * used; *info is filled in either way.
 */
int acpi_read(struct acpi_info *info, const struct acpi_memory *memory, const uint8_t *rsdp,
              uint32_t rsdp_len, bool search);
