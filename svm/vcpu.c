#include "svm/vcpu.h"

#include "core/cpuid.h"
#include "core/lib/error.h"
#include "core/vm.h"
#include "core/x86/asm.h"
#include "core/x86/cr.h"
#include "core/x86/msr.h"
#include "core/x86/percpu.h"
#include "mm/frame.h"
#include "mm/hostmap.h"
#include "mm/layout.h"
#include "svm/svm.h"

/* What the processor itself would put into EDX at reset. */
static uint32_t cpu_signature(void)
{
    return cpuid(1, 0).eax;
}

int svm_vcpu_create(struct vcpu *vcpu)
{
    const struct pt *nested = &vcpu->vm->nested;
    struct svm_vcpu *s = frame_alloc(frame_count(sizeof *s), vm_owner(vcpu->vm));
    struct vmcb *vmcb = frame_alloc(1, vm_owner(vcpu->vm));

    if (!s || !vmcb) {
        frame_free(vmcb, 1);
        frame_free(s, frame_count(sizeof *s));
        return ERR_NOMEM;
    }
    s->vmcb = vmcb;
    s->vcpu = vcpu;
    s->vmcb_hpa = pool_hpa(vmcb);
    controls_init(vmcb, &svm_maps, nested->memory.hpa(nested->root),
                  vcpu->vm->cpuid.cr4_mask == svm_limits.cr4);
    svm_state_reset(vmcb);
    vcpu->attention = ATTENTION_CHECK | ATTENTION_ODD; /* insn_plain isn't known yet */
    vcpu->arch = s;
    vcpu->gpr[REG_RDX] = cpu_signature();
    vcpu->rip = vmcb->rip;
    return 0;
}

void svm_vcpu_destroy(struct vcpu *vcpu)
{
    struct svm_vcpu *s = svm_vcpu(vcpu);

    frame_free(s->vmcb, 1);
    frame_free(s, frame_count(sizeof *s));
    vcpu->arch = NULL;
}

static void load_debug_registers(const struct svm_vcpu *s)
{
    write_dr0(s->dr[0]);
    write_dr1(s->dr[1]);
    write_dr2(s->dr[2]);
    write_dr3(s->dr[3]);
}

static void save_debug_registers(struct svm_vcpu *s)
{
    s->dr[0] = read_dr0();
    s->dr[1] = read_dr1();
    s->dr[2] = read_dr2();
    s->dr[3] = read_dr3();
}

/*
 * On another core, or after another vCPU's VMCB, nothing of what the processor keeps may be relied on. The id is looked at
 * here only: while this vCPU is loaded, no other takes ids of this core.
 */
static void load_place(struct svm_vcpu *s)
{
    struct svm_cpu *cpu = this_cpu()->vendor;

    vmcb_dirty(s, CLEAN_ALL);
    if (s->cpu != cpu)
        s->asid.generation = 0;
    if (!asid_valid(&cpu->asids, &s->asid))
        attention_set(s, ATTENTION_FLUSH);
    s->cpu = cpu;
}

void svm_vcpu_load(struct vcpu *vcpu)
{
    struct svm_vcpu *s = svm_vcpu(vcpu);

    write_cr3(hostspace_root(&vcpu->vm->space));
    load_place(s);
    load_debug_registers(s);
    if (cap(CAP_RDTSCP))
        wrmsr(MSR_TSC_AUX, vcpu->msr.tsc_aux);
    if (cap(CAP_XSAVE))
        xsetbv(0, vcpu->xcr0 | XCR0_X87);
    if (cap(CAP_XSAVES))
        wrmsr(MSR_XSS, vcpu->xss);
    s->loaded = true;
}

void svm_vcpu_unload(struct vcpu *vcpu)
{
    struct svm_vcpu *s = svm_vcpu(vcpu);

    s->loaded = false;
    save_debug_registers(s);
    if (cap(CAP_RDTSCP))
        vcpu->msr.tsc_aux = rdmsr(MSR_TSC_AUX);
    /* XSETBV exits on every processor, but not in QEMU 7.2: what the register says counts. */
    if (cap(CAP_XSAVE))
        vcpu->xcr0 = xgetbv(0);
    write_cr3(hostmap_root());
}

/* TSC_AUX has no field in the VMCB: while the vCPU is loaded, the register itself is the guest's. */
static bool msr_in_register(const struct vcpu *vcpu)
{
    return svm_vcpu(vcpu)->loaded && cap(CAP_RDTSCP);
}

int svm_vcpu_get_msr(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    const uint64_t *field = svm_state_msr(svm_vcpu(vcpu)->vmcb, msr);

    if (field)
        *value = *field;
    else if (msr == MSR_TSC_AUX)
        *value = msr_in_register(vcpu) ? rdmsr(MSR_TSC_AUX) : vcpu->msr.tsc_aux;
    else
        return ERR_NOTFOUND;
    return 0;
}

int svm_vcpu_set_msr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    struct vmcb *vmcb = svm_vcpu(vcpu)->vmcb;
    uint64_t *field = svm_state_msr(vmcb, msr);

    if (field) {
        *field = value;
        vmcb_dirty(svm_vcpu(vcpu), CLEAN_NP); /* has PAT; VMLOAD reads the others each time */
    } else if (msr == MSR_TSC_AUX) {
        vcpu->msr.tsc_aux = value;
        if (msr_in_register(vcpu))
            wrmsr(MSR_TSC_AUX, value);
    } else {
        return ERR_NOTFOUND;
    }
    return 0;
}

void svm_vcpu_tsc_offset(struct vcpu *vcpu, uint64_t offset)
{
    struct svm_vcpu *s = svm_vcpu(vcpu);

    s->vmcb->tsc_offset = offset;
    vmcb_dirty(s, CLEAN_I);
}

void svm_vcpu_flush(struct vcpu *vcpu)
{
    attention_set(svm_vcpu(vcpu), ATTENTION_FLUSH);
}
