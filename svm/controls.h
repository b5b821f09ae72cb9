/* What makes a guest exit: the intercepts of a new VMCB, and the permission maps that all VMCBs share. Pure. */
#pragma once

#include "svm/vmcb.h"

/* APM volume 2, 15.10.1 and 15.11: three pages of ports (one bit each), two pages of MSRs (two bits each). */
#define IOPM_BYTES  (3 * PAGE_SIZE)
#define MSRPM_BYTES (2 * PAGE_SIZE)

struct control_maps {
    hpa_t iopm, msrpm;
};

/* All ports exit. */
void iopm_build(uint8_t *map);
/* All MSRs exit but those that hardware switches with the guest. */
void msrpm_build(uint8_t *map);
/* True if the access to this MSR exits. */
bool msrpm_exits(const uint8_t *map, uint32_t msr, bool write);
/* Sets the control area of a zeroed VMCB. `own_cr4`: the guest may set each bit of CR4 that the processor accepts. */
void controls_init(struct vmcb *vmcb, const struct control_maps *maps, hpa_t nested_root, bool own_cr4);
