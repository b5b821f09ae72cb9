/* The host's I/O APICs: all inputs masked, but for the few that the hypervisor uses itself. */
#pragma once

#include "core/lib/types.h"

struct acpi_info;

/*
 * Maps the controllers of the tables and masks every input. One that doesn't answer is reported and left out.
 */
void ioapic_init(const struct acpi_info *acpi);
/*
 * Delivers ISA interrupt `irq` (with the tables' overrides) as `vector` to the core with that APIC id.
 * ERR_NOTFOUND: no controller has that input; ERR_NOTSUP: the id doesn't fit (over 254, that needs interrupt
 * remapping).
 */
int ioapic_route_isa(uint8_t irq, uint8_t vector, uint32_t apic_id) MUST_CHECK;
/* The same for a GSI, with its polarity and trigger mode given. */
int ioapic_route(uint32_t gsi, bool active_low, bool level, uint8_t vector, uint32_t apic_id) MUST_CHECK;
