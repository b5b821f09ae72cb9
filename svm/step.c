#include "svm/step.h"

#include "core/x86/cr.h"

/* Conditions of a #DB that aren't a single step: B0-B3 and BD. */
#define DR6_OTHER (MASK(4) | BIT(13))

void step_begin(struct svm_vcpu *s, bool loads_flags)
{
    struct vmcb *vmcb = s->vmcb;

    if (s->step.kind != STEP_NONE)
        return;
    s->step.dr6 = vmcb->dr6;
    if (vmcb->rflags & RFLAGS_TF)
        s->step.kind = STEP_OWN;
    else
        s->step.kind = loads_flags ? STEP_IRET : STEP_PLAIN;
    vmcb->rflags |= RFLAGS_TF;
}

/* Takes our traces out of DR6; true if the #DB had no other cause. */
static bool step_hide(struct svm_vcpu *s)
{
    struct vmcb *vmcb = s->vmcb;
    uint64_t others = vmcb->dr6 & DR6_OTHER & ~s->step.dr6;

    vmcb->dr6 = others ? (vmcb->dr6 & ~DR6_BS) | (s->step.dr6 & DR6_BS) : s->step.dr6;
    vmcb_dirty(s, CLEAN_DRX);
    return !others;
}

bool step_finish(struct svm_vcpu *s)
{
    bool trapped = s->vmcb->exit_code == EXIT_EXCEPTION + EXC_DB;
    enum svm_step_kind kind = (enum svm_step_kind)s->step.kind;

    if (kind == STEP_NONE)
        return false;
    /* An IRET that was executed has loaded the guest's own TF. */
    if (kind == STEP_PLAIN || (kind == STEP_IRET && !trapped))
        s->vmcb->rflags &= ~RFLAGS_TF;
    s->step.hides = kind != STEP_OWN && trapped && step_hide(s);
    s->step.kind = STEP_NONE;
    return trapped;
}

bool step_hides(struct svm_vcpu *s)
{
    bool hides = s->step.hides;

    s->step.hides = false;
    return hides;
}
