/* Exits of control and debug register accesses (SDM volume 3, 2.5; APM volume 2, 3.1). */
#include "core/cpuid.h"
#include "core/exit.h"
#include "core/fetch.h"
#include "core/vcpu_ops.h"
#include "core/vm.h"
#include "core/x86/cr.h"
#include "core/x86/msr.h"

#define CR0_DEFINED                                                                                          \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)

/* What may change at any time, and for CR4 what may not: modes, and what their conditions are about (SDM volume 3, 4.1.2 and 10.8.5). */
#define CR0_PLAIN (CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM)
#define CR4_MODES (CR4_PAE | CR4_LA57 | CR4_PCIDE)

#define CR0_LOADS_PDPTES (CR0_PG | CR0_CD | CR0_NW)
#define CR4_LOADS_PDPTES (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)
#define PDPTE_P          BIT(0)
#define PDPTE_RESERVED   0x1e6ull

/* Changing these bits in PAE paging loads the four page-directory pointers, and none may have reserved bits set (SDM volume 3, 4.4.1). */
static bool exit_pdptes_valid(struct vcpu *vcpu, uint64_t cr0, uint64_t cr4)
{
    uint64_t reserved = ~MASK(cpuid_physical_bits(&vcpu->vm->cpuid)) | PDPTE_RESERVED, entries[4];

    if (!vcpu_ops->loads_pdptes || !(cr0 & CR0_PG) || !(cr4 & CR4_PAE) ||
        (vcpu_get(vcpu, REG_EFER) & EFER_LME))
        return true;
    if (gmem_read(&vcpu->vm->mem, vcpu_get(vcpu, REG_CR3) & 0xffffffe0, entries, sizeof entries))
        return true;
    for (uint32_t i = 0; i < ARRAY_SIZE(entries); i++)
        if ((entries[i] & PDPTE_P) && (entries[i] & reserved))
            return false;
    return true;
}

/* What MOV to CR0 refuses with #GP(0), apart from what depends on PAE's page-directory pointers. */
static bool exit_cr0_valid(struct vcpu *vcpu, uint64_t cr0)
{
    uint64_t efer = vcpu_get(vcpu, REG_EFER), cr4 = vcpu_get(vcpu, REG_CR4);
    struct vcpu_segment cs;

    if (cr0 >> 32)
        return false;
    if ((cr0 & CR0_PG) && !(cr0 & CR0_PE))
        return false;
    if ((cr0 & CR0_NW) && !(cr0 & CR0_CD))
        return false;
    vcpu_ops->get_seg(vcpu, SEG_CS, &cs);
    if ((cr0 & CR0_PG) && !(vcpu_get(vcpu, REG_CR0) & CR0_PG) && (efer & EFER_LME))
        return (cr4 & CR4_PAE) && !(cs.attr & SEG_ATTR_L);
    if (!(cr0 & CR0_PG) && (efer & EFER_LMA))
        return !(cr4 & CR4_PCIDE) && !(cs.attr & SEG_ATTR_L);
    return (cr0 & CR0_PG) || !(cr4 & CR4_PCIDE);
}

static void exit_write_cr0(struct vcpu *vcpu, uint64_t value)
{
    uint64_t cr0 = (value & (CR0_DEFINED | ~0xffffffffull)) | CR0_ET;
    uint64_t efer = vcpu_get(vcpu, REG_EFER);

    bool loads = (cr0 ^ vcpu_get(vcpu, REG_CR0)) & CR0_LOADS_PDPTES;

    if (!exit_cr0_valid(vcpu, cr0) || (loads && !exit_pdptes_valid(vcpu, cr0, vcpu_get(vcpu, REG_CR4)))) {
        event_raise_gp0(vcpu);
        return;
    }
    /* EFER.LMA follows CR0.PG (SDM 10.8.5); the back end keeps its own controls in step when EFER is set. */
    vcpu_set(vcpu, REG_CR0, cr0);
    if (efer & EFER_LME)
        vcpu_set(vcpu, REG_EFER, cr0 & CR0_PG ? efer | EFER_LMA : efer & ~EFER_LMA);
    vcpu_ops->flush(vcpu);
    vcpu_advance(vcpu);
}

static bool exit_cr4_valid(struct vcpu *vcpu, uint64_t cr4)
{
    uint64_t efer = vcpu_get(vcpu, REG_EFER);

    if (cr4 & ~vcpu->vm->cpuid.cr4_mask)
        return false;
    if ((efer & EFER_LMA) && (!(cr4 & CR4_PAE) || (cr4 ^ vcpu_get(vcpu, REG_CR4)) & CR4_LA57))
        return false;
    if ((cr4 & CR4_PCIDE) && !(vcpu_get(vcpu, REG_CR4) & CR4_PCIDE))
        return (efer & EFER_LMA) && !(vcpu_get(vcpu, REG_CR3) & CR3_PCID_MASK);
    return true;
}

static void exit_write_cr4(struct vcpu *vcpu, uint64_t cr4)
{
    bool loads = (cr4 ^ vcpu_get(vcpu, REG_CR4)) & CR4_LOADS_PDPTES;

    if (!exit_cr4_valid(vcpu, cr4) || (loads && !exit_pdptes_valid(vcpu, vcpu_get(vcpu, REG_CR0), cr4))) {
        event_raise_gp0(vcpu);
        return;
    }
    vcpu_set(vcpu, REG_CR4, cr4);
    vcpu_ops->flush(vcpu);
    vcpu_advance(vcpu);
}

static void exit_write_cr3(struct vcpu *vcpu, uint64_t value)
{
    uint32_t bits = cpuid_physical_bits(&vcpu->vm->cpuid);
    bool pcid = vcpu_get(vcpu, REG_CR4) & CR4_PCIDE;
    uint64_t cr3 = pcid ? value & ~CR3_NOFLUSH : value;

    if (!(vcpu_get(vcpu, REG_EFER) & EFER_LMA))
        cr3 = (uint32_t)cr3;
    else if (cr3 >> bits) {
        event_raise_gp0(vcpu);
        return;
    }
    vcpu_set(vcpu, REG_CR3, cr3);
    vcpu_ops->flush(vcpu);
    vcpu_advance(vcpu);
}

static void exit_write_cr8(struct vcpu *vcpu, uint64_t value)
{
    if (value >> 4) {
        event_raise_gp0(vcpu);
        return;
    }
    vcpu->irqchip->set_cr8(vcpu->irqchip_ctx, (uint8_t)value);
    vcpu_advance(vcpu);
}

void exit_cr_write(struct vcpu *vcpu, uint32_t cr, uint64_t value)
{
    vcpu->stats.exits[STATS_CR]++;
    if (vcpu_cpl(vcpu) != 0) {
        event_raise_gp0(vcpu);
        return;
    }
    switch (cr) {
    case 0:
        exit_write_cr0(vcpu, value);
        break;
    case 3:
        exit_write_cr3(vcpu, value);
        break;
    case 4:
        exit_write_cr4(vcpu, value);
        break;
    case 8:
        exit_write_cr8(vcpu, value);
        break;
    default:
        event_raise_ud(vcpu);
    }
}

bool exit_cr_plain(const struct vcpu *vcpu, uint32_t cr, uint64_t old, uint64_t value)
{
    if (cr == 0)
        return !((value ^ old) & ~CR0_PLAIN);
    return cr == 4 && !((value ^ old) & CR4_MODES) && !(value & ~vcpu->vm->cpuid.cr4_mask);
}

void exit_cr_read(struct vcpu *vcpu, uint32_t cr, enum vcpu_reg into)
{
    vcpu->stats.exits[STATS_CR]++;
    static const enum vcpu_reg regs[] = {
        [0] = REG_CR0,
        [2] = REG_CR2,
        [3] = REG_CR3,
        [4] = REG_CR4,
    };

    if (cr == 8)
        vcpu_set(vcpu, into, vcpu->irqchip->get_cr8(vcpu->irqchip_ctx));
    else if (cr < ARRAY_SIZE(regs) && cr != 1)
        vcpu_set(vcpu, into, vcpu_get(vcpu, regs[cr]));
    else {
        event_raise_ud(vcpu);
        return;
    }
    vcpu_advance(vcpu);
}

void exit_clts(struct vcpu *vcpu)
{
    vcpu->stats.exits[STATS_CR]++;
    vcpu_set(vcpu, REG_CR0, vcpu_get(vcpu, REG_CR0) & ~CR0_TS);
    vcpu_advance(vcpu);
}

/* LMSW changes the low four bits, and can set PE but never clear it. */
void exit_lmsw(struct vcpu *vcpu, uint16_t value)
{
    uint64_t cr0 = vcpu_get(vcpu, REG_CR0);

    vcpu->stats.exits[STATS_CR]++;
    cr0 = (cr0 & ~(CR0_MP | CR0_EM | CR0_TS)) | (value & (CR0_PE | CR0_MP | CR0_EM | CR0_TS));
    vcpu_set(vcpu, REG_CR0, cr0);
    vcpu_advance(vcpu);
}
