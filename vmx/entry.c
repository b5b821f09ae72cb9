/* Around each VM entry and exit. Every exit passes here: VMREADs and VMWRITEs are counted. */
#include "core/exit.h"
#include "core/exit_quick.h"
#include "core/run.h"
#include "core/trace.h"
#include "core/vapic.h"
#include "core/x86/asm.h"
#include "core/x86/cr.h"
#include "vmx/names.h"
#include "vmx/vmx.h"

/* What entry.asm relies on. */
_Static_assert(offsetof(struct vmx_frame, scratch) == 0 && offsetof(struct vmx_frame, gpr) == 8 &&
                   offsetof(struct vmx_frame, rsp) == 16 && offsetof(struct vmx_frame, cr2) == 24,
               "entry.asm: FRAME_");
_Static_assert(REG_RAX == 0 && REG_RCX == 1 && REG_RDX == 2 && REG_RBX == 3 && REG_RSP == 4 && REG_RBP == 5 &&
                   REG_RSI == 6 && REG_RDI == 7 && REG_R8 == 8 && REG_R15 == 15,
               "entry.asm: _AT");
_Static_assert(VMCS_EXIT_REASON == 0x4402 && REASON_CPUID == 10, "entry.asm");

#define FAR MASK(31)

/*
 * For a series of entries, and within one. The low half of the TSC is enough to tell how far away a deadline is: with one that is farther, the
 * guest leaves once for nothing. Without one, entries need not look at the time.
 */
void vmx_set_deadline(struct vcpu *vcpu, uint64_t deadline)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);

    if (!cap(CAP_PREEMPTION_TIMER))
        return;
    v->timed = deadline != UINT64_MAX;
    if (v->timed) {
        uint64_t now = rdtsc();

        v->deadline = (uint32_t)MIN(MAX(deadline, now), now + FAR);
    } else {
        vmwrite(VMCS_PREEMPTION_TIMER, UINT32_MAX);
    }
}

/* Rounds up: a tick of the timer late is better than an exit at which nothing is due yet (SDM 26.5.1). */
static inline void preemption_arm(const struct vmx_vcpu *v)
{
    uint32_t left = v->deadline - (uint32_t)rdtsc();

    vmwrite_surely(VMCS_PREEMPTION_TIMER, LIKELY((int32_t)left >= 0) ? (left >> v->timer_shift) + 1 : 0);
}

static void refuse(struct vmx_vcpu *v, const char *why)
{
    v->reason = REASON_REFUSED;
    v->failure = why;
}

/* What the vCPU's `attention` asks for before an entry; false if there must be none. */
static NOINLINE bool attention_settle(struct vmx_vcpu *v)
{
    uint32_t pending = __atomic_fetch_and(&v->vcpu->attention, PENDING_STAYS, __ATOMIC_ACQUIRE);

    if (pending & PENDING_REAL) {
        refuse(v, "the guest is in real mode, and this CPU has no unrestricted guest (or `disable=ug`)");
        exit_failed(v->vcpu, v->failure);
        return false;
    }
    if (pending & PENDING_PDPTE)
        mode_load_pdptes(v);
    if (pending & PENDING_STEP)
        vmx_nmi_before_step(v->vcpu);
    if (pending & PENDING_TPR)
        tpr_enter(v->vcpu);
    tlb_settle(v, pending);
    return true;
}

/* The rare work before an entry; false if there must be none. */
static inline bool entry_attend(struct vcpu *vcpu)
{
    if (vcpu->vapic && vapic_waits(vcpu->vapic))
        apicv_sync(vmx_vcpu(vcpu));
    return !vcpu->attention || attention_settle(vmx_vcpu(vcpu));
}

/* VMLAUNCH or VMRESUME went on to the next instruction (SDM 31.2, 31.4). */
static NOINLINE void entry_refused(struct vmx_vcpu *v, uint32_t how)
{
    v->entry_failed = true;
    refuse(v,
           how == 1 ? "VM entry without a current VMCS" : insn_error_name((uint32_t)vmread(VMCS_INSN_ERROR)));
    exit_failed(v->vcpu, v->failure);
}

/* The entry went wrong on its way (SDM 27.8). Nothing was launched. */
static void exit_of_failed_entry(struct vmx_vcpu *v, uint32_t reason)
{
    v->launched = false;
    v->entry_failed = true;
    refuse(v, reason_name(reason));
    if (REASON_BASIC(reason) == REASON_ENTRY_MC)
        raise_machine_check();
}

/* Both are asked for by nearly every exit, by vcpu_advance if by nobody else. */
static inline void exit_read_flags(struct vcpu *vcpu, struct vmx_vcpu *v)
{
    v->rflags = vmread_surely(VMCS_GUEST_RFLAGS);
    v->shadow = (uint32_t)vmread_surely(VMCS_INTERRUPTIBILITY);
    vcpu->insn_plain = !((v->rflags & RFLAGS_TF) | (v->shadow & SHADOW_INSN));
}

/* What every exit has. */
static inline void exit_read(struct vcpu *vcpu, struct vmx_vcpu *v, uint64_t reason)
{
    struct trace_exit *trace = vcpu_trace_next(vcpu);
    uint64_t rip = vmread_surely(VMCS_GUEST_RIP);

    vcpu->rip = rip;
    trace->reason = (uint32_t)reason;
    trace->info = 0;
    trace->rip = rip;
    exit_read_flags(vcpu, v);
}

/* An exit that isn't an instruction's. */
static inline void exit_collect(struct vcpu *vcpu, struct vmx_vcpu *v, uint64_t reason)
{
    vcpu->insn_len = 0;
    v->qualification = exit_qualify(vcpu);
    if (UNLIKELY(reason & REASON_ENTRY_FAILED))
        exit_of_failed_entry(v, (uint32_t)reason);
    else if (UNLIKELY(reason >= REASON_COUNT || !vmx_exit_rows[reason].handle))
        refuse(v, "the CPU reports an exit that was not asked for");
    else
        vmx_events_collect(vcpu);
}

/* All but instructions' exits of guests that don't use CR8. */
static NOINLINE void exit_other(struct vcpu *vcpu, uint64_t reason)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);

    v->reason = (uint32_t)reason;
    if (reason < REASON_COUNT && vmx_exit_rows[reason].insn)
        vcpu->insn_len = (uint8_t)vmread_surely(VMCS_EXIT_INSN_LEN);
    else
        exit_collect(vcpu, v, reason);
    if (UNLIKELY(vcpu->attention & PENDING_TPR))
        tpr_leave(vcpu);
    vmx_exit_rows[v->reason].handle(vcpu);
}

static inline void exit_act(struct vcpu *vcpu, uint64_t reason)
{
    if (UNLIKELY(reason >= REASON_COUNT || !vmx_exit_rows[reason].insn || vcpu->attention & PENDING_TPR)) {
        exit_other(vcpu, reason);
    } else {
        vcpu->insn_len = (uint8_t)vmread_surely(VMCS_EXIT_INSN_LEN);
        vmx_exit_rows[reason].handle(vcpu);
    }
}

static NOINLINE bool entry_hindered(struct vcpu *vcpu)
{
    vcpu_attend_events(vcpu);
    return !vcpu->look && entry_attend(vcpu);
}

/* After each exit, for that reason. Returns the vCPU, to go back into the guest, or NULL. */
struct vcpu *vmx_exited(struct vcpu *vcpu, uint64_t reason)
{
    exit_read(vcpu, vmx_vcpu(vcpu), reason);
    exit_act(vcpu, reason);
    if (UNLIKELY(!vcpu_unhindered(vcpu)) && !entry_hindered(vcpu))
        return NULL;
    vmwrite_surely(VMCS_GUEST_RIP, vcpu->rip); /* few exits leave it where it was */
    if (LIKELY(vmx_vcpu(vcpu)->timed))
        preemption_arm(vmx_vcpu(vcpu));
    return vcpu;
}

/* The same while the trace is on. */
struct vcpu *vmx_exited_traced(struct vcpu *vcpu, uint64_t reason)
{
    struct trace_event *event = trace_exit_begins(vcpu);
    struct vcpu *again = vmx_exited(vcpu, reason);

    trace_exit_ends(event, vcpu);
    return again;
}

/* After a CPUID's exit (core/exit_quick.h). The answer, all else being done; NULL: go on as after any other. */
const struct cpuid_row *vmx_exited_cpuid(struct vcpu *vcpu)
{
    const struct cpuid_row *row = exit_quick_find(vcpu, vcpu->gpr[REG_RAX]);
    uint64_t rip, next, len;

    if (UNLIKELY(!row) || UNLIKELY((vmread_surely(VMCS_GUEST_RFLAGS) & RFLAGS_TF) |
                                   (vmread_surely(VMCS_INTERRUPTIBILITY) & SHADOW_INSN)))
        return NULL;
    rip = vmread_surely(VMCS_GUEST_RIP);
    len = vmread_surely(VMCS_EXIT_INSN_LEN);
    next = rip + len;
    if (UNLIKELY((uint32_t)next < len)) /* across 4 GiB, the mode decides where RIP goes */
        return NULL;
    exit_quick_note(vcpu, REASON_CPUID, rip);
    vmwrite_surely(VMCS_GUEST_RIP, next);
    if (LIKELY(vmx_vcpu(vcpu)->timed))
        preemption_arm(vmx_vcpu(vcpu));
    return row;
}

void vmx_enter(struct vcpu *vcpu, uint64_t deadline)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);
    bool launched = v->launched;
    uint32_t failed;

    vmx_set_deadline(vcpu, deadline);
    if (!entry_attend(vcpu))
        return;
    vmwrite(VMCS_GUEST_RIP, vcpu->rip);
    if (v->timed)
        preemption_arm(v);
    v->launched = true; /* unless an exit finds that the entry failed */
    failed = vmx_run(&v->frame, launched);
    if (UNLIKELY(failed)) {
        v->launched = launched;
        entry_refused(v, failed);
    }
}
