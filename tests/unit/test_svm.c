/* The AMD back end's checks, permission maps, registers, address space ids and instruction lengths. */
#include "tests/unit/support.h"

#include "core/fetch.h"
#include "core/x86/msr.h"
#include "svm/check.h"
#include "svm/length.h"
#include "svm/probe.h"
#include "tests/unit/svm_vcpu.h"

static uint32_t fetches;

size_t vcpu_fetch_code(struct vcpu *v, const struct vcpu_code *code, uint8_t *buf)
{
    static const uint8_t cpuid_66[] = {0x66, 0x0f, 0xa2, 0x90};

    (void)v;
    (void)code;
    fetches++;
    memcpy(buf, cpuid_66, sizeof cpuid_66);
    return sizeof cpuid_66;
}

/* Limits and checks */

static void limits_follow_cpuid(void **state)
{
    struct svm_limits l = limits_from_cpuid(&epyc);

    (void)state;
    assert_int_equal(l.phys, BIT(40));
    assert_int_equal(l.cr3, MASK(40));
    assert_true(l.cr4 & CR4_SMEP);
    assert_true(l.cr4 & CR4_PCE);
    assert_false(l.cr4 & (CR4_PKE | CR4_LA57 | CR4_CET | CR4_VMXE));
    assert_int_equal(l.efer, EFER_SVME | EFER_SCE | EFER_NXE | EFER_FFXSR | EFER_LME | EFER_LMA);
    assert_int_equal(limits_from_cpuid(&(struct svm_cpuid){0}).phys, BIT(36));
}

/* Is the processor fit for Keel? */

static void expect_unfit(const struct svm_cpuid *id, uint64_t vm_cr, const char *sentence)
{
    const char *why = probe_unfit(id, vm_cr);

    assert_non_null(why);
    assert_string_equal(why, sentence);
}

static void probe_says_what_is_missing(void **state)
{
    struct svm_cpuid id = epyc;

    (void)state;
    assert_null(probe_unfit(&epyc, 0));
    id.ext1_ecx &= ~(uint32_t)BIT(2);
    expect_unfit(&id, 0, "this CPU has no SVM (AMD-V)");
    id = epyc;
    id.svm_edx &= ~(uint32_t)BIT(0);
    expect_unfit(&id, 0, "this CPU's SVM has no nested paging");
}

/* SVMDIS alone, without the lock, is ours to clear; the lock alone does no harm. */
static void probe_sees_svm_locked_off(void **state)
{
    struct svm_cpuid with_key = epyc;

    (void)state;
    assert_null(probe_unfit(&epyc, VM_CR_SVMDIS));
    assert_null(probe_unfit(&epyc, VM_CR_LOCK));
    expect_unfit(&epyc, VM_CR_SVMDIS | VM_CR_LOCK,
                 "SVM is disabled by the firmware (VM_CR.SVMDIS, VM_CR.LOCK)");
    with_key.svm_edx |= BIT(2);
    assert_null(probe_unfit(&with_key, 0));
    expect_unfit(&with_key, VM_CR_SVMDIS | VM_CR_LOCK,
                 "SVM is disabled by the firmware and locked with a key (VM_CR.SVMDIS, VM_CR.LOCK)");
}

static void probe_finds_each_feature(void **state)
{
    struct svm_cpuid all = {.basic7_ebx = UINT32_MAX,
                            .basic7_ecx = UINT32_MAX,
                            .basicd1_eax = UINT32_MAX,
                            .ext1_edx = UINT32_MAX,
                            .svm_ebx = UINT32_MAX,
                            .svm_edx = UINT32_MAX};
    struct svm_cpuid two_ids = {.svm_ebx = 2};

    (void)state;
    assert_int_equal(probe_caps(&(struct svm_cpuid){0}), BIT(CAP_NEST2M) | BIT(CAP_QUICK));
    assert_int_equal(probe_caps(&two_ids), BIT(CAP_NEST2M) | BIT(CAP_QUICK));
    assert_int_equal(probe_caps(&all), BIT(CAP_NEST2M) | BIT(CAP_QUICK) | BIT(CAP_NEST1G) | BIT(CAP_ASID) |
                                           BIT(CAP_NRIPS) | BIT(CAP_VMCB_CLEAN) | BIT(CAP_FLUSH_ASID) |
                                           BIT(CAP_DECODE_ASSISTS) | BIT(CAP_PLE) | BIT(CAP_RDTSCP) |
                                           BIT(CAP_INVPCID) | BIT(CAP_XSAVES) | BIT(CAP_LA57));
}

static void reset_state_passes_checks(void **state)
{
    (void)state;
    assert_int_equal(check_vmcb(&vmcb, &svm_limits, NULL, NULL), 0);
}

static void long_mode(struct vmcb *v)
{
    v->efer = EFER_SVME | EFER_LME | EFER_LMA;
    v->cr0 = CR0_PE | CR0_PG;
    v->cr4 = CR4_PAE;
    v->cs.attr = 0xb | VMCB_ATTR_L;
}

#define BREAK(name, statement)                                                                               \
    static void break_##name(struct vmcb *v)                                                                 \
    {                                                                                                        \
        statement;                                                                                           \
    }
BREAK(svme, v->efer &= ~EFER_SVME)
BREAK(nw, v->cr0 = CR0_NW)
BREAK(cr0, v->cr0 |= BIT(40))
BREAK(cr3, (long_mode(v), v->cr3 = BIT(41)))
BREAK(cr4, v->cr4 = CR4_PKE)
BREAK(dr6, v->dr6 |= BIT(32))
BREAK(dr7, v->dr7 |= BIT(63))
BREAK(efer, v->efer |= EFER_TCE)
BREAK(pae, (long_mode(v), v->cr4 = 0))
BREAK(pe, (long_mode(v), v->cr0 = CR0_PG))
BREAK(cs, (long_mode(v), v->cs.attr |= VMCB_ATTR_DB))
BREAK(vmrun, v->intercept4 &= ~INTERCEPT4_VMRUN)
BREAK(iopm, v->iopm_base = BIT(40) - 2 * PAGE_SIZE)
BREAK(msrpm, v->msrpm_base = BIT(40))
BREAK(event, v->event_inj = EVENT_VALID | 1 << EVENT_TYPE_SHIFT)
BREAK(nmi_exception, v->event_inj = EVENT_VALID | EVENT_EXCEPTION << EVENT_TYPE_SHIFT | 2)
BREAK(asid, v->asid = 0)
BREAK(n_cr3, v->n_cr3 = BIT(40))

static void each_broken_rule_is_named(void **state)
{
    static const struct {
        void (*harm)(struct vmcb *v);
        const char *words;
    } cases[] = {
        {break_svme, "SVME"},        {break_nw, "NW"},
        {break_cr0, "CR0 has"},      {break_cr3, "CR3"},
        {break_cr4, "CR4 has"},      {break_dr6, "DR6"},
        {break_dr7, "DR7"},          {break_efer, "EFER has"},
        {break_pae, "PAE"},          {break_pe, "CR0.PE"},
        {break_cs, "CS.L and CS.D"}, {break_vmrun, "VMRUN"},
        {break_iopm, "I/O"},         {break_msrpm, "MSR"},
        {break_event, "EVENTINJ"},   {break_nmi_exception, "EVENTINJ"},
        {break_asid, "ASID"},        {break_n_cr3, "nCR3"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct vmcb broken = vmcb;

        cases[i].harm(&broken);
        assert_int_equal(check_vmcb(&broken, &svm_limits, NULL, NULL), 1);
        if (!strstr(check_first(&broken, &svm_limits), cases[i].words))
            fail_msg("case %zu: %s", i, check_first(&broken, &svm_limits));
    }
}

/* Permission maps and intercepts */

static void ports_all_exit(void **state)
{
    static uint8_t map[IOPM_BYTES];

    (void)state;
    iopm_build(map);
    for (size_t i = 0; i < sizeof map; i++)
        assert_int_equal(map[i], 0xff);
}

static void only_switched_msrs_pass(void **state)
{
    static const uint32_t bases[] = {0, 0xc0000000, 0xc0010000};
    static uint8_t map[MSRPM_BYTES];
    uint32_t passing = 0;

    (void)state;
    caps.bits = BIT(CAP_RDTSCP);
    msrpm_build(map);
    for (size_t b = 0; b < ARRAY_SIZE(bases); b++)
        for (uint32_t msr = bases[b]; msr < bases[b] + 0x2000; msr++) {
            bool own = svm_state_msr(&vmcb, msr) || msr == MSR_TSC_AUX;

            assert_int_equal(msrpm_exits(map, msr, false), !own);
            assert_int_equal(msrpm_exits(map, msr, true), !own);
            passing += own;
        }
    assert_int_equal(passing, 12);
    assert_true(msrpm_exits(map, 0x2000, false));
    assert_true(msrpm_exits(map, 0x40000000, true));
    caps.bits = 0;
    msrpm_build(map);
    assert_true(msrpm_exits(map, MSR_TSC_AUX, false));
}

/* QEMU's CPU doesn't look whether what these get is canonical. */
static void addresses_are_looked_at_on_tcg(void **state)
{
    static const uint32_t addresses[] = {MSR_LSTAR, MSR_CSTAR, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE};
    static uint8_t map[MSRPM_BYTES];

    (void)state;
    svm_on_tcg = true;
    msrpm_build(map);
    svm_on_tcg = false;
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        assert_true(msrpm_exits(map, addresses[i], true));
        assert_false(msrpm_exits(map, addresses[i], false));
    }
    assert_false(msrpm_exits(map, MSR_STAR, true));
    assert_false(msrpm_exits(map, MSR_SYSENTER_ESP, true));
}

static void optional_intercepts_follow_caps(void **state)
{
    (void)state;
    assert_true(vmcb.intercept4 & INTERCEPT4_RDTSCP);
    assert_true(vmcb.intercept_cr_write & BIT(4));
    assert_false(vmcb.intercept3 & INTERCEPT3_PAUSE);
    memset(&vmcb, 0, sizeof vmcb);
    caps.bits = BIT(CAP_RDTSCP) | BIT(CAP_INVPCID) | BIT(CAP_PLE);
    controls_init(&vmcb, &svm_maps, 0, true);
    assert_false(vmcb.intercept4 & INTERCEPT4_RDTSCP);
    assert_false(vmcb.intercept5 & INTERCEPT5_INVPCID);
    assert_true(vmcb.intercept3 & INTERCEPT3_PAUSE);
    assert_true(vmcb.pause_filter_count);
    assert_false(vmcb.intercept_cr_write & BIT(4));
    assert_false(vmcb.intercept_exceptions & BIT(EXC_PF));
    assert_true(vmcb.intercept_exceptions & BIT(EXC_MC));
}

/* QEMU's own CPU doesn't refuse what VMRUN does: there CR0 and CR4 are checked by the hypervisor. */
static void tcg_has_its_control_registers_checked(void **state)
{
    (void)state;
    assert_false(vmcb.intercept3 & INTERCEPT3_CR0_SEL);
    memset(&vmcb, 0, sizeof vmcb);
    svm_on_tcg = true;
    controls_init(&vmcb, &svm_maps, 0, true);
    svm_on_tcg = false;
    assert_true(vmcb.intercept3 & INTERCEPT3_CR0_SEL);
    assert_true(vmcb.intercept3 & INTERCEPT3_TR_WRITE);
    assert_true(vmcb.intercept_cr_write & BIT(4));
}

static void wide_code_is_mended(void **state)
{
    (void)state;
    vmcb.cs.attr |= VMCB_ATTR_L | VMCB_ATTR_DB;
    assert_false(check_mend_code(&vmcb)); /* not in long mode */
    vmcb.efer |= EFER_LME | EFER_LMA;
    vmcb.cr0 = CR0_PE | CR0_PG;
    vmcb.cr4 = CR4_PAE;
    assert_int_equal(check_vmcb(&vmcb, &svm_limits, NULL, NULL), 1);
    assert_true(check_mend_code(&vmcb));
    assert_int_equal(check_vmcb(&vmcb, &svm_limits, NULL, NULL), 0);
    assert_true(vmcb.cs.attr & VMCB_ATTR_L);
    assert_false(check_mend_code(&vmcb));
}

/* State */

static void efer_hides_svme(void **state)
{
    (void)state;
    assert_int_equal(svm_state_get(&vcpu, REG_EFER), 0);
    svm_state_set(&vcpu, REG_EFER, EFER_LME | EFER_NXE | EFER_LMA | EFER_TCE);
    assert_int_equal(svm_state_get(&vcpu, REG_EFER), EFER_LME | EFER_NXE);
    svm_state_set(&vcpu, REG_CR4, CR4_PAE | CR4_PKE);
    assert_int_equal(svm_state_get(&vcpu, REG_CR4), CR4_PAE);
    svm_state_set(&vcpu, REG_CR0, CR0_PE | CR0_PG);
    assert_int_equal(svm_state_get(&vcpu, REG_EFER), EFER_LME | EFER_NXE | EFER_LMA);
    assert_int_equal(svm_state_get(&vcpu, REG_CR0), CR0_PE | CR0_PG | CR0_ET);
    svm_state_set(&vcpu, REG_CR0, CR0_PE | CR0_NW | BIT(50));
    assert_int_equal(svm_state_get(&vcpu, REG_CR0), CR0_PE | CR0_ET);
    assert_int_equal(svm_state_get(&vcpu, REG_EFER), EFER_LME | EFER_NXE);
    assert_int_equal(check_vmcb(&vmcb, &svm_limits, NULL, NULL), 0);
}

/* QEMU's CPU doesn't find back to the host's state from a guest with LME, and neither paging nor PAE. */
static void tcg_is_told_of_long_mode_with_paging_alone(void **state)
{
    (void)state;
    svm_on_tcg = true;
    svm_state_set(&vcpu, REG_EFER, EFER_LME | EFER_NXE);
    assert_int_equal(svm_state_get(&vcpu, REG_EFER), EFER_LME | EFER_NXE);
    assert_int_equal(vmcb.efer, EFER_SVME | EFER_NXE);
    svm_state_set(&vcpu, REG_CR0, CR0_PE);
    assert_int_equal(vmcb.efer, EFER_SVME | EFER_NXE);
    svm_state_set(&vcpu, REG_CR4, CR4_PAE);
    svm_state_set(&vcpu, REG_CR0, CR0_PE | CR0_PG);
    assert_int_equal(vmcb.efer, EFER_SVME | EFER_LME | EFER_NXE | EFER_LMA);
    svm_state_set(&vcpu, REG_CR0, CR0_PE);
    assert_int_equal(svm_state_get(&vcpu, REG_EFER), EFER_LME | EFER_NXE);
    assert_int_equal(vmcb.efer, EFER_SVME | EFER_NXE);
    svm_state_set(&vcpu, REG_EFER, EFER_NXE);
    svm_state_set(&vcpu, REG_CR0, CR0_PE | CR0_PG);
    svm_on_tcg = false;
    assert_int_equal(svm_state_get(&vcpu, REG_EFER), EFER_NXE);
    assert_int_equal(vmcb.efer, EFER_SVME | EFER_NXE);
}

static void segments_round_trip(void **state)
{
    (void)state;
    for (int i = 0; i < SEG_COUNT; i++) {
        struct vcpu_segment in = {
            .base = 0x1000u * (unsigned)i, .limit = 0xfffff, .selector = (uint16_t)(8 * i), .attr = 0xc09b};
        struct vcpu_segment out;

        svm_state_set_seg(&vcpu, (enum vcpu_seg)i, &in);
        svm_state_get_seg(&vcpu, (enum vcpu_seg)i, &out);
        assert_memory_equal(&in, &out, sizeof in);
    }
    assert_int_equal(vmcb.tr.selector, 8 * SEG_TR);
    assert_int_equal(vmcb.cs.attr, 0xc9b);
}

static void cpl_is_the_stack_segments(void **state)
{
    struct vcpu_segment ss = {.attr = 0xc093 | 3 << 5};

    (void)state;
    svm_state_set_seg(&vcpu, SEG_SS, &ss);
    assert_int_equal(vmcb.cpl, 3);
    vmcb.ss.attr &= (uint16_t) ~(3 << 5); /* as SYSRET leaves it */
    svm_state_get_seg(&vcpu, SEG_SS, &ss);
    assert_int_equal(SEG_ATTR_DPL(ss.attr), 3);
}

static void cs_is_never_both_long_and_32_bit(void **state)
{
    struct vcpu_segment cs = {.attr = 0x9b | SEG_ATTR_L | SEG_ATTR_DB};

    (void)state;
    svm_state_set_seg(&vcpu, SEG_CS, &cs);
    assert_int_equal(vmcb.cs.attr & (VMCB_ATTR_L | VMCB_ATTR_DB), VMCB_ATTR_L);
}

static void writes_make_their_part_dirty(void **state)
{
    (void)state;
    vmcb.clean = CLEAN_ALL;
    svm_state_set(&vcpu, REG_CR3, 0x1000);
    assert_int_equal(vmcb.clean, CLEAN_ALL & ~CLEAN_CRX);
    assert_true(vcpu.attention & ATTENTION_CHECK);
    svm_state_set(&vcpu, REG_DR7, DR7_INIT);
    assert_int_equal(vmcb.clean, CLEAN_ALL & ~(CLEAN_CRX | CLEAN_DRX));
}

/* Address space ids */

static void asids_are_never_shared_within_a_generation(void **state)
{
    struct asid_pool pool;
    struct asid a[3] = {{0}}, old;

    (void)state;
    asid_pool_init(&pool, 2);
    assert_false(asid_valid(&pool, &a[0]));
    assert_true(asid_take(&pool, &a[0]));
    assert_false(asid_take(&pool, &a[1]));
    assert_int_not_equal(a[0].id, a[1].id);
    assert_true(asid_valid(&pool, &a[0]));
    old = a[0];
    assert_true(asid_take(&pool, &a[2])); /* used up: flush all */
    assert_false(asid_valid(&pool, &old));
    assert_false(asid_valid(&pool, &a[1]));
    assert_true(asid_valid(&pool, &a[2]));
    assert_int_not_equal(a[2].id, 0);
}

static void one_asid_flushes_each_time(void **state)
{
    struct asid_pool pool;
    struct asid a = {0};

    (void)state;
    asid_pool_init(&pool, 1);
    for (int i = 0; i < 5; i++) {
        assert_true(asid_take(&pool, &a));
        assert_int_equal(a.id, 1);
    }
}

/* Lengths and names */

static void lengths_are_decoded_once(void **state)
{
    (void)state;
    vmcb.rip = 0x401000;
    vmcb.exit_code = EXIT_CPUID;
    svm_length_learn(&vcpu);
    assert_false(svm_length(&vcpu, &vmcb)); /* never remembered */
    fetches = 0;
    vmcb.exit_code = EXIT_HLT;
    assert_false(svm_length(&vcpu, &vmcb));
    svm_length_learn(&vcpu);
    assert_int_equal(vcpu.insn_len, 3);
    vcpu.insn_len = 0;
    assert_true(svm_length(&vcpu, &vmcb));
    assert_int_equal(vcpu.insn_len, 3);
    assert_int_equal(fetches, 1);
    vmcb.cr3 = 0x5000;
    assert_false(svm_length(&vcpu, &vmcb));
    svm_length_learn(&vcpu);
    assert_true(svm_length(&vcpu, &vmcb));
    vmcb.exit_code = EXIT_MSR;
    assert_false(svm_length(&vcpu, &vmcb));
}

static void next_rip_tells_the_length(void **state)
{
    (void)state;
    caps.bits = BIT(CAP_NRIPS);
    vmcb.rip = 0x401000;
    vmcb.nrip = 0x401002;
    assert_true(svm_length(&vcpu, &vmcb));
    assert_int_equal(vcpu.insn_len, 2);
    vmcb.nrip = 0; /* as for exits that don't have it */
    assert_false(svm_length(&vcpu, &vmcb));
    vmcb.nrip = vmcb.rip;
    assert_false(svm_length(&vcpu, &vmcb));
}

static void every_code_has_a_name(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x500; code++)
        assert_non_null(svm_exit_name(code));
    assert_string_equal(svm_exit_name(EXIT_CPUID), "CPUID");
    assert_string_equal(svm_exit_name(EXIT_EXCEPTION + EXC_DB), "#DB");
    assert_string_equal(svm_exit_name(UINT32_MAX), "invalid VMCB");
    assert_string_equal(svm_exit_name(0x3ff), "unknown");
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(limits_follow_cpuid),
        TEST(probe_says_what_is_missing),
        TEST(probe_sees_svm_locked_off),
        TEST(probe_finds_each_feature),
        TEST(reset_state_passes_checks),
        TEST(each_broken_rule_is_named),
        TEST(ports_all_exit),
        TEST(only_switched_msrs_pass),
        TEST(addresses_are_looked_at_on_tcg),
        TEST(optional_intercepts_follow_caps),
        TEST(tcg_has_its_control_registers_checked),
        TEST(wide_code_is_mended),
        TEST(efer_hides_svme),
        TEST(tcg_is_told_of_long_mode_with_paging_alone),
        TEST(segments_round_trip),
        TEST(cpl_is_the_stack_segments),
        TEST(cs_is_never_both_long_and_32_bit),
        TEST(writes_make_their_part_dirty),
        TEST(asids_are_never_shared_within_a_generation),
        TEST(one_asid_flushes_each_time),
        TEST(lengths_are_decoded_once),
        TEST(next_rip_tells_the_length),
        TEST(every_code_has_a_name),
    };

    return cmocka_run_group_tests_name("svm", tests, NULL, NULL);
}
