/* MSRs that belong to the guest while it runs, and how each gets there. */
#include "core/lib/error.h"
#include "core/lib/string.h"
#include "core/x86/asm.h"
#include "core/x86/msr.h"
#include "vmx/vmx.h"

/* SDM 25.6.9: a bit for each MSR of two ranges, for reads and for writes; 1 exits. */
#define BITMAP_READ  0
#define BITMAP_WRITE 2048
#define BITMAP_HIGH  1024 /* C0000000-C0001FFF */

static void bitmap_pass(uint8_t *bitmap, uint32_t direction, uint32_t msr)
{
    uint32_t high = msr >= 0xc0000000 ? BITMAP_HIGH : 0;
    uint32_t n = msr & 0x1fff;

    bitmap[direction + high + n / 8] &= (uint8_t)~BIT(n % 8);
}

void msr_bitmap_fill(void *bitmap)
{
    static const uint32_t passed[] = {
        MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_STAR,    MSR_LSTAR,
        MSR_CSTAR,       MSR_SFMASK,       MSR_FS_BASE,      MSR_GS_BASE, MSR_KERNEL_GS_BASE,
    };

    memset(bitmap, 0xff, PAGE_SIZE);
    for (size_t i = 0; i < ARRAY_SIZE(passed); i++) {
        bitmap_pass(bitmap, BITMAP_READ, passed[i]);
        bitmap_pass(bitmap, BITMAP_WRITE, passed[i]);
    }
    bitmap_pass(bitmap, BITMAP_READ, MSR_TSC); /* the CPU adds the offset */
    bitmap_pass(bitmap, BITMAP_READ, MSR_PAT); /* entries load the guest's */
}

#define X2APIC_RANGE(reg, count) (MASK(count) << (reg))

/*
 * x2APIC registers that the CPU virtualizes (SDM 30.5). Reads: id, version, TPR, PPR, LDR, SVR, ISR, TMR, IRR (but its first
 * word: VAPIC_REST) and the LVT, as they stand in the page. Writes: TPR, EOI and SELF IPI.
 */
void msr_bitmap_pass_x2apic(void *bitmap)
{
    const uint64_t reads = BIT(0x02) | BIT(0x03) | BIT(0x08) | BIT(0x0a) | BIT(0x0d) | BIT(0x0f) |
                           (X2APIC_RANGE(0x10, 24) & ~BIT(0x20)) | X2APIC_RANGE(0x32, 6);
    const uint64_t writes = BIT(0x08) | BIT(0x0b) | BIT(0x3f);

    for (uint32_t reg = 0; reg < 64; reg++) {
        if (reads >> reg & 1)
            bitmap_pass(bitmap, BITMAP_READ, MSR_X2APIC_BASE + reg);
        if (writes >> reg & 1)
            bitmap_pass(bitmap, BITMAP_WRITE, MSR_X2APIC_BASE + reg);
    }
}

/* In the order of enum swapped_msr. */
static const uint32_t swapped[SWAPPED_MSRS] = {MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SFMASK,
                                               MSR_KERNEL_GS_BASE};

/* The host uses neither these nor TSC_AUX: no need to switch them at exits. */
void msr_swap_in(struct vmx_vcpu *v)
{
#pragma GCC unroll 5
    for (uint32_t i = 0; i < SWAPPED_MSRS; i++)
        wrmsr(swapped[i], v->msr[i]);
    if (cap(CAP_RDTSCP))
        wrmsr(MSR_TSC_AUX, v->vcpu->msr.tsc_aux);
}

void msr_swap_out(struct vmx_vcpu *v)
{
#pragma GCC unroll 5
    for (uint32_t i = 0; i < SWAPPED_MSRS; i++)
        v->msr[i] = rdmsr(swapped[i]);
}

static int swapped_index(uint32_t msr)
{
    for (int i = 0; i < SWAPPED_MSRS; i++) {
        if (swapped[i] == msr)
            return i;
    }
    return -1;
}

static void msr_area_put(struct vmx_vcpu *v, uint32_t msr, uint64_t guest)
{
    uint32_t i = 0;

    while (i < v->slots && v->entry_msrs[i].index != msr)
        i++;
    if (i == v->slots)
        v->slots++;
    v->entry_msrs[i] = (struct msr_slot){msr, 0, guest};
    v->exit_msrs[i] = (struct msr_slot){msr, 0, rdmsr(msr)};
}

/* EFER and PAT by their own controls, or by the MSR-load areas on CPUs without. `efer` is as the CPU shall have it. */
void msr_areas_update(struct vmx_vcpu *v, uint64_t efer)
{
    if (cap(CAP_LOAD_EFER))
        vmwrite(VMCS_GUEST_EFER, efer);
    else
        msr_area_put(v, MSR_EFER, efer);
    if (cap(CAP_LOAD_PAT))
        vmwrite(VMCS_GUEST_PAT, v->pat);
    else
        msr_area_put(v, MSR_PAT, v->pat);
    vmwrite(VMCS_ENTRY_MSR_LOAD_NUM, v->slots);
    vmwrite(VMCS_EXIT_MSR_LOAD_NUM, v->slots);
}

/* The VMCS field that an MSR has; 0 if it has none. */
static uint32_t msr_field(uint32_t msr)
{
    switch (msr) {
    case MSR_SYSENTER_CS:
        return VMCS_GUEST_SYSENTER_CS;
    case MSR_SYSENTER_ESP:
        return VMCS_GUEST_SYSENTER_ESP;
    case MSR_SYSENTER_EIP:
        return VMCS_GUEST_SYSENTER_EIP;
    case MSR_FS_BASE:
        return VMCS_GUEST_BASE(SEG_FS);
    case MSR_GS_BASE:
        return VMCS_GUEST_BASE(SEG_GS);
    default:
        return 0;
    }
}

static bool guest_msr_read(struct vmx_vcpu *v, uint32_t msr, uint64_t *value)
{
    uint32_t field = msr_field(msr);
    int i = swapped_index(msr);

    if (field)
        *value = vmread(field);
    else if (i >= 0)
        *value = v->cpu ? rdmsr(msr) : v->msr[i];
    else if (msr == MSR_PAT)
        *value = v->pat;
    else if (msr == MSR_TSC_AUX && cap(CAP_RDTSCP))
        *value = v->vcpu->msr.tsc_aux;
    else
        return false;
    return true;
}

int vmx_get_msr(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);
    bool known;

    vmcs_borrow(v);
    known = guest_msr_read(v, msr, value);
    vmcs_return(v);
    return known ? 0 : ERR_NOTFOUND;
}

static void pat_set(struct vmx_vcpu *v, uint64_t pat)
{
    v->pat = pat;
    if (cap(CAP_LOAD_PAT))
        vmwrite(VMCS_GUEST_PAT, pat);
    else
        msr_area_put(v, MSR_PAT, pat);
}

static void guest_msr_write(struct vmx_vcpu *v, uint32_t msr, uint64_t value)
{
    uint32_t field = msr_field(msr);
    int i = swapped_index(msr);

    if (field) {
        vmwrite(field, msr == MSR_SYSENTER_CS ? (uint32_t)value : value);
        return;
    }
    if (msr == MSR_PAT) {
        pat_set(v, value);
        return;
    }
    if (i >= 0)
        v->msr[i] = value;
    else
        v->vcpu->msr.tsc_aux = value;
    if (v->cpu)
        wrmsr(msr, value);
}

int vmx_set_msr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);
    uint64_t old;
    int err = vmx_get_msr(vcpu, msr, &old);

    if (err)
        return err;
    vmcs_borrow(v);
    guest_msr_write(v, msr, value);
    vmcs_return(v);
    return 0;
}
