/* The MSR policy: a table of what a guest may read and write. What isn't in it gives #GP, and is logged once. */
#pragma once

#include "core/vcpu.h"

/* Both return false if the access takes #GP(0). */
bool msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value) MUST_CHECK;
static inline bool msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value) MUST_CHECK;
/* Its two halves: by the table; and what that refuses or doesn't have. */
bool msr_write_known(struct vcpu *vcpu, uint32_t msr, uint64_t value) MUST_CHECK;
bool msr_write_other(struct vcpu *vcpu, uint32_t msr, uint64_t value) MUST_CHECK;
static inline bool msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    return LIKELY(msr_write_known(vcpu, msr, value)) || msr_write_other(vcpu, msr, value);
}
/*
 * IA32_ARCH_CAPABILITIES for a guest, from the machine's (0: it has none). whole: nothing is hidden beneath us. Then no enhanced IBRS
 * means that indirect target selection is none of this CPU's faults, which is one of later CPUs (Intel: CVE-2024-28956), and
 * which a kernel in a VM takes for granted unless it is told so.
 */
uint64_t msr_arch_caps(uint64_t host, bool whole);
/* The values after a reset, as firmware leaves them for a kernel (memory types set up). */
void msr_reset(struct vcpu *vcpu);
