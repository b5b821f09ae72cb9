/* A vCPU comes to a core, and leaves it: what the hardware doesn't switch at each entry and exit. */
#include "core/lib/panic.h"
#include "core/vm.h"
#include "core/x86/asm.h"
#include "core/x86/msr.h"
#include "mm/hostmap.h"
#include "vmx/vmx.h"

/* Host state that differs from core to core: what this one has now. */
static void host_core_write(const struct cpu *cpu)
{
    vmwrite(VMCS_HOST_CR0, read_cr0());
    vmwrite(VMCS_HOST_CR4, read_cr4());
    vmwrite(VMCS_HOST_CS_SELECTOR, host_cs());
    vmwrite(VMCS_HOST_SS_SELECTOR, host_ss());
    vmwrite(VMCS_HOST_TR_SELECTOR, host_tr());
    vmwrite(VMCS_HOST_TR_BASE, (uintptr_t)cpu->tss);
    vmwrite(VMCS_HOST_GS_BASE, (uintptr_t)cpu);
    vmwrite(VMCS_HOST_GDTR_BASE, host_gdt_base());
    vmwrite(VMCS_HOST_IDTR_BASE, host_idt_base());
    if (cap(CAP_LOAD_EFER))
        vmwrite(VMCS_HOST_EFER, rdmsr(MSR_EFER));
    if (cap(CAP_LOAD_PAT))
        vmwrite(VMCS_HOST_PAT, rdmsr(MSR_PAT));
}

static void debug_swap_in(const struct vmx_vcpu *v)
{
    write_dr0(v->dr[0]);
    write_dr1(v->dr[1]);
    write_dr2(v->dr[2]);
    write_dr3(v->dr[3]);
    write_dr6(v->dr6);
}

static void debug_swap_out(struct vmx_vcpu *v)
{
    v->dr[0] = read_dr0();
    v->dr[1] = read_dr1();
    v->dr[2] = read_dr2();
    v->dr[3] = read_dr3();
    v->dr6 = read_dr6();
}

static void xstate_swap_in(const struct vcpu *vcpu)
{
    if (cap(CAP_XSAVE))
        xsetbv(0, vcpu->xcr0 | 1);
    if (cap(CAP_XSAVES))
        wrmsr(MSR_XSS, vcpu->xss);
}

void vmx_load(struct vcpu *vcpu)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);
    struct cpu *cpu = this_cpu();

    assert(!v->cpu && !cpu->vcpu);
    write_cr3(hostspace_root(&vcpu->vm->space));
    vmcs_load(v);
    v->cpu = cpu;
    cpu->vcpu = vcpu;
    if (v->last_cpu != cpu) {
        v->last_cpu = cpu;
        host_core_write(cpu);
        pending_add(v, PENDING_EPT);
    }
    msr_swap_in(v);
    debug_swap_in(v);
    xstate_swap_in(vcpu);
    write_cr2(v->frame.cr2);
}

void vmx_unload(struct vcpu *vcpu)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);

    assert(v->cpu == this_cpu());
    msr_swap_out(v);
    debug_swap_out(v);
    v->frame.cr2 = read_cr2();
    vmcs_clear(v);
    v->cpu = NULL;
    this_cpu()->vcpu = NULL;
    write_cr3(hostmap_root());
}
