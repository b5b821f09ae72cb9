#include "svm/nmi.h"

#include "core/x86/cr.h"

/* Conditions of a #DB that aren't a single step: B0-B3 and BD. */
#define DR6_OTHER (MASK(4) | BIT(13))

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

static void nmi_step(struct svm_vcpu *s)
{
    struct vmcb *vmcb = s->vmcb;
    struct svm_nmi *nmi = &s->nmi;

    nmi->step_dr6 = vmcb->dr6;
    if (vmcb->rflags & RFLAGS_TF)
        nmi->step = STEP_OWN;
    else
        nmi->step = nmi->iret ? STEP_IRET : STEP_SHADOW;
    vmcb->rflags |= RFLAGS_TF;
}

bool nmi_prepare(struct svm_vcpu *s)
{
    struct svm_nmi *nmi = &s->nmi;

    if (!nmi->window || (nmi->blocked && !nmi->iret))
        return false;
    /* An event goes first, and would push our TF: let the guest come back right after it instead. */
    if (s->vmcb->event_inj & EVENT_VALID)
        return true;
    nmi_step(s);
    return false;
}

/* After the #DB of a step of ours: takes our traces out of DR6; true if it had no other cause. */
static bool nmi_hide_step(struct svm_vcpu *s)
{
    struct vmcb *vmcb = s->vmcb;
    uint64_t others = vmcb->dr6 & DR6_OTHER & ~s->nmi.step_dr6;

    vmcb->dr6 = others ? (vmcb->dr6 & ~DR6_BS) | (s->nmi.step_dr6 & DR6_BS) : s->nmi.step_dr6;
    vmcb_dirty(s, CLEAN_DRX);
    return !others;
}

static void nmi_finish_step(struct svm_vcpu *s, bool trapped)
{
    struct svm_nmi *nmi = &s->nmi;
    bool ours = nmi->step == STEP_IRET || nmi->step == STEP_SHADOW;

    /* An IRET that was executed has loaded the guest's own TF. */
    if (nmi->step == STEP_SHADOW || (nmi->step == STEP_IRET && !trapped))
        s->vmcb->rflags &= ~RFLAGS_TF;
    nmi->step_hidden = ours && trapped && nmi_hide_step(s);
    nmi->step = STEP_NONE;
}

void nmi_finish(struct vcpu *vcpu, struct svm_vcpu *s)
{
    struct svm_nmi *nmi = &s->nmi;
    bool trapped = s->vmcb->exit_code == EXIT_EXCEPTION + EXC_DB;
    bool stepped = nmi->step != STEP_NONE && trapped;

    nmi->step_hidden = false;
    if (nmi->step != STEP_NONE)
        nmi_finish_step(s, trapped);
    if (nmi->iret && (stepped || vcpu->rip != nmi->iret_rip)) {
        nmi->iret = false;
        nmi->blocked = false;
        vcpu_look(vcpu);
    }
    nmi_attention(s);
}
