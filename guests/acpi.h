/*
 * The ACPI tables of a VM (ACPI 6.5 chapter 5): RSDP, RSDT, XSDT, FADT, FACS, MADT, perhaps MCFG, and the DSDT that was
 * compiled from guests/dsdt.asl. They lie in the ROM area (guests/platform.h), the RSDP first. Pure.
 */
#pragma once

#include "mm/gmem.h"

/* What the tables are to say of the VM. */
struct acpi_guest {
    uint32_t vcpus;           /* APIC ids 0 to vcpus - 1, the boot vCPU first */
    bool ecam;                /* PCI Express configuration space is at PC_ECAM */
    gpa_t window, window_end; /* where PCI functions may be above RAM */
    const void *dsdt;         /* its AML, header included */
    uint64_t dsdt_len;
};

/* The DSDT that is built into Keel (guests/dsdt.asm). */
extern const uint8_t dsdt_aml[], dsdt_aml_end[];

/*
 * Writes the tables and tells where the RSDP is. ERR_RANGE if the VM has no memory in the ROM area, ERR_NOMEM if that is too
 * small, ERR_INVALID if the DSDT is none.
 */
int acpi_build(const struct gmem *mem, const struct acpi_guest *guest, gpa_t *rsdp) MUST_CHECK;
/*
 * The same into a buffer of the caller's, for a guest that will have its first byte at `base`; the RSDP is at its start. Tells how
 * many bytes were used.
 */
int acpi_build_at(void *bytes, uint64_t size, uint32_t base, const struct acpi_guest *guest,
                  uint64_t *used) MUST_CHECK;
