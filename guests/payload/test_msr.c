/* MSRs: known ones keep what is written, reserved bits and unknown numbers take #GP. */
#include "guests/payload/payload.h"

#include "core/event.h"
#include "core/lib/format.h"

#define CANONICAL_HIGH 0xffff800012345678ull
#define NOT_CANONICAL  0x0000800000000000ull
#define MSR_UNKNOWN    0x12345678
#define PAT_DEFAULT    0x0007040600070406ull

static void expect_msr(const char *name, const char *what, uint64_t got, uint64_t want)
{
    char full[64];

    fmt_print(full, sizeof(full), "msr.%s-%s", name, what);
    expect(full, got, want);
}

static void test_kept(void)
{
    static const struct {
        const char *name;
        uint32_t msr;
        uint64_t value;
    } rows[] = {
        {"sysenter-cs", MSR_SYSENTER_CS, 0x1234},
        {"sysenter-esp", MSR_SYSENTER_ESP, CANONICAL_HIGH},
        {"sysenter-eip", MSR_SYSENTER_EIP, CANONICAL_HIGH},
        {"star", MSR_STAR, 0x0023001000000000},
        {"lstar", MSR_LSTAR, CANONICAL_HIGH},
        {"cstar", MSR_CSTAR, CANONICAL_HIGH},
        {"sfmask", MSR_SFMASK, 0x47700},
        {"fs-base", MSR_FS_BASE, CANONICAL_HIGH},
        {"gs-base", MSR_GS_BASE, CANONICAL_HIGH},
        {"kernel-gs-base", MSR_KERNEL_GS_BASE, CANONICAL_HIGH},
        {"pat", MSR_PAT, 0x0606060606060606},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t old, now = 0;

        expect_msr(rows[i].name, "read", rdmsr_trap(rows[i].msr, &old), NO_TRAP);
        expect_msr(rows[i].name, "write", wrmsr_trap(rows[i].msr, rows[i].value), NO_TRAP);
        rdmsr_trap(rows[i].msr, &now);
        expect_msr(rows[i].name, "kept", now, rows[i].value);
        wrmsr_trap(rows[i].msr, old);
    }
}

static void test_refused(void)
{
    static const struct {
        const char *name;
        uint32_t msr;
        uint64_t value;
    } rows[] = {
        {"efer-reserved", MSR_EFER, EFER_LME | EFER_LMA | BIT(2)},
        {"efer-lme-with-paging", MSR_EFER, 0},
        {"pat-type-2", MSR_PAT, 0x0206060606060606},
        {"pat-type-8", MSR_PAT, 0x0806060606060606},
        {"apic-base-reserved", MSR_APIC_BASE, 0xfee00000 | APIC_BASE_ENABLE | BIT(0)},
        {"unknown", MSR_UNKNOWN, 0},
        {"lstar-canonical", MSR_LSTAR, NOT_CANONICAL},
        {"kernel-gs-canonical", MSR_KERNEL_GS_BASE, NOT_CANONICAL},
        {"fs-base-canonical", MSR_FS_BASE, NOT_CANONICAL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t old = 0, readable = rdmsr_trap(rows[i].msr, &old);

        expect_msr(rows[i].name, "refused", wrmsr_trap(rows[i].msr, rows[i].value), EXC_GP);
        if (readable == NO_TRAP && trap_vector() == NO_TRAP)
            wrmsr_trap(rows[i].msr, old);
    }
}

/* Performance counters aren't offered: CPUID, MSRs and RDPMC agree. Only those that AMD's CPUs have always had stand still. */
static void test_counters(void)
{
    static const struct {
        const char *name;
        uint32_t msr;
    } rows[] = {
        {"counter", 0xc1},       {"event", 0x186},         {"fixed", 0x309},
        {"capabilities", 0x345}, {"fixed-control", 0x38d}, {"global-status", 0x38e},
        {"global", 0x38f},       {"pebs", 0x3f1},          {"amd-core", 0xc0010200},
    };
    uint64_t value;

    if (!on_keel) {
        skip("msr.counters", "not on Keel");
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        expect_msr(rows[i].name, "refused", rdmsr_trap(rows[i].msr, &value), EXC_GP);
        expect_msr(rows[i].name, "write-refused", wrmsr_trap(rows[i].msr, 0), EXC_GP);
    }
    expect("msr.counters-leaf", cpuid(0xa, 0).eax | cpuid(0xa, 0).ebx | cpuid(0xa, 0).edx, 0);
    check("msr.counters-pdcm", !cpu_has(1, 2, 15));
    check("msr.counters-amd", !(cpuid(0x80000001, 0).ecx & (BIT(23) | BIT(24) | BIT(28))));
    expect("msr.counters-rdpmc", TRAP_OF("xor %%ecx, %%ecx; rdpmc"), EXC_GP);
    expect("msr.counters-rdpmc-fixed", TRAP_OF("mov $0x40000000, %%ecx; rdpmc"), EXC_GP);
}

/* QEMU's own LAPIC takes this, and doesn't come back. */
static void test_apic_base_modes(void)
{
    if (!on_keel)
        skip("msr.apic-base-extd-alone", "not on Keel");
    else
        expect("msr.apic-base-extd-alone", wrmsr_trap(MSR_APIC_BASE, 0xfee00000 | APIC_BASE_X2APIC), EXC_GP);
}

static void test_unknown_read(void)
{
    uint64_t value;

    expect("msr.unknown-read", rdmsr_trap(MSR_UNKNOWN, &value), EXC_GP);
    expect("msr.unknown-read-error", trap.error, 0);
    expect("msr.unknown-read-rip", trap.rip, trap_at);
}

/* CPUID says whether it is there; nobody can write it. */
static void test_arch_capabilities(void)
{
    bool there = cpuid(0, 0).eax >= 7 && cpu_has(7, 3, 29);
    uint64_t value;

    expect("msr.arch-capabilities", rdmsr_trap(MSR_ARCH_CAPABILITIES, &value), there ? NO_TRAP : EXC_GP);
    expect("msr.arch-capabilities-write", wrmsr_trap(MSR_ARCH_CAPABILITIES, 0), EXC_GP);
}

static void test_efer(void)
{
    uint64_t efer = rdmsr(MSR_EFER);

    expect("msr.efer-lma", efer & (EFER_LME | EFER_LMA), EFER_LME | EFER_LMA);
    wrmsr(MSR_EFER, efer ^ EFER_SCE);
    expect("msr.efer-sce", rdmsr(MSR_EFER), efer ^ EFER_SCE);
    wrmsr(MSR_EFER, efer);
    if (cpu_has(0x80000001, 3, 20)) {
        wrmsr(MSR_EFER, efer | EFER_NXE);
        expect("msr.efer-nxe", rdmsr(MSR_EFER), efer | EFER_NXE);
        wrmsr(MSR_EFER, efer);
    }
}

static void test_apic_base(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);

    expect("msr.apic-base-address", base & ~PAGE_MASK, 0xfee00000);
    expect("msr.apic-base-flags", base & PAGE_MASK, APIC_BASE_ENABLE | APIC_BASE_BSP);
}

/* Moving TSC_ADJUST moves the TSC by as much, and moving the TSC moves TSC_ADJUST. */
static void test_tsc_adjust(void)
{
    const uint64_t far = 1ull << 40;
    uint64_t before, old, now;

    if (!cpu_has(7, 1, 1)) {
        skip("msr.tsc-adjust", "not in CPUID");
        return;
    }
    old = rdmsr(MSR_TSC_ADJUST);
    before = rdtsc();
    wrmsr(MSR_TSC_ADJUST, old + far);
    now = rdtsc();
    expect("msr.tsc-adjust-kept", rdmsr(MSR_TSC_ADJUST), old + far);
    expect_range("msr.tsc-adjust-moves-tsc", now - before - far, 0, tsc_hz / 100);
    wrmsr(MSR_TSC, rdtsc() - far);
    expect_range("msr.tsc-write-moves-adjust", rdmsr(MSR_TSC_ADJUST) - old + tsc_hz / 100, 0, tsc_hz / 50);
    wrmsr(MSR_TSC_ADJUST, old);
}

static void test_tsc(void)
{
    uint64_t before = rdtsc(), value = rdmsr(MSR_TSC);

    expect_range("msr.tsc-read", value - before, 0, tsc_hz / 100);
}

/* The last variable range: what its two registers take, and what is reserved in them (SDM 12.11.2.3). */
static void test_mtrr_range(uint32_t n)
{
    static const struct {
        const char *name;
        uint64_t value, vector;
        bool mask;
    } rows[] = {
        {"mtrr-base", 0xc0000000 | 6, NO_TRAP, false},       {"mtrr-base-type", 2, EXC_GP, false},
        {"mtrr-base-reserved", BIT(8), EXC_GP, false},       {"mtrr-base-address", BIT(52), EXC_GP, false},
        {"mtrr-mask", 0xff0000000 | BIT(11), NO_TRAP, true}, {"mtrr-mask-reserved", BIT(10), EXC_GP, true},
        {"mtrr-mask-address", BIT(52), EXC_GP, true},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint32_t msr = MSR_MTRR_PHYSBASE0 + 2 * n + rows[i].mask;
        uint64_t old = rdmsr(msr), vector = wrmsr_trap(msr, rows[i].value);

        expect_msr(rows[i].name, "written", vector, rows[i].vector);
        expect_msr(rows[i].name, "kept", rdmsr(msr), vector == NO_TRAP ? rows[i].value : old);
        wrmsr_trap(msr, old);
    }
}

static void test_mtrr(void)
{
    uint64_t old, value = 0;

    if (!cpu_has(1, 3, 12)) {
        skip("msr.mtrr", "not in CPUID");
        return;
    }
    expect("msr.mtrr-cap-read", rdmsr_trap(MSR_MTRRCAP, &value), NO_TRAP);
    expect("msr.mtrr-cap-write", wrmsr_trap(MSR_MTRRCAP, value), EXC_GP);
    old = rdmsr(MSR_MTRR_DEF_TYPE);
    wrmsr(MSR_MTRR_DEF_TYPE, old ^ BIT(11));
    expect("msr.mtrr-def-type", rdmsr(MSR_MTRR_DEF_TYPE), old ^ BIT(11));
    wrmsr(MSR_MTRR_DEF_TYPE, old);
    expect("msr.mtrr-def-type-2", wrmsr_trap(MSR_MTRR_DEF_TYPE, 2), EXC_GP);
    if (on_keel && (value & 0xff))
        test_mtrr_range((uint32_t)(value & 0xff) - 1);
}

void test_msr(void)
{
    if (rdmsr(MSR_PAT) != PAT_DEFAULT)
        print("# PAT is %#llx", (unsigned long long)rdmsr(MSR_PAT));
    test_kept();
    test_refused();
    test_apic_base_modes();
    test_unknown_read();
    test_arch_capabilities();
    test_counters();
    test_efer();
    test_apic_base();
    test_tsc();
    test_tsc_adjust();
    test_mtrr();
}
