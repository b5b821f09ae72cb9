/* Registers of the guest that are in the VMCS, or in the core while the vCPU is loaded. */
#include "core/fetch.h"
#include "core/lib/panic.h"
#include "core/vm.h"
#include "core/x86/asm.h"
#include "core/x86/cr.h"
#include "core/x86/msr.h"
#include "vmx/vmx.h"

#define ACCESS_DEFINED  0xf0ffu /* bits of vcpu_segment.attr that access rights have too */
#define ACCESS_ACCESSED BIT(0)
#define ACCESS_BUSY     BIT(1)

#define RFLAGS_DEFINED 0x3f7fd7u
#define DR7_DEFINED    0xffff23ffull

static void rflags_set(struct vmx_vcpu *v, uint64_t rflags)
{
    v->rflags = (rflags & RFLAGS_DEFINED) | RFLAGS_FIXED1;
    vmwrite(VMCS_GUEST_RFLAGS, v->rflags);
    shadow_sync_debug(v);
}

static uint64_t reg_read(struct vmx_vcpu *v, enum vcpu_reg reg)
{
    switch (reg) {
    case REG_RFLAGS:
        return v->rflags;
    case REG_RSP:
        return vmread(VMCS_GUEST_RSP);
    case REG_CR0:
        return mode_cr0(v);
    case REG_CR2:
        return v->cpu && !v->vcpu->vm->balloon ? read_cr2() : v->frame.cr2;
    case REG_CR3:
        return mode_cr3(v);
    case REG_CR4:
        return mode_cr4(v);
    case REG_EFER:
        return v->efer;
    case REG_DR6:
        return v->cpu ? read_dr6() : v->dr6;
    case REG_DR7:
        return vmread(VMCS_GUEST_DR7);
    default:
        panic("register %d isn't the back end's", reg);
    }
}

static NOINLINE uint64_t reg_get(struct vmx_vcpu *v, enum vcpu_reg reg)
{
    uint64_t value;

    vmcs_borrow(v);
    value = reg_read(v, reg);
    vmcs_return(v);
    return value;
}

/* RFLAGS is asked for at every instruction that was emulated. */
uint64_t vmx_get(struct vcpu *vcpu, enum vcpu_reg reg)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);

    if (LIKELY(reg == REG_RFLAGS && v->cpu == this_cpu()))
        return v->rflags;
    return reg_get(v, reg);
}

static void dr6_set(struct vmx_vcpu *v, uint64_t dr6)
{
    v->dr6 = (uint32_t)dr6;
    if (v->cpu)
        write_dr6(v->dr6);
}

static void cr2_set(struct vmx_vcpu *v, uint64_t cr2)
{
    v->frame.cr2 = cr2;
    if (v->cpu)
        write_cr2(cr2);
}

static void reg_write(struct vmx_vcpu *v, enum vcpu_reg reg, uint64_t value)
{
    switch (reg) {
    case REG_RFLAGS:
        rflags_set(v, value);
        break;
    case REG_RSP:
        vmwrite(VMCS_GUEST_RSP, value);
        break;
    case REG_CR0:
        mode_set(v, value, mode_cr4(v), v->efer);
        break;
    case REG_CR2:
        cr2_set(v, value);
        break;
    case REG_CR3:
        mode_set_cr3(v, value);
        break;
    case REG_CR4:
        mode_set(v, mode_cr0(v), value, v->efer);
        break;
    case REG_EFER:
        mode_set(v, mode_cr0(v), mode_cr4(v), value);
        break;
    case REG_DR6:
        dr6_set(v, value);
        break;
    case REG_DR7:
        vmwrite(VMCS_GUEST_DR7, (value & DR7_DEFINED) | DR7_INIT);
        break;
    default:
        panic("register %d isn't the back end's", reg);
    }
}

void vmx_set(struct vcpu *vcpu, enum vcpu_reg reg, uint64_t value)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);

    vmcs_borrow(v);
    reg_write(v, reg, value);
    vmcs_return(v);
}

static void segment_read(enum vcpu_seg seg, struct vcpu_segment *out)
{
    bool table = seg == SEG_GDTR || seg == SEG_IDTR;
    uint32_t access = table ? 0 : (uint32_t)vmread(VMCS_GUEST_ACCESS(seg));

    out->base = vmread(VMCS_GUEST_BASE(seg));
    out->limit = (uint32_t)vmread(VMCS_GUEST_LIMIT(seg));
    out->selector = table ? 0 : (uint16_t)vmread(VMCS_GUEST_SELECTOR(seg));
    out->attr = (uint16_t)(access & ACCESS_DEFINED);
    if (access & ACCESS_UNUSABLE)
        out->attr &= (uint16_t)~SEG_ATTR_P;
}

/*
 * Access rights as VM entry wants them (SDM 27.3.1.2): segments that are loaded have been accessed, the task register's
 * TSS is busy, G agrees with the limit. The DPL of an unusable SS stays: it is the CPL.
 */
static uint32_t segment_access(enum vcpu_seg seg, const struct vcpu_segment *in)
{
    uint32_t access = in->attr & ACCESS_DEFINED & ~(uint32_t)SEG_ATTR_G;

    if (in->limit >> 20)
        access |= (uint32_t)SEG_ATTR_G;
    else if ((in->limit & PAGE_MASK) == PAGE_MASK)
        access |= in->attr & (uint32_t)SEG_ATTR_G;
    if (!(access & SEG_ATTR_P) && seg != SEG_TR && seg != SEG_CS)
        return access | (uint32_t)ACCESS_UNUSABLE;
    if (seg == SEG_TR)
        return access | (uint32_t)ACCESS_BUSY;
    return seg == SEG_LDTR ? access : access | (uint32_t)ACCESS_ACCESSED;
}

void segment_write(enum vcpu_seg seg, const struct vcpu_segment *in)
{
    vmwrite(VMCS_GUEST_BASE(seg), in->base);
    vmwrite(VMCS_GUEST_LIMIT(seg), in->limit >> 20 ? in->limit | PAGE_MASK : in->limit);
    if (seg == SEG_GDTR || seg == SEG_IDTR)
        return;
    vmwrite(VMCS_GUEST_SELECTOR(seg), in->selector);
    vmwrite(VMCS_GUEST_ACCESS(seg), segment_access(seg, in));
}

void vmx_get_seg(struct vcpu *vcpu, enum vcpu_seg seg, struct vcpu_segment *out)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);

    vmcs_borrow(v);
    segment_read(seg, out);
    vmcs_return(v);
}

/* The DPL of SS, an unusable one's too. */
uint32_t vmx_get_cpl(struct vcpu *vcpu)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);
    uint32_t access;

    vmcs_borrow(v);
    access = (uint32_t)vmread(VMCS_GUEST_ACCESS(SEG_SS));
    vmcs_return(v);
    return SEG_ATTR_DPL(access);
}

/* Long mode has paging, so that the guest's CR3 is the VMCS's. */
bool vmx_get_long_root(struct vcpu *vcpu, uint64_t *cr3)
{
    if (!(vmx_vcpu(vcpu)->efer & EFER_LMA) || vmx_vcpu(vcpu)->cr4 & CR4_LA57 ||
        !(vmread_surely(VMCS_GUEST_ACCESS(SEG_CS)) & SEG_ATTR_L))
        return false;
    *cr3 = vmread_surely(VMCS_GUEST_CR3);
    return true;
}

static void code_read(struct vmx_vcpu *v, struct vcpu_code *out)
{
    out->walk.cr0 = mode_cr0(v);
    out->walk.cr3 = mode_cr3(v);
    out->walk.cr4 = mode_cr4(v);
    out->walk.efer = v->efer;
    out->walk.rflags = v->rflags;
    out->walk.pkru = 0; /* protection keys never hide what the hypervisor has to read */
    out->walk.phys_bits = 0;
    out->mode = code_mode((uint16_t)vmread(VMCS_GUEST_ACCESS(SEG_CS)), v->efer);
    out->cs_base = out->mode == INSN_MODE_64 ? 0 : vmread(VMCS_GUEST_BASE(SEG_CS));
    out->cpl = SEG_ATTR_DPL((uint32_t)vmread(VMCS_GUEST_ACCESS(SEG_SS)));
}

void vmx_get_code(struct vcpu *vcpu, struct vcpu_code *out)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);

    vmcs_borrow(v);
    code_read(v, out);
    vmcs_return(v);
}

void vmx_set_seg(struct vcpu *vcpu, enum vcpu_seg seg, const struct vcpu_segment *in)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);

    vmcs_borrow(v);
    segment_write(seg, in);
    vmcs_return(v);
}
