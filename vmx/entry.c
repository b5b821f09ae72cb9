/* Into the guest and back. Every exit passes here: VMREADs and VMWRITEs are counted. */
#include "core/exit.h"
#include "core/vapic.h"
#include "core/x86/asm.h"
#include "core/x86/cr.h"
#include "vmx/names.h"
#include "vmx/vmx.h"

/* What entry.asm relies on. */
_Static_assert(offsetof(struct vmx_frame, scratch) == 0 && offsetof(struct vmx_frame, gpr) == 8 &&
                   offsetof(struct vmx_frame, rsp) == 16,
               "entry.asm: FRAME_");
_Static_assert(REG_RAX == 0 && REG_RCX == 1 && REG_RDX == 2 && REG_RBX == 3 && REG_RSP == 4 && REG_RBP == 5 &&
                   REG_RSI == 6 && REG_RDI == 7 && REG_R8 == 8 && REG_R15 == 15,
               "entry.asm: _AT");

#define TIMER_MAX 0xffffffffull

/*
 * Rounds up: a tick of the timer late is better than an exit at which nothing is due yet (SDM 26.5.1). Without a deadline,
 * or with a far one, the guest leaves once in 2^32 ticks for nothing.
 */
static void preemption_arm(struct vmx_vcpu *v, uint64_t deadline)
{
    uint64_t now, ticks = TIMER_MAX;

    if (deadline != UINT64_MAX) {
        now = rdtsc();
        ticks = LIKELY(deadline > now) ? ((deadline - now) >> vmx.timer_shift) + 1 : 0;
        ticks = MIN(ticks, TIMER_MAX);
    }
    if (ticks == v->timer_ticks)
        return;
    v->timer_ticks = (uint32_t)ticks;
    vmwrite(VMCS_PREEMPTION_TIMER, ticks);
}

static void refuse(struct vmx_vcpu *v, const char *why)
{
    v->reason = REASON_REFUSED;
    v->failure = why;
}

/* The rare work before an entry; false if there must be none. */
static NOINLINE bool entry_prepare(struct vmx_vcpu *v)
{
    uint32_t pending = __atomic_fetch_and(&v->pending, (uint32_t)(PENDING_REAL | PENDING_STEP),
                                          __ATOMIC_ACQUIRE);

    if (pending & PENDING_REAL) {
        refuse(v, "the guest is in real mode, and this CPU has no unrestricted guest (or `disable=ug`)");
        return false;
    }
    if (pending & PENDING_PDPTE)
        mode_load_pdptes(v);
    if (pending & PENDING_STEP)
        vmx_nmi_before_step(v->vcpu);
    tlb_settle(v, pending);
    return true;
}

/* VMLAUNCH or VMRESUME went on to the next instruction (SDM 31.2, 31.4). */
static NOINLINE void entry_refused(struct vmx_vcpu *v, uint32_t how)
{
    v->entry_failed = true;
    refuse(v,
           how == 1 ? "VM entry without a current VMCS" : insn_error_name((uint32_t)vmread(VMCS_INSN_ERROR)));
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

/* An exit that isn't an instruction's. */
static NOINLINE void exit_collect(struct vcpu *vcpu, uint32_t reason)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);

    vcpu->insn_len = 0;
    if (UNLIKELY(reason & REASON_ENTRY_FAILED))
        exit_of_failed_entry(v, reason);
    else if (UNLIKELY(reason >= REASON_COUNT || !exit_rows[reason].handle))
        refuse(v, "the CPU reports an exit that was not asked for");
    else if (reason != REASON_TASK_SWITCH)
        vmx_events_collect(vcpu);
}

/* Both are asked for by nearly every exit, by vcpu_advance if by nobody else. */
static void exit_read_flags(struct vcpu *vcpu, struct vmx_vcpu *v)
{
    v->rflags = vmread(VMCS_GUEST_RFLAGS);
    v->shadow = (uint32_t)vmread(VMCS_INTERRUPTIBILITY);
    v->valid = VALID_RFLAGS | VALID_SHADOW;
    vcpu->insn_plain = !((v->rflags & RFLAGS_TF) | (v->shadow & SHADOW_INSN));
}

static void exit_record(struct vcpu *vcpu, struct vmx_vcpu *v)
{
    struct vcpu_trace *trace = vcpu_trace_next(vcpu);
    uint32_t reason = (uint32_t)vmread(VMCS_EXIT_REASON);
    uint64_t qualification = vmread(VMCS_QUALIFICATION), rip = vmread(VMCS_GUEST_RIP);

    v->reason = reason;
    v->qualification = qualification;
    vcpu->rip = rip;
    *trace = (struct vcpu_trace){reason, (uint32_t)qualification, rip};
    exit_read_flags(vcpu, v);
    if (LIKELY(reason < REASON_COUNT && exit_rows[reason].insn))
        vcpu->insn_len = (uint8_t)vmread(VMCS_EXIT_INSN_LEN);
    else
        exit_collect(vcpu, reason);
}

void vmx_enter(struct vcpu *vcpu, uint64_t deadline)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);
    uint32_t failed;

    if (UNLIKELY(__atomic_load_n(&v->pending, __ATOMIC_RELAXED)) && !entry_prepare(v))
        return;
    if (LIKELY(vcpu->rip_dirty)) {
        vcpu->rip_dirty = false;
        vmwrite(VMCS_GUEST_RIP, vcpu->rip);
    }
    if (cap(CAP_PREEMPTION_TIMER))
        preemption_arm(v, deadline);
    if (vcpu->vapic && UNLIKELY(vapic_waits(vcpu->vapic)))
        apicv_sync(v);
    if (UNLIKELY(v->cr8_used))
        tpr_enter(vcpu);
    failed = vmx_run(&v->frame, v->launched);
    if (UNLIKELY(failed)) {
        entry_refused(v, failed);
        return;
    }
    v->launched = true;
    exit_record(vcpu, v);
    if (UNLIKELY(v->cr8_used))
        tpr_leave(vcpu);
}
