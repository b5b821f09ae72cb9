#include "core/x86/features.h"

#include "core/lib/error.h"
#include "core/x86/asm.h"
#include "core/x86/cr.h"
#include "core/x86/msr.h"
#include "core/x86/pat.h"

#define CPUID_1_ECX_HYPERVISOR BIT(31)

enum cpuid_reg { EAX, EBX, ECX, EDX };

struct feature {
    uint32_t leaf, subleaf;
    enum cpuid_reg reg;
    uint32_t bit;
};

static const struct {
    enum cap cap;
    struct feature feature;
} optional[] = {
    /* RDTSCP, INVPCID and XSAVES are for guests: whether they work there is the back end's to say. */
    {CAP_X2APIC, {1, 0, ECX, 21}},
    {CAP_TSC_DEADLINE, {1, 0, ECX, 24}},
    {CAP_XSAVE, {1, 0, ECX, 26}},
    {CAP_SMEP, {7, 0, EBX, 7}},
    {CAP_SMAP, {7, 0, EBX, 20}},
    {CAP_UMIP, {7, 0, ECX, 2}},
    {CAP_PAGE1G, {0x80000001, 0, EDX, 26}},
    {CAP_INVARIANT_TSC, {0x80000007, 0, EDX, 8}},
};

static const struct {
    const char *why;
    struct feature feature;
} required[] = {
    {"the CPU has no NX (execute disable), or the firmware has switched it off", {0x80000001, 0, EDX, 20}},
    {"the CPU has no local APIC", {1, 0, EDX, 9}},
    {"the CPU has no page attribute table", {1, 0, EDX, 16}},
    {"the CPU has no FXSAVE", {1, 0, EDX, 24}},
};

static const struct feature has_mce = {1, 0, EDX, 7};
static const struct feature has_pge = {1, 0, EDX, 13};

static bool feature_present(const struct feature *f)
{
    uint32_t last = cpuid(f->leaf & 0x80000000, 0).eax;
    struct cpuid_regs r;

    if (f->leaf > last)
        return false;
    r = cpuid(f->leaf, f->subleaf);

    const uint32_t regs[] = {[EAX] = r.eax, [EBX] = r.ebx, [ECX] = r.ecx, [EDX] = r.edx};
    return regs[f->reg] & BIT(f->bit);
}

int features_probe(struct caps *found, const char **why)
{
    found->bits = 0;
    for (size_t i = 0; i < ARRAY_SIZE(required); i++)
        if (!feature_present(&required[i].feature)) {
            *why = required[i].why;
            return ERR_NOTSUP;
        }
    for (size_t i = 0; i < ARRAY_SIZE(optional); i++)
        if (feature_present(&optional[i].feature))
            found->bits |= BIT(optional[i].cap);
    return 0;
}

static uint64_t wanted_cr4(void)
{
    uint64_t cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;

    if (feature_present(&has_mce))
        cr4 |= CR4_MCE;
    if (feature_present(&has_pge))
        cr4 |= CR4_PGE;
    if (cap(CAP_XSAVE))
        cr4 |= CR4_OSXSAVE;
    if (cap(CAP_SMEP))
        cr4 |= CR4_SMEP;
    if (cap(CAP_SMAP))
        cr4 |= CR4_SMAP;
    if (cap(CAP_UMIP))
        cr4 |= CR4_UMIP;
    return cr4;
}

/* Memory types change under cached data: SDM volume 3, section "Programming the PAT", wants caches and TLB flushed. */
static void pat_set(void)
{
    wbinvd();
    wrmsr(MSR_PAT, HOST_PAT);
    wbinvd();
    write_cr3(read_cr3());
}

bool features_virtual(void)
{
    return cpuid(1, 0).ecx & CPUID_1_ECX_HYPERVISOR;
}

void features_enable(void)
{
    wrmsr(MSR_EFER, (rdmsr(MSR_EFER) & ~EFER_SCE) | EFER_NXE);
    write_cr0(CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE);
    write_cr4(wanted_cr4() | (read_cr4() & CR4_VMXE));
    pat_set();
}
