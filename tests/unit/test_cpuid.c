/* The CPUID policy over made-up hosts. */
#include <string.h>

#include "tests/unit/support.h"

#include "core/cpuid_ready.h"
#include "core/x86/caps.h"
#include "core/x86/cr.h"
#include "drivers/virt/vlapic.h"

static uint32_t host_max, host_extended_max;
static uint32_t host_lacks_7d;
static bool host_amd;

/* A host that has everything: all feature bits set. */
static void full_host(uint32_t leaf, uint32_t subleaf, uint32_t regs[4])
{
    memset(regs, 0, 16);
    switch (leaf) {
    case 0:
        regs[0] = host_max;
        memcpy(&regs[1], host_amd ? "Auth" : "Genu", 4);
        memcpy(&regs[2], host_amd ? "cAMD" : "ntel", 4);
        break;
    case 4:
        regs[0] = subleaf < 3 ? 0xfc000121 : 0;
        break;
    case 0x80000000:
        regs[0] = host_extended_max;
        break;
    case 0x80000008:
        regs[0] = 0x3034; /* 52 physical, 48 linear */
        break;
    case 0xd:
        if (subleaf < 2)
            memset(regs, 0xff, 16);
        else if (subleaf == 2)
            regs[0] = 256, regs[1] = 576;
        else if (subleaf == 5)
            regs[0] = 64, regs[1] = 1088;
        else if (subleaf == 6)
            regs[0] = 512, regs[1] = 1152;
        else if (subleaf == 7)
            regs[0] = 1024, regs[1] = 1664;
        break;
    case 7:
        memset(regs, 0xff, 16);
        regs[3] &= ~host_lacks_7d;
        break;
    default:
        memset(regs, 0xff, 16);
    }
}

static struct cpuid_table build(uint32_t vcpus, uint64_t xcr0, uint64_t have)
{
    struct cpuid_policy policy = {
        .host = full_host,
        .vcpus = vcpus,
        .tsc_hz = 3000000000,
        .apic_hz = VLAPIC_HZ,
        .xcr0 = xcr0,
        .caps = have,
    };
    struct cpuid_table table;

    cpuid_build(&table, &policy);
    return table;
}

static int setup(void **state)
{
    (void)state;
    host_max = 0x20;
    host_extended_max = 0x80000021;
    host_amd = false;
    host_lacks_7d = 0;
    return 0;
}

static void host_only_features_are_hidden(void **state)
{
    struct cpuid_table t = build(1, 0xe7, ~0ull);

    (void)state;
    assert_false(cpuid_has(&t, 1, 2, 5));          /* VMX */
    assert_false(cpuid_has(&t, 1, 2, 3));          /* MONITOR */
    assert_false(cpuid_has(&t, 1, 2, 6));          /* SMX */
    assert_false(cpuid_has(&t, 1, 2, 15));         /* PDCM */
    assert_false(cpuid_has(&t, 0x80000001, 2, 2)); /* SVM */
    assert_false(cpuid_has(&t, 7, 1, 2));          /* SGX */
    assert_null(cpuid_find(&t, 0xa, 0));           /* performance counters */
}

/* How wide a linear address can be goes with it. */
static void five_levels_can_be_hidden(void **state)
{
    struct cpuid_table t = build(1, 7, ~0ull);

    (void)state;
    assert_true(cpuid_has(&t, 7, 2, 16) && t.cr4_mask & CR4_LA57);
    assert_int_equal(cpuid_find(&t, 0x80000008, 0)->eax, 57 << 8 | 46);
    assert_int_equal(t.linear_bits, 57);
    cpuid_hide(&t, cpuid_feature_find("la57"));
    assert_false(cpuid_has(&t, 7, 2, 16) || t.cr4_mask & CR4_LA57);
    assert_int_equal(cpuid_find(&t, 0x80000008, 0)->eax, 48 << 8 | 46);
    t = build(1, 7, ~BIT(CAP_LA57));
    assert_false(cpuid_has(&t, 7, 2, 16));
    assert_int_equal(t.linear_bits, 48);
}

static void hypervisor_is_shown(void **state)
{
    struct cpuid_table t = build(1, 7, ~0ull);
    const struct cpuid_entry *e = cpuid_find(&t, 0x40000000, 0);

    (void)state;
    assert_true(cpuid_has(&t, 1, 2, 31));
    assert_non_null(e);
    assert_int_equal(e->eax, 0x40000010);
    assert_memory_equal(&e->ebx, "KVMK", 4);
    assert_int_equal(cpuid_find(&t, 0x40000010, 0)->eax, 3000000);
    e = cpuid_find(&t, CPUID_KEEL_BASE, 0);
    assert_memory_equal(&e->ebx, "Keel", 4);
}

static uint32_t kvm_features(enum pv_kind pv, uint64_t have)
{
    struct cpuid_policy policy = {
        .host = full_host, .vcpus = 1, .tsc_hz = 1000000000, .apic_hz = VLAPIC_HZ, .caps = have, .pv = pv};
    struct cpuid_table t;

    cpuid_build(&t, &policy);
    return cpuid_find(&t, CPUID_HYPERVISOR_BASE + 1, 0)->eax;
}

/* EOI through memory is none of a CPU's that ends interrupts itself. */
static void paravirtual_features_are_chosen(void **state)
{
    (void)state;
    assert_int_equal(kvm_features(PV_NONE, ~0ull), 0);
    assert_int_equal(kvm_features(PV_KVM, 0), 0x01003aea);
    assert_int_equal(kvm_features(PV_KVM, ~0ull), 0x01003aaa);
}

/* Linux computes crystal kHz * numerator in 32 bits, then divides. */
static void clock_leaf_suits_linux(void **state)
{
    static const uint64_t rates[] = {100000000, 999999000, 1000000000, 2419200000, 3000000000, 5700000000};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
        struct cpuid_policy policy = {
            .host = full_host, .vcpus = 1, .tsc_hz = rates[i], .apic_hz = VLAPIC_HZ};
        struct cpuid_table t;
        const struct cpuid_entry *e;
        uint64_t product, khz;

        cpuid_build(&t, &policy);
        e = cpuid_find(&t, 0x15, 0);
        product = (uint64_t)(e->ecx / 1000) * e->ebx;
        assert_true(product <= UINT32_MAX);
        khz = product / e->eax;
        assert_in_range(khz, rates[i] / 1000 - rates[i] / 300000000 - 1,
                        rates[i] / 1000 + rates[i] / 300000000 + 1);
    }
}

static void xstate_features_follow_xcr0(void **state)
{
    struct cpuid_table t = build(1, 0, ~0ull);

    (void)state;
    assert_false(cpuid_has(&t, 1, 2, 26));
    assert_false(cpuid_has(&t, 1, 2, 28));
    assert_null(cpuid_find(&t, 0xd, 0));
    t = build(1, 7, ~0ull);
    assert_true(cpuid_has(&t, 1, 2, 28));
    assert_false(cpuid_has(&t, 7, 1, 16));
    assert_int_equal(cpuid_find(&t, 0xd, 0)->ecx, 832);
    t = build(1, 0xe7, ~0ull);
    assert_true(cpuid_has(&t, 7, 1, 16));
    assert_int_equal(cpuid_find(&t, 0xd, 0)->ecx, 2688);
    assert_int_equal(cpuid_find(&t, 0xd, 7)->ebx, 1664);
}

static void disabled_capabilities_take_features_along(void **state)
{
    struct cpuid_table t = build(1, 7, 0);

    (void)state;
    assert_false(cpuid_has(&t, 0x80000001, 3, 27)); /* RDTSCP */
    assert_false(cpuid_has(&t, 7, 1, 10));          /* INVPCID */
    assert_false(cpuid_has(&t, 1, 2, 26));          /* XSAVE */
}

static void topology_counts_vcpus(void **state)
{
    struct cpuid_table t = build(5, 7, ~0ull);

    (void)state;
    assert_int_equal(cpuid_find(&t, 1, 0)->ebx >> 16 & 0xff, 5);
    assert_true(cpuid_has(&t, 1, 3, 28));
    assert_int_equal(cpuid_find(&t, 0xb, 1)->ebx, 5);
    assert_int_equal(cpuid_find(&t, 0xb, 1)->eax, 3);
    assert_int_equal(cpuid_find(&t, 4, 0)->eax >> 26, 4);
    assert_null(cpuid_find(&t, 0xb, 2));
}

static void small_hosts_work(void **state)
{
    struct cpuid_table t;

    (void)state;
    host_max = 1;
    host_extended_max = 0x80000001;
    t = build(1, 0, 0);
    assert_non_null(cpuid_find(&t, 1, 0));
    assert_null(cpuid_find(&t, 4, 0));
    assert_null(cpuid_find(&t, 0x80000008, 0));
}

static void amd_repeats_the_basic_bits(void **state)
{
    struct cpuid_table t;

    (void)state;
    host_amd = true;
    t = build(1, 7, ~0ull);
    assert_true(cpuid_has(&t, 0x80000001, 3, 0));
    assert_true(cpuid_has(&t, 0x80000001, 3, 24));
}

/* IA32_ARCH_CAPABILITIES is Keel's own on Intel's CPUs, whether theirs have it or not. */
static void arch_capabilities_are_intels(void **state)
{
    struct cpuid_table t;

    (void)state;
    host_lacks_7d = (uint32_t)BIT(29);
    t = build(1, 7, ~0ull);
    assert_true(cpuid_has(&t, 7, 3, 29));
    host_amd = true;
    t = build(1, 7, ~0ull);
    assert_false(cpuid_has(&t, 7, 3, 29));
    host_lacks_7d = 0;
    t = build(1, 7, ~0ull);
    assert_true(cpuid_has(&t, 7, 3, 29));
}

static bool zeros(const struct cpuid_row *row)
{
    return !(row->eax | row->ebx | row->ecx | row->edx);
}

static void keep(struct cpuid_ready *ready, const struct cpuid_table *table, uint32_t leaf)
{
    uint32_t count = cpuid_ready_room(ready, table, leaf);

    for (uint32_t i = 0; i < count; i++) {
        const struct cpuid_entry *found = cpuid_find(table, leaf, i);
        struct cpuid_entry e = {.leaf = leaf, .subleaf = i};

        cpuid_ready_add(ready, table, found ? found : &e);
    }
}

/* Each leaf, asked for and kept in this order; afterwards, what is found without a search is what the search finds. */
static uint32_t kept_as_found(const struct cpuid_table *table, const uint32_t *leaves, uint32_t count)
{
    struct cpuid_ready ready = {0};
    uint32_t found = 0;

    for (uint32_t i = 0; i < count; i++) {
        assert_null(cpuid_ready_find(&ready, leaves[i], 0));
        keep(&ready, table, leaves[i]);
    }
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t subleaf = 0; subleaf < 70; subleaf++) {
            const struct cpuid_row *row = cpuid_ready_find(&ready, leaves[i], subleaf);
            const struct cpuid_entry *e = cpuid_find(table, leaves[i], subleaf);

            if (row && e)
                assert_memory_equal(row, &e->eax, sizeof *row);
            else if (row)
                assert_true(zeros(row));
            found += row != NULL;
        }
    cpuid_ready_forget(&ready);
    for (uint32_t i = 0; i < count; i++)
        assert_null(cpuid_ready_find(&ready, leaves[i], 0));
    return found;
}

static void kept_answers_are_those_found(void **state)
{
    static const uint32_t linux_asks[] = {0,    1, 2,          4,          6,          7,         0xb,
                                          0x15, 3, 0x80000000, 0x80000001, 0x80000008, 0x80000005};
    struct cpuid_table t = build(2, 0xe7, ~0ull);

    (void)state;
    /* 4 has three caches and an end, 7 and 0BH have two subleaves, then one that isn't there; the others are the same for each ECX. */
    assert_int_equal(kept_as_found(&t, linux_asks, ARRAY_SIZE(linux_asks)), 5 + 3 + 3 + 10 * 70);
    host_max = 1;
    t = build(1, 7, ~0ull);
    assert_int_equal(kept_as_found(&t, linux_asks, 5), 5 * 70); /* without a leaf 4 */
}

static void what_is_kept_has_bounds(void **state)
{
    static const uint32_t ranges[] = {0, CPUID_HYPERVISOR_BASE, 0x80000000, 0xc0000000, 0xffffffc0};
    struct cpuid_table t = build(2, 0xe7, ~0ull);
    struct cpuid_ready ready = {0};

    (void)state;
    for (size_t r = 0; r < ARRAY_SIZE(ranges); r++)
        for (uint32_t leaf = ranges[r]; leaf < ranges[r] + 60; leaf++) {
            keep(&ready, &t, leaf);
            assert_int_equal(cpuid_ready_room(&ready, &t, leaf), 0);
        }
    assert_in_range(ready.used, 40, READY_ROWS);
    assert_null(cpuid_ready_find(&ready, 0xd, 0)); /* follows XCR0 */
    assert_null(cpuid_ready_find(&ready, CPUID_HYPERVISOR_BASE, 0));
    assert_null(cpuid_ready_find(&ready, 4, UINT32_MAX));
    assert_non_null(cpuid_ready_find(&ready, 0, UINT32_MAX));
}

static void hiding_takes_dependents_along(void **state)
{
    struct cpuid_table t = build(1, 0xe7, ~0ull);

    (void)state;
    assert_true(t.cr4_mask & CR4_OSXSAVE);
    cpuid_hide(&t, cpuid_feature_find("xsave"));
    assert_false(cpuid_has(&t, 1, 2, 26));
    assert_false(cpuid_has(&t, 7, 1, 16)); /* AVX-512 */
    assert_false(cpuid_has(&t, 7, 1, 31));
    assert_false(t.cr4_mask & CR4_OSXSAVE);
    assert_null(cpuid_feature_find("nonsense"));
}

/* Every name is there once, and every bit too: a row that stands twice would hide half. */
static void table_has_no_duplicates(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < cpuid_feature_count; i++)
        for (uint32_t j = i + 1; j < cpuid_feature_count; j++) {
            const struct cpuid_feature *a = &cpuid_features[i], *b = &cpuid_features[j];

            assert_string_not_equal(a->name, b->name);
            assert_false(a->leaf == b->leaf && a->subleaf == b->subleaf && a->reg == b->reg &&
                         a->bit == b->bit);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(host_only_features_are_hidden, setup),
        cmocka_unit_test_setup(five_levels_can_be_hidden, setup),
        cmocka_unit_test_setup(hypervisor_is_shown, setup),
        cmocka_unit_test_setup(paravirtual_features_are_chosen, setup),
        cmocka_unit_test_setup(clock_leaf_suits_linux, setup),
        cmocka_unit_test_setup(xstate_features_follow_xcr0, setup),
        cmocka_unit_test_setup(disabled_capabilities_take_features_along, setup),
        cmocka_unit_test_setup(topology_counts_vcpus, setup),
        cmocka_unit_test_setup(small_hosts_work, setup),
        cmocka_unit_test_setup(amd_repeats_the_basic_bits, setup),
        cmocka_unit_test_setup(arch_capabilities_are_intels, setup),
        cmocka_unit_test_setup(kept_answers_are_those_found, setup),
        cmocka_unit_test_setup(what_is_kept_has_bounds, setup),
        cmocka_unit_test_setup(hiding_takes_dependents_along, setup),
        cmocka_unit_test_setup(table_has_no_duplicates, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
