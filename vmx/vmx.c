/* Turning VMX on (SDM volume 3, 24.7) and what all cores share. */
#include "vmx/vmx.h"

#include "core/lib/error.h"
#include "core/lib/log.h"
#include "core/lib/string.h"
#include "core/x86/asm.h"
#include "core/x86/cr.h"
#include "core/x86/msr.h"
#include "mm/frame.h"
#include "mm/layout.h"
#include "mm/pt.h"
#include "vmx/names.h"

#define CPUID_1_ECX_VMX       BIT(5)
#define CPUID_7_EBX_INVPCID   BIT(10)
#define CPUID_7_ECX_LA57      BIT(16)
#define CPUID_D1_EAX_XSAVES   BIT(3)
#define CPUID_EXT1_EDX_RDTSCP BIT(27)

/* What a guest may do to CR4 without anyone having to know: no feature that its CPUID may lack hangs on these. */
#define CR4_HARMLESS                                                                                         \
    (CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCE | CR4_OSFXSR |             \
     CR4_OSXMMEXCPT)

struct vmx vmx;

static void capability_read_controls(struct vmx_capability *c)
{
    bool true_controls = c->basic & BASIC_TRUE_CONTROLS;

    c->pin = rdmsr(true_controls ? MSR_VMX_TRUE_PINBASED_CTLS : MSR_VMX_PINBASED_CTLS);
    c->proc = rdmsr(true_controls ? MSR_VMX_TRUE_PROCBASED_CTLS : MSR_VMX_PROCBASED_CTLS);
    c->exit = rdmsr(true_controls ? MSR_VMX_TRUE_EXIT_CTLS : MSR_VMX_EXIT_CTLS);
    c->entry = rdmsr(true_controls ? MSR_VMX_TRUE_ENTRY_CTLS : MSR_VMX_ENTRY_CTLS);
    if (control_allowed(c->proc, PROC_SECONDARY))
        c->proc2 = rdmsr(MSR_VMX_PROCBASED_CTLS2);
    if (control_allowed(c->proc2, PROC2_EPT) || control_allowed(c->proc2, PROC2_VPID))
        c->ept_vpid = rdmsr(MSR_VMX_EPT_VPID_CAP);
}

static struct caps insns_of_cpuid(void)
{
    uint32_t last = cpuid(0, 0).eax, last_extended = cpuid(0x80000000, 0).eax;
    struct caps insns = {0};

    if (last >= 7 && cpuid(7, 0).ebx & CPUID_7_EBX_INVPCID)
        insns.bits |= BIT(CAP_INVPCID);
    if (last >= 7 && cpuid(7, 0).ecx & CPUID_7_ECX_LA57)
        insns.bits |= BIT(CAP_LA57);
    if (last >= 0xd && cpuid(0xd, 1).eax & CPUID_D1_EAX_XSAVES)
        insns.bits |= BIT(CAP_XSAVES);
    if (last_extended >= 0x80000001 && cpuid(0x80000001, 0).edx & CPUID_EXT1_EDX_RDTSCP)
        insns.bits |= BIT(CAP_RDTSCP);
    return insns;
}

static void capability_read(struct vmx_capability *c)
{
    uint32_t bits = cpuid(0x80000008, 0).eax;

    memset(c, 0, sizeof(*c));
    c->vmx = cpuid(1, 0).ecx & CPUID_1_ECX_VMX;
    if (!c->vmx)
        return;
    c->insns = insns_of_cpuid();
    c->feature_control = rdmsr(MSR_FEATURE_CONTROL);
    c->basic = rdmsr(MSR_VMX_BASIC);
    c->misc = rdmsr(MSR_VMX_MISC);
    c->cr0_fixed0 = rdmsr(MSR_VMX_CR0_FIXED0);
    c->cr0_fixed1 = rdmsr(MSR_VMX_CR0_FIXED1);
    c->cr4_fixed0 = rdmsr(MSR_VMX_CR4_FIXED0);
    c->cr4_fixed1 = rdmsr(MSR_VMX_CR4_FIXED1);
    c->physical_bits = bits & 0xff;
    c->linear_bits = bits >> 8 & 0xff;
    capability_read_controls(c);
}

static int vmx_probe(struct caps *found, const char **why)
{
    struct vmx_capability c;

    capability_read(&c);
    return controls_probe(&c, found, why);
}

static int vmx_init(void)
{
    const char *why;

    capability_read(&vmx.capability);
    if (controls_fold(&vmx.capability, caps, &vmx.controls, &why)) {
        log_error("VMX can't be used: %s", why);
        return ERR_NOTSUP;
    }
    vmx.cr4_guest_owned = CR4_HARMLESS & vmx.capability.cr4_fixed1 & ~vmx.capability.cr4_fixed0;
    vmx.timer_shift = MISC_TIMER_SHIFT(vmx.capability.misc);
    vmx.msr_bitmap = frame_alloc(1, OWNER_HOST);
    if (!vmx.msr_bitmap)
        return ERR_NOMEM;
    msr_bitmap_fill(vmx.msr_bitmap);
    if (!cap(CAP_APICV))
        return 0;
    vmx.msr_bitmap_x2apic = frame_alloc(1, OWNER_HOST);
    if (!vmx.msr_bitmap_x2apic)
        return ERR_NOMEM;
    msr_bitmap_fill(vmx.msr_bitmap_x2apic);
    msr_bitmap_pass_x2apic(vmx.msr_bitmap_x2apic);
    return 0;
}

/* The VMCSs of all cores get the same control fields: that has to be right here too. */
static const char *core_differs(void)
{
    struct vmx_capability c;
    struct vmx_controls controls;
    const char *why;

    capability_read(&c);
    if (controls_fold(&c, caps, &controls, &why))
        return why;
    if (memcmp(&controls, &vmx.controls, sizeof(controls)) ||
        BASIC_REVISION(c.basic) != BASIC_REVISION(vmx.capability.basic))
        return "this core's VMX isn't that of the boot core";
    return NULL;
}

/* Firmware that leaves the MSR open leaves the choice to us; VMXON wants it locked (SDM 24.7). */
static const char *feature_control_settle(void)
{
    uint64_t fc = rdmsr(MSR_FEATURE_CONTROL);

    if (!(fc & FEATURE_CONTROL_LOCK))
        wrmsr(MSR_FEATURE_CONTROL, fc | FEATURE_CONTROL_VMX | FEATURE_CONTROL_LOCK);
    else if (!(fc & FEATURE_CONTROL_VMX))
        return "VT-x is locked off by the firmware (IA32_FEATURE_CONTROL)";
    return NULL;
}

/* CR0 and CR4 as VMX operation wants them (A.7, A.8). */
static void fixed_bits_set(void)
{
    const struct vmx_capability *c = &vmx.capability;

    write_cr0((read_cr0() | c->cr0_fixed0) & c->cr0_fixed1);
    write_cr4(((read_cr4() | CR4_VMXE) | c->cr4_fixed0) & c->cr4_fixed1);
}

static int cpu_refuse(const char *why)
{
    this_cpu()->error = why;
    log_error("core %u: %s", this_cpu()->index, why);
    return ERR_NOTSUP;
}

static int vmx_cpu_on(void)
{
    struct cpu *cpu = this_cpu();
    const char *why = core_differs();

    if (!why)
        why = feature_control_settle();
    if (why)
        return cpu_refuse(why);
    cpu->vendor = vmcs_alloc(OWNER_CPU);
    if (!cpu->vendor)
        return ERR_NOMEM;
    fixed_bits_set();
    if (!vmxon_try(pool_hpa(cpu->vendor))) {
        write_cr4(read_cr4() & ~CR4_VMXE);
        frame_free(cpu->vendor, 1);
        cpu->vendor = NULL;
        return cpu_refuse("VMXON failed");
    }
    tlb_flush_core();
    return 0;
}

static void vmx_cpu_off(void)
{
    struct cpu *cpu = this_cpu();

    if (!cpu->vendor)
        return;
    vmxoff();
    write_cr4(read_cr4() & ~CR4_VMXE);
    frame_free(cpu->vendor, 1);
    cpu->vendor = NULL;
}

static void vmx_tsc_offset(struct vcpu *vcpu, uint64_t offset)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);

    vmcs_borrow(v);
    vmwrite(VMCS_TSC_OFFSET, offset);
    vmcs_return(v);
}

static bool vmx_real_mode(void)
{
    return cap(CAP_UG);
}

static const struct vcpu_ops vmx_ops = {
    .loads_pdptes = true,
    .create = vmx_create,
    .destroy = vmx_destroy,
    .load = vmx_load,
    .unload = vmx_unload,
    .run = vmx_enter,
    .set_deadline = vmx_set_deadline,
    .get = vmx_get,
    .set = vmx_set,
    .get_seg = vmx_get_seg,
    .get_cpl = vmx_get_cpl,
    .get_long_root = vmx_get_long_root,
    .get_code = vmx_get_code,
    .set_seg = vmx_set_seg,
    .get_msr = vmx_get_msr,
    .set_msr = vmx_set_msr,
    .nmi_blocked = vmx_nmi_blocked,
    .set_nmi_blocked = vmx_set_nmi_blocked,
    .can_inject = vmx_can_inject,
    .inject = vmx_inject,
    .inject_interrupt = vmx_inject_interrupt,
    .window = vmx_window,
    .clear_shadow = vmx_clear_shadow,
    .set_shadow = vmx_set_shadow,
    .tsc_offset = vmx_tsc_offset,
    .flush = vmx_flush,
    .dump = vmx_dump,
    .exit_name = reason_name,
};

const struct vendor vmx_vendor = {
    .name = "vmx",
    .hypercall = {0x0f, 0x01, 0xc1},
    .probe = vmx_probe,
    .init = vmx_init,
    .cpu_on = vmx_cpu_on,
    .cpu_off = vmx_cpu_off,
    .real_mode = vmx_real_mode,
    .nested = &pt_ept,
    .ops = &vmx_ops,
};
