/* The Intel back end's pure parts: control bits, capabilities, the rules of VM entry, names. */
#include "tests/unit/support.h"

#include <stdio.h>
#include <string.h>

#include "core/lib/error.h"
#include "core/vcpu.h"
#include "core/x86/cr.h"
#include "core/x86/msr.h"
#include "vmx/check.h"
#include "vmx/controls.h"
#include "vmx/names.h"
#include "vmx/vmcs.h"

/* A CPU of about 2016, with TRUE MSRs: bits that must be 1 low, that may be 1 high. */
static const struct vmx_capability good_cpu = {
    .vmx = true,
    .insns = {VMX_INSN_CAPS | BIT(CAP_LA57)},
    .feature_control = FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX,
    .basic = 4 | 0x400ull << 32 | 6ull << 50 | BASIC_IO_INFO | BASIC_TRUE_CONTROLS,
    .misc = 5 | 7 << 6,
    .ept_vpid = EPT_CAP_WALK4 | EPT_CAP_WB | EPT_CAP_2M | EPT_CAP_1G | EPT_CAP_INVEPT | EPT_CAP_AD |
                EPT_CAP_INVEPT_SINGLE | EPT_CAP_INVEPT_ALL | EPT_CAP_INVVPID | EPT_CAP_INVVPID_SINGLE |
                EPT_CAP_INVVPID_ALL,
    .pin = 0x00000016 | 0xffull << 32,
    .proc = 0x04006172 | 0xfff9fffeull << 32,
    .proc2 = 0xffffffffull << 32,
    .exit = 0x00036dfb | 0x01ffffffull << 32,
    .entry = 0x000011fb | 0x0003ffffull << 32,
    .cr0_fixed0 = CR0_PE | CR0_NE | CR0_PG,
    .cr0_fixed1 = 0xffffffff,
    .cr4_fixed0 = CR4_VMXE,
    .cr4_fixed1 = 0x3767ff,
    .physical_bits = 39,
    .linear_bits = 48,
};

static void expect_refused(const struct vmx_capability *c, const char *part)
{
    struct caps found;
    const char *why = NULL;

    assert_int_equal(controls_probe(c, &found, &why), ERR_NOTSUP);
    assert_non_null(why);
    if (!strstr(why, part))
        fail_msg("\"%s\" doesn't say \"%s\"", why, part);
}

static void probe_finds_all(void **state)
{
    const uint64_t all = BIT(CAP_QUICK) | BIT(CAP_NEST2M) | BIT(CAP_NEST1G) | BIT(CAP_ASID) | BIT(CAP_UG) |
                         BIT(CAP_MSR_BITMAP) | BIT(CAP_INVEPT_SINGLE) | BIT(CAP_INVVPID_SINGLE) |
                         BIT(CAP_PREEMPTION_TIMER) | BIT(CAP_TPR_SHADOW) | BIT(CAP_APICV) | BIT(CAP_POSTED) |
                         BIT(CAP_PLE) | BIT(CAP_VNMI) | BIT(CAP_LOAD_EFER) | BIT(CAP_LOAD_PAT) |
                         BIT(CAP_RDTSCP) | BIT(CAP_INVPCID) | BIT(CAP_XSAVES) | BIT(CAP_LA57);
    struct caps found = {0};
    const char *why;

    (void)state;
    assert_int_equal(controls_probe(&good_cpu, &found, &why), 0);
    assert_int_equal(found.bits, all);
}

static void probe_says_what_is_missing(void **state)
{
    struct vmx_capability c = good_cpu;

    (void)state;
    c.vmx = false;
    expect_refused(&c, "no VT-x");
    c = good_cpu;
    c.feature_control = FEATURE_CONTROL_LOCK;
    expect_refused(&c, "locked off by the firmware");
    c = good_cpu;
    c.proc2 &= ~(PROC2_EPT << 32);
    expect_refused(&c, "EPT");
    c = good_cpu;
    c.proc &= ~(PROC_SECONDARY << 32);
    expect_refused(&c, "EPT");
    c = good_cpu;
    c.ept_vpid &= ~EPT_CAP_WALK4;
    expect_refused(&c, "4-level");
    c = good_cpu;
    c.ept_vpid &= ~EPT_CAP_WB;
    expect_refused(&c, "write-back");
    c = good_cpu;
    c.ept_vpid &= ~EPT_CAP_INVEPT;
    expect_refused(&c, "INVEPT");
    c = good_cpu;
    c.proc &= ~(PROC_HLT << 32);
    expect_refused(&c, "HLT exiting");
}

static void probe_accepts_open_feature_control(void **state)
{
    struct vmx_capability c = good_cpu;
    struct caps found;
    const char *why;

    (void)state;
    c.feature_control = 0;
    assert_int_equal(controls_probe(&c, &found, &why), 0);
}

static void capability_needs_all_its_parts(void **state)
{
    struct vmx_capability c = good_cpu;
    struct caps found;
    const char *why;

    (void)state;
    c.ept_vpid &= ~EPT_CAP_INVVPID;
    c.proc &= ~(PROC_NMI_WINDOW << 32);
    c.entry &= ~(ENTRY_LOAD_PAT << 32);
    c.insns.bits = BIT(CAP_INVPCID);
    c.proc2 &= ~(PROC2_INVPCID << 32);
    assert_int_equal(controls_probe(&c, &found, &why), 0);
    assert_false(found.bits & (BIT(CAP_ASID) | BIT(CAP_VNMI) | BIT(CAP_LOAD_PAT)));
    assert_false(found.bits & VMX_INSN_CAPS);
    assert_true(found.bits & BIT(CAP_LOAD_EFER));
}

/* Interrupts aren't left to an emulator that delivers them at the wrong time; nor is it led to where it panics. */
static void faults_of_bochs_are_avoided(void **state)
{
    struct vmx_capability c = good_cpu;
    struct caps found;
    const char *why;

    (void)state;
    c.basic = (c.basic & ~MASK(31)) | BASIC_REVISION_BOCHS;
    assert_int_equal(controls_probe(&c, &found, &why), 0);
    assert_false(found.bits & (BIT(CAP_APICV) | BIT(CAP_POSTED) | BIT(CAP_LA57)));
    assert_true(found.bits & BIT(CAP_TPR_SHADOW));
    c.basic = (c.basic & ~MASK(31)) | BASIC_REVISION_MENDED;
    assert_int_equal(controls_probe(&c, &found, &why), 0);
    assert_true(found.bits & BIT(CAP_APICV));
    assert_false(found.bits & BIT(CAP_LA57));
}

static struct vmx_controls fold(const struct vmx_capability *c, uint64_t without)
{
    struct vmx_controls out;
    struct caps found;
    const char *why;

    assert_int_equal(controls_probe(c, &found, &why), 0);
    found.bits &= ~without;
    assert_int_equal(controls_fold(c, found, &out, &why), 0);
    assert_true(control_valid(c->pin, out.pin));
    assert_true(control_valid(c->proc, out.proc));
    assert_true(control_valid(c->proc2, out.proc2));
    assert_true(control_valid(c->exit, out.exit));
    assert_true(control_valid(c->entry, out.entry));
    return out;
}

static void fold_takes_what_is_there(void **state)
{
    struct vmx_controls c = fold(&good_cpu, 0);

    (void)state;
    assert_true(c.pin & PIN_VIRTUAL_NMI);
    assert_true(c.proc & PROC_MSR_BITMAP);
    assert_true(c.proc2 & PROC2_UG);
    assert_false(c.pin & PIN_POSTED);
    assert_false(c.proc & (PROC_INTR_WINDOW | PROC_NMI_WINDOW | PROC_CR3_LOAD | PROC_CR3_STORE));
    assert_false(c.proc2 & (PROC2_APIC_ACCESS | PROC2_APIC_REGISTERS | PROC2_INTR_DELIVERY | PROC2_X2APIC));
    assert_false(c.entry & ENTRY_IA32E);
    assert_true(c.exit & EXIT_ACK_INTR); /* posted interrupts want it */
}

/* Each capability alone, and all together: what is folded stays within what the CPU allows. */
static void fold_without_capabilities(void **state)
{
    static const struct {
        enum cap cap;
        size_t field;
        uint32_t bit;
    } rows[] = {
        {CAP_PREEMPTION_TIMER, offsetof(struct vmx_controls, pin), PIN_PREEMPTION_TIMER},
        {CAP_VNMI, offsetof(struct vmx_controls, pin), PIN_VIRTUAL_NMI},
        {CAP_MSR_BITMAP, offsetof(struct vmx_controls, proc), PROC_MSR_BITMAP},
        {CAP_TPR_SHADOW, offsetof(struct vmx_controls, proc), PROC_TPR_SHADOW},
        {CAP_ASID, offsetof(struct vmx_controls, proc2), PROC2_VPID},
        {CAP_UG, offsetof(struct vmx_controls, proc2), PROC2_UG},
        {CAP_PLE, offsetof(struct vmx_controls, proc2), PROC2_PLE},
        {CAP_RDTSCP, offsetof(struct vmx_controls, proc2), PROC2_RDTSCP},
        {CAP_INVPCID, offsetof(struct vmx_controls, proc2), PROC2_INVPCID},
        {CAP_XSAVES, offsetof(struct vmx_controls, proc2), PROC2_XSAVES},
        {CAP_LOAD_EFER, offsetof(struct vmx_controls, exit), EXIT_LOAD_EFER},
        {CAP_LOAD_PAT, offsetof(struct vmx_controls, entry), ENTRY_LOAD_PAT},
        {CAP_POSTED, offsetof(struct vmx_controls, exit), EXIT_ACK_INTR},
    };
    struct vmx_controls all = fold(&good_cpu, 0);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct vmx_controls c = fold(&good_cpu, BIT(rows[i].cap));

        assert_true(*(uint32_t *)((char *)&all + rows[i].field) & rows[i].bit);
        assert_false(*(uint32_t *)((char *)&c + rows[i].field) & rows[i].bit);
    }
    fold(&good_cpu, ~0ull);
}

static void fold_keeps_what_must_be_one(void **state)
{
    struct vmx_capability c = good_cpu;

    (void)state;
    c.proc |= PROC_CR3_LOAD | PROC_CR3_STORE; /* a CPU without TRUE MSRs */
    assert_true(fold(&c, 0).proc & PROC_CR3_LOAD);
}

static void fold_refuses_a_lost_capability(void **state)
{
    struct vmx_capability c = good_cpu;
    struct vmx_controls out;
    const char *why = NULL;

    (void)state;
    c.proc2 &= ~(PROC2_UG << 32);
    assert_int_equal(controls_fold(&c, (struct caps){BIT(CAP_UG)}, &out, &why), ERR_NOTSUP);
    assert_non_null(why);
}

/* A VMCS as a table of fields. */

struct field {
    uint32_t encoding;
    uint64_t value;
};

#define FIELDS_MAX 128

static struct field vmcs[FIELDS_MAX];
static uint32_t vmcs_fields;
static char broken[4096];

static void put(uint32_t encoding, uint64_t value)
{
    uint32_t i = 0;

    while (i < vmcs_fields && vmcs[i].encoding != encoding)
        i++;
    assert_true(i < FIELDS_MAX);
    vmcs[i] = (struct field){encoding, value};
    if (i == vmcs_fields)
        vmcs_fields++;
}

static uint64_t get(void *ctx, uint32_t encoding)
{
    (void)ctx;
    for (uint32_t i = 0; i < vmcs_fields; i++) {
        if (vmcs[i].encoding == encoding)
            return vmcs[i].value;
    }
    return 0;
}

static void note(void *ctx, const char *rule)
{
    (void)ctx;
    strncat(broken, rule, sizeof(broken) - strlen(broken) - 2);
    strcat(broken, "\n");
}

static uint32_t run_check(void)
{
    struct check check = {.read = get, .report = note, .capability = &good_cpu};

    broken[0] = 0;
    return check_entry(&check);
}

static void put_segment(enum vcpu_seg seg, uint16_t selector, uint64_t base, uint32_t limit, uint32_t access)
{
    put(VMCS_GUEST_SELECTOR(seg), selector);
    put(VMCS_GUEST_BASE(seg), base);
    put(VMCS_GUEST_LIMIT(seg), limit);
    put(VMCS_GUEST_ACCESS(seg), access);
}

static void put_controls(void)
{
    struct vmx_controls c = fold(&good_cpu, 0);

    put(VMCS_PIN_CONTROLS, c.pin);
    put(VMCS_PROC_CONTROLS, c.proc);
    put(VMCS_PROC2_CONTROLS, c.proc2);
    put(VMCS_EXIT_CONTROLS, c.exit);
    put(VMCS_ENTRY_CONTROLS, c.entry);
    put(VMCS_MSR_BITMAP, 0x1000);
    put(VMCS_VIRTUAL_APIC, 0x2000);
    put(VMCS_VPID, 1);
    put(VMCS_EPTP, 0x3000 | EPTP_WB | EPTP_WALK4);
}

static void put_host(void)
{
    put(VMCS_HOST_CR0, 0x80010031);
    put(VMCS_HOST_CR3, 0x5000);
    put(VMCS_HOST_CR4, CR4_VMXE | CR4_PAE);
    put(VMCS_HOST_EFER, EFER_LME | EFER_LMA | EFER_NXE);
    put(VMCS_HOST_PAT, 0x0007040600070406);
    put(VMCS_HOST_CS_SELECTOR, 8);
    put(VMCS_HOST_TR_SELECTOR, 0x18);
    put(VMCS_HOST_RIP, 0xffffffff80001000);
    put(VMCS_HOST_GS_BASE, 0xffff800000001000);
}

/* The architectural reset state. */
static void put_real_mode(void)
{
    vmcs_fields = 0;
    put_controls();
    put_host();
    put(VMCS_GUEST_CR0, CR0_NE | CR0_ET);
    put(VMCS_GUEST_CR4, CR4_VMXE);
    put(VMCS_GUEST_PAT, 0x0007040600070406);
    put(VMCS_GUEST_DR7, 0x400);
    put(VMCS_GUEST_RFLAGS, 2);
    put(VMCS_GUEST_RIP, 0xfff0);
    put(VMCS_LINK_POINTER, ~0ull);
    put_segment(SEG_CS, 0xf000, 0xffff0000, 0xffff, 0x9b);
    put_segment(SEG_SS, 0, 0, 0xffff, 0x93);
    put_segment(SEG_DS, 0, 0, 0xffff, 0x93);
    put_segment(SEG_ES, 0, 0, 0xffff, 0x93);
    put_segment(SEG_FS, 0, 0, 0xffff, 0x93);
    put_segment(SEG_GS, 0, 0, 0xffff, 0x93);
    put_segment(SEG_LDTR, 0, 0, 0xffff, 0x82);
    put_segment(SEG_TR, 0, 0, 0xffff, 0x8b);
    put(VMCS_GUEST_LIMIT(SEG_GDTR), 0xffff);
    put(VMCS_GUEST_LIMIT(SEG_IDTR), 0xffff);
}

/* A 64-bit kernel. */
static void put_long_mode(void)
{
    put_real_mode();
    put(VMCS_GUEST_CR0, 0x80050033);
    put(VMCS_GUEST_CR4, CR4_VMXE | CR4_PAE | CR4_PGE);
    put(VMCS_GUEST_EFER, EFER_LME | EFER_LMA | EFER_NXE);
    put(VMCS_ENTRY_CONTROLS, get(NULL, VMCS_ENTRY_CONTROLS) | ENTRY_IA32E);
    put(VMCS_GUEST_RIP, 0xffffffff81000000);
    put(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
    put_segment(SEG_CS, 0x10, 0, 0xffffffff, 0xa09b);
    put_segment(SEG_SS, 0x18, 0, 0xffffffff, 0xc093);
    put_segment(SEG_DS, 0, 0, 0, ACCESS_UNUSABLE);
    put_segment(SEG_ES, 0, 0, 0, ACCESS_UNUSABLE);
    put_segment(SEG_FS, 0, 0x7f0000000000, 0, ACCESS_UNUSABLE);
    put_segment(SEG_GS, 0, 0xffff888000000000, 0, ACCESS_UNUSABLE);
    put_segment(SEG_LDTR, 0, 0, 0, ACCESS_UNUSABLE);
    put_segment(SEG_TR, 0x40, 0xfffffe0000003000, 0x206f, 0x8b);
}

static void sound_states_pass(void **state)
{
    (void)state;
    put_real_mode();
    assert_int_equal(run_check(), 0);
    assert_string_equal(broken, "");
    put_long_mode();
    assert_int_equal(run_check(), 0);
    assert_string_equal(broken, "");
}

/* One field made wrong in a sound state, and a part of the rule that has to be named. */
static const struct {
    bool real;
    uint32_t field;
    uint64_t value;
    const char *rule;
} breakages[] = {
    {false, VMCS_PIN_CONTROLS, 0, "pin-based"},
    {false, VMCS_PROC_CONTROLS, 0xffffffff, "processor-based"},
    {false, VMCS_EXIT_CONTROLS, 0, "VM-exit controls"},
    {false, VMCS_ENTRY_CONTROLS, 0, "VM-entry controls"},
    {false, VMCS_CR3_TARGET_COUNT, 5, "CR3-target"},
    {false, VMCS_MSR_BITMAP, 0x1001, "MSR bitmap"},
    {false, VMCS_MSR_BITMAP, BIT(39), "MSR bitmap"},
    {false, VMCS_VIRTUAL_APIC, 8, "virtual-APIC"},
    {false, VMCS_TPR_THRESHOLD, 16, "TPR threshold"},
    {false, VMCS_VPID, 0, "VPID"},
    {false, VMCS_EPTP, 0x3000, "EPT pointer"},
    {false, VMCS_EPTP, 0x3000 | EPTP_WB | EPTP_WALK4 | BIT(9), "EPT pointer"},
    {false, VMCS_EXIT_MSR_LOAD_NUM, 513, "MSR-load"},
    {false, VMCS_ENTRY_INTR_INFO, 0x80000103, "type and vector"},
    {false, VMCS_ENTRY_INTR_INFO, 0x80000203, "type and vector"},
    {false, VMCS_ENTRY_INTR_INFO, 0x8000030d, "error code where"},
    {false, VMCS_ENTRY_INTR_INFO, 0x80000b03, "error code where"},
    {true, VMCS_ENTRY_INTR_INFO, 0x80000b0d, "error code where"},
    {false, VMCS_ENTRY_INTR_INFO, 0x80000480, "instruction length"},
    {true, VMCS_ENTRY_INTR_INFO, 0x80000030, "IF when an interrupt"},
    {false, VMCS_ENTRY_INTR_INFO, 0x80001030, "reserved bits"},
    {false, VMCS_HOST_CR0, CR0_PG, "host CR0"},
    {false, VMCS_HOST_CR4, CR4_PAE, "host CR4: fixed"},
    {false, VMCS_HOST_CR4, CR4_VMXE, "host CR4: PAE"},
    {false, VMCS_HOST_CR3, BIT(39), "host CR3"},
    {false, VMCS_HOST_EFER, EFER_LME, "host EFER"},
    {false, VMCS_HOST_PAT, 2, "host PAT"},
    {false, VMCS_HOST_CS_SELECTOR, 0, "host CS"},
    {false, VMCS_HOST_CS_SELECTOR, 11, "host selectors"},
    {false, VMCS_HOST_TR_SELECTOR, 0, "host TR"},
    {false, VMCS_HOST_GS_BASE, BIT(47), "host GS base"},
    {false, VMCS_HOST_RIP, BIT(50), "host RIP"},
    {false, VMCS_GUEST_CR0, CR0_PE | CR0_PG, "guest CR0: fixed"},
    {true, VMCS_GUEST_CR0, CR0_NE | CR0_PG, "PG needs PE"},
    {false, VMCS_GUEST_CR4, CR4_VMXE, "CR0.PG and CR4.PAE"},
    {false, VMCS_GUEST_CR4, CR4_PAE, "guest CR4: fixed"},
    {true, VMCS_GUEST_CR4, CR4_VMXE | CR4_PCIDE, "PCIDE"},
    {false, VMCS_GUEST_CR3, BIT(40), "guest CR3"},
    {false, VMCS_GUEST_EFER, EFER_LME, "LMA is IA-32e"},
    {false, VMCS_GUEST_EFER, EFER_LMA, "LMA is LME"},
    {false, VMCS_GUEST_EFER, EFER_LME | EFER_LMA | EFER_SVME, "guest EFER: reserved"},
    {false, VMCS_GUEST_PAT, 0xff, "guest PAT"},
    {false, VMCS_GUEST_DR7, BIT(32), "DR7"},
    {false, VMCS_GUEST_DEBUGCTL, BIT(20), "DEBUGCTL"},
    {false, VMCS_GUEST_SYSENTER_EIP, BIT(48), "SYSENTER_EIP"},
    {false, VMCS_GUEST_BASE(SEG_GDTR), BIT(47), "GDTR base"},
    {false, VMCS_GUEST_LIMIT(SEG_IDTR), 0x10000, "IDTR limit"},
    {false, VMCS_GUEST_RIP, BIT(60), "RIP: canonical"},
    {true, VMCS_GUEST_RIP, BIT(32), "RIP: 32 bits"},
    {false, VMCS_GUEST_RFLAGS, 0, "RFLAGS: reserved"},
    {false, VMCS_GUEST_RFLAGS, 2 | RFLAGS_VM, "RFLAGS: VM"},
    {false, VMCS_ACTIVITY, 4, "one that the CPU has"},
    {false, VMCS_INTERRUPTIBILITY, 0x20, "interruptibility: reserved"},
    {false, VMCS_INTERRUPTIBILITY, SHADOW_STI | SHADOW_MOV_SS, "not STI and MOV SS"},
    {true, VMCS_INTERRUPTIBILITY, SHADOW_STI, "behind STI, IF is 1"},
    {false, VMCS_INTERRUPTIBILITY, SHADOW_SMI, "SMM only"},
    {false, VMCS_PENDING_DEBUG, BIT(4), "pending debug exceptions: reserved"},
    {false, VMCS_LINK_POINTER, 0x1000, "link pointer"},
    {false, VMCS_GUEST_ACCESS(SEG_CS), 0xa092, "guest CS: type"},
    {false, VMCS_GUEST_ACCESS(SEG_CS), 0xe09b, "not L and D"},
    {false, VMCS_GUEST_ACCESS(SEG_CS), 0xa0fb, "guest CS: DPL"},
    {false, VMCS_GUEST_ACCESS(SEG_CS), 0xa01b, "guest CS: P"},
    {false, VMCS_GUEST_LIMIT(SEG_CS), 0, "guest CS: G"},
    {true, VMCS_GUEST_LIMIT(SEG_DS), 0xffffffff, "guest DS: G"},
    {true, VMCS_GUEST_BASE(SEG_ES), BIT(32), "guest ES: base"},
    {true, VMCS_GUEST_ACCESS(SEG_DS), 0x92, "guest DS: type"},
    {true, VMCS_GUEST_ACCESS(SEG_SS), 0x9b, "guest SS: type"},
    {true, VMCS_GUEST_ACCESS(SEG_SS), 0xf3, "guest SS: DPL"},
    {false, VMCS_GUEST_BASE(SEG_FS), BIT(47), "guest FS: base"},
    {false, VMCS_GUEST_ACCESS(SEG_TR), 0x83, "guest TR: type"},
    {false, VMCS_GUEST_ACCESS(SEG_TR), 0x8b | ACCESS_UNUSABLE, "guest TR: is usable"},
    {false, VMCS_GUEST_SELECTOR(SEG_TR), 0x44, "guest TR: TI"},
    {true, VMCS_GUEST_ACCESS(SEG_LDTR), 0x83, "guest LDTR: type"},
    {true, VMCS_GUEST_ACCESS(SEG_LDTR), 0x92, "guest LDTR: S"},
};

static void broken_rules_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(breakages); i++) {
        if (breakages[i].real)
            put_real_mode();
        else
            put_long_mode();
        put(breakages[i].field, breakages[i].value);
        if (run_check() == 0 || !strstr(broken, breakages[i].rule))
            fail_msg("field %x = %llx: not named: %s; but: %s", breakages[i].field,
                     (unsigned long long)breakages[i].value, breakages[i].rule, broken);
    }
}

/* Rules about two fields at once. */
static void broken_pairs_are_named(void **state)
{
    (void)state;
    put_long_mode();
    put(VMCS_INTERRUPTIBILITY, SHADOW_MOV_SS);
    put(VMCS_GUEST_RFLAGS, 2 | RFLAGS_TF | RFLAGS_IF);
    assert_int_equal(run_check(), 1);
    assert_non_null(strstr(broken, "BS as TF"));
    put(VMCS_PENDING_DEBUG, PENDING_DEBUG_BS);
    assert_int_equal(run_check(), 0);

    put(VMCS_ENTRY_INTR_INFO, 0x80000202);
    run_check();
    assert_non_null(strstr(broken, "no NMI is injected behind"));
    put_long_mode();
    put(VMCS_ENTRY_INTR_INFO, 0x80000202);
    put(VMCS_INTERRUPTIBILITY, SHADOW_NMI);
    assert_int_equal(run_check(), 1);
    assert_non_null(strstr(broken, "while NMIs are blocked"));

    put_long_mode();
    put(VMCS_ENTRY_CONTROLS, get(NULL, VMCS_ENTRY_CONTROLS) & ~ENTRY_IA32E);
    put(VMCS_GUEST_EFER, 0);
    put(VMCS_GUEST_RIP, 0x1000);
    assert_int_equal(run_check(), 0);
    put(VMCS_GUEST_PDPTE(2), 0x1003);
    assert_int_equal(run_check(), 1);
    assert_non_null(strstr(broken, "PDPTE"));
}

static void virtual_8086_mode(void **state)
{
    (void)state;
    put_real_mode();
    put(VMCS_GUEST_CR0, CR0_PE | CR0_NE | CR0_ET);
    put(VMCS_GUEST_RFLAGS, 2 | RFLAGS_VM);
    for (uint32_t seg = SEG_ES; seg <= SEG_GS; seg++)
        put_segment(seg, (uint16_t)(0x1000 + seg), (0x1000 + seg) << 4, 0xffff, 0xf3);
    assert_int_equal(run_check(), 0);
    put(VMCS_GUEST_LIMIT(SEG_GS), 0xfffff);
    put(VMCS_GUEST_BASE(SEG_DS), 0);
    put(VMCS_GUEST_ACCESS(SEG_ES), 0x93);
    assert_int_equal(run_check(), 3);
}

static void encodings_follow_the_segment_order(void **state)
{
    (void)state;
    assert_int_equal(VMCS_GUEST_SELECTOR(SEG_TR), 0x080e);
    assert_int_equal(VMCS_GUEST_LIMIT(SEG_IDTR), 0x4812);
    assert_int_equal(VMCS_GUEST_ACCESS(SEG_TR), 0x4822);
    assert_int_equal(VMCS_GUEST_BASE(SEG_IDTR), 0x6818);
    assert_int_equal(VMCS_GUEST_PDPTE(3), 0x2810);
}

static void names_are_never_null(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 0x20000; i++)
        assert_non_null(reason_name(i));
    assert_string_equal(reason_name(REASON_EPT_VIOLATION), "EPT violation");
    assert_string_equal(reason_name(REASON_ENTRY_FAILED | REASON_BAD_GUEST_STATE),
                        "entry failed: invalid guest state");
    assert_string_equal(reason_name(35), "unknown exit");
    for (uint32_t i = 0; i < 40; i++)
        assert_non_null(insn_error_name(i));
    for (const struct field_name *f = field_names; f->name; f++)
        for (const struct field_name *g = field_names; g < f; g++)
            assert_int_not_equal(f->field, g->field);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probe_finds_all),
        cmocka_unit_test(probe_says_what_is_missing),
        cmocka_unit_test(probe_accepts_open_feature_control),
        cmocka_unit_test(capability_needs_all_its_parts),
        cmocka_unit_test(faults_of_bochs_are_avoided),
        cmocka_unit_test(fold_takes_what_is_there),
        cmocka_unit_test(fold_without_capabilities),
        cmocka_unit_test(fold_keeps_what_must_be_one),
        cmocka_unit_test(fold_refuses_a_lost_capability),
        cmocka_unit_test(sound_states_pass),
        cmocka_unit_test(broken_rules_are_named),
        cmocka_unit_test(broken_pairs_are_named),
        cmocka_unit_test(virtual_8086_mode),
        cmocka_unit_test(encodings_follow_the_segment_order),
        cmocka_unit_test(names_are_never_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
