/* The monitor's commands about VMs, memory and the machine. */
#pragma once

#include "core/lib/types.h"

int commands_init(void) MUST_CHECK;

/* What the files of commands share: each registers its own. */
int commands_machine_init(void) MUST_CHECK;
int commands_look_init(void) MUST_CHECK;
int commands_stats_init(void) MUST_CHECK;
int commands_devices_init(void) MUST_CHECK;
int commands_trace_init(void) MUST_CHECK;
/* One that does harm, and isn't there without the option test=plant. */
int commands_plant_init(void) MUST_CHECK;
/* Another fault on purpose, test=audit: what belongs to the VMs that were made is mapped for all. */
void commands_plant_shown(void);
/* The VM of that name, by its number; LAUNCH_NONE, and one line, if there is none. */
uint32_t command_find(const char *name);
/* Says what went wrong with an order or a look, if anything; returns 0. */
int command_result(uint32_t vm, int err);
