#include "svm/virq.h"

#define IRQ_BITS (INT_V_IRQ | INT_V_PRIO_MAX | INT_V_IGN_TPR)

/* The window needs V_IRQ for itself, and an NMI that waits goes by EVENTINJ (nmi_prepare). */
bool virq_begin(struct svm_vcpu *s)
{
    struct vmcb *vmcb = s->vmcb;

    if (EVENT_TYPE(s->injected) != EVENT_INTERRUPT)
        return false;
    if (s->irq_window || (s->vcpu->attention & ATTENTION_NMI))
        return true;
    vmcb->event_inj = 0;
    vmcb->int_control |= IRQ_BITS | INT_V_VECTOR(s->injected & 0xff);
    vmcb_dirty(s, CLEAN_TPR);
    s->virq = true;
    return false;
}

void virq_end(struct vcpu *vcpu, struct svm_vcpu *s)
{
    struct vmcb *vmcb = s->vmcb;
    struct event event = {.valid = true, .vector = EVENT_VECTOR(s->injected), .type = EVENT_INTERRUPT};

    if (!s->virq)
        return;
    if (vmcb->int_control & INT_V_IRQ)
        event_reinject(vcpu, &event);
    vmcb->int_control &= ~(IRQ_BITS | INT_V_VECTOR(0xff));
    vmcb_dirty(s, CLEAN_TPR);
    s->virq = false;
}
