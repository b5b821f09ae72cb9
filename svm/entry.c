/* Around each VMRUN: what goes into the VMCB before, and what comes out of it after. The hot path of every exit. */
#include "core/run.h"
#include "core/trace.h"
#include "core/x86/cr.h"
#include "core/x86/lapic.h"
#include "core/x86/percpu.h"
#include "core/x86/vectors.h"
#include "svm/check.h"
#include "svm/cr8.h"
#include "svm/events.h"
#include "svm/length.h"
#include "svm/nmi.h"
#include "svm/shadow.h"
#include "svm/step.h"
#include "svm/svm.h"
#include "svm/virq.h"

/* entry.asm. Returns when svm_exited has returned NULL. */
void svm_run(struct vcpu *vcpu, struct vmcb *vmcb, hpa_t guest_vmcb, hpa_t host_vmcb);
struct vcpu *svm_exited(struct vcpu *vcpu, struct vmcb *vmcb);
struct vcpu *svm_exited_traced(struct vcpu *vcpu, struct vmcb *vmcb);

/* entry.asm relies on these. */
_Static_assert(offsetof(struct vcpu, gpr) == 0, "the registers come first");
_Static_assert(REG_RAX == 0 && REG_RCX == 1 && REG_RDX == 2 && REG_RBX == 3, "numbered as in encodings");
_Static_assert(REG_RSP == 4 && REG_RBP == 5 && REG_RSI == 6 && REG_RDI == 7, "numbered as in encodings");
_Static_assert(REG_R8 == 8 && REG_R15 == 15, "numbered as in encodings");
_Static_assert(offsetof(struct vmcb, exit_code) == 0x70 && EXIT_CPUID == 0x72, "entry.asm");

/* For one entry. */
static void entry_flush_how(struct svm_vcpu *s, uint8_t how)
{
    s->vmcb->tlb_control = how;
    attention_set(s, ATTENTION_FLUSHED);
}

/* A flush is by id where the processor can do that, else by moving to an id that has no entries. */
static void entry_flush(struct svm_vcpu *s)
{
    struct vmcb *vmcb = s->vmcb;
    struct asid_pool *pool = &s->cpu->asids;

    attention_clear(s, ATTENTION_FLUSH);
    if (cap(CAP_FLUSH_ASID) && asid_valid(pool, &s->asid)) {
        entry_flush_how(s, TLB_FLUSH_ASID);
        return;
    }
    if (asid_take(pool, &s->asid))
        entry_flush_how(s, TLB_FLUSH_ALL);
    vmcb->asid = s->asid.id;
    vmcb_dirty(s, CLEAN_ASID);
}

static void entry_trace(struct vcpu *vcpu, const struct vmcb *vmcb)
{
    struct trace_exit *t = vcpu_trace_next(vcpu);

    t->reason = (uint32_t)vmcb->exit_code;
    t->info = (uint32_t)vmcb->exit_info1;
    t->rip = vmcb->rip;
}

/* False: VMRUN would refuse this VMCB. What follows is as if it had. */
static bool entry_check(struct vcpu *vcpu, struct svm_vcpu *s)
{
    attention_clear(s, ATTENTION_CHECK);
    if (!check_vmcb(s->vmcb, &svm_limits, NULL, NULL))
        return true;
    s->vmcb->exit_code = (uint64_t)EXIT_INVALID;
    s->vmcb->exit_int_info = 0;
    entry_trace(vcpu, s->vmcb);
    svm_exit_other(vcpu);
    return false;
}

/* For what goes into the guest before its first instruction and is to be followed by an exit at once. */
static void entry_come_back(void)
{
    lapic_ipi(this_cpu()->apic_id, VECTOR_WAKE);
}

static NOINLINE bool entry_attend_any(struct vcpu *vcpu, struct svm_vcpu *s, uint8_t attention)
{
    bool come_back = false;

    if (attention & ATTENTION_FLUSH)
        entry_flush(s);
    if (attention & ATTENTION_CR8)
        cr8_load(vcpu, s);
    if (attention & ATTENTION_NMI)
        come_back = nmi_prepare(s);
    if ((attention & ATTENTION_INJECTED) && svm_on_tcg)
        come_back |= virq_begin(s);
    if (come_back)
        entry_come_back();
    if (svm_on_tcg)
        shadow_begin(s);
    return !(attention & ATTENTION_CHECK) || entry_check(vcpu, s);
}

/* Mostly for an interrupt that is injected on QEMU. False: don't enter. */
static NOINLINE bool entry_attend(struct vcpu *vcpu, struct svm_vcpu *s)
{
    uint8_t attention = __atomic_load_n(&vcpu->attention, __ATOMIC_ACQUIRE);

    if (UNLIKELY(attention != ATTENTION_INJECTED))
        return entry_attend_any(vcpu, s, attention);
    if (svm_on_tcg && virq_begin(s))
        entry_come_back();
    return true;
}

static inline void entry_write(const struct vcpu *vcpu, struct vmcb *vmcb)
{
    vmcb->rax = vcpu->gpr[REG_RAX];
    vmcb->rip = vcpu->rip;
}

/* What is rare is kept out of line, so that the usual way in and out stays short. False: don't enter. */
static __attribute__((noinline)) bool entry_hindered(struct vcpu *vcpu)
{
    vcpu_attend_events(vcpu);
    return !vcpu->look && (!vcpu->attention || entry_attend(vcpu, svm_vcpu(vcpu)));
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

static void exit_flushed(struct svm_vcpu *s)
{
    attention_clear(s, ATTENTION_FLUSHED);
    s->vmcb->tlb_control = TLB_KEEP;
}

static void exit_cleaned(struct svm_vcpu *s)
{
    attention_clear(s, ATTENTION_DIRTY);
    s->vmcb->clean = CLEAN_ALL;
}

static void exit_note_insn(struct vcpu *vcpu, struct svm_vcpu *s)
{
    vcpu->insn_plain = !vmcb_insn_odd(s->vmcb) && !s->event_cut;
    if (vcpu->insn_plain)
        attention_clear(s, ATTENTION_ODD);
    else
        attention_set(s, ATTENTION_ODD);
}

static __attribute__((noinline)) void exit_attend(struct vcpu *vcpu)
{
    struct svm_vcpu *s = svm_vcpu(vcpu);
    bool stepped = step_finish(s);

    s->event_cut = s->vmcb->exit_int_info & EVENT_VALID && svm_events_collect(vcpu, s);
    if (vcpu->attention & ATTENTION_FLUSHED)
        exit_flushed(s);
    if (vcpu->attention & ATTENTION_DIRTY)
        exit_cleaned(s);
    if (vcpu->attention & ATTENTION_INJECTED)
        exit_injected(vcpu, s);
    if (vcpu->attention & ATTENTION_CR8)
        cr8_store(vcpu, s);
    if (vcpu->attention & ATTENTION_NMI)
        nmi_finish(s, stepped);
    shadow_end(s, stepped);
    exit_note_insn(vcpu, s); /* a TF of ours is gone now */
}

static inline void exit_collect(struct vcpu *vcpu, const struct vmcb *vmcb)
{
    struct trace_exit *trace = vcpu_trace_next(vcpu);
    uint64_t rip = vmcb->rip;

    vcpu->gpr[REG_RAX] = vmcb->rax;
    vcpu->rip = rip;
    trace->reason = (uint32_t)vmcb->exit_code;
    trace->info = (uint32_t)vmcb->exit_info1;
    trace->rip = rip;
    if (vmcb_insn_odd(vmcb) || UNLIKELY(vmcb->exit_int_info & EVENT_VALID) || UNLIKELY(vcpu->attention))
        exit_attend(vcpu);
}

/* Without a length: of no instruction, or of one that core doesn't step over, or not of those in the table. */
static void exit_act_other(struct vcpu *vcpu, uint64_t code)
{
    if (LIKELY(code == EXIT_IOIO)) { /* tells its length by itself */
        svm_exit_rows[EXIT_IOIO].handle(vcpu);
        return;
    }
    vcpu->insn_len = 0;
    if (code < EXIT_COUNT && svm_exit_rows[code].handle)
        svm_exit_rows[code].handle(vcpu);
    else
        svm_exit_other(vcpu);
}

static inline void exit_act(struct vcpu *vcpu, const struct vmcb *vmcb)
{
    uint64_t code = vmcb->exit_code;
    const struct exit_row *row = &svm_exit_rows[code];

    if (UNLIKELY(code >= EXIT_COUNT || !row->insn))
        exit_act_other(vcpu, code);
    else if (UNLIKELY(!svm_length(vcpu, vmcb)))
        svm_exit_unmeasured(vcpu);
    else
        row->handle(vcpu);
}

/* After each VMRUN. Returns the vCPU, to go back into the guest, or NULL. */
struct vcpu *svm_exited(struct vcpu *vcpu, struct vmcb *vmcb)
{
    exit_collect(vcpu, vmcb);
    exit_act(vcpu, vmcb);
    if (UNLIKELY(!vcpu_unhindered(vcpu)) && !entry_hindered(vcpu))
        return NULL;
    entry_write(vcpu, vmcb);
    return vcpu;
}

/* The same while the trace is on. */
struct vcpu *svm_exited_traced(struct vcpu *vcpu, struct vmcb *vmcb)
{
    struct trace_event *event = trace_exit_begins(vcpu);
    struct vcpu *again = svm_exited(vcpu, vmcb);

    trace_exit_ends(event, vcpu);
    return again;
}

void svm_entry(struct vcpu *vcpu, uint64_t deadline)
{
    struct svm_vcpu *s = svm_vcpu(vcpu);

    (void)deadline; /* there is no preemption timer: the host's timer interrupt ends the run */
    entry_write(vcpu, s->vmcb);
    if (!vcpu->attention || entry_attend(vcpu, s))
        svm_run(vcpu, s->vmcb, s->vmcb_hpa, s->cpu->host_vmcb_hpa);
}
