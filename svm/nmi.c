#include "svm/nmi.h"

#include "svm/step.h"

static void nmi_intercept_iret(struct svm_vcpu *s, bool on)
{
    struct vmcb *vmcb = s->vmcb;

    vmcb->intercept3 = on ? vmcb->intercept3 | INTERCEPT3_IRET : vmcb->intercept3 & ~INTERCEPT3_IRET;
    vmcb_dirty(s, CLEAN_I);
}

static void nmi_attention(struct svm_vcpu *s)
{
    if (s->nmi.window || s->nmi.iret)
        attention_set(s, ATTENTION_NMI);
    else
        attention_clear(s, ATTENTION_NMI);
}

void nmi_injected(struct svm_vcpu *s)
{
    s->nmi.blocked = true;
    nmi_intercept_iret(s, true);
}

void nmi_cut_short(struct svm_vcpu *s)
{
    s->nmi.blocked = false;
    nmi_intercept_iret(s, false);
}

void nmi_ended(struct vcpu *vcpu, struct svm_vcpu *s)
{
    s->nmi.iret = false;
    nmi_cut_short(s);
    nmi_attention(s);
    vcpu_look(vcpu);
}

void nmi_window(struct svm_vcpu *s, bool open)
{
    s->nmi.window = open;
    nmi_attention(s);
}

void nmi_iret(struct vcpu *vcpu, struct svm_vcpu *s)
{
    nmi_intercept_iret(s, false);
    s->nmi.iret = true;
    s->nmi.iret_rip = vcpu->rip;
    nmi_attention(s);
}

bool nmi_prepare(struct svm_vcpu *s)
{
    struct svm_nmi *nmi = &s->nmi;

    if (!nmi->window || (nmi->blocked && !nmi->iret))
        return false;
    /* An event goes first, and would push our TF: let the guest come back right after it instead. */
    if (s->vmcb->event_inj & EVENT_VALID)
        return true;
    step_begin(s, nmi->iret);
    return false;
}

void nmi_finish(struct svm_vcpu *s, bool stepped)
{
    struct svm_nmi *nmi = &s->nmi;

    if (nmi->iret && (stepped || s->vcpu->rip != nmi->iret_rip)) {
        nmi->iret = false;
        nmi->blocked = false;
        vcpu_look(s->vcpu);
    }
    nmi_attention(s);
}
