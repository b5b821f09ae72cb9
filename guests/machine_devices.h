/* What the virtio devices of a VM stand on (DESIGN 6): memory for disks, switches, random numbers. */
#pragma once

#include "guests/board_virtio.h"
#include "guests/machine.h"

/* Guest memory that a copy-on-write disk of so many bytes takes; wanted: of it for data, 0: the default. */
uint64_t machine_overlay_bytes(uint64_t len, uint64_t wanted);
/* Makes what the VM's devices stand on. One line in the log if something can't be had. */
int machine_devices(struct vm *vm, const struct machine_spec *spec, struct board_devices *out) MUST_CHECK;
