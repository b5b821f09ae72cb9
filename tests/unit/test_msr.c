/* The MSR policy, over a back end that keeps what it is given. */
#include "core/msr.h"

#include "core/x86/msr.h"
#include "tests/unit/support.h"

#include "tests/unit/fake_vendor.h"

#define SWITCHED 64

static struct vcpu_ops ops;
static struct {
    uint32_t msr;
    uint64_t value;
} switched[SWITCHED];
static uint64_t tsc_offset;
static bool amd;

/* MSRs of which the back end knows. */
static int note_get(struct vcpu *v, uint32_t msr, uint64_t *value)
{
    (void)v;
    for (size_t i = 0; i < SWITCHED; i++)
        if (switched[i].msr == msr)
            *value = switched[i].value;
    return 0;
}

static int note_set(struct vcpu *v, uint32_t msr, uint64_t value)
{
    (void)v;
    for (size_t i = 0; i < SWITCHED; i++)
        if (switched[i].msr == msr || switched[i].msr == 0) {
            switched[i].msr = msr;
            switched[i].value = value;
            return 0;
        }
    return -1;
}

static void note_offset(struct vcpu *v, uint64_t offset)
{
    (void)v;
    tsc_offset = offset;
}

static void host(uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    (void)subleaf;
    memset(regs, leaf == 0xd ? 0 : 0xff, 16);
    if (leaf == 0 || leaf == 0x80000000)
        regs[0] = leaf + 0x16;
    if (leaf == 0)
        memcpy(&regs[2], amd ? "cAMD" : "ntel", 4);
    if (leaf == 0xd && subleaf == 1)
        regs[0] = 0xf;
    if (leaf == 0x80000008)
        regs[0] = 0x3028; /* 40 bits */
}

static void start_on(bool on_amd)
{
    struct cpuid_policy policy = {
        .host = host, .vcpus = 1, .tsc_hz = NS_PER_SEC, .apic_hz = 25000000, .xcr0 = 7, .caps = UINT64_MAX};

    fake_reset();
    amd = on_amd;
    ops = fake_ops;
    ops.get_msr = note_get;
    ops.set_msr = note_set;
    ops.tsc_offset = note_offset;
    vcpu_ops = &ops;
    memset(switched, 0, sizeof(switched));
    cpuid_build(&fake.vm.cpuid, &policy);
    msr_reset(&fake.vcpu);
}

static int start(void **state)
{
    (void)state;
    start_on(false);
    return 0;
}

static bool reads(uint32_t msr)
{
    uint64_t value;

    return msr_read(&fake.vcpu, msr, &value);
}

static uint64_t value_of(uint32_t msr)
{
    uint64_t value = 0;

    assert_true(msr_read(&fake.vcpu, msr, &value));
    return value;
}

static bool takes(uint32_t msr, uint64_t value)
{
    return msr_write(&fake.vcpu, msr, value);
}

/* Each of these has a row, and the search by halves finds it. */
static void test_known(void **state)
{
    static const uint32_t known[] = {0,
                                     1,
                                     MSR_TSC,
                                     MSR_PLATFORM_ID,
                                     MSR_TSC_ADJUST,
                                     MSR_BIOS_SIGN_ID,
                                     MSR_MTRRCAP,
                                     MSR_SYSENTER_CS,
                                     MSR_SYSENTER_ESP,
                                     MSR_SYSENTER_EIP,
                                     MSR_MCG_CAP,
                                     MSR_MCG_STATUS,
                                     MSR_PERF_STATUS,
                                     MSR_MISC_ENABLE,
                                     MSR_DEBUGCTL,
                                     MSR_MTRR_PHYSBASE0,
                                     MSR_MTRR_PHYSBASE0 + 15,
                                     MSR_MTRR_FIX64K_00000,
                                     MSR_MTRR_FIX16K_80000,
                                     MSR_MTRR_FIX16K_A0000,
                                     MSR_MTRR_FIX4K_C0000,
                                     MSR_MTRR_FIX4K_C0000 + 7,
                                     MSR_PAT,
                                     MSR_MTRR_DEF_TYPE,
                                     MSR_XSS,
                                     MSR_EFER,
                                     MSR_STAR,
                                     MSR_LSTAR,
                                     MSR_CSTAR,
                                     MSR_SFMASK,
                                     MSR_FS_BASE,
                                     MSR_GS_BASE,
                                     MSR_KERNEL_GS_BASE,
                                     MSR_TSC_AUX};
    static const uint32_t amds[] = {MSR_K7_EVNTSEL0, MSR_K7_PERFCTR3, MSR_SYSCFG, MSR_HWCR, MSR_INT_PENDING};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        assert_true(reads(known[i]));
    for (size_t i = 0; i < ARRAY_SIZE(amds); i++)
        assert_false(reads(amds[i]));
    start_on(true);
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        assert_true(reads(known[i]));
    for (size_t i = 0; i < ARRAY_SIZE(amds); i++)
        assert_int_equal(value_of(amds[i]), 0);
    assert_int_equal(value_of(MSR_DE_CFG), DE_CFG_LFENCE_SERIALIZE);
    assert_true(takes(MSR_DE_CFG, DE_CFG_LFENCE_SERIALIZE));
    assert_false(takes(MSR_SYSCFG, 0));
}

/* What CPUID doesn't show isn't there: VMX, speculation control, performance counters, KVM's own. */
static void test_unknown(void **state)
{
    static const uint32_t unknown[] = {2,
                                       MSR_FEATURE_CONTROL,
                                       MSR_SPEC_CTRL,
                                       0xc1,
                                       0x186,
                                       0x38f,
                                       MSR_VMX_BASIC,
                                       MSR_MTRR_PHYSBASE0 + 16,
                                       0x25a,
                                       0x270,
                                       MSR_TSC_RATIO,
                                       MSR_VM_CR,
                                       MSR_VM_HSAVE_PA,
                                       0x11,
                                       0x12,
                                       MSR_KVM_WALL_CLOCK_NEW,
                                       MSR_KVM_WALL_CLOCK_NEW + 1,
                                       0x40000000,
                                       UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
        assert_false(reads(unknown[i]));
        assert_false(takes(unknown[i], 0));
    }
}

/* Facts about the CPU are shown, controls aren't; what a hypervisor beneath may have left out isn't made up. */
static void test_arch_caps(void **state)
{
    (void)state;
    assert_int_equal(msr_arch_caps(0, true), ARCH_CAPS_ITS_NO);
    assert_int_equal(msr_arch_caps(0, false), 0);
    assert_int_equal(msr_arch_caps(ARCH_CAPS_IBRS_ALL | ARCH_CAPS_RDCL_NO, true), ARCH_CAPS_RDCL_NO);
    assert_int_equal(msr_arch_caps(ARCH_CAPS_IBRS_ALL | ARCH_CAPS_ITS_NO, true), ARCH_CAPS_ITS_NO);
    assert_int_equal(msr_arch_caps(UINT64_MAX, false), 0x400000001d1ae175);
    fake.vm.arch_caps = ARCH_CAPS_MDS_NO;
    assert_int_equal(value_of(MSR_ARCH_CAPABILITIES), ARCH_CAPS_MDS_NO);
    assert_false(takes(MSR_ARCH_CAPABILITIES, ARCH_CAPS_MDS_NO));
    cpuid_hide(&fake.vm.cpuid, cpuid_feature_find("arch_capabilities"));
    assert_false(reads(MSR_ARCH_CAPABILITIES));
}

static void test_memory_types(void **state)
{
    (void)state;
    assert_true(takes(MSR_PAT, 0x0007040600070406));
    assert_int_equal(value_of(MSR_PAT), 0x0007040600070406);
    assert_false(takes(MSR_PAT, 0x0207040600070406));
    assert_false(takes(MSR_PAT, 0x8007040600070406));
    assert_true(takes(MSR_MTRR_FIX64K_00000, 0x0006050401000605));
    assert_false(takes(MSR_MTRR_FIX64K_00000, 7)); /* UC- is PAT's alone */
    assert_true(takes(MSR_MTRR_DEF_TYPE, 0xc06));
    assert_false(takes(MSR_MTRR_DEF_TYPE, 0xc02));
    assert_false(takes(MSR_MTRR_DEF_TYPE, 0x1c06));
    assert_false(takes(MSR_MTRRCAP, 0x508));
    assert_int_equal(value_of(MSR_MTRRCAP), 0x508);
}

static void test_variable_ranges(void **state)
{
    const uint32_t base = MSR_MTRR_PHYSBASE0 + 6, mask = base + 1;

    (void)state;
    assert_true(takes(base, 0x80000001));
    assert_true(takes(mask, 0xff80000800));
    assert_int_equal(value_of(base), 0x80000001);
    assert_int_equal(value_of(mask), 0xff80000800);
    assert_false(takes(base, 0x80000003));
    assert_false(takes(base, 0x80000106));
    assert_false(takes(base, BIT(40)));
    assert_false(takes(mask, 0xff80000801));
    assert_false(takes(mask, BIT(40)));
}

/* A kernel that is started without firmware finds RAM write-back and the PCI hole uncached. */
static void test_reset(void **state)
{
    (void)state;
    assert_int_equal(value_of(MSR_MTRR_DEF_TYPE), 0xc06);
    assert_int_equal(value_of(MSR_MTRR_PHYSBASE0), 0xc0000000);
    assert_int_equal(value_of(MSR_MTRR_PHYSBASE0 + 1), 0xffc0000800);
    assert_int_equal(value_of(MSR_MTRR_FIX16K_A0000), 0);
    assert_int_equal(value_of(MSR_MISC_ENABLE), 0x1800);
    fake.vm.misc_enable = MISC_ENABLE_FAST_STRINGS;
    msr_reset(&fake.vcpu);
    assert_int_equal(value_of(MSR_MISC_ENABLE), 0x1801);
    assert_int_equal(value_of(MSR_TSC_ADJUST), 0);
}

static void test_tsc(void **state)
{
    (void)state;
    fake.vm.tsc_offset = 5000;
    assert_true(takes(MSR_TSC_ADJUST, 1ull << 62));
    assert_true(tsc_offset == (1ull << 62) + 5000);
    assert_true(value_of(MSR_TSC) > 1ull << 62);
    assert_true(takes(MSR_TSC, 1000));
    assert_true(tsc_offset == value_of(MSR_TSC_ADJUST) + 5000);
    assert_in_range(value_of(MSR_TSC), 1000, 1000 + 60 * NS_PER_SEC);
}

static void test_efer(void **state)
{
    (void)state;
    assert_int_equal(value_of(MSR_EFER), EFER_LME | EFER_LMA);
    assert_true(takes(MSR_EFER, EFER_LME | EFER_NXE | EFER_SCE));
    assert_int_equal(value_of(MSR_EFER), EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE);
    assert_int_equal(fake.flushes, 1);
    assert_false(takes(MSR_EFER, EFER_LME | EFER_SVME));
    assert_false(takes(MSR_EFER, EFER_NXE)); /* LME while paging */
}

static void test_addresses(void **state)
{
    static const uint32_t addresses[] = {MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_LSTAR,         MSR_CSTAR,
                                         MSR_FS_BASE,      MSR_GS_BASE,      MSR_KERNEL_GS_BASE};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        assert_true(takes(addresses[i], 0xffff800000000000));
        assert_true(value_of(addresses[i]) == 0xffff800000000000);
        assert_true(takes(addresses[i], 0x0000800000000000)); /* whatever CR4.LA57 is */
        assert_false(takes(addresses[i], 0x0100000000000000));
    }
    cpuid_hide(&fake.vm.cpuid, cpuid_feature_find("la57"));
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        assert_true(takes(addresses[i], 0xffff800000000000));
        assert_false(takes(addresses[i], 0x0000800000000000));
    }
}

static void test_sfmask(void **state)
{
    (void)state;
    assert_true(takes(MSR_SFMASK, UINT32_MAX));
    assert_true(value_of(MSR_SFMASK) == UINT32_MAX);
    assert_false(takes(MSR_SFMASK, 1ull << 32));
}

static void test_debugctl(void **state)
{
    (void)state;
    assert_true(takes(MSR_DEBUGCTL, DEBUGCTL_BTF | DEBUGCTL_LBR));
    assert_int_equal(value_of(MSR_DEBUGCTL), 0);
    assert_false(takes(MSR_DEBUGCTL, BIT(6)));
}

static void test_features(void **state)
{
    (void)state;
    assert_true(takes(MSR_TSC_AUX, UINT32_MAX));
    assert_false(takes(MSR_TSC_AUX, 1ull << 32));
    assert_true(takes(MSR_XSS, 0));
    assert_false(takes(MSR_XSS, BIT(8)));
    cpuid_hide(&fake.vm.cpuid, cpuid_feature_find("xsaves"));
    cpuid_hide(&fake.vm.cpuid, cpuid_feature_find("rdtscp"));
    assert_false(takes(MSR_XSS, 0));
    assert_false(reads(MSR_XSS));
    assert_true(reads(MSR_TSC_AUX)); /* for RDPID */
    cpuid_hide(&fake.vm.cpuid, cpuid_feature_find("rdpid"));
    assert_false(reads(MSR_TSC_AUX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_known, start),        cmocka_unit_test_setup(test_unknown, start),
        cmocka_unit_test_setup(test_memory_types, start), cmocka_unit_test_setup(test_variable_ranges, start),
        cmocka_unit_test_setup(test_reset, start),        cmocka_unit_test_setup(test_tsc, start),
        cmocka_unit_test_setup(test_efer, start),         cmocka_unit_test_setup(test_addresses, start),
        cmocka_unit_test_setup(test_sfmask, start),       cmocka_unit_test_setup(test_debugctl, start),
        cmocka_unit_test_setup(test_features, start),     cmocka_unit_test_setup(test_arch_caps, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
