#include "svm/shadow.h"

#include "svm/step.h"

/* A window's exit comes before the guest's next instruction, and would do so again and again. */
static void shadow_hold_window(struct svm_vcpu *s, bool hold)
{
    if (!s->irq_window)
        return;
    s->vmcb->int_control = hold ? s->vmcb->int_control & ~INT_V_IRQ : s->vmcb->int_control | INT_V_IRQ;
    vmcb_dirty(s, CLEAN_TPR);
}

void shadow_begin(struct svm_vcpu *s)
{
    if (!(s->vmcb->int_shadow & SHADOW_ACTIVE))
        return;
    step_begin(s, false);
    shadow_hold_window(s, true);
    s->shadow.held = true;
    s->shadow.rip = s->vcpu->rip;
}

void shadow_end(struct svm_vcpu *s, bool stepped)
{
    if (!s->shadow.held)
        return;
    s->shadow.held = false;
    shadow_hold_window(s, false);
    /* The instruction hasn't been executed. If it is the exit's own, core steps over it and ends the shadow. */
    if (!stepped && s->vcpu->rip == s->shadow.rip)
        s->vmcb->int_shadow |= SHADOW_ACTIVE;
}
