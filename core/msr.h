/* The MSR policy: a table of what a guest may read and write. What isn't in it gives #GP, and is logged once. */
#pragma once

#include "core/vcpu.h"

/* Both return false if the access takes #GP(0). */
bool msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value) MUST_CHECK;
bool msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value) MUST_CHECK;
/* The values after a reset, as firmware leaves them for a kernel (memory types set up). */
void msr_reset(struct vcpu *vcpu);
