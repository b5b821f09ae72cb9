/* What the parts of the ACPI reader share: one table that was found sound. Not for others. */
#pragma once

#include "drivers/hw/acpi.h"

#include "core/lib/bytes.h"

#define ACPI_HEADER_LEN 36 /* 5.2.6: what all tables but RSDP and FACS begin with */

struct acpi_table {
    const uint8_t *data; /* the whole of it, mapped */
    uint32_t len;        /* >= ACPI_HEADER_LEN; the checksum over it is right */
    hpa_t addr;
    char name[5]; /* the signature, printable */
};

/* Each takes what it needs into the info; reports what is wrong inside, and uses what isn't. */
void acpi_madt_read(struct acpi_info *info, const struct acpi_table *table);
void acpi_fadt_read(struct acpi_info *info, const struct acpi_table *table);
void acpi_spcr_read(struct acpi_info *info, const struct acpi_table *table);
void acpi_hpet_read(struct acpi_info *info, const struct acpi_table *table);
void acpi_mcfg_read(struct acpi_info *info, const struct acpi_table *table);
/* Looks for \_S5 in a definition block; leaves the info as it is when there is none. */
void acpi_s5_read(struct acpi_info *info, const struct acpi_table *table);
/* The DSDT that a FADT names; 0 if none. */
hpa_t acpi_fadt_dsdt(const struct acpi_table *table);

/* One log line about a table, and one more in bad_count. */
void acpi_complain(struct acpi_info *info, const struct acpi_table *table, const char *fmt, ...) PRINTF(3, 4);

/* A generic address structure (5.2.3.2), 12 bytes. */
static inline struct acpi_address acpi_get_address(const uint8_t *p)
{
    return (struct acpi_address){.space = p[0], .bits = p[1], .access = p[3], .address = get_le64(p + 4)};
}
