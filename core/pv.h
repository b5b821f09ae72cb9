/*
 * Paravirtual interfaces that stock kernels know, one per VM (`pv` in keel.conf). KVM's is as Linux documents it in
 * Documentation/virt/kvm/x86: cpuid.rst, msr.rst, hypercalls.rst; Hyper-V's is in pv_hyperv.h.
 *
 * What guest and hypervisor share is in guest memory, at addresses that the guest gives by MSRs. They are checked when they are
 * given, all of RAM stays where it is, and it is there (mapped) whenever the vCPU's registers are loaded.
 */
#pragma once

#include "core/lib/scale.h"
#include "core/pv_hyperv.h"

struct vcpu;
struct vm;

enum pv_kind { PV_NONE, PV_KVM, PV_HYPERV };

/* Of a VM. What follows `clocks_differ` changes, the rest is fixed when it is made. */
struct vm_pv {
    enum pv_kind kind;
    struct scale clock;    /* TSC ticks to ns */
    struct scale hv_clock; /* the same to HV_TIME_NS */
    uint64_t tsc_hz, apic_hz;
    uint64_t unix_time;   /* wall clock at VM time 0, in seconds */
    uint8_t hypercall[3]; /* the instruction */
    bool clocks_differ;   /* the guest has given its vCPUs different TSCs */
    struct hv_vm hv;
};

/* Of a vCPU: MSRs as written, and what belongs to them. */
struct vcpu_pv {
    uint64_t wall_clock, system_time, steal, eoi, poll;
    uint64_t waited_told; /* of sched.waited, what is in the guest's account */
    bool kicked;          /* its next HLT ends at once; set from any core */
    struct hv_vcpu hv;
};

#define PV_KVM_LAST_CALL 12
#define PV_ENABLED       1 /* bit 0 of the MSRs that give an address */

/* Memory that is shared must be RAM. NULL: it isn't. */
void *pv_area(const struct vcpu *vcpu, gpa_t gpa, uint32_t len);
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
/* Is it worth while to look at a hypercall? KVM's have small numbers in RAX. */
static inline bool pv_may_know(enum pv_kind kind, uint64_t rax)
{
    return (kind == PV_KVM && (uint32_t)rax <= PV_KVM_LAST_CALL) || kind == PV_HYPERV;
}
/* A hypercall: number and operands in registers, and so is the result. False: #UD. */
bool pv_call(struct vcpu *vcpu);
