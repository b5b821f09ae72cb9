/* The switches of this machine, by name: each is there as soon as the first VM is plugged into it, and stays. */
#pragma once

#include "drivers/virt/vswitch.h"

#define SWITCHES_MAX 32

/* NULL without pool memory, or if there are too many. */
struct vswitch *switch_get(const char *name);
