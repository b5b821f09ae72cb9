/*
 * Paravirtual interfaces that stock kernels know, one per VM (`pv` in keel.conf). KVM's is as Linux documents it in
 * Documentation/virt/kvm/x86: cpuid.rst, msr.rst, hypercalls.rst.
 *
 * What guest and hypervisor share is in guest memory, at addresses that the guest gives by MSRs. They are checked when they are
 * given, all of RAM stays where it is, and it is there (mapped) whenever the vCPU's registers are loaded.
 */
#pragma once

#include "core/lib/scale.h"
#include "core/lib/types.h"

struct vcpu;
struct vm;

enum pv_kind { PV_NONE, PV_KVM, PV_HYPERV };

/* Of a VM; fixed when it is made, but for the last. */
struct vm_pv {
    enum pv_kind kind;
    struct scale clock; /* TSC ticks to ns */
    uint64_t unix_time; /* wall clock at VM time 0, in seconds */
    bool clocks_differ; /* the guest has given its vCPUs different TSCs */
};

/* Of a vCPU: MSRs as written, and what belongs to them. */
struct vcpu_pv {
    uint64_t wall_clock, system_time, steal, eoi, poll;
    uint64_t waited_told; /* of sched.waited, what is in the guest's account */
    bool kicked;          /* its next HLT ends at once; set from any core */
};

#define PV_ENABLED 1 /* bit 0 of the MSRs that give an address */

/* MSRs; false: #GP. */
bool pv_kvm_read_msr(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
bool pv_kvm_write_msr(struct vcpu *vcpu, uint32_t msr, uint64_t value);
/* Power-on: nothing is shared. */
void pv_reset(struct vcpu *vcpu);
/* The guest moved its TSC. */
void pv_tsc_adjusted(struct vcpu *vcpu);
/* The vCPU gets a core, its registers being loaded; it is about to give it up. */
void pv_steal_begin(struct vcpu *vcpu);
void pv_steal_end(struct vcpu *vcpu);
/* A hypercall of KVM's: number and operands in registers; the result is for RAX. */
uint64_t pv_kvm_call(struct vcpu *vcpu);
