/* From an exit code to the one common action (APM volume 2, appendix C; 15.9-15.14 for what comes with each). */
#include "core/exit.h"

#include "core/emulate.h"
#include "core/x86/asm.h"
#include "svm/check.h"
#include "svm/length.h"
#include "svm/movcr.h"
#include "svm/nmi.h"
#include "svm/step.h"
#include "svm/svm.h"

/* The exception is consumed by the exit: the host's handler has to be called. */
static void on_machine_check(struct vcpu *vcpu)
{
    raise_machine_check();
    exit_host_interrupt(vcpu);
}

/* DR6 and DR7 are as the guest's handler must find them (15.12.2). */
static void on_debug(struct vcpu *vcpu)
{
    if (step_hides(svm_vcpu(vcpu)))
        exit_host_interrupt(vcpu);
    else
        event_raise(vcpu, EXC_DB, false, 0);
}

static void on_alignment(struct vcpu *vcpu)
{
    const struct svm_vcpu *s = svm_vcpu(vcpu);

    event_raise(vcpu, EXC_AC, true, (uint32_t)s->vmcb->exit_info1);
}

static void on_window(struct vcpu *vcpu)
{
    exit_window(vcpu, EVENT_INTERRUPT);
}

static void on_iret(struct vcpu *vcpu)
{
    struct svm_vcpu *s = svm_vcpu(vcpu);

    nmi_iret(vcpu, s);
    exit_host_interrupt(vcpu);
}

static void on_hypercall(struct vcpu *vcpu)
{
    exit_hypercall(vcpu, svm_vcpu(vcpu)->vmcb->cpl);
}

static void on_msr(struct vcpu *vcpu)
{
    const struct svm_vcpu *s = svm_vcpu(vcpu);

    if (s->vmcb->exit_info1 & 1)
        exit_wrmsr(vcpu);
    else
        exit_rdmsr(vcpu);
}

static void on_io(struct vcpu *vcpu)
{
    const struct vmcb *vmcb = svm_vcpu(vcpu)->vmcb;
    uint64_t info = vmcb->exit_info1;

    vcpu->insn_len = (uint8_t)(vmcb->exit_info2 - vmcb->rip);
    if (UNLIKELY(info & IOIO_STRING))
        exit_string_io(vcpu);
    else if (info & IOIO_IN)
        exit_in(vcpu, IOIO_PORT(info), IOIO_SIZE(info));
    else
        exit_out(vcpu, IOIO_PORT(info), IOIO_SIZE(info));
}

static NOINLINE void nested_fault_kind(uint64_t info, struct exit_memory *access)
{
    access->fetch = info & NPF_FETCH;
    access->table_walk = info & NPF_TABLE_WALK;
}

/* An event was cut short; or it is an instruction, which is carried out now, and with which RF ends. */
static NOINLINE void nested_fault_odd(struct vcpu *vcpu, struct exit_memory *access)
{
    access->event = svm_vcpu(vcpu)->event_cut;
    if (!access->event)
        vcpu_set(vcpu, REG_RFLAGS, vcpu_get(vcpu, REG_RFLAGS) & ~(uint64_t)RFLAGS_RF);
}

static void on_nested_fault(struct vcpu *vcpu)
{
    const struct vmcb *vmcb = svm_vcpu(vcpu)->vmcb;
    uint64_t info = vmcb->exit_info1;
    struct exit_memory access = {
        .gpa = vmcb->exit_info2,
        .write = !!(info & NPF_WRITE),
    };

    if (UNLIKELY(info & (NPF_FETCH | NPF_TABLE_WALK)))
        nested_fault_kind(info, &access);
    if (vmcb->insn_len && cap(CAP_DECODE_ASSISTS)) {
        access.bytes = vmcb->insn_bytes;
        access.bytes_len = MIN(vmcb->insn_len, sizeof vmcb->insn_bytes);
    }
    if (UNLIKELY(!vcpu->insn_plain))
        nested_fault_odd(vcpu, &access);
    exit_memory(vcpu, &access);
}

const struct exit_row svm_exit_rows[EXIT_COUNT] = {
    [EXIT_CR8_READ] = {movcr_read8, true},
    [EXIT_CR4_WRITE] = {movcr_write4, true},
    [EXIT_CR0_SEL_WRITE] = {movcr_write0, true},
    [EXIT_TR_WRITE] = {emulate_insn, true},
    [EXIT_CR8_WRITE] = {movcr_write, true},
    [EXIT_EXCEPTION + EXC_DB] = {on_debug, false},
    [EXIT_EXCEPTION + EXC_UD] = {exit_undefined, false},
    [EXIT_EXCEPTION + EXC_AC] = {on_alignment, false},
    [EXIT_EXCEPTION + EXC_MC] = {on_machine_check, false},
    [EXIT_INTR] = {exit_interrupt, false},
    [EXIT_NMI] = {exit_host_interrupt, false}, /* the host took it at STGI */
    [EXIT_SMI] = {exit_host_interrupt, false}, /* likewise */
    [EXIT_INIT] = {exit_init, false},
    [EXIT_VINTR] = {on_window, false},
    [EXIT_RDPMC] = {exit_rdpmc, false},
    [EXIT_CPUID] = {exit_cpuid, true},
    [EXIT_IRET] = {on_iret, false},
    [EXIT_INVD] = {exit_invd, true},
    [EXIT_PAUSE] = {exit_pause, true},
    [EXIT_HLT] = {exit_hlt, true},
    [EXIT_INVLPGA] = {exit_undefined, false},
    [EXIT_IOIO] = {on_io, false},
    [EXIT_MSR] = {on_msr, true},
    [EXIT_SHUTDOWN] = {exit_triple_fault, false},
    [EXIT_VMRUN] = {exit_undefined, false},
    [EXIT_VMMCALL] = {on_hypercall, true},
    [EXIT_VMLOAD] = {exit_undefined, false},
    [EXIT_VMSAVE] = {exit_undefined, false},
    [EXIT_STGI] = {exit_undefined, false},
    [EXIT_CLGI] = {exit_undefined, false},
    [EXIT_SKINIT] = {exit_undefined, false},
    [EXIT_RDTSCP] = {exit_undefined, false},
    [EXIT_WBINVD] = {exit_invd, true},
    [EXIT_MONITOR] = {exit_undefined, false},
    [EXIT_MWAIT] = {exit_undefined, false},
    [EXIT_MWAIT_ARMED] = {exit_undefined, false},
    [EXIT_XSETBV] = {exit_xsetbv, true},
    [EXIT_RDPRU] = {exit_undefined, false},
    [EXIT_INVLPGB] = {exit_undefined, false},
    [EXIT_INVPCID] = {exit_undefined, false},
    [EXIT_MCOMMIT] = {exit_undefined, false},
    [EXIT_TLBSYNC] = {exit_undefined, false},
};

void svm_exit_other(struct vcpu *vcpu)
{
    const struct vmcb *vmcb = svm_vcpu(vcpu)->vmcb;

    if (LIKELY(vmcb->exit_code == EXIT_NPF))
        on_nested_fault(vcpu);
    else if ((uint32_t)vmcb->exit_code != (uint32_t)EXIT_INVALID)
        exit_failed(vcpu, "an exit that isn't expected");
    else if (svm_on_tcg && check_mend_code(svm_vcpu(vcpu)->vmcb))
        vmcb_dirty(svm_vcpu(vcpu), CLEAN_SEG);
    else if (check_vmcb(vmcb, &svm_limits, NULL, NULL) || !movcr_write3(vcpu))
        exit_failed(vcpu, check_first(vmcb, &svm_limits));
}

void svm_exit_unmeasured(struct vcpu *vcpu)
{
    svm_length_learn(vcpu);
    if (UNLIKELY(!vcpu->insn_len)) {
        vcpu->insn_plain = false;
        attention_set(svm_vcpu(vcpu), ATTENTION_ODD);
    }
    svm_exit_rows[svm_vcpu(vcpu)->vmcb->exit_code].handle(vcpu);
}
