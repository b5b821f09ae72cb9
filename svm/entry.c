/* Around svm_run: what goes into the VMCB before, and what comes out of it after. The hot path of every exit. */
#include "core/x86/cr.h"
#include "core/x86/lapic.h"
#include "core/x86/percpu.h"
#include "core/x86/vectors.h"
#include "svm/check.h"
#include "svm/cr8.h"
#include "svm/events.h"
#include "svm/nmi.h"
#include "svm/svm.h"
#include "svm/virq.h"

struct vcpu *svm_run(struct vcpu *vcpu, hpa_t guest_vmcb, hpa_t host_vmcb);

/* entry.asm relies on these. */
_Static_assert(offsetof(struct vcpu, gpr) == 0, "the registers come first");
_Static_assert(REG_RAX == 0 && REG_RCX == 1 && REG_RDX == 2 && REG_RBX == 3, "numbered as in encodings");
_Static_assert(REG_RSP == 4 && REG_RBP == 5 && REG_RSI == 6 && REG_RDI == 7, "numbered as in encodings");
_Static_assert(REG_R8 == 8 && REG_R15 == 15, "numbered as in encodings");

/* A flush is by id where the processor can do that, else by moving to an id that has no entries. */
static void entry_flush(struct svm_vcpu *s)
{
    struct vmcb *vmcb = s->vmcb;
    struct asid_pool *pool = &s->cpu->asids;

    attention_clear(s, ATTENTION_FLUSH);
    if (cap(CAP_FLUSH_ASID) && asid_valid(pool, &s->asid)) {
        vmcb->tlb_control = TLB_FLUSH_ASID;
        return;
    }
    if (asid_take(pool, &s->asid))
        vmcb->tlb_control = TLB_FLUSH_ALL;
    vmcb->asid = s->asid.id;
    vmcb_dirty(vmcb, CLEAN_ASID);
}

/* False: VMRUN would refuse this VMCB; the exit says so as if it had. */
static bool entry_check(struct svm_vcpu *s)
{
    attention_clear(s, ATTENTION_CHECK);
    if (!check_vmcb(s->vmcb, &svm_limits, NULL, NULL))
        return true;
    s->vmcb->exit_code = (uint64_t)EXIT_INVALID;
    s->vmcb->exit_int_info = 0;
    return false;
}

/* False: don't enter. */
static bool entry_attend(struct vcpu *vcpu, struct svm_vcpu *s)
{
    uint8_t attention = __atomic_load_n(&s->attention, __ATOMIC_ACQUIRE);

    if (attention & ATTENTION_FLUSH)
        entry_flush(s);
    if (attention & ATTENTION_CR8)
        cr8_load(vcpu, s);
    if ((attention & ATTENTION_NMI) && nmi_prepare(s))
        lapic_ipi(this_cpu()->apic_id, VECTOR_WAKE);
    if ((attention & ATTENTION_INJECTED) && svm_inject_by_virq)
        virq_begin(s);
    return !(attention & ATTENTION_CHECK) || entry_check(s);
}

static void entry_trace(struct vcpu *vcpu, const struct vmcb *vmcb)
{
    struct vcpu_trace *t = vcpu_trace_next(vcpu);

    t->reason = (uint32_t)vmcb->exit_code;
    t->info = (uint32_t)vmcb->exit_info1;
    t->rip = vmcb->rip;
}

/* The processor clears EVENTINJ (15.6), but not where it refused the VMCB: then the word is part of the evidence. */
static void exit_injected(struct vcpu *vcpu, struct svm_vcpu *s)
{
    virq_end(vcpu, s);
    attention_clear(s, ATTENTION_INJECTED);
    s->injected = 0;
    if ((uint32_t)s->vmcb->exit_code != (uint32_t)EXIT_INVALID)
        s->vmcb->event_inj = 0;
}

static void exit_note_insn(struct vcpu *vcpu, const struct vmcb *vmcb)
{
    vcpu->insn_plain = !((vmcb->int_shadow & SHADOW_ACTIVE) | (vmcb->rflags & RFLAGS_TF));
}

static __attribute__((noinline)) void exit_attend(struct vcpu *vcpu, struct svm_vcpu *s)
{
    if (s->vmcb->exit_int_info & EVENT_VALID)
        svm_events_collect(vcpu, s);
    if (s->attention & ATTENTION_INJECTED)
        exit_injected(vcpu, s);
    if (s->attention & ATTENTION_CR8)
        cr8_store(vcpu, s);
    if (s->attention & ATTENTION_NMI)
        nmi_finish(vcpu, s);
    exit_note_insn(vcpu, s->vmcb); /* a TF of ours is gone now */
}

static inline void entry_finish(struct vcpu *vcpu)
{
    struct svm_vcpu *s = svm_vcpu(vcpu);
    struct vmcb *vmcb = s->vmcb;

    vcpu->gpr[REG_RAX] = vmcb->rax;
    vcpu->rip = vmcb->rip;
    vmcb->clean = s->clean;
    entry_trace(vcpu, vmcb);
    exit_note_insn(vcpu, vmcb);
    if (UNLIKELY((vmcb->exit_int_info & EVENT_VALID) || s->attention))
        exit_attend(vcpu, s);
}

/* What is rare is kept out of line, so that the usual way in and out stays short. */
static __attribute__((noinline)) void entry_with_attention(struct vcpu *vcpu, struct svm_vcpu *s)
{
    if (entry_attend(vcpu, s))
        svm_run(vcpu, s->vmcb_hpa, s->cpu->host_vmcb_hpa);
    s->vmcb->tlb_control = TLB_KEEP;
    entry_finish(vcpu);
}

void svm_entry(struct vcpu *vcpu, uint64_t deadline)
{
    struct svm_vcpu *s = svm_vcpu(vcpu);
    struct vmcb *vmcb = s->vmcb;

    (void)deadline; /* there is no preemption timer: the host's timer interrupt ends the run */
    vmcb->rax = vcpu->gpr[REG_RAX];
    vmcb->rip = vcpu->rip;
    if (UNLIKELY(__atomic_load_n(&s->attention, __ATOMIC_RELAXED)))
        entry_with_attention(vcpu, s);
    else
        entry_finish(svm_run(vcpu, s->vmcb_hpa, s->cpu->host_vmcb_hpa));
}
