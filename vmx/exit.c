/* From an exit reason to the one common action (core/exit.h). Instructions without operands need no translation. */
#include "core/exit.h"

#include "core/fetch.h"
#include "core/lib/log.h"
#include "core/vm.h"
#include "core/x86/asm.h"
#include "core/x86/cr.h"
#include "core/x86/irq.h"
#include "core/x86/msr.h"
#include "vmx/vmx.h"

#define DR7_GD BIT(13)

/* The CPU left DR6 and DR7 as they were before the exception (SDM 28.1): what its delivery does to them is done here. */
static void exit_debug(struct vcpu *vcpu, uint64_t info)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);
    uint64_t dr6 = vcpu_get(vcpu, REG_DR6) & ~0xfull;

    shadow_sync_debug(v);
    vcpu_set(vcpu, REG_DR7, vcpu_get(vcpu, REG_DR7) & ~DR7_GD);
    if (INTR_TYPE(info) == EVENT_PRIV_EXCEPTION) {
        struct event icebp = {.valid = true, .vector = EXC_DB, .type = EVENT_PRIV_EXCEPTION};

        icebp.insn_len = (uint8_t)vmread(VMCS_EXIT_INSN_LEN);
        event_reinject(vcpu, &icebp);
        return;
    }
    vcpu_set(vcpu, REG_DR6, dr6 | (v->qualification & QUAL_DB_DR6));
    event_raise(vcpu, EXC_DB, false, 0);
}

static void exit_exception(struct vcpu *vcpu)
{
    uint64_t info = vmread(VMCS_EXIT_INTR_INFO);

    if (INTR_TYPE(info) == EVENT_NMI) {
        raise_nmi();
        exit_host_interrupt(vcpu);
        return;
    }
    switch (INTR_VECTOR(info)) {
    case EXC_DB:
        exit_debug(vcpu, info);
        break;
    case EXC_AC:
        event_raise(vcpu, EXC_AC, true, (uint32_t)vmread(VMCS_EXIT_INTR_ERROR));
        break;
    case EXC_MC:
        raise_machine_check();
        exit_host_interrupt(vcpu);
        break;
    default:
        exit_failed(vcpu, "an exception exited that was not asked for");
    }
}

/* Where the CPU acknowledges the interrupt at the exit, no window brings it back (SDM 34.1). */
static void exit_ext_intr(struct vcpu *vcpu)
{
    if (!cap(CAP_POSTED)) {
        exit_interrupt(vcpu);
        return;
    }
    irq_dispatch(INTR_VECTOR(vmread(VMCS_EXIT_INTR_INFO)));
    exit_host_interrupt(vcpu);
}

static void exit_intr_window(struct vcpu *vcpu)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);

    vmx_nmi_at_intr_window(v);
    exit_window(vcpu, v->intr_window ? EVENT_INTERRUPT : EVENT_NMI);
}

static void exit_nmi_window(struct vcpu *vcpu)
{
    exit_window(vcpu, EVENT_NMI);
}

/* SDM table 28-2. The event that went through a task gate is delivered by the switch itself, not injected again. */
static void exit_task(struct vcpu *vcpu)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);
    uint64_t qualification = v->qualification;
    const struct event *event = &vcpu->events.reinject;

    if (QUAL_TASK_SOURCE(qualification) == QUAL_TASK_IRET)
        vmx_set_nmi_blocked(vcpu, false);
    else if (event->valid && event->type == EVENT_NMI)
        vmx_set_nmi_blocked(vcpu, true);
    vcpu->insn_len = (uint8_t)vmread(VMCS_EXIT_INSN_LEN);
    exit_task_switch(vcpu, QUAL_TASK_SELECTOR(qualification), QUAL_TASK_SOURCE(qualification));
}

static bool exit_from_64bit_code(const struct vmx_vcpu *v)
{
    return v->efer & EFER_LMA && vmread(VMCS_GUEST_ACCESS(SEG_CS)) & SEG_ATTR_L;
}

static void exit_cr_to(struct vcpu *vcpu, uint32_t cr, enum vcpu_reg from)
{
    uint64_t value = vcpu_get(vcpu, from);

    if (cr == 8)
        tpr_use(vcpu);
    exit_cr_write(vcpu, cr, exit_from_64bit_code(vmx_vcpu(vcpu)) ? value : (uint32_t)value);
}

/* SDM table 28-3. */
static void exit_cr(struct vcpu *vcpu)
{
    uint64_t qualification = exit_qualify(vcpu);
    uint32_t cr = QUAL_CR_NUMBER(qualification);

    switch (QUAL_CR_ACCESS(qualification)) {
    case QUAL_CR_TO:
        exit_cr_to(vcpu, cr, QUAL_CR_GPR(qualification));
        break;
    case QUAL_CR_FROM:
        exit_cr_read(vcpu, cr, QUAL_CR_GPR(qualification));
        break;
    case QUAL_CR_CLTS:
        exit_clts(vcpu);
        break;
    default:
        exit_lmsw(vcpu, QUAL_CR_LMSW_VALUE(qualification));
    }
}

/* SDM table 28-5. */
static void exit_io(struct vcpu *vcpu)
{
    uint64_t qualification = exit_qualify(vcpu);
    uint16_t port = QUAL_IO_PORT(qualification);

    if (UNLIKELY(qualification & QUAL_IO_STRING))
        exit_string_io(vcpu);
    else if (qualification & QUAL_IO_IN)
        exit_in(vcpu, port, QUAL_IO_SIZE(qualification));
    else
        exit_out(vcpu, port, QUAL_IO_SIZE(qualification));
}

/*
 * The CPU has set RF as for a fault, behind which the instruction runs again (28.3.3). It is carried out now: the next one is
 * to meet its breakpoint.
 */
static inline void flags_end_resume(struct vmx_vcpu *v)
{
    v->rflags &= ~(uint64_t)RFLAGS_RF;
    vmwrite(VMCS_GUEST_RFLAGS, v->rflags);
}

/* SDM table 28-7. */
static void exit_ept_violation(struct vcpu *vcpu)
{
    uint64_t qualification = vmx_vcpu(vcpu)->qualification;
    struct exit_memory access = {
        .gpa = vmread_surely(VMCS_GUEST_PHYSICAL),
        .write = qualification & QUAL_EPT_WRITE,
        .fetch = qualification & QUAL_EPT_FETCH,
        .table_walk = qualification & QUAL_EPT_GVA_VALID && !(qualification & QUAL_EPT_TRANSLATED),
    };

    access.event = vmread_surely(VMCS_IDT_INFO) & INTR_VALID;
    if (!access.event)
        flags_end_resume(vmx_vcpu(vcpu));
    exit_memory(vcpu, &access);
}

static void exit_ept_misconfig(struct vcpu *vcpu)
{
    gpa_t gpa = vmread(VMCS_GUEST_PHYSICAL);
    struct pt_leaf leaf;

    if (pt_lookup(&vcpu->vm->nested, gpa, &leaf))
        log_error("EPT misconfiguration: gpa=0x%llx hpa=0x%llx size=0x%llx attrs=0x%x",
                  (unsigned long long)gpa, (unsigned long long)leaf.hpa, (unsigned long long)leaf.len,
                  leaf.attrs);
    else
        log_error("EPT misconfiguration: gpa=0x%llx isn't mapped", (unsigned long long)gpa);
    exit_failed(vcpu, "EPT misconfiguration");
}

static void exit_vmcall(struct vcpu *vcpu)
{
    exit_hypercall(vcpu, SEG_ATTR_DPL((uint32_t)vmread_surely(VMCS_GUEST_ACCESS(SEG_SS))));
}

static void exit_tsc(struct vcpu *vcpu)
{
    exit_rdtsc(vcpu, false);
}

static void exit_tscp(struct vcpu *vcpu)
{
    exit_rdtsc(vcpu, true);
}

static void exit_refused(struct vcpu *vcpu)
{
    if (!mend_guest(vcpu))
        exit_failed(vcpu, vmx_vcpu(vcpu)->failure);
}

#define INSN(fn)                                                                                             \
    {                                                                                                        \
        fn, true                                                                                             \
    }
#define OTHER(fn)                                                                                            \
    {                                                                                                        \
        fn, false                                                                                            \
    }

const struct exit_row vmx_exit_rows[REASON_COUNT + 1] = {
    [REASON_EXCEPTION] = OTHER(exit_exception),
    [REASON_EXT_INTR] = OTHER(exit_ext_intr),
    [REASON_TRIPLE_FAULT] = OTHER(exit_triple_fault),
    [REASON_INIT] = OTHER(exit_init),
    [REASON_SIPI] = OTHER(exit_init),
    [REASON_INTR_WINDOW] = OTHER(exit_intr_window),
    [REASON_NMI_WINDOW] = OTHER(exit_nmi_window),
    [REASON_TASK_SWITCH] = OTHER(exit_task),
    [REASON_CPUID] = INSN(exit_cpuid),
    [REASON_GETSEC] = INSN(exit_undefined),
    [REASON_HLT] = INSN(exit_hlt),
    [REASON_INVD] = INSN(exit_invd),
    [REASON_RDPMC] = INSN(exit_rdpmc),
    [REASON_RDTSC] = INSN(exit_tsc),
    [REASON_RSM] = INSN(exit_undefined),
    [REASON_VMCALL] = INSN(exit_vmcall),
    [REASON_VMCLEAR] = INSN(exit_undefined),
    [REASON_VMLAUNCH] = INSN(exit_undefined),
    [REASON_VMPTRLD] = INSN(exit_undefined),
    [REASON_VMPTRST] = INSN(exit_undefined),
    [REASON_VMREAD] = INSN(exit_undefined),
    [REASON_VMRESUME] = INSN(exit_undefined),
    [REASON_VMWRITE] = INSN(exit_undefined),
    [REASON_VMXOFF] = INSN(exit_undefined),
    [REASON_VMXON] = INSN(exit_undefined),
    [REASON_CR_ACCESS] = INSN(exit_cr),
    [REASON_IO] = INSN(exit_io),
    [REASON_RDMSR] = INSN(exit_rdmsr),
    [REASON_WRMSR] = INSN(exit_wrmsr),
    [REASON_MWAIT] = INSN(exit_undefined),
    [REASON_MONITOR_TRAP] = OTHER(vmx_nmi_after_step),
    [REASON_MONITOR] = INSN(exit_undefined),
    [REASON_PAUSE] = INSN(exit_pause),
    [REASON_TPR_BELOW] = OTHER(exit_host_interrupt), /* tpr_leave has told the LAPIC */
    [REASON_APIC_ACCESS] = OTHER(apicv_access),
    [REASON_EOI] = OTHER(apicv_eoi),
    [REASON_EPT_VIOLATION] = OTHER(exit_ept_violation),
    [REASON_EPT_MISCONFIG] = OTHER(exit_ept_misconfig),
    [REASON_INVEPT] = INSN(exit_undefined),
    [REASON_RDTSCP] = INSN(exit_tscp),
    [REASON_PREEMPTION_TIMER] = OTHER(exit_host_interrupt),
    [REASON_INVVPID] = INSN(exit_undefined),
    [REASON_WBINVD] = INSN(exit_invd),
    [REASON_XSETBV] = INSN(exit_xsetbv),
    [REASON_APIC_WRITE] = OTHER(apicv_write),
    [REASON_VMFUNC] = INSN(exit_undefined),
    [REASON_ENCLS] = INSN(exit_undefined),
    [REASON_REFUSED] = OTHER(exit_refused),
};
