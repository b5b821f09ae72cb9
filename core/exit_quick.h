/*
 * A CPUID's exit that ends before all registers are saved: entry.asm saves those that a C function may change, has the back end's
 * function look whether all is as usual, and either goes back into the guest with the answer in its registers, or goes on as after
 * any exit. All that the rest of an exit would do is done here, or isn't to be done: nothing waits (vcpu_unhindered), and the trace
 * is off (entry.asm). The leaves are those that an exit of the usual kind has answered before.
 */
#pragma once

#include "core/vcpu.h"

/* What entry.asm relies on. */
_Static_assert(offsetof(struct cpuid_row, eax) == 0 && offsetof(struct cpuid_row, ebx) == 4 &&
                   offsetof(struct cpuid_row, ecx) == 8 && offsetof(struct cpuid_row, edx) == 12,
               "entry.asm: ROW_");

/* The answer; NULL: this exit is for the usual way. */
static inline const struct cpuid_row *exit_quick_find(const struct vcpu *vcpu, uint64_t rax)
{
    if (UNLIKELY(!vcpu_unhindered(vcpu)))
        return NULL;
    return cpuid_ready_find(&vcpu->cpuid, (uint32_t)rax, (uint32_t)vcpu->gpr[REG_RCX]);
}

/* What an exit leaves behind. */
static inline void exit_quick_note(struct vcpu *vcpu, uint32_t reason, uint64_t rip)
{
    struct trace_exit *trace = vcpu_trace_next(vcpu);

    trace->reason = reason;
    trace->info = 0;
    trace->rip = rip;
    vcpu->stats.exits[STATS_CPUID]++;
}
