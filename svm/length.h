/*
 * The length of an instruction that exited: from nRIP (APM volume 2, 15.7.1), or without NRIPS by decoding it. Fetching and
 * decoding costs a walk of the guest's page tables, so that the last few lengths are remembered: by linear address, address
 * space and kind of exit. A row could be stale only if the same instruction stood at the same place again with another
 * number of redundant prefixes. Pure.
 */
#pragma once

#include "core/emul/decode.h"
#include "core/x86/caps.h"
#include "svm/vcpu.h"

/* Sets insn_len, if that is known. */
static inline bool svm_length(struct vcpu *vcpu, const struct vmcb *vmcb)
{
    const struct svm_vcpu *s = svm_vcpu(vcpu);
    uint64_t rip = vmcb->rip, address = vmcb->cs.base + rip;
    const struct svm_length *slot = &s->lengths[address % LENGTH_SLOTS];

    if (cap(CAP_NRIPS) && LIKELY(vmcb->nrip - rip - 1 < INSN_MAX_LEN)) {
        vcpu->insn_len = (uint8_t)(vmcb->nrip - rip);
        return true;
    }
    if (UNLIKELY(slot->address != address) || UNLIKELY(slot->cr3 != vmcb->cr3) ||
        UNLIKELY(slot->code != (uint32_t)vmcb->exit_code))
        return false;
    vcpu->insn_len = slot->len;
    return true;
}

/* Fetches and decodes the instruction, and remembers its length. Sets insn_len; 0 if that can't be done. */
void svm_length_learn(struct vcpu *vcpu);
