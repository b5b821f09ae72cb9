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

/* 0: not known. */
static inline uint8_t svm_length(const struct svm_vcpu *s)
{
    const struct vmcb *vmcb = s->vmcb;
    uint64_t address = vmcb->cs.base + vmcb->rip;
    const struct svm_length *slot = &s->lengths[address % LENGTH_SLOTS];

    if (cap(CAP_NRIPS) && vmcb->nrip - vmcb->rip <= INSN_MAX_LEN)
        return (uint8_t)(vmcb->nrip - vmcb->rip);
    if (UNLIKELY(slot->address != address || slot->cr3 != vmcb->cr3 ||
                 slot->code != (uint32_t)vmcb->exit_code))
        return 0;
    return slot->len;
}

/* Fetches and decodes the instruction, and remembers its length. 0 if that can't be done. */
uint8_t svm_length_learn(struct vcpu *vcpu);
