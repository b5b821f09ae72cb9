/* All cores of the machine: found, started, examined, and taken into root mode or host mode. */
#pragma once

#include "boot/options.h"
#include "core/x86/percpu.h"

struct acpi_info;

/* Makes the calling core number 0, with tables and stacks that do until there is memory for better ones. */
void cores_init(void);
/*
 * Examines the boot core, with the back end that `vendor` names; settles what it can do, less what the options disable,
 * as the machine's record for now. Ends the machine if this CPU won't do.
 */
void cores_choose(const struct options *options);
/* Gives core 0 its real stacks, and goes on in next(arg) on the main one. */
NORETURN void cores_move_boot(void (*next)(void *arg), void *arg);
/*
 * Starts all others, reduces the record to what every core has, and takes each core into root mode or host mode. The
 * others then run `run`. A core that won't do is reported and left out.
 */
void cores_start(const struct acpi_info *acpi, const struct options *options, NORETURN void (*run)(void));
