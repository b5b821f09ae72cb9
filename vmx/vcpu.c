/* A vCPU's VMCS from nothing to the architectural reset state. */
#include "core/lib/error.h"
#include "core/lib/panic.h"
#include "core/vm.h"
#include "core/x86/asm.h"
#include "core/x86/cr.h"
#include "mm/frame.h"
#include "mm/layout.h"
#include "vmx/vmx.h"

/*
 * #DB and #AC: a guest could make the CPU deliver them for ever, without a boundary at which interrupts come. #MC: it is
 * the host's. All others are the guest's own.
 */
#define EXCEPTIONS_TAKEN (BIT(EXC_DB) | BIT(EXC_AC) | BIT(EXC_MC))

/* Pauses closer together than PLE_GAP ticks are one loop; it exits after PLE_WINDOW ticks. */
#define PLE_GAP    128
#define PLE_WINDOW 4096

#define CR0_RESET (CR0_CD | CR0_NW | CR0_ET)
#define PAT_RESET 0x0007040600070406ull

static uint32_t proc2_controls(const struct vmx_vcpu *v)
{
    uint32_t proc2 = vmx.controls.proc2;

    return v->vpid ? proc2 : proc2 & ~(uint32_t)PROC2_VPID;
}

static void optional_controls_write(const struct vmx_vcpu *v)
{
    uint32_t proc2 = proc2_controls(v);

    if (vmx.controls.pin & PIN_PREEMPTION_TIMER)
        vmwrite(VMCS_PREEMPTION_TIMER, UINT32_MAX);
    if (v->proc & PROC_MSR_BITMAP)
        vmwrite(VMCS_MSR_BITMAP, pool_hpa(vmx.msr_bitmap));
    if (cap(CAP_APICV)) {
        apicv_init(v);
    } else if (v->virtual_apic) {
        vmwrite(VMCS_VIRTUAL_APIC, pool_hpa(v->virtual_apic));
        vmwrite(VMCS_TPR_THRESHOLD, 0);
    }
    if (proc2 & PROC2_VPID)
        vmwrite(VMCS_VPID, v->vpid);
    if (proc2 & PROC2_PLE) {
        vmwrite(VMCS_PLE_GAP, PLE_GAP);
        vmwrite(VMCS_PLE_WINDOW, PLE_WINDOW);
    }
    if (proc2 & PROC2_XSAVES)
        vmwrite(VMCS_XSS_EXITING, 0);
    if (proc2 & PROC2_ENCLS)
        vmwrite(VMCS_ENCLS_EXITING, ~0ull);
}

static void controls_write(struct vmx_vcpu *v)
{
    const struct vm *vm = v->vcpu->vm;

    v->proc = vmx.controls.proc;
    if (cap(CAP_APICV)) /* CR8 is the page's TPR at once */
        v->proc &= ~(uint32_t)(PROC_CR8_LOAD | PROC_CR8_STORE) | (uint32_t)vmx.capability.proc;
    v->entry = vmx.controls.entry;
    vmwrite(VMCS_PIN_CONTROLS, vmx.controls.pin);
    vmwrite(VMCS_PROC_CONTROLS, v->proc);
    vmwrite(VMCS_PROC2_CONTROLS, proc2_controls(v));
    vmwrite(VMCS_EXIT_CONTROLS, vmx.controls.exit);
    vmwrite(VMCS_ENTRY_CONTROLS, v->entry);
    vmwrite(VMCS_EXCEPTION_BITMAP, EXCEPTIONS_TAKEN);
    vmwrite(VMCS_PF_ERROR_MASK, 0);
    vmwrite(VMCS_PF_ERROR_MATCH, 0);
    vmwrite(VMCS_CR3_TARGET_COUNT, 0);
    vmwrite(VMCS_EXIT_MSR_STORE_NUM, 0);
    vmwrite(VMCS_EXIT_MSR_LOAD, pool_hpa(v->exit_msrs));
    vmwrite(VMCS_ENTRY_MSR_LOAD, pool_hpa(v->entry_msrs));
    vmwrite(VMCS_ENTRY_INTR_INFO, 0);
    vmwrite(VMCS_TSC_OFFSET, vm->tsc_offset + v->vcpu->tsc_adjust);
    vmwrite(VMCS_EPTP, eptp_make(vm));
    optional_controls_write(v);
}

/* The part of the host's state that no core changes. */
static void host_write(struct vmx_vcpu *v)
{
    v->frame.gpr = v->vcpu->gpr;
    vmwrite(VMCS_HOST_CR3, hostspace_root(&v->vcpu->vm->space));
    vmwrite(VMCS_HOST_RSP, (uintptr_t)&v->frame.gpr);
    vmwrite(VMCS_HOST_RIP, (uintptr_t)(v->vcpu->vm->balloon ? vmx_run_exit_cr2 : vmx_run_exit));
    vmwrite(VMCS_HOST_DS_SELECTOR, 0);
    vmwrite(VMCS_HOST_ES_SELECTOR, 0);
    vmwrite(VMCS_HOST_FS_SELECTOR, 0);
    vmwrite(VMCS_HOST_GS_SELECTOR, 0);
    vmwrite(VMCS_HOST_FS_BASE, 0);
    vmwrite(VMCS_HOST_SYSENTER_CS, 0);
    vmwrite(VMCS_HOST_SYSENTER_ESP, 0);
    vmwrite(VMCS_HOST_SYSENTER_EIP, 0);
}

static void segments_reset(void)
{
    static const struct vcpu_segment data = {0, 0xffff, 0, 0x93}, code = {0xffff0000, 0xffff, 0xf000, 0x9b};
    static const struct vcpu_segment ldt = {0, 0xffff, 0, 0x82}, tss = {0, 0xffff, 0, 0x8b};

    for (uint32_t seg = SEG_ES; seg <= SEG_GS; seg++)
        segment_write(seg, seg == SEG_CS ? &code : &data);
    segment_write(SEG_LDTR, &ldt);
    segment_write(SEG_TR, &tss);
    segment_write(SEG_GDTR, &data);
    segment_write(SEG_IDTR, &data);
}

/* SDM table 10-1. EDX holds the CPU's signature. */
static void guest_reset(struct vmx_vcpu *v)
{
    segments_reset();
    v->pat = PAT_RESET;
    v->dr6 = DR6_INIT;
    vmwrite(VMCS_GUEST_CR3, 0);
    vmwrite(VMCS_GUEST_CR4, 0);
    mode_set(v, CR0_RESET, 0, 0);
    vmwrite(VMCS_GUEST_RSP, 0);
    v->rflags = RFLAGS_FIXED1;
    vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED1);
    vmwrite(VMCS_GUEST_DR7, DR7_INIT);
    vmwrite(VMCS_GUEST_DEBUGCTL, 0);
    vmwrite(VMCS_GUEST_SYSENTER_CS, 0);
    vmwrite(VMCS_GUEST_SYSENTER_ESP, 0);
    vmwrite(VMCS_GUEST_SYSENTER_EIP, 0);
    v->shadow = 0;
    vmwrite(VMCS_INTERRUPTIBILITY, 0);
    vmwrite(VMCS_ACTIVITY, 0);
    vmwrite(VMCS_PENDING_DEBUG, 0);
    vmwrite(VMCS_LINK_POINTER, ~0ull);
    v->vcpu->gpr[REG_RDX] = cpuid(1, 0).eax;
    vcpu_set_rip(v->vcpu, 0xfff0);
}

static int pages_alloc(struct vmx_vcpu *v)
{
    uint16_t owner = vm_owner(v->vcpu->vm);

    v->vmcs = vmcs_alloc(owner);
    if (cap(CAP_TPR_SHADOW) && !cap(CAP_APICV)) {
        v->virtual_apic = frame_alloc(1, owner);
        if (!v->virtual_apic)
            return ERR_NOMEM;
    }
    if (!v->vmcs || (cap(CAP_APICV) && apicv_create(v)))
        return ERR_NOMEM;
    return identity_create(v->vcpu->vm);
}

int vmx_create(struct vcpu *vcpu)
{
    struct vmx_vcpu *v = frame_alloc(1, vm_owner(vcpu->vm));

    vcpu->arch = v;
    if (!v)
        return ERR_NOMEM;
    v->vcpu = vcpu;
    v->timer_shift = (uint8_t)vmx.timer_shift;
    vcpu->attention = 0;
    if (pages_alloc(v)) {
        vmx_destroy(vcpu);
        return ERR_NOMEM;
    }
    v->vpid = vpid_alloc();
    vmcs_clear(v);
    vmcs_borrow(v);
    controls_write(v);
    host_write(v);
    guest_reset(v);
    vmcs_return(v);
    return 0;
}

void vmx_destroy(struct vcpu *vcpu)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);

    assert(!v->cpu);
    vpid_free(v->vpid);
    frame_free(v->virtual_apic, 1);
    frame_free(v->vmcs, 1);
    frame_free(v, 1);
    vcpu->arch = NULL;
}
