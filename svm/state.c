/* The guest registers that are in the VMCB, as core sees them (APM volume 2, 15.5.1 and appendix B). */
#include "svm/vcpu.h"

#include "core/fetch.h"
#include "core/lib/panic.h"
#include "core/x86/cr.h"
#include "core/x86/msr.h"
#include "svm/svm.h"

#define PAT_RESET 0x0007040600070406ull

/* Attributes of a vcpu_segment have a descriptor's gap in bits 8-11, the VMCB's have none. */
static uint16_t attr_pack(uint16_t attr)
{
    return (attr & 0xff) | (attr >> 4 & 0xf00);
}

static uint16_t attr_unpack(uint16_t attr)
{
    return (uint16_t)((attr & 0xff) | (attr & 0xf00) << 4);
}

/* Rare changes of what VMRUN checks. Emulators save host state over a VMCB that they refuse, so entry.c looks before. */
static void state_changed(struct svm_vcpu *s, uint32_t parts)
{
    vmcb_dirty(s, parts);
    attention_set(s, ATTENTION_CHECK);
}

static struct vmcb_segment *state_segment(struct vmcb *vmcb, enum vcpu_seg seg)
{
    static const uint16_t offsets[SEG_COUNT] = {
        [SEG_ES] = offsetof(struct vmcb, es),     [SEG_CS] = offsetof(struct vmcb, cs),
        [SEG_SS] = offsetof(struct vmcb, ss),     [SEG_DS] = offsetof(struct vmcb, ds),
        [SEG_FS] = offsetof(struct vmcb, fs),     [SEG_GS] = offsetof(struct vmcb, gs),
        [SEG_LDTR] = offsetof(struct vmcb, ldtr), [SEG_TR] = offsetof(struct vmcb, tr),
        [SEG_GDTR] = offsetof(struct vmcb, gdtr), [SEG_IDTR] = offsetof(struct vmcb, idtr),
    };

    return (struct vmcb_segment *)((char *)vmcb + offsets[seg]);
}

void svm_state_get_seg(struct vcpu *vcpu, enum vcpu_seg seg, struct vcpu_segment *out)
{
    struct vmcb *vmcb = svm_vcpu(vcpu)->vmcb;
    const struct vmcb_segment *in = state_segment(vmcb, seg);

    *out = (struct vcpu_segment){
        .base = in->base, .limit = in->limit, .selector = in->selector, .attr = attr_unpack(in->attr)};
    /* The privilege level is the CPL field: SYSRET leaves a DPL of 0 in SS (15.5.1). */
    if (seg == SEG_SS)
        out->attr = (uint16_t)((out->attr & ~(3u << 5)) | (uint32_t)vmcb->cpl << 5);
}

uint32_t svm_state_get_cpl(struct vcpu *vcpu)
{
    return svm_vcpu(vcpu)->vmcb->cpl;
}

bool svm_state_get_long_root(struct vcpu *vcpu, uint64_t *cr3)
{
    const struct vmcb *vmcb = svm_vcpu(vcpu)->vmcb;

    *cr3 = vmcb->cr3;
    return vmcb_long_root(vmcb);
}

void svm_state_get_code(struct vcpu *vcpu, struct vcpu_code *out)
{
    const struct vmcb *vmcb = svm_vcpu(vcpu)->vmcb;
    uint64_t efer = vmcb->efer & ~EFER_SVME;

    out->walk.cr0 = vmcb->cr0;
    out->walk.cr3 = vmcb->cr3;
    out->walk.cr4 = vmcb->cr4;
    out->walk.efer = efer;
    out->walk.rflags = vmcb->rflags;
    out->walk.pkru = 0; /* protection keys never hide what the hypervisor has to read */
    out->walk.phys_bits = 0;
    out->mode = code_mode(attr_unpack(vmcb->cs.attr), efer);
    out->cs_base = out->mode == INSN_MODE_64 ? 0 : vmcb->cs.base;
    out->cpl = vmcb->cpl;
}

void svm_state_set_seg(struct vcpu *vcpu, enum vcpu_seg seg, const struct vcpu_segment *in)
{
    struct vmcb *vmcb = svm_vcpu(vcpu)->vmcb;
    struct vmcb_segment *out = state_segment(vmcb, seg);
    uint16_t attr = attr_pack(in->attr);

    /* VMRUN refuses a CS that is both 64-bit and 32-bit; no descriptor load gives one either. */
    if (seg == SEG_CS && (attr & VMCB_ATTR_L))
        attr &= (uint16_t)~VMCB_ATTR_DB;
    /* QEMU keeps a TR that isn't marked busy, and ends itself when 32-bit code of ring 3 is interrupted with another. */
    if (seg == SEG_TR && svm_on_tcg)
        attr &= (uint16_t)~VMCB_ATTR_BUSY;
    *out = (struct vmcb_segment){
        .base = in->base, .limit = in->limit, .selector = in->selector, .attr = attr};
    if (seg == SEG_SS)
        vmcb->cpl = SEG_ATTR_DPL(in->attr);
    state_changed(svm_vcpu(vcpu), CLEAN_SEG | CLEAN_DT);
}

static uint64_t state_efer(const struct svm_vcpu *s)
{
    return (s->vmcb->efer & ~EFER_SVME) | s->efer_hidden;
}

/*
 * EFER.SVME is set in every VMCB and is never shown; LMA follows from LME and CR0.PG. QEMU's #VMEXIT puts CR0 back before CR4 and
 * EFER, and so doesn't at all when they say that paging needs a PAE which is off: LME, of no use before there is paging, is
 * kept from it.
 */
static void state_set_efer(struct svm_vcpu *s, uint64_t efer)
{
    bool paging = s->vmcb->cr0 & CR0_PG;

    efer = (efer & svm_limits.efer & ~EFER_LMA) | EFER_SVME;
    if ((efer & EFER_LME) && paging)
        efer |= EFER_LMA;
    s->efer_hidden = svm_on_tcg && !paging ? efer & EFER_LME : 0;
    s->vmcb->efer = efer & ~s->efer_hidden;
}

static void state_set_cr0(struct svm_vcpu *s, uint64_t cr0)
{
    uint64_t efer = state_efer(s);

    cr0 = (uint32_t)cr0 | CR0_ET;
    if (!(cr0 & CR0_CD))
        cr0 &= ~CR0_NW;
    s->vmcb->cr0 = cr0;
    state_set_efer(s, efer);
}

uint64_t svm_state_get(struct vcpu *vcpu, enum vcpu_reg reg)
{
    const struct vmcb *vmcb = svm_vcpu(vcpu)->vmcb;

    switch (reg) {
    case REG_RSP:
        return vmcb->rsp;
    case REG_RFLAGS:
        return vmcb->rflags;
    case REG_CR0:
        return vmcb->cr0;
    case REG_CR2:
        return vmcb->cr2;
    case REG_CR3:
        return vmcb->cr3;
    case REG_CR4:
        return vmcb->cr4;
    case REG_EFER:
        return state_efer(svm_vcpu(vcpu));
    case REG_DR6:
        return vmcb->dr6;
    case REG_DR7:
        return vmcb->dr7;
    default:
        panic("svm: register %d isn't in the VMCB", reg);
    }
}

void svm_state_set(struct vcpu *vcpu, enum vcpu_reg reg, uint64_t value)
{
    struct svm_vcpu *s = svm_vcpu(vcpu);
    struct vmcb *vmcb = s->vmcb;

    switch (reg) {
    case REG_RSP:
        vmcb->rsp = value;
        break;
    case REG_RFLAGS:
        vmcb->rflags = value | RFLAGS_FIXED1;
        break;
    case REG_CR0:
        state_set_cr0(s, value);
        state_changed(s, CLEAN_CRX);
        break;
    case REG_CR2:
        vmcb->cr2 = value;
        vmcb_dirty(s, CLEAN_CR2);
        break;
    case REG_CR3:
        vmcb->cr3 = value & svm_limits.cr3;
        state_changed(s, CLEAN_CRX);
        break;
    case REG_CR4:
        vmcb->cr4 = value & svm_limits.cr4;
        state_changed(s, CLEAN_CRX);
        break;
    case REG_EFER:
        state_set_efer(s, value);
        state_changed(s, CLEAN_CRX);
        break;
    case REG_DR6:
        vmcb->dr6 = (uint32_t)value;
        state_changed(s, CLEAN_DRX);
        break;
    case REG_DR7:
        vmcb->dr7 = (uint32_t)value;
        state_changed(s, CLEAN_DRX);
        break;
    default:
        panic("svm: register %d isn't in the VMCB", reg);
    }
}

uint64_t *svm_state_msr(struct vmcb *vmcb, uint32_t msr)
{
    switch (msr) {
    case MSR_SYSENTER_CS:
        return &vmcb->sysenter_cs;
    case MSR_SYSENTER_ESP:
        return &vmcb->sysenter_esp;
    case MSR_SYSENTER_EIP:
        return &vmcb->sysenter_eip;
    case MSR_PAT:
        return &vmcb->g_pat;
    case MSR_STAR:
        return &vmcb->star;
    case MSR_LSTAR:
        return &vmcb->lstar;
    case MSR_CSTAR:
        return &vmcb->cstar;
    case MSR_SFMASK:
        return &vmcb->sfmask;
    case MSR_FS_BASE:
        return &vmcb->fs.base;
    case MSR_GS_BASE:
        return &vmcb->gs.base;
    case MSR_KERNEL_GS_BASE:
        return &vmcb->kernel_gs_base;
    default:
        return NULL;
    }
}

static struct vmcb_segment real_mode(uint16_t selector, uint64_t base, uint16_t type)
{
    return (struct vmcb_segment){
        .selector = selector, .base = base, .limit = 0xffff, .attr = type | SEG_ATTR_P};
}

/* After power-up or INIT (SDM volume 3, table 10-1; APM volume 2, table 14-1). */
void svm_state_reset(struct vmcb *vmcb)
{
    struct vmcb_segment data = real_mode(0, 0, 3 | SEG_ATTR_S);

    vmcb->es = vmcb->ss = vmcb->ds = vmcb->fs = vmcb->gs = data;
    vmcb->cs = real_mode(0xf000, 0xffff0000, 0xb | SEG_ATTR_S);
    vmcb->ldtr = real_mode(0, 0, 2);
    vmcb->tr = real_mode(0, 0, 0xb);
    vmcb->gdtr.limit = vmcb->idtr.limit = 0xffff;
    vmcb->rip = 0xfff0;
    vmcb->rflags = RFLAGS_FIXED1;
    vmcb->cr0 = CR0_CD | CR0_NW | CR0_ET;
    vmcb->efer = EFER_SVME;
    vmcb->dr6 = DR6_INIT;
    vmcb->dr7 = DR7_INIT;
    vmcb->g_pat = PAT_RESET;
}
