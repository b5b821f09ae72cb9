/* How the machine ends. */
#pragma once

#include "core/lib/types.h"

struct acpi_info;

/*
 * Notes the registers that the tables name, and maps those in memory, so that ending needs nothing but this.
 */
void power_init(const struct acpi_info *acpi);
/*
 * Switches off, trying in turn: QEMU's isa-debug-exit (the process status is 33 for `status` 0, else 35),
 * ACPI S5, Bochs' shutdown port; stops for good if none works. Works before power_init, too.
 */
NORETURN void power_off(int status);
/* Resets: ACPI's reset register, port CF9, the keyboard controller, a triple fault. */
NORETURN void power_reset(void);
/* Stops this core for good. */
NORETURN void power_halt(void);
