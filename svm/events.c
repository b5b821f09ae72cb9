#include "svm/events.h"

#include "core/x86/cr.h"
#include "svm/cr8.h"
#include "svm/nmi.h"
#include "svm/svm.h"

/* SVM knows INT1, INT3 and INTO as exceptions. */
static uint64_t events_type(const struct event *event)
{
    bool exception = event->type == EVENT_SOFT_EXCEPTION || event->type == EVENT_PRIV_EXCEPTION;

    return exception ? EVENT_EXCEPTION : event->type;
}

uint64_t svm_events_encode(const struct event *event)
{
    uint64_t word = EVENT_VALID | event->vector | events_type(event) << EVENT_TYPE_SHIFT;

    if (event->has_error)
        word |= EVENT_HAS_ERROR | (uint64_t)event->error << EVENT_ERROR_SHIFT;
    return word;
}

bool svm_events_nmi_blocked(struct vcpu *vcpu)
{
    return svm_vcpu(vcpu)->nmi.blocked;
}

void svm_events_set_nmi_blocked(struct vcpu *vcpu, bool blocked)
{
    if (blocked)
        nmi_injected(svm_vcpu(vcpu));
    else
        nmi_ended(vcpu, svm_vcpu(vcpu));
}

/* An entry that was put off, for there was more to do first, leaves what it was to inject: nothing may take its place. */
static inline bool events_free(const struct vmcb *vmcb)
{
    return !(vmcb->event_inj & EVENT_VALID) && !(vmcb->int_shadow & SHADOW_ACTIVE);
}

bool svm_events_can_inject(struct vcpu *vcpu, enum event_type type)
{
    const struct svm_vcpu *s = svm_vcpu(vcpu);

    if (!events_free(s->vmcb))
        return false;
    return type == EVENT_NMI ? !s->nmi.blocked : !!(s->vmcb->rflags & RFLAGS_IF);
}

/*
 * A software event returns to behind its instruction. Processors with NRIPS take that address from nRIP, others from RIP
 * (15.20), so both are set.
 */
static void events_skip_instruction(struct vcpu *vcpu, struct vmcb *vmcb, uint8_t len)
{
    vcpu_set_rip(vcpu, vcpu->rip + len);
    vmcb->nrip = vcpu->rip;
}

void svm_events_inject(struct vcpu *vcpu, const struct event *event)
{
    struct svm_vcpu *s = svm_vcpu(vcpu);
    struct vmcb *vmcb = s->vmcb;
    uint64_t word = svm_events_encode(event);

    /* Real mode pushes no error codes. */
    if (!(vmcb->cr0 & CR0_PE))
        word &= MASK(32) & ~EVENT_HAS_ERROR;
    if (event->type >= EVENT_SOFT_INT)
        events_skip_instruction(vcpu, vmcb, event->insn_len);
    if (event->type == EVENT_NMI)
        nmi_injected(s);
    vmcb->event_inj = s->injected = word;
    attention_set(s, ATTENTION_INJECTED);
    vmcb->int_shadow &= ~SHADOW_ACTIVE;
}

/* The processor clears EVENTINJ at the exit (15.6), and there is nothing else to be done about an interrupt, but on QEMU (virq.h). */
bool svm_events_inject_interrupt(struct vcpu *vcpu, uint8_t vector)
{
    struct svm_vcpu *s = svm_vcpu(vcpu);
    struct vmcb *vmcb = s->vmcb;

    if (!(vmcb->rflags & RFLAGS_IF) || !events_free(vmcb))
        return false;
    vmcb->event_inj = EVENT_VALID | vector;
    if (svm_on_tcg) {
        s->injected = vmcb->event_inj;
        attention_set(s, ATTENTION_INJECTED);
    }
    return true;
}

/*
 * A window for interrupts is a virtual interrupt that is pending at the highest priority and whose delivery is intercepted:
 * the exit comes as soon as IF and the interrupt shadow let it through, and nothing is delivered.
 */
static void events_irq_window(struct vcpu *vcpu, bool open)
{
    struct svm_vcpu *s = svm_vcpu(vcpu);
    struct vmcb *vmcb = s->vmcb;

    s->irq_window = open;
    if (open) {
        vmcb->int_control |= INT_V_IRQ | INT_V_PRIO_MAX | INT_V_IGN_TPR;
        vmcb->intercept3 |= INTERCEPT3_VINTR;
    } else {
        vmcb->int_control &= ~(INT_V_IRQ | INT_V_PRIO_MAX | INT_V_IGN_TPR);
        vmcb->intercept3 &= ~INTERCEPT3_VINTR;
    }
    vmcb_dirty(s, CLEAN_I | CLEAN_TPR);
    cr8_intercept(s);
}

void svm_events_window(struct vcpu *vcpu, enum event_type type, bool open)
{
    if (type == EVENT_NMI)
        nmi_window(svm_vcpu(vcpu), open);
    else
        events_irq_window(vcpu, open);
}

void svm_events_clear_shadow(struct vcpu *vcpu)
{
    svm_vcpu(vcpu)->vmcb->int_shadow &= ~SHADOW_ACTIVE;
}

void svm_events_set_shadow(struct vcpu *vcpu)
{
    svm_vcpu(vcpu)->vmcb->int_shadow |= SHADOW_ACTIVE;
    attention_set(svm_vcpu(vcpu), ATTENTION_ODD);
}

/* INT n, INT3 and INTO of the guest's own: RIP is still at the instruction, which runs again. */
static bool events_is_software(uint64_t word)
{
    uint8_t vector = EVENT_VECTOR(word), type = EVENT_TYPE(word);

    return type == EVENT_SOFT_INT || (type == EVENT_EXCEPTION && (vector == EXC_BP || vector == EXC_OF));
}

/* The same event as was injected: RIP is where the injection left it, so it can only be injected again. */
static bool events_same(uint64_t a, uint64_t b)
{
    return (b & EVENT_VALID) && !((a ^ b) & MASK(EVENT_TYPE_SHIFT + 3));
}

bool svm_events_collect(struct vcpu *vcpu, struct svm_vcpu *s)
{
    uint64_t word = s->vmcb->exit_int_info;
    struct event event = {
        .valid = true,
        .vector = EVENT_VECTOR(word),
        .type = EVENT_TYPE(word),
        .has_error = !!(word & EVENT_HAS_ERROR),
        .error = word & EVENT_HAS_ERROR ? (uint32_t)(word >> EVENT_ERROR_SHIFT) : 0,
    };

    if (event.type == EVENT_NMI)
        nmi_cut_short(s);
    if (events_is_software(word) && !events_same(word, s->injected))
        return false;
    event_reinject(vcpu, &event);
    return true;
}
