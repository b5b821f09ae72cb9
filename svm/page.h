/*
 * Where the guest's code is, for processors that don't tell of an instruction what has to be known: pages that some of it was in, used
 * as long as the page tables lead there. Memory that comes at a touch, by page faults, isn't to be touched here. Pure.
 */
#pragma once

#include "core/vm.h"
#include "svm/vcpu.h"

/* Can it be told in few steps where the guest's code is? */
static inline bool page_usable(const struct vcpu *vcpu, const struct vmcb *vmcb)
{
    return LIKELY(vmcb_long_root(vmcb)) && LIKELY(!vcpu->vm->balloon);
}

/* Where the page of RIP is remembered, if it is. */
static inline struct svm_page *page_slot(struct vcpu *vcpu, uint64_t rip)
{
    return &svm_vcpu(vcpu)->pages[(rip >> PAGE_SHIFT) % SVM_PAGES];
}

static inline bool page_known(const struct vcpu *vcpu, const struct vmcb *vmcb, uint64_t rip,
                              const struct svm_page *page)
{
    return LIKELY(page->last == (rip | PAGE_MASK)) &&
           LIKELY(gwalk_same(&vcpu->vm->mem, vmcb->cr3, rip, &page->path));
}

/* Finds out where the page of RIP is, and remembers that. False: not in the VM's RAM. */
bool page_learn(struct vcpu *vcpu, const struct vmcb *vmcb, struct svm_page *page);
