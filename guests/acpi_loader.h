/*
 * ACPI tables for firmware, which places them itself: two files and a script that says how they hang together (QEMU's table
 * loader: hw/acpi/bios-linker-loader). Pure.
 */
#pragma once

#include "guests/acpi.h"

#define ACPI_FILES_TABLES 8192 /* RSDP first */
#define ACPI_FILES_SCRIPT 4096

struct acpi_files {
    uint8_t tables[ACPI_FILES_TABLES];
    uint8_t script[ACPI_FILES_SCRIPT];
    uint32_t tables_len, script_len; /* from acpi_files_tables(); of the script */
};

/* Fills them in. ERR_NOMEM if something doesn't fit, ERR_INVALID if the DSDT is none. */
int acpi_files_build(struct acpi_files *files, const struct acpi_guest *guest) MUST_CHECK;

/* What goes into the file etc/acpi/tables; etc/acpi/rsdp is the start of files->tables. */
#define ACPI_FILES_RSDP_LEN 36
static inline const uint8_t *acpi_files_tables(const struct acpi_files *files)
{
    return files->tables + 64;
}
