#include "core/cpuid.h"

#include "core/lib/panic.h"
#include "core/lib/string.h"
#include "core/x86/caps.h"
#include "core/x86/cr.h"
#include "core/x86/msr.h"

enum { EAX, EBX, ECX, EDX };

#define FEATURES_1_EDX_AMD                                                                                   \
    0x0183f3ffu /* bits of leaf 1 EDX that AMD repeats in 80000001 EDX (APM volume 3, E.4.2) */
#define XCR0_AVX512 (7ull << 5)
#define XCR0_PKRU   BIT(9)

static struct cpuid_entry *cpuid_add(struct cpuid_table *table, uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_entry *e;

    assert(table->count < CPUID_MAX_ENTRIES);
    e = &table->entries[table->count++];
    *e = (struct cpuid_entry){.leaf = leaf, .subleaf = subleaf};
    return e;
}

static uint32_t *cpuid_reg(struct cpuid_entry *e, uint32_t reg)
{
    return reg == EAX ? &e->eax : reg == EBX ? &e->ebx : reg == ECX ? &e->ecx : &e->edx;
}

static struct cpuid_entry *cpuid_add_host(struct cpuid_table *table, const struct cpuid_policy *p,
                                          uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_entry *e = cpuid_add(table, leaf, subleaf);
    uint32_t regs[4];

    p->host(leaf, subleaf, regs);
    e->eax = regs[EAX];
    e->ebx = regs[EBX];
    e->ecx = regs[ECX];
    e->edx = regs[EDX];
    return e;
}

/* The XSAVE components without which a feature can't be used (SDM volume 1, 13.1). */
static uint64_t cpuid_xstate_of(const struct cpuid_feature *f)
{
    if (str_starts(f->name, "avx512"))
        return XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512;
    if (str_eq(f->name, "pku"))
        return XCR0_PKRU;
    if (str_starts(f->name, "xsave") || str_eq(f->name, "xgetbv1"))
        return XCR0_X87 | XCR0_SSE;
    return XCR0_X87 | XCR0_SSE | XCR0_AVX;
}

/* A capability that was forced off, or that the back end lacks, takes its guest feature with it. */
static bool cpuid_cap_allows(const struct cpuid_feature *f, uint64_t have)
{
    static const struct {
        const char *name;
        enum cap cap;
    } needs[] = {
        {"rdtscp", CAP_RDTSCP}, {"rdpid", CAP_RDTSCP}, {"invpcid", CAP_INVPCID},
        {"xsaves", CAP_XSAVES}, {"la57", CAP_LA57},    {"constant_tsc", CAP_INVARIANT_TSC},
        {"xsave", CAP_XSAVE},
    };

    for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
        if (str_eq(f->name, needs[i].name))
            return have & BIT(needs[i].cap);
    return true;
}

static bool cpuid_is_intel(const struct cpuid_policy *p)
{
    uint32_t regs[4];

    p->host(0, 0, regs);
    return regs[ECX] == CPUID_INTEL_ECX;
}

static bool cpuid_allows(const struct cpuid_feature *f, const struct cpuid_policy *p, uint32_t host)
{
    if (!cpuid_cap_allows(f, p->caps))
        return false;
    switch (f->how) {
    case CPUID_ALWAYS:
        return true;
    case CPUID_INTEL:
        return cpuid_is_intel(p) || (host & BIT(f->bit));
    case CPUID_XSTATE:
        return (host & BIT(f->bit)) && !(cpuid_xstate_of(f) & ~p->xcr0);
    default:
        return host & BIT(f->bit);
    }
}

/* Replaces the feature bits of an entry by those that the allow-list lets through. */
static void cpuid_filter(struct cpuid_entry *e, uint32_t reg, const struct cpuid_policy *p)
{
    uint32_t *value = cpuid_reg(e, reg);
    uint32_t host = *value;

    *value = 0;
    for (uint32_t i = 0; i < cpuid_feature_count; i++) {
        const struct cpuid_feature *f = &cpuid_features[i];

        if (f->leaf == e->leaf && f->subleaf == e->subleaf && f->reg == reg && cpuid_allows(f, p, host))
            *value |= (uint32_t)BIT(f->bit);
    }
}

/* Leaf 1: EBX has the vCPU's APIC id on top, which exit_cpuid fills in. */
static void cpuid_leaf_1(struct cpuid_table *table, const struct cpuid_policy *p)
{
    struct cpuid_entry *e = cpuid_add_host(table, p, 1, 0);

    e->ebx = (e->ebx & 0xffff) | (p->vcpus & 0xff) << 16;
    cpuid_filter(e, ECX, p);
    cpuid_filter(e, EDX, p);
    if (p->vcpus > 1)
        e->edx |= (uint32_t)BIT(28); /* HTT: EBX 23:16 is valid */
}

/* Leaf 4: the caches are the host's, shared by nobody; all vCPUs look like cores of one package. */
static void cpuid_leaf_4(struct cpuid_table *table, const struct cpuid_policy *p)
{
    for (uint32_t i = 0; i < 8; i++) {
        struct cpuid_entry *e = cpuid_add_host(table, p, 4, i);

        if ((e->eax & 0x1f) == 0) {
            *e = (struct cpuid_entry){.leaf = 4, .subleaf = i};
            return;
        }
        e->eax = (e->eax & 0x3fff) | MIN(p->vcpus - 1, 63u) << 26;
    }
}

static void cpuid_leaf_7(struct cpuid_table *table, const struct cpuid_policy *p)
{
    struct cpuid_entry *e = cpuid_add_host(table, p, 7, 0);
    uint32_t subleaves = e->eax;

    e->eax = MIN(subleaves, 1u);
    cpuid_filter(e, EBX, p);
    cpuid_filter(e, ECX, p);
    cpuid_filter(e, EDX, p);
    if (subleaves >= 1) {
        e = cpuid_add_host(table, p, 7, 1);
        e->ebx = e->ecx = e->edx = 0;
        cpuid_filter(e, EAX, p);
    }
}

static uint32_t cpuid_id_bits(uint32_t count)
{
    uint32_t bits = 0;

    while (1u << bits < count)
        bits++;
    return bits;
}

/* Leaf 0BH, x2APIC topology: one thread a core, all cores in one package. EDX is the vCPU's id. */
static void cpuid_leaf_b(struct cpuid_table *table, const struct cpuid_policy *p)
{
    struct cpuid_entry *e = cpuid_add(table, 0xb, 0);

    e->ebx = 1;
    e->ecx = 1 << 8;
    e = cpuid_add(table, 0xb, 1);
    e->eax = cpuid_id_bits(p->vcpus);
    e->ebx = p->vcpus;
    e->ecx = 2 << 8 | 1;
}

/* Leaf 0DH, XSAVE. Subleaf 0 EBX and subleaf 1 EBX follow XCR0 and XSS as they are, so exit_cpuid asks the CPU. */
static void cpuid_leaf_d(struct cpuid_table *table, const struct cpuid_policy *p)
{
    struct cpuid_entry *e;
    uint32_t max = 576; /* the legacy area and the XSAVE header */

    if (!p->xcr0)
        return;
    cpuid_add(table, 0xd, 0);
    e = cpuid_add_host(table, p, 0xd, 1);
    e->ebx = e->ecx = e->edx = 0;
    cpuid_filter(e, EAX, p);
    for (uint32_t i = 2; i < 63; i++) {
        if (!(p->xcr0 & BIT(i)))
            continue;
        e = cpuid_add_host(table, p, 0xd, i);
        e->edx = 0;
        max = MAX(max, e->eax + e->ebx);
    }
    for (uint32_t i = 0; i < table->count; i++) {
        e = &table->entries[i];
        if (e->leaf == 0xd && e->subleaf == 0) {
            e->eax = (uint32_t)p->xcr0;
            e->edx = (uint32_t)(p->xcr0 >> 32);
            e->ecx = e->ebx = max;
        }
    }
}

/*
 * Leaf 15H: TSC = crystal * EBX / EAX, the crystal being the LAPIC timer's clock. Software (Linux among it) multiplies
 * crystal kHz by EBX in 32 bits, so EAX is as large as that allows: the error stays below 3 in a million.
 */
static void cpuid_leaf_15(struct cpuid_table *table, const struct cpuid_policy *p)
{
    uint64_t tsc_khz = p->tsc_hz / 1000, apic_khz = p->apic_hz / 1000;
    struct cpuid_entry *e = cpuid_add(table, 0x15, 0);

    if (tsc_khz == 0 || tsc_khz > UINT32_MAX / 2)
        return;
    e->eax = (uint32_t)MIN(UINT32_MAX / tsc_khz, 1000000ull);
    e->ebx = (uint32_t)((tsc_khz * e->eax + apic_khz / 2) / apic_khz);
    e->ecx = (uint32_t)p->apic_hz;
    e = cpuid_add(table, 0x16, 0);
    e->eax = e->ebx = (uint32_t)(tsc_khz / 1000);
}

/* KVM's features (cpuid.rst). EOI through memory is for CPUs that don't end interrupts without an exit. */
#define KVM_FEATURE_NOP_IO_DELAY       BIT(1)
#define KVM_FEATURE_CLOCKSOURCE2       BIT(3)
#define KVM_FEATURE_STEAL_TIME         BIT(5)
#define KVM_FEATURE_PV_EOI             BIT(6)
#define KVM_FEATURE_PV_UNHALT          BIT(7)
#define KVM_FEATURE_PV_TLB_FLUSH       BIT(9)
#define KVM_FEATURE_PV_SEND_IPI        BIT(11)
#define KVM_FEATURE_POLL_CONTROL       BIT(12)
#define KVM_FEATURE_PV_SCHED_YIELD     BIT(13)
#define KVM_FEATURE_CLOCKSOURCE_STABLE BIT(24)

static uint32_t cpuid_kvm_features(const struct cpuid_policy *p)
{
    if (p->pv != PV_KVM)
        return 0;
    return (uint32_t)(KVM_FEATURE_NOP_IO_DELAY | KVM_FEATURE_CLOCKSOURCE2 | KVM_FEATURE_STEAL_TIME |
                      KVM_FEATURE_PV_UNHALT | KVM_FEATURE_PV_TLB_FLUSH | KVM_FEATURE_PV_SEND_IPI |
                      KVM_FEATURE_POLL_CONTROL | KVM_FEATURE_PV_SCHED_YIELD | KVM_FEATURE_CLOCKSOURCE_STABLE |
                      (p->caps & BIT(CAP_APICV) ? 0 : KVM_FEATURE_PV_EOI));
}

static void cpuid_signature(struct cpuid_entry *e, const char text[12])
{
    memcpy(&e->ebx, text, 4);
    memcpy(&e->ecx, text + 4, 4);
    memcpy(&e->edx, text + 8, 4);
}

/*
 * The hypervisor's leaves. Stock kernels look for a signature that they know; KVM's says that paravirtual features are
 * listed in 40000001H (with `pv = none` there are none), that x2APIC works without interrupt remapping, and 40000010H has the
 * clock rates.
 */
static void cpuid_kvm(struct cpuid_table *table, const struct cpuid_policy *p)
{
    struct cpuid_entry *e = cpuid_add(table, CPUID_HYPERVISOR_BASE, 0);

    e->eax = CPUID_HYPERVISOR_BASE + 0x10;
    cpuid_signature(e, "KVMKVMKVM\0\0");
    e = cpuid_add(table, CPUID_HYPERVISOR_BASE + 1, 0);
    e->eax = cpuid_kvm_features(p);
    e->edx = p->dedicated; /* KVM_HINTS_REALTIME */
    e = cpuid_add(table, CPUID_HYPERVISOR_BASE + 0x10, 0);
    e->eax = (uint32_t)(p->tsc_hz / 1000);
    e->ebx = (uint32_t)(p->apic_hz / 1000);
}

/*
 * Hyper-V's (TLFS 2.4): the MSRs that there are, direct timers, the rates of the clocks. Advised: relaxed timing, no automatic EOI,
 * and where the CPU doesn't end interrupts itself, MSRs for the LAPIC.
 */
#define HV_PRIVILEGES  (BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(9) | BIT(11))
#define HV_FEATURES    (BIT(8) | BIT(19))
#define HV_APIC_MSRS   BIT(3)
#define HV_RELAXED     BIT(5)
#define HV_NO_AUTO_EOI BIT(9)

static void cpuid_hyperv(struct cpuid_table *table, const struct cpuid_policy *p)
{
    struct cpuid_entry *e = cpuid_add(table, CPUID_HYPERVISOR_BASE, 0);

    e->eax = CPUID_HYPERVISOR_BASE + 5;
    cpuid_signature(e, "Microsoft Hv");
    e = cpuid_add(table, CPUID_HYPERVISOR_BASE + 1, 0);
    e->eax = 0x31237648; /* "Hv#1": conforms */
    cpuid_add(table, CPUID_HYPERVISOR_BASE + 2, 0);
    e = cpuid_add(table, CPUID_HYPERVISOR_BASE + 3, 0);
    e->eax = (uint32_t)HV_PRIVILEGES;
    e->edx = (uint32_t)HV_FEATURES;
    e = cpuid_add(table, CPUID_HYPERVISOR_BASE + 4, 0);
    e->eax = (uint32_t)(HV_RELAXED | HV_NO_AUTO_EOI | (p->caps & BIT(CAP_APICV) ? 0 : HV_APIC_MSRS));
    e->ebx = UINT32_MAX; /* no notice of long spins */
    e = cpuid_add(table, CPUID_HYPERVISOR_BASE + 5, 0);
    e->eax = p->vcpus;
}

static void cpuid_hypervisor(struct cpuid_table *table, const struct cpuid_policy *p)
{
    struct cpuid_entry *e;

    if (p->pv == PV_HYPERV)
        cpuid_hyperv(table, p);
    else
        cpuid_kvm(table, p);
    e = cpuid_add(table, CPUID_KEEL_BASE, 0);
    e->eax = CPUID_KEEL_BASE;
    cpuid_signature(e, "KeelKeelKeel");
}

static void cpuid_basic(struct cpuid_table *table, const struct cpuid_policy *p)
{
    struct cpuid_entry *e = cpuid_add_host(table, p, 0, 0);
    uint32_t host_max = e->eax;

    e->eax = 0x16;
    cpuid_leaf_1(table, p);
    if (host_max >= 2)
        cpuid_add_host(table, p, 2, 0);
    if (host_max >= 4)
        cpuid_leaf_4(table, p);
    e = cpuid_add(table, 6, 0);
    cpuid_filter(e, EAX, p);
    if (host_max >= 7)
        cpuid_leaf_7(table, p);
    cpuid_leaf_b(table, p);
    if (host_max >= 0xd)
        cpuid_leaf_d(table, p);
    cpuid_leaf_15(table, p);
}

/* Physical addresses: what a gpa can have. Linear ones follow LA57 (cpuid_set_masks). */
static void cpuid_leaf_80000008(struct cpuid_table *table, const struct cpuid_policy *p)
{
    struct cpuid_entry *e = cpuid_add_host(table, p, 0x80000008, 0);

    e->eax = MIN(e->eax & 0xff, 46u);
    e->ecx = p->vcpus > 1 ? p->vcpus - 1 : 0;
    e->edx = 0;
    cpuid_filter(e, EBX, p);
}

static void cpuid_extended(struct cpuid_table *table, const struct cpuid_policy *p)
{
    struct cpuid_entry *e = cpuid_add_host(table, p, 0x80000000, 0);
    uint32_t host_max = e->eax;
    uint32_t amd, basic_edx = table->entries[1].edx;

    e->eax = MIN(host_max, 0x80000008u);
    e = cpuid_add_host(table, p, 0x80000001, 0);
    amd = e->edx & FEATURES_1_EDX_AMD;
    cpuid_filter(e, ECX, p);
    cpuid_filter(e, EDX, p);
    e->edx |= amd & basic_edx;
    e->ebx = 0;
    for (uint32_t leaf = 0x80000002; leaf <= MIN(host_max, 0x80000006u); leaf++)
        cpuid_add_host(table, p, leaf, 0);
    if (host_max >= 0x80000007) {
        e = cpuid_add_host(table, p, 0x80000007, 0);
        e->eax = e->ebx = e->ecx = 0;
        cpuid_filter(e, EDX, p);
    }
    if (host_max >= 0x80000008)
        cpuid_leaf_80000008(table, p);
}

static void cpuid_index(struct cpuid_table *table)
{
    memset(table->first, CPUID_MAX_ENTRIES, sizeof table->first);
    for (uint32_t i = table->count; i-- > 0;) {
        uint32_t slot = cpuid_slot(table->entries[i].leaf);

        if (slot < CPUID_SLOTS)
            table->first[slot] = (uint8_t)i;
    }
}

static uint32_t cpuid_first(const struct cpuid_table *table, uint32_t leaf)
{
    if (LIKELY(cpuid_slot(leaf) < CPUID_SLOTS))
        return table->first[cpuid_slot(leaf)];
    for (uint32_t i = 0; i < table->count; i++)
        if (table->entries[i].leaf == leaf)
            return i;
    return CPUID_MAX_ENTRIES;
}

/* Leaves whose ECX means something; in the others it is ignored. */
static bool cpuid_has_subleaves(uint32_t leaf)
{
    return leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd;
}

const struct cpuid_entry *cpuid_find(const struct cpuid_table *table, uint32_t leaf, uint32_t subleaf)
{
    uint32_t i = cpuid_first(table, leaf);

    if (i >= table->count)
        return NULL;
    if (!cpuid_has_subleaves(leaf))
        return &table->entries[i];
    for (; i < table->count && table->entries[i].leaf == leaf; i++)
        if (table->entries[i].subleaf == subleaf)
            return &table->entries[i];
    return NULL;
}

uint32_t cpuid_subleaves(const struct cpuid_table *table, uint32_t leaf)
{
    uint32_t count = 0;

    while (cpuid_has_subleaves(leaf) && cpuid_find(table, leaf, count))
        count++;
    return count;
}

uint32_t cpuid_physical_bits(const struct cpuid_table *table)
{
    const struct cpuid_entry *e = cpuid_find(table, 0x80000008, 0);

    return e ? e->eax & 0xff : 36;
}

bool cpuid_has(const struct cpuid_table *table, uint32_t leaf, uint32_t reg, uint32_t bit)
{
    const struct cpuid_entry *e = cpuid_find(table, leaf, 0);

    return e && (*cpuid_reg((struct cpuid_entry *)(uintptr_t)e, reg) & BIT(bit));
}

static uint64_t cpuid_mask(const struct cpuid_table *table, const char *name, uint64_t bits)
{
    const struct cpuid_feature *f = cpuid_feature_find(name);

    assert(f);
    return cpuid_has(table, f->leaf, f->reg, f->bit) ? bits : 0;
}

static uint64_t cpuid_cr4_mask(const struct cpuid_table *table)
{
    static const struct {
        const char *name;
        uint64_t bits;
    } rows[] = {
        {"vme", CR4_VME | CR4_PVI}, {"tsc", CR4_TSD},           {"de", CR4_DE},
        {"pse", CR4_PSE},           {"pae", CR4_PAE},           {"mce", CR4_MCE},
        {"pge", CR4_PGE},           {"fxsr", CR4_OSFXSR},       {"sse", CR4_OSXMMEXCPT},
        {"umip", CR4_UMIP},         {"fsgsbase", CR4_FSGSBASE}, {"pcid", CR4_PCIDE},
        {"xsave", CR4_OSXSAVE},     {"smep", CR4_SMEP},         {"smap", CR4_SMAP},
        {"pku", CR4_PKE},           {"la57", CR4_LA57},
    };
    uint64_t mask = CR4_PCE;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        mask |= cpuid_mask(table, rows[i].name, rows[i].bits);
    return mask;
}

static uint64_t cpuid_efer_mask(const struct cpuid_table *table)
{
    return cpuid_mask(table, "syscall", EFER_SCE) | cpuid_mask(table, "lm", EFER_LME) |
           cpuid_mask(table, "nx", EFER_NXE) | cpuid_mask(table, "fxsr_opt", EFER_FFXSR);
}

/* They take thousands of string comparisons, so that a write to CR4 doesn't make them. */
static void cpuid_set_masks(struct cpuid_table *table)
{
    struct cpuid_entry *sizes = (struct cpuid_entry *)(uintptr_t)cpuid_find(table, 0x80000008, 0);

    table->cr4_mask = cpuid_cr4_mask(table);
    table->linear_bits = table->cr4_mask & CR4_LA57 ? 57 : 48;
    if (sizes)
        sizes->eax = (sizes->eax & ~0xff00u) | table->linear_bits << 8;
    table->efer_mask = cpuid_efer_mask(table);
}

void cpuid_build(struct cpuid_table *table, const struct cpuid_policy *policy)
{
    memset(table, 0, sizeof *table);
    cpuid_basic(table, policy);
    cpuid_extended(table, policy);
    cpuid_hypervisor(table, policy);
    cpuid_index(table);
    cpuid_set_masks(table);
}

/* What can't be used without a feature goes with it. */
static const struct {
    const char *name, *dependent;
} cpuid_dependents[] = {
    {"xsave", "avx"},
    {"xsave", "xsaveopt"},
    {"xsave", "xsavec"},
    {"xsave", "xgetbv1"},
    {"xsave", "xsaves"},
    {"xsave", "pku"},
    {"avx", "avx2"},
    {"avx", "fma"},
    {"avx", "f16c"},
    {"avx", "vaes"},
    {"avx", "vpclmulqdq"},
    {"avx", "avx512f"},
    {"avx", "xop"},
    {"avx", "fma4"},
    {"avx", "avx_vnni"},
    {"avx512f", "avx512dq"},
    {"avx512f", "avx512cd"},
    {"avx512f", "avx512bw"},
    {"avx512f", "avx512vl"},
    {"avx512f", "avx512ifma"},
    {"avx512f", "avx512vbmi"},
    {"avx512f", "avx512_vbmi2"},
    {"avx512f", "avx512_vnni"},
    {"avx512f", "avx512_bitalg"},
    {"avx512f", "avx512_vpopcntdq"},
    {"avx512f", "avx512_vp2intersect"},
    {"avx512f", "avx512_bf16"},
    {"apic", "x2apic"},
    {"apic", "tsc_deadline_timer"},
};

static void cpuid_clear(struct cpuid_table *table, const struct cpuid_feature *feature)
{
    for (uint32_t i = 0; i < table->count; i++) {
        struct cpuid_entry *e = &table->entries[i];

        if (e->leaf == feature->leaf && e->subleaf == feature->subleaf)
            *cpuid_reg(e, feature->reg) &= ~(uint32_t)BIT(feature->bit);
    }
    for (size_t i = 0; i < ARRAY_SIZE(cpuid_dependents); i++)
        if (str_eq(cpuid_dependents[i].name, feature->name))
            cpuid_clear(table, cpuid_feature_find(cpuid_dependents[i].dependent));
}

void cpuid_hide(struct cpuid_table *table, const struct cpuid_feature *feature)
{
    cpuid_clear(table, feature);
    cpuid_set_masks(table);
}
