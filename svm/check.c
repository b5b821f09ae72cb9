#include "svm/check.h"

#include "core/event.h"
#include "core/x86/cr.h"
#include "core/x86/msr.h"
#include "svm/controls.h"

struct check_rule {
    bool (*broken)(const struct vmcb *v, const struct svm_limits *l);
    const char *what;
};

/* One rule: true if it is broken. */
#define RULE(name, condition)                                                                                \
    static bool rule_##name(const struct vmcb *v, const struct svm_limits *l)                                \
    {                                                                                                        \
        (void)l;                                                                                             \
        return condition;                                                                                    \
    }

static bool paging_in_long_mode(const struct vmcb *v)
{
    return (v->efer & EFER_LME) && (v->cr0 & CR0_PG);
}

/* 15.20: reserved types; NMI with another vector; exceptions that there aren't. */
static bool event_illegal(const struct vmcb *v)
{
    uint64_t event = v->event_inj;

    if (!(event & EVENT_VALID))
        return false;
    switch (EVENT_TYPE(event)) {
    case EVENT_INTERRUPT:
    case EVENT_NMI: /* the vector is ignored */
    case EVENT_SOFT_INT:
        return false;
    case EVENT_EXCEPTION:
        return EVENT_VECTOR(event) == EXC_NMI || EVENT_VECTOR(event) > 31;
    default:
        return true;
    }
}

static bool map_outside(uint64_t base, uint64_t bytes, const struct svm_limits *l)
{
    return ALIGN_DOWN(base, PAGE_SIZE) + bytes > l->phys;
}

RULE(svme, !(v->efer & EFER_SVME))
RULE(cr0_nw, (v->cr0 & CR0_NW) && !(v->cr0 & CR0_CD))
RULE(cr0_high, v->cr0 >> 32)
RULE(cr3, (v->efer & EFER_LMA) && (v->cr3 & ~l->cr3))
RULE(cr4, v->cr4 & ~l->cr4)
RULE(dr6_high, v->dr6 >> 32)
RULE(dr7_high, v->dr7 >> 32)
RULE(efer, v->efer & ~l->efer)
RULE(long_pae, paging_in_long_mode(v) && !(v->cr4 & CR4_PAE))
RULE(long_pe, paging_in_long_mode(v) && !(v->cr0 & CR0_PE))
RULE(long_cs, paging_in_long_mode(v) && (v->cr4 & CR4_PAE) && (v->cs.attr & VMCB_ATTR_L) &&
                  (v->cs.attr & VMCB_ATTR_DB))
RULE(cet_wp, (v->cr4 & CR4_CET) && !(v->cr0 & CR0_WP))
RULE(vmrun, !(v->intercept4 & INTERCEPT4_VMRUN))
RULE(iopm, map_outside(v->iopm_base, IOPM_BYTES, l))
RULE(msrpm, map_outside(v->msrpm_base, MSRPM_BYTES, l))
RULE(event, event_illegal(v))
RULE(asid, v->asid == 0)
RULE(n_cr3, (v->np_control & NP_ENABLE) && v->n_cr3 >= l->phys)

static const struct check_rule rules[] = {
    {rule_svme, "EFER.SVME is clear"},
    {rule_cr0_nw, "CR0.NW is set and CR0.CD is clear"},
    {rule_cr0_high, "CR0 has bits above 31 set"},
    {rule_cr3, "CR3 has bits beyond the physical address width set"},
    {rule_cr4, "CR4 has bits set that this CPU doesn't have"},
    {rule_dr6_high, "DR6 has bits above 31 set"},
    {rule_dr7_high, "DR7 has bits above 31 set"},
    {rule_efer, "EFER has bits set that this CPU doesn't have"},
    {rule_long_pae, "EFER.LME and CR0.PG are set and CR4.PAE is clear"},
    {rule_long_pe, "EFER.LME and CR0.PG are set and CR0.PE is clear"},
    {rule_long_cs, "CS.L and CS.D are both set in long mode"},
    {rule_cet_wp, "CR4.CET is set and CR0.WP is clear"},
    {rule_vmrun, "the VMRUN intercept is clear"},
    {rule_iopm, "the I/O permission map isn't all in physical memory"},
    {rule_msrpm, "the MSR permission map isn't all in physical memory"},
    {rule_event, "EVENTINJ has a type or vector that can't be injected"},
    {rule_asid, "the ASID is 0"},
    {rule_n_cr3, "nCR3 is beyond physical memory"},
};

uint32_t check_vmcb(const struct vmcb *vmcb, const struct svm_limits *limits, check_report report, void *ctx)
{
    uint32_t broken = 0;

    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        if (!rules[i].broken(vmcb, limits))
            continue;
        broken++;
        if (report)
            report(ctx, rules[i].what);
    }
    return broken;
}

const char *check_first(const struct vmcb *vmcb, const struct svm_limits *limits)
{
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
        if (rules[i].broken(vmcb, limits))
            return rules[i].what;
    return "VMRUN refused the VMCB, and no known rule is broken";
}

bool check_mend_code(struct vmcb *vmcb)
{
    if (!rule_long_cs(vmcb, NULL))
        return false;
    vmcb->cs.attr &= (uint16_t)~VMCB_ATTR_DB;
    return true;
}
