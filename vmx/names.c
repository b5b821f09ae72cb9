#include "vmx/names.h"

#include "vmx/vmcs.h"

static const char *const reasons[REASON_COUNT] = {
    [REASON_EXCEPTION] = "exception or NMI",
    [REASON_EXT_INTR] = "external interrupt",
    [REASON_TRIPLE_FAULT] = "triple fault",
    [REASON_INIT] = "INIT signal",
    [REASON_SIPI] = "start-up IPI",
    [REASON_IO_SMI] = "I/O SMI",
    [REASON_OTHER_SMI] = "other SMI",
    [REASON_INTR_WINDOW] = "interrupt window",
    [REASON_NMI_WINDOW] = "NMI window",
    [REASON_TASK_SWITCH] = "task switch",
    [REASON_CPUID] = "CPUID",
    [REASON_GETSEC] = "GETSEC",
    [REASON_HLT] = "HLT",
    [REASON_INVD] = "INVD",
    [REASON_INVLPG] = "INVLPG",
    [REASON_RDPMC] = "RDPMC",
    [REASON_RDTSC] = "RDTSC",
    [REASON_RSM] = "RSM",
    [REASON_VMCALL] = "VMCALL",
    [REASON_VMCLEAR] = "VMCLEAR",
    [REASON_VMLAUNCH] = "VMLAUNCH",
    [REASON_VMPTRLD] = "VMPTRLD",
    [REASON_VMPTRST] = "VMPTRST",
    [REASON_VMREAD] = "VMREAD",
    [REASON_VMRESUME] = "VMRESUME",
    [REASON_VMWRITE] = "VMWRITE",
    [REASON_VMXOFF] = "VMXOFF",
    [REASON_VMXON] = "VMXON",
    [REASON_CR_ACCESS] = "control-register access",
    [REASON_MOV_DR] = "MOV DR",
    [REASON_IO] = "I/O instruction",
    [REASON_RDMSR] = "RDMSR",
    [REASON_WRMSR] = "WRMSR",
    [REASON_BAD_GUEST_STATE] = "entry failed: invalid guest state",
    [REASON_BAD_MSR_LOAD] = "entry failed: MSR loading",
    [REASON_MWAIT] = "MWAIT",
    [REASON_MONITOR_TRAP] = "monitor trap flag",
    [REASON_MONITOR] = "MONITOR",
    [REASON_PAUSE] = "PAUSE",
    [REASON_ENTRY_MC] = "entry failed: machine check",
    [REASON_TPR_BELOW] = "TPR below threshold",
    [REASON_APIC_ACCESS] = "APIC access",
    [REASON_EOI] = "virtualized EOI",
    [REASON_GDTR_IDTR] = "GDTR or IDTR access",
    [REASON_LDTR_TR] = "LDTR or TR access",
    [REASON_EPT_VIOLATION] = "EPT violation",
    [REASON_EPT_MISCONFIG] = "EPT misconfiguration",
    [REASON_INVEPT] = "INVEPT",
    [REASON_RDTSCP] = "RDTSCP",
    [REASON_PREEMPTION_TIMER] = "preemption timer",
    [REASON_INVVPID] = "INVVPID",
    [REASON_WBINVD] = "WBINVD",
    [REASON_XSETBV] = "XSETBV",
    [REASON_APIC_WRITE] = "APIC write",
    [REASON_RDRAND] = "RDRAND",
    [REASON_INVPCID] = "INVPCID",
    [REASON_VMFUNC] = "VMFUNC",
    [REASON_ENCLS] = "ENCLS",
    [REASON_RDSEED] = "RDSEED",
    [REASON_PML_FULL] = "page-modification log full",
    [REASON_XSAVES] = "XSAVES",
    [REASON_XRSTORS] = "XRSTORS",
    [REASON_PCONFIG] = "PCONFIG",
    [REASON_SPP] = "sub-page permission event",
    [REASON_UMWAIT] = "UMWAIT",
    [REASON_TPAUSE] = "TPAUSE",
    [REASON_LOADIWKEY] = "LOADIWKEY",
};

const char *reason_name(uint32_t reason)
{
    uint32_t basic = REASON_BASIC(reason);
    const char *name = basic < REASON_COUNT ? reasons[basic] : NULL;

    return name ? name : "unknown exit";
}

const char *insn_error_name(uint32_t error)
{
    switch (error) {
    case 1:
        return "VMCALL in VMX root mode";
    case 2:
        return "VMCLEAR with a bad address";
    case 3:
        return "VMCLEAR with the VMXON pointer";
    case 4:
        return "VMLAUNCH with a VMCS that isn't clear";
    case 5:
        return "VMRESUME with a VMCS that isn't launched";
    case 6:
        return "VMRESUME after VMXOFF";
    case 7:
        return "VM entry with invalid control fields";
    case 8:
        return "VM entry with invalid host state";
    case 9:
        return "VMPTRLD with a bad address";
    case 10:
        return "VMPTRLD with the VMXON pointer";
    case 11:
        return "VMPTRLD with a wrong revision";
    case 12:
        return "VMREAD or VMWRITE of a field that this CPU hasn't got";
    case 13:
        return "VMWRITE to a read-only field";
    case 15:
        return "VMXON in VMX root mode";
    case 26:
        return "VM entry with events blocked by MOV SS";
    case 28:
        return "INVEPT or INVVPID with a bad operand";
    default:
        return "a VMX instruction failed";
    }
}

const struct field_name field_names[] = {
    {VMCS_EXIT_REASON, "exit reason"},
    {VMCS_QUALIFICATION, "qualification"},
    {VMCS_INSN_ERROR, "instruction error"},
    {VMCS_EXIT_INTR_INFO, "exit interruption"},
    {VMCS_EXIT_INTR_ERROR, "exit error code"},
    {VMCS_IDT_INFO, "IDT vectoring"},
    {VMCS_IDT_ERROR, "IDT error code"},
    {VMCS_EXIT_INSN_LEN, "exit length"},
    {VMCS_EXIT_INSN_INFO, "instruction info"},
    {VMCS_GUEST_PHYSICAL, "guest physical"},
    {VMCS_GUEST_LINEAR, "guest linear"},

    {VMCS_GUEST_CR0, "guest CR0"},
    {VMCS_GUEST_CR3, "guest CR3"},
    {VMCS_GUEST_CR4, "guest CR4"},
    {VMCS_GUEST_DR7, "guest DR7"},
    {VMCS_GUEST_RSP, "guest RSP"},
    {VMCS_GUEST_RIP, "guest RIP"},
    {VMCS_GUEST_RFLAGS, "guest RFLAGS"},
    {VMCS_GUEST_DEBUGCTL, "guest DEBUGCTL"},
    {VMCS_GUEST_SYSENTER_CS, "guest SYSENTER_CS"},
    {VMCS_GUEST_SYSENTER_ESP, "guest SYSENTER_ESP"},
    {VMCS_GUEST_SYSENTER_EIP, "guest SYSENTER_EIP"},
    {VMCS_GUEST_EFER, "guest EFER"},
    {VMCS_GUEST_PAT, "guest PAT"},
    {VMCS_GUEST_PDPTE(0), "guest PDPTE0"},
    {VMCS_GUEST_PDPTE(1), "guest PDPTE1"},
    {VMCS_GUEST_PDPTE(2), "guest PDPTE2"},
    {VMCS_GUEST_PDPTE(3), "guest PDPTE3"},
    {VMCS_INTERRUPTIBILITY, "interruptibility"},
    {VMCS_ACTIVITY, "activity"},
    {VMCS_PENDING_DEBUG, "pending debug"},
    {VMCS_LINK_POINTER, "link pointer"},
    {VMCS_PREEMPTION_TIMER, "preemption timer"},

    {VMCS_PIN_CONTROLS, "pin controls"},
    {VMCS_PROC_CONTROLS, "processor controls"},
    {VMCS_PROC2_CONTROLS, "secondary controls"},
    {VMCS_EXIT_CONTROLS, "exit controls"},
    {VMCS_ENTRY_CONTROLS, "entry controls"},
    {VMCS_EXCEPTION_BITMAP, "exception bitmap"},
    {VMCS_ENTRY_INTR_INFO, "entry interruption"},
    {VMCS_ENTRY_ERROR_CODE, "entry error code"},
    {VMCS_ENTRY_INSN_LEN, "entry length"},
    {VMCS_EXIT_MSR_STORE_NUM, "exit MSR stores"},
    {VMCS_EXIT_MSR_LOAD_NUM, "exit MSR loads"},
    {VMCS_ENTRY_MSR_LOAD_NUM, "entry MSR loads"},
    {VMCS_MSR_BITMAP, "MSR bitmap"},
    {VMCS_VIRTUAL_APIC, "virtual-APIC page"},
    {VMCS_TPR_THRESHOLD, "TPR threshold"},
    {VMCS_APIC_ACCESS, "APIC-access page"},
    {VMCS_GUEST_INTR_STATUS, "interrupt status"},
    {VMCS_POSTED_DESCRIPTOR, "posted descriptor"},
    {VMCS_POSTED_VECTOR, "posted vector"},
    {VMCS_TSC_OFFSET, "TSC offset"},
    {VMCS_EPTP, "EPT pointer"},
    {VMCS_VPID, "VPID"},
    {VMCS_CR0_MASK, "CR0 mask"},
    {VMCS_CR0_SHADOW, "CR0 shadow"},
    {VMCS_CR4_MASK, "CR4 mask"},
    {VMCS_CR4_SHADOW, "CR4 shadow"},
    {VMCS_CR3_TARGET_COUNT, "CR3 targets"},
    {VMCS_PLE_GAP, "PLE gap"},
    {VMCS_PLE_WINDOW, "PLE window"},

    {VMCS_HOST_CR0, "host CR0"},
    {VMCS_HOST_CR3, "host CR3"},
    {VMCS_HOST_CR4, "host CR4"},
    {VMCS_HOST_CS_SELECTOR, "host CS"},
    {VMCS_HOST_SS_SELECTOR, "host SS"},
    {VMCS_HOST_DS_SELECTOR, "host DS"},
    {VMCS_HOST_ES_SELECTOR, "host ES"},
    {VMCS_HOST_FS_SELECTOR, "host FS"},
    {VMCS_HOST_GS_SELECTOR, "host GS"},
    {VMCS_HOST_TR_SELECTOR, "host TR"},
    {VMCS_HOST_FS_BASE, "host FS base"},
    {VMCS_HOST_GS_BASE, "host GS base"},
    {VMCS_HOST_TR_BASE, "host TR base"},
    {VMCS_HOST_GDTR_BASE, "host GDTR base"},
    {VMCS_HOST_IDTR_BASE, "host IDTR base"},
    {VMCS_HOST_SYSENTER_CS, "host SYSENTER_CS"},
    {VMCS_HOST_SYSENTER_ESP, "host SYSENTER_ESP"},
    {VMCS_HOST_SYSENTER_EIP, "host SYSENTER_EIP"},
    {VMCS_HOST_EFER, "host EFER"},
    {VMCS_HOST_PAT, "host PAT"},
    {VMCS_HOST_RSP, "host RSP"},
    {VMCS_HOST_RIP, "host RIP"},
    {0, NULL},
};
