#include "vmx/controls.h"

#include "core/lib/error.h"
#include "core/x86/msr.h"
#include "vmx/vmcs.h"

/* When a control bit is set. */
enum control_use {
    USE_ALWAYS,  /* Keel relies on it: its absence is an error */
    USE_OFFERED, /* whenever the CPU has it */
    USE_CAP,     /* with the capability, which no CPU without the bit has */
    USE_LATER,   /* set while running: the CPU must have it if it has the capability */
};

#define NO_CAP CAP_COUNT

struct control {
    size_t msr;   /* offset of the MSR's value in struct vmx_capability */
    size_t field; /* offset of the control field in struct vmx_controls */
    uint32_t bit;
    enum control_use use;
    enum cap cap;
    const char *missing; /* the sentence if the bit isn't there and has to be */
};

#define CONTROL(group, bit, use, cap, missing)                                                               \
    {                                                                                                        \
        offsetof(struct vmx_capability, group), offsetof(struct vmx_controls, group), bit, use, cap, missing \
    }
#define LACKS "the CPU's VMX lacks "

static const struct control controls[] = {
    CONTROL(pin, PIN_EXT_INTR, USE_ALWAYS, NO_CAP, LACKS "external-interrupt exiting"),
    CONTROL(pin, PIN_NMI, USE_ALWAYS, NO_CAP, LACKS "NMI exiting"),
    CONTROL(pin, PIN_VIRTUAL_NMI, USE_CAP, CAP_VNMI, NULL),
    CONTROL(pin, PIN_PREEMPTION_TIMER, USE_CAP, CAP_PREEMPTION_TIMER, NULL),
    CONTROL(pin, PIN_POSTED, USE_LATER, CAP_POSTED, NULL),

    CONTROL(proc, PROC_INTR_WINDOW, USE_LATER, NO_CAP, LACKS "interrupt-window exiting"),
    CONTROL(proc, PROC_TSC_OFFSET, USE_ALWAYS, NO_CAP, LACKS "TSC offsetting"),
    CONTROL(proc, PROC_HLT, USE_ALWAYS, NO_CAP, LACKS "HLT exiting"),
    CONTROL(proc, PROC_MWAIT, USE_ALWAYS, NO_CAP, LACKS "MWAIT exiting"),
    CONTROL(proc, PROC_RDPMC, USE_ALWAYS, NO_CAP, LACKS "RDPMC exiting"),
    CONTROL(proc, PROC_CR8_LOAD, USE_ALWAYS, NO_CAP, LACKS "CR8-load exiting"), /* tpr.c turns them off */
    CONTROL(proc, PROC_CR8_STORE, USE_ALWAYS, NO_CAP, LACKS "CR8-store exiting"),
    CONTROL(proc, PROC_TPR_SHADOW, USE_CAP, CAP_TPR_SHADOW, NULL),
    CONTROL(proc, PROC_NMI_WINDOW, USE_LATER, CAP_VNMI, NULL),
    CONTROL(proc, PROC_IO, USE_ALWAYS, NO_CAP, LACKS "unconditional I/O exiting"),
    CONTROL(proc, PROC_MSR_BITMAP, USE_CAP, CAP_MSR_BITMAP, NULL),
    CONTROL(proc, PROC_MONITOR, USE_ALWAYS, NO_CAP, LACKS "MONITOR exiting"),
    CONTROL(proc, PROC_SECONDARY, USE_ALWAYS, NO_CAP, LACKS "secondary controls and with them EPT"),
    /* Without unrestricted guest, CR3 is intercepted while the guest doesn't page. */
    CONTROL(proc, PROC_CR3_LOAD, USE_LATER, NO_CAP, LACKS "CR3-load exiting"),
    CONTROL(proc, PROC_CR3_STORE, USE_LATER, NO_CAP, LACKS "CR3-store exiting"),

    CONTROL(proc2, PROC2_EPT, USE_ALWAYS, NO_CAP, LACKS "EPT (extended page tables)"),
    CONTROL(proc2, PROC2_RDTSCP, USE_CAP, CAP_RDTSCP, NULL),
    CONTROL(proc2, PROC2_VPID, USE_CAP, CAP_ASID, NULL),
    CONTROL(proc2, PROC2_WBINVD, USE_OFFERED, NO_CAP, NULL),
    CONTROL(proc2, PROC2_UG, USE_CAP, CAP_UG, NULL),
    CONTROL(proc2, PROC2_APIC_ACCESS, USE_LATER, CAP_APICV,
            NULL), /* apicv.c: as the LAPIC's mode wants them */
    CONTROL(proc2, PROC2_APIC_REGISTERS, USE_LATER, CAP_APICV, NULL),
    CONTROL(proc2, PROC2_INTR_DELIVERY, USE_LATER, CAP_APICV, NULL),
    CONTROL(proc2, PROC2_X2APIC, USE_LATER, CAP_APICV, NULL),
    CONTROL(proc2, PROC2_PLE, USE_CAP, CAP_PLE, NULL),
    CONTROL(proc2, PROC2_INVPCID, USE_CAP, CAP_INVPCID, NULL),
    CONTROL(proc2, PROC2_ENCLS, USE_OFFERED, NO_CAP,
            NULL), /* no enclaves: they would be outside of all EPTs */
    CONTROL(proc2, PROC2_XSAVES, USE_CAP, CAP_XSAVES, NULL),

    CONTROL(exit, EXIT_SAVE_DEBUG, USE_ALWAYS, NO_CAP, LACKS "saving of debug controls"),
    CONTROL(exit, EXIT_HOST64, USE_ALWAYS, NO_CAP, LACKS "64-bit hosts"),
    CONTROL(exit, EXIT_ACK_INTR, USE_CAP, CAP_POSTED, NULL),
    CONTROL(exit, EXIT_LOAD_PAT, USE_CAP, CAP_LOAD_PAT, NULL),
    CONTROL(exit, EXIT_LOAD_EFER, USE_CAP, CAP_LOAD_EFER, NULL),

    CONTROL(entry, ENTRY_LOAD_DEBUG, USE_ALWAYS, NO_CAP, LACKS "loading of debug controls"),
    CONTROL(entry, ENTRY_IA32E, USE_LATER, NO_CAP, LACKS "64-bit guests"),
    CONTROL(entry, ENTRY_LOAD_PAT, USE_CAP, CAP_LOAD_PAT, NULL),
    CONTROL(entry, ENTRY_LOAD_EFER, USE_CAP, CAP_LOAD_EFER, NULL),
};

static uint64_t control_msr(const struct vmx_capability *c, const struct control *row)
{
    return *(const uint64_t *)(const void *)((const char *)c + row->msr);
}

static uint32_t *control_field(struct vmx_controls *out, const struct control *row)
{
    return (uint32_t *)(void *)((char *)out + row->field);
}

static bool control_has(const struct vmx_capability *c, const struct control *row)
{
    return control_allowed(control_msr(c, row), row->bit);
}

static bool control_wanted(const struct vmx_capability *c, const struct control *row, struct caps use)
{
    switch (row->use) {
    case USE_ALWAYS:
        return true;
    case USE_OFFERED:
        return control_has(c, row);
    case USE_CAP:
        return use.bits & BIT(row->cap);
    default:
        return false;
    }
}

/* Every capability that has a row, less those of which a row's bit is missing. */
static uint64_t caps_of_controls(const struct vmx_capability *c)
{
    uint64_t named = 0, lost = 0;

    for (size_t i = 0; i < ARRAY_SIZE(controls); i++) {
        const struct control *row = &controls[i];

        if (row->cap == NO_CAP)
            continue;
        named |= BIT(row->cap);
        if (!control_has(c, row))
            lost |= BIT(row->cap);
    }
    return named & ~lost;
}

/* What else a capability needs than its control bits. */
static struct caps caps_found(const struct vmx_capability *c)
{
    uint64_t bits = caps_of_controls(c), ev = c->ept_vpid;

    bits &= ~VMX_INSN_CAPS | c->insns.bits;
    if (!(ev & EPT_CAP_INVVPID) || !(ev & (EPT_CAP_INVVPID_SINGLE | EPT_CAP_INVVPID_ALL)))
        bits &= ~BIT(CAP_ASID);
    bits |= ev & EPT_CAP_2M ? BIT(CAP_NEST2M) : 0;
    bits |= ev & EPT_CAP_1G ? BIT(CAP_NEST1G) : 0;
    bits |= ev & EPT_CAP_INVEPT_SINGLE ? BIT(CAP_INVEPT_SINGLE) : 0;
    bits |= ev & EPT_CAP_INVVPID_SINGLE ? BIT(CAP_INVVPID_SINGLE) : 0;
    bits |= (c->insns.bits & BIT(CAP_LA57)) | BIT(CAP_QUICK);
    if (BASIC_REVISION(c->basic) == BASIC_REVISION_BOCHS)
        bits &= ~(BIT(CAP_APICV) | BIT(CAP_POSTED) | BIT(CAP_LA57));
    if (BASIC_REVISION(c->basic) == BASIC_REVISION_MENDED)
        bits &= ~BIT(CAP_LA57);
    return (struct caps){bits};
}

/* What Keel needs beside control bits; NULL if all is there. */
static const char *capability_missing(const struct vmx_capability *c)
{
    const uint64_t invept_any = EPT_CAP_INVEPT_SINGLE | EPT_CAP_INVEPT_ALL;

    if (!c->vmx)
        return "the CPU has no VT-x (CPUID shows no VMX)";
    if (c->feature_control & FEATURE_CONTROL_LOCK && !(c->feature_control & FEATURE_CONTROL_VMX))
        return "VT-x is locked off by the firmware (IA32_FEATURE_CONTROL)";
    if (!control_allowed(c->proc, PROC_SECONDARY) || !control_allowed(c->proc2, PROC2_EPT))
        return LACKS "EPT (extended page tables)";
    if (!(c->ept_vpid & EPT_CAP_WALK4))
        return "the CPU's EPT has no 4-level tables";
    if (!(c->ept_vpid & EPT_CAP_WB))
        return "the CPU's EPT can't be walked in write-back memory";
    if (!(c->ept_vpid & EPT_CAP_INVEPT) || !(c->ept_vpid & invept_any))
        return LACKS "INVEPT";
    if (BASIC_MEMORY_TYPE(c->basic) != EPTP_WB || BASIC_SIZE(c->basic) > PAGE_SIZE)
        return "the CPU wants a VMCS that is no write-back page";
    return NULL;
}

/* The first bit that has to be there and isn't; NULL if there is none. */
static const char *control_missing(const struct vmx_capability *c)
{
    for (size_t i = 0; i < ARRAY_SIZE(controls); i++) {
        if (controls[i].missing && !control_has(c, &controls[i]))
            return controls[i].missing;
    }
    return NULL;
}

int controls_probe(const struct vmx_capability *c, struct caps *found, const char **why)
{
    *why = capability_missing(c);
    if (!*why)
        *why = control_missing(c);
    if (*why)
        return ERR_NOTSUP;
    *found = caps_found(c);
    return 0;
}

/* Bits that the MSR wants as 1 and that we didn't ask for are set too (A.2): "default1" on CPUs without TRUE MSRs. */
int controls_fold(const struct vmx_capability *c, struct caps use, struct vmx_controls *out, const char **why)
{
    *out = (struct vmx_controls){(uint32_t)c->pin, (uint32_t)c->proc, (uint32_t)c->proc2, (uint32_t)c->exit,
                                 (uint32_t)c->entry};
    for (size_t i = 0; i < ARRAY_SIZE(controls); i++) {
        const struct control *row = &controls[i];

        if (!control_wanted(c, row, use))
            continue;
        if (!control_has(c, row)) {
            *why = row->missing ? row->missing : "a capability is used that this CPU hasn't got";
            return ERR_NOTSUP;
        }
        *control_field(out, row) |= row->bit;
    }
    return 0;
}
