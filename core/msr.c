#include "core/msr.h"

#include "core/access.h"
#include "core/cpuid.h"
#include "core/lib/log.h"
#include "core/pv.h"
#include "core/vcpu_ops.h"
#include "core/vm.h"
#include "core/x86/asm.h"
#include "core/x86/cr.h"
#include "core/x86/msr.h"

/*
 * One row: MSRs first..last, and how they are read and written. NULL: #GP. One that is just a field of struct vcpu is read
 * there.
 */
struct msr_row {
    uint32_t first, last;
    bool (*read)(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
    bool (*write)(struct vcpu *vcpu, uint32_t msr, uint64_t value);
    uint16_t field; /* its offset; 0: none */
};
#define ROW(first, last, read, write)                                                                        \
    {                                                                                                        \
        first, last, read, write, 0                                                                          \
    }
#define FIELD(msr, name, write)                                                                              \
    {                                                                                                        \
        msr, msr, NULL, write, offsetof(struct vcpu, name)                                                   \
    }

#define MTRR_VARIABLE      8
#define MTRR_CAP           (MTRR_VARIABLE | BIT(8) /* fixed ranges */ | BIT(10) /* WC */)
#define MTRR_DEF_VALID     (MASK(3) | BIT(10) | BIT(11))
#define MTRR_BASE_RESERVED 0xf00ull
#define MTRR_MASK_RESERVED MASK(11)

static bool read_zero(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    (void)vcpu;
    (void)msr;
    *value = 0;
    return true;
}

static bool write_ignored(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    (void)vcpu;
    (void)msr;
    (void)value;
    return true;
}

static bool write_zero_only(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    (void)vcpu;
    (void)msr;
    return value == 0;
}

static inline uint64_t guest_tsc(const struct vcpu *vcpu)
{
    return rdtsc() + vcpu->vm->tsc_offset + vcpu->tsc_adjust;
}

static bool read_tsc(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    (void)msr;
    *value = guest_tsc(vcpu);
    return true;
}

static inline void tsc_adjust_set(struct vcpu *vcpu, uint64_t adjust)
{
    vcpu->tsc_adjust = adjust;
    vcpu_ops->tsc_offset(vcpu, vcpu->vm->tsc_offset + adjust);
    vcpu->irqchip->tsc_moved(vcpu->irqchip_ctx);
    if (vcpu->vm->pv.kind != PV_NONE)
        pv_tsc_adjusted(vcpu);
}

/* A write to the TSC moves TSC_ADJUST by the same amount (SDM 18.17.3). */
static bool write_tsc(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    uint64_t now;

    if (!read_tsc(vcpu, msr, &now))
        return false;
    tsc_adjust_set(vcpu, vcpu->tsc_adjust + value - now);
    return true;
}

static bool write_tsc_adjust(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    (void)msr;
    tsc_adjust_set(vcpu, value);
    return true;
}

/* Memory types that PAT and MTRRs know: 0 UC, 1 WC, 4 WT, 5 WP, 6 WB; PAT also 7 UC-. */
static bool memory_type_valid(uint8_t type, bool pat)
{
    return type == 0 || type == 1 || (type >= 4 && type <= 6) || (pat && type == 7);
}

static bool memory_types_valid(uint64_t types, bool pat)
{
    for (uint32_t i = 0; i < 8; i++)
        if (!memory_type_valid((uint8_t)(types >> (8 * i)), pat))
            return false;
    return true;
}

static bool read_pat(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    return vcpu_ops->get_msr(vcpu, msr, value) == 0;
}

static bool write_pat(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    return memory_types_valid(value, true) && vcpu_ops->set_msr(vcpu, msr, value) == 0;
}

/* MTRRs are kept, and do nothing: all guest memory is write-back in EPT or NPT, and devices are not memory at all. */
static uint64_t *mtrr_slot(struct vcpu *vcpu, uint32_t msr)
{
    if (msr == MSR_MTRR_DEF_TYPE)
        return &vcpu->msr.mtrr_def;
    if (msr >= MSR_MTRR_PHYSBASE0 && msr < MSR_MTRR_PHYSBASE0 + 2 * MTRR_VARIABLE)
        return &vcpu->msr.mtrr_var[msr - MSR_MTRR_PHYSBASE0];
    if (msr == MSR_MTRR_FIX64K_00000)
        return &vcpu->msr.mtrr_fixed[0];
    if (msr == MSR_MTRR_FIX16K_80000 || msr == MSR_MTRR_FIX16K_A0000)
        return &vcpu->msr.mtrr_fixed[1 + msr - MSR_MTRR_FIX16K_80000];
    return &vcpu->msr.mtrr_fixed[3 + msr - MSR_MTRR_FIX4K_C0000];
}

static bool read_mtrr(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    *value = *mtrr_slot(vcpu, msr);
    return true;
}

static uint64_t guest_phys_mask(const struct vcpu *vcpu)
{
    return MASK(cpuid_physical_bits(&vcpu->vm->cpuid));
}

/* Reserved bits and types (SDM 12.11.2). */
static bool mtrr_valid(const struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    if (msr == MSR_MTRR_DEF_TYPE)
        return !(value & ~MTRR_DEF_VALID) && memory_type_valid(value & 7, false);
    if (msr >= MSR_MTRR_FIX64K_00000)
        return memory_types_valid(value, false);
    if (value & ~guest_phys_mask(vcpu))
        return false;
    return msr & 1 ? !(value & MTRR_MASK_RESERVED)
                   : !(value & MTRR_BASE_RESERVED) && memory_type_valid((uint8_t)value, false);
}

static bool write_mtrr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    if (!mtrr_valid(vcpu, msr, value))
        return false;
    *mtrr_slot(vcpu, msr) = value;
    return true;
}

static bool read_mtrr_cap(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    (void)vcpu;
    (void)msr;
    *value = MTRR_CAP;
    return true;
}

static bool write_misc_enable(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    (void)msr;
    vcpu->msr.misc_enable = value;
    return true;
}

/* Last-branch records and single steps by branch have no enumeration of their own, so systems set them at will: not kept. */
static bool write_debugctl(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    (void)vcpu;
    (void)msr;
    return !(value & ~(DEBUGCTL_LBR | DEBUGCTL_BTF));
}

static bool write_bios_sign(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    (void)msr;
    vcpu->msr.bios_sign = value;
    return true;
}

static bool read_efer(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    (void)msr;
    *value = vcpu_get(vcpu, REG_EFER);
    return true;
}

/* Reserved bits are those whose feature the guest doesn't see; LME can't change while paging is on; LMA is the CPU's. */
static bool write_efer(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    uint64_t old = vcpu_get(vcpu, REG_EFER);

    (void)msr;
    if (value & ~(vcpu->vm->cpuid.efer_mask | EFER_LMA))
        return false;
    if (((value ^ old) & EFER_LME) && (vcpu_get(vcpu, REG_CR0) & CR0_PG))
        return false;
    vcpu_set(vcpu, REG_EFER, (value & ~EFER_LMA) | (old & EFER_LMA));
    vcpu_ops->flush(vcpu);
    return true;
}

static bool read_switched(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    return vcpu_ops->get_msr(vcpu, msr, value) == 0;
}

static bool write_switched(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    return vcpu_ops->set_msr(vcpu, msr, value) == 0;
}

/* It has to be canonical by the widest addresses that the CPU has, whether CR4.LA57 is set or not (SDM volume 1, 3.3.7.1). */
static bool write_address(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    uint32_t unused = 64 - vcpu->vm->cpuid.linear_bits;

    if ((uint64_t)((int64_t)(value << unused) >> unused) != value)
        return false;
    return write_switched(vcpu, msr, value);
}

/* Of bits for RFLAGS. */
static bool write_sfmask(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    return !(value >> 32) && write_switched(vcpu, msr, value);
}

static bool tsc_aux_visible(struct vcpu *vcpu)
{
    return cpuid_has(&vcpu->vm->cpuid, 0x80000001, 3, 27) || cpuid_has(&vcpu->vm->cpuid, 7, 2, 22);
}

static bool read_tsc_aux(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    return tsc_aux_visible(vcpu) && vcpu_ops->get_msr(vcpu, msr, value) == 0;
}

static bool write_tsc_aux(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    return tsc_aux_visible(vcpu) && !(value >> 32) && vcpu_ops->set_msr(vcpu, msr, value) == 0;
}

/* No supervisor state components are offered, so the only value is 0. */
static bool read_xss(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    const struct cpuid_entry *e = cpuid_find(&vcpu->vm->cpuid, 0xd, 1);

    (void)msr;
    *value = 0;
    return e && (e->eax & BIT(3));
}

static bool write_xss(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    uint64_t now;

    return read_xss(vcpu, msr, &now) && value == 0;
}

/* MSRs that only AMD's CPUs have, and that system software takes for granted there. */
static bool msr_on_amd(const struct vcpu *vcpu)
{
    const struct cpuid_entry *e = cpuid_find(&vcpu->vm->cpuid, 0, 0);

    return e && e->ecx != CPUID_INTEL_ECX;
}

/* What the CPU isn't open to, and what helps: facts that need nothing of ours. The controls that are listed there aren't shown. */
#define ARCH_CAPS_SHOWN                                                                                      \
    (ARCH_CAPS_RDCL_NO | ARCH_CAPS_RSBA | ARCH_CAPS_SSB_NO | ARCH_CAPS_MDS_NO | ARCH_CAPS_PSCHANGE_NO |      \
     ARCH_CAPS_TAA_NO | ARCH_CAPS_SBDR_SSDP_NO | ARCH_CAPS_FBSDP_NO | ARCH_CAPS_PSDP_NO |                    \
     ARCH_CAPS_FB_CLEAR | ARCH_CAPS_RRSBA | ARCH_CAPS_BHI_NO | ARCH_CAPS_PBRSB_NO | ARCH_CAPS_GDS_NO |       \
     ARCH_CAPS_RFDS_NO | ARCH_CAPS_RFDS_CLEAR | ARCH_CAPS_ITS_NO)

uint64_t msr_arch_caps(uint64_t host, bool whole)
{
    uint64_t shown = host & ARCH_CAPS_SHOWN;

    return whole && !(host & ARCH_CAPS_IBRS_ALL) ? shown | ARCH_CAPS_ITS_NO : shown;
}

static bool read_arch_caps(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    (void)msr;
    *value = vcpu->vm->arch_caps;
    return cpuid_has(&vcpu->vm->cpuid, 7, 3, 29);
}

static bool read_amd(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    return msr_on_amd(vcpu) && read_zero(vcpu, msr, value);
}

static bool read_de_cfg(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    (void)msr;
    *value = DE_CFG_LFENCE_SERIALIZE;
    return msr_on_amd(vcpu);
}

static bool write_amd_ignored(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    (void)msr;
    (void)value;
    return msr_on_amd(vcpu);
}

/* -- the LAPIC's ------------------------------------------------------------------------------------------------ */

static bool write_apic_base(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    (void)msr;
    return vcpu->irqchip->set_base(vcpu->irqchip_ctx, value);
}

static bool read_deadline(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    (void)msr;
    *value = vcpu->irqchip->get_deadline(vcpu->irqchip_ctx, guest_tsc(vcpu));
    return true;
}

static bool write_deadline(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    (void)msr;
    vcpu->irqchip->set_deadline(vcpu->irqchip_ctx, value, guest_tsc(vcpu));
    return true;
}

static bool read_x2apic(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    return access_x2apic(vcpu, msr - MSR_X2APIC_BASE, false, value);
}

static bool write_x2apic(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    return access_x2apic(vcpu, msr - MSR_X2APIC_BASE, true, &value);
}

/* Sorted by number: msr_search goes by halves. What isn't here may be on the VM's MSR bus. */
static const struct msr_row msr_rows[] = {
    ROW(0x000, 0x001, read_zero, write_ignored), /* P5 machine check address and type */
    ROW(MSR_TSC, MSR_TSC, read_tsc, write_tsc),
    ROW(MSR_PLATFORM_ID, MSR_PLATFORM_ID, read_zero, NULL),
    FIELD(MSR_APIC_BASE, apic_base, write_apic_base),
    ROW(MSR_FEATURE_CONTROL, MSR_FEATURE_CONTROL, NULL,
        NULL), /* no VMX, SMX, SGX or LMCE: the MSR isn't there */
    FIELD(MSR_TSC_ADJUST, tsc_adjust, write_tsc_adjust),
    FIELD(MSR_BIOS_SIGN_ID, msr.bios_sign, write_bios_sign),
    ROW(MSR_MTRRCAP, MSR_MTRRCAP, read_mtrr_cap, NULL),
    ROW(MSR_ARCH_CAPABILITIES, MSR_ARCH_CAPABILITIES, read_arch_caps, NULL),
    ROW(MSR_SYSENTER_CS, MSR_SYSENTER_CS, read_switched, write_switched),
    ROW(MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, read_switched, write_address),
    ROW(MSR_MCG_CAP, MSR_MCG_CAP, read_zero, NULL), /* no banks */
    ROW(MSR_MCG_STATUS, MSR_MCG_STATUS, read_zero, write_zero_only),
    ROW(MSR_PERF_STATUS, MSR_PERF_STATUS, read_zero, NULL),
    FIELD(MSR_MISC_ENABLE, msr.misc_enable, write_misc_enable),
    ROW(MSR_DEBUGCTL, MSR_DEBUGCTL, read_zero, write_debugctl),
    ROW(MSR_MTRR_PHYSBASE0, MSR_MTRR_PHYSBASE0 + 2 * MTRR_VARIABLE - 1, read_mtrr, write_mtrr),
    ROW(MSR_MTRR_FIX64K_00000, MSR_MTRR_FIX64K_00000, read_mtrr, write_mtrr),
    ROW(MSR_MTRR_FIX16K_80000, MSR_MTRR_FIX16K_A0000, read_mtrr, write_mtrr),
    ROW(MSR_MTRR_FIX4K_C0000, MSR_MTRR_FIX4K_C0000 + 7, read_mtrr, write_mtrr),
    ROW(MSR_PAT, MSR_PAT, read_pat, write_pat),
    ROW(MSR_MTRR_DEF_TYPE, MSR_MTRR_DEF_TYPE, read_mtrr, write_mtrr),
    ROW(MSR_TSC_DEADLINE, MSR_TSC_DEADLINE, read_deadline, write_deadline),
    ROW(MSR_X2APIC_BASE, MSR_X2APIC_LAST, read_x2apic, write_x2apic),
    ROW(MSR_XSS, MSR_XSS, read_xss, write_xss),
    ROW(MSR_HV_FIRST, MSR_HV_LAST, hv_read_msr, hv_write_msr),
    ROW(MSR_KVM_FIRST, MSR_KVM_POLL_CONTROL, pv_kvm_read_msr, pv_kvm_write_msr),
    ROW(MSR_EFER, MSR_EFER, read_efer, write_efer),
    ROW(MSR_STAR, MSR_STAR, read_switched, write_switched),
    ROW(MSR_LSTAR, MSR_CSTAR, read_switched, write_address),
    ROW(MSR_SFMASK, MSR_SFMASK, read_switched, write_sfmask),
    ROW(MSR_FS_BASE, MSR_KERNEL_GS_BASE, read_switched, write_address),
    ROW(MSR_TSC_AUX, MSR_TSC_AUX, read_tsc_aux, write_tsc_aux),
    ROW(MSR_K7_EVNTSEL0, MSR_K7_PERFCTR3, read_amd, write_amd_ignored), /* counters that stand still */
    ROW(MSR_SYSCFG, MSR_SYSCFG, read_amd, NULL), /* no extended MTRRs, no memory encryption */
    ROW(MSR_HWCR, MSR_HWCR, read_amd, write_amd_ignored),
    ROW(MSR_INT_PENDING, MSR_INT_PENDING, read_amd, write_amd_ignored), /* no C1E */
    ROW(MSR_DE_CFG, MSR_DE_CFG, read_de_cfg, write_amd_ignored),
};

static __attribute__((noinline)) const struct msr_row *msr_search(struct vcpu *vcpu, uint32_t msr)
{
    size_t low = 0, high = ARRAY_SIZE(msr_rows);

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (msr > msr_rows[mid].last)
            low = mid + 1;
        else if (msr < msr_rows[mid].first)
            high = mid;
        else {
            vcpu->msr_row = (uint8_t)mid;
            return &msr_rows[mid];
        }
    }
    return NULL;
}

static inline bool msr_row_has(const struct msr_row *row, uint32_t msr)
{
    return msr >= row->first && msr <= row->last;
}

/* Most accesses are to the same few rows: first looks where the last one was. */
static inline const struct msr_row *msr_find(struct vcpu *vcpu, uint32_t msr)
{
    const struct msr_row *row = &msr_rows[vcpu->msr_row];

    return LIKELY(msr_row_has(row, msr)) ? row : msr_search(vcpu, msr);
}

static void msr_log_refused(struct vcpu *vcpu, uint32_t msr, bool write, uint64_t value)
{
    if (!bus_log_once(&vcpu->vm->msr, msr))
        return;
    if (write)
        log_info("vm=%s vcpu=%u: write of 0x%llx to MSR 0x%x refused with #GP", vcpu->vm->name, vcpu->index,
                 (unsigned long long)value, msr);
    else
        log_info("vm=%s vcpu=%u: read of MSR 0x%x refused with #GP", vcpu->vm->name, vcpu->index, msr);
}

static __attribute__((noinline)) bool msr_read_other(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    bool claimed, ok = access_msr(vcpu, msr, false, value, &claimed);

    if (!claimed)
        msr_log_refused(vcpu, msr, false, 0);
    return ok;
}

bool msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    const struct msr_row *row = msr_find(vcpu, msr);

    if (row && row->field) {
        vcpu->msr_kept.msr = msr;
        vcpu->msr_kept.value = (const uint64_t *)((const uint8_t *)vcpu + row->field);
        *value = *vcpu->msr_kept.value;
        return true;
    }
    if (LIKELY(row && row->read && row->read(vcpu, msr, value)))
        return true;
    return msr_read_other(vcpu, msr, value);
}

bool msr_write_other(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    bool claimed, ok = access_msr(vcpu, msr, true, &value, &claimed);

    if (!claimed)
        msr_log_refused(vcpu, msr, true, value);
    return ok;
}

static NOINLINE bool msr_write_found(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    const struct msr_row *row = msr_search(vcpu, msr);

    return row && row->write && row->write(vcpu, msr, value);
}

bool msr_write_known(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    const struct msr_row *row = &msr_rows[vcpu->msr_row];

    if (LIKELY(msr_row_has(row, msr)))
        return LIKELY(row->write) && row->write(vcpu, msr, value);
    return msr_write_found(vcpu, msr, value);
}

/* SeaBIOS' layout: write-back but for the 1 GiB below 4 GiB, VGA memory uncached, ROM write-protected. */
void msr_reset(struct vcpu *vcpu)
{
    vcpu->msr_kept.msr = MSR_TSC_ADJUST;
    vcpu->msr_kept.value = &vcpu->tsc_adjust;
    vcpu->msr.mtrr_def = 6 | BIT(10) | BIT(11);
    for (uint32_t i = 0; i < ARRAY_SIZE(vcpu->msr.mtrr_fixed); i++)
        vcpu->msr.mtrr_fixed[i] = i < 2 ? 0x0606060606060606ull : i == 2 ? 0 : 0x0505050505050505ull;
    for (uint32_t i = 0; i < ARRAY_SIZE(vcpu->msr.mtrr_var); i++)
        vcpu->msr.mtrr_var[i] = 0;
    vcpu->msr.mtrr_var[0] = 3ull * SIZE_1G;
    vcpu->msr.mtrr_var[1] = (guest_phys_mask(vcpu) & ~(SIZE_1G - 1)) | BIT(11);
    vcpu->msr.misc_enable = vcpu->vm->misc_enable | MISC_ENABLE_NO_BTS | MISC_ENABLE_NO_PEBS;
    vcpu->msr.bios_sign = 0;
    pv_reset(vcpu);
    tsc_adjust_set(vcpu, 0);
}
