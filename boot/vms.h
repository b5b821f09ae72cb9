/* What the boot core does once the machine is up: starts the VMs, and ends the machine when they are done. */
#pragma once

#include "boot/options.h"
#include "core/boot_info.h"

/*
 * Reads keel.conf, if it is among the modules (which the boot tables still map); its [keel] section fills in what the
 * multiboot2 line leaves open. Faults are logged.
 */
void vms_configure(struct boot_info *boot, struct options *options);
/* `entered`: the host TSC at the hypervisor's first instruction, for event=bench. */
void vms_start(const struct boot_info *boot, const struct options *options, uint64_t entered);
