/* SDM 6.14-6.15 (priorities, double faults), 27.6 (injection); APM volume 2, 8.2.9 and 15.20. */
#include "core/event.h"

#include "core/exit.h"
#include "core/trace.h"
#include "core/vapic.h"
#include "core/vcpu.h"
#include "core/vcpu_ops.h"
#include "core/x86/cr.h"

/* SDM table 6-4: the classes that decide what a second exception turns into. */
enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

static enum fault_class event_class(uint8_t vector)
{
    switch (vector) {
    case EXC_DF:
        return DOUBLE_FAULT;
    case EXC_PF:
    case EXC_VE:
        return PAGE_FAULT;
    case EXC_DE:
    case EXC_TS:
    case EXC_NP:
    case EXC_SS:
    case EXC_GP:
    case EXC_CP:
        return CONTRIBUTORY;
    default:
        return BENIGN;
    }
}

static bool event_makes_double_fault(enum fault_class first, enum fault_class second)
{
    return (first == CONTRIBUTORY && second == CONTRIBUTORY) || (first == PAGE_FAULT && second != BENIGN);
}

/* Takes the exception that comes first: one that is being delivered, or one that was raised and not yet injected. */
static const struct event *event_first_exception(const struct vcpu_events *events)
{
    if (events->reinject.valid && events->reinject.type == EVENT_EXCEPTION)
        return &events->reinject;
    if (events->exception.valid)
        return &events->exception;
    return NULL;
}

/* A fault's frame has RF set, so that the instruction which runs again doesn't meet an instruction breakpoint twice (SDM 18.3.1.1). */
bool event_is_fault(uint8_t vector)
{
    return vector != EXC_DB && vector != EXC_BP && vector != EXC_OF && vector != EXC_DF && vector != EXC_MC;
}

uint64_t event_resumes(const struct event *event)
{
    return event->type == EVENT_EXCEPTION && event_is_fault(event->vector) ? RFLAGS_RF : 0;
}

void event_raise(struct vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error)
{
    struct vcpu_events *events = &vcpu->events;
    const struct event *first = event_first_exception(events);
    struct event raised = {
        .valid = true, .vector = vector, .type = EVENT_EXCEPTION, .has_error = has_error, .error = error};

    if (first) {
        enum fault_class class = event_class(first->vector);

        if (class == DOUBLE_FAULT && event_class(vector) != BENIGN) {
            exit_triple_fault(vcpu);
            return;
        }
        if (event_makes_double_fault(class, event_class(vector)))
            raised = (struct event){
                .valid = true, .vector = EXC_DF, .type = EVENT_EXCEPTION, .has_error = true, .error = 0};
    }
    /* What was cut short is lost for an exception (its instruction runs again) and kept for an interrupt or NMI. */
    if (events->reinject.valid && events->reinject.type != EVENT_INTERRUPT &&
        events->reinject.type != EVENT_NMI)
        events->reinject.valid = false;
    events->exception = raised;
    if (event_is_fault(raised.vector))
        vcpu_set(vcpu, REG_RFLAGS, vcpu_get(vcpu, REG_RFLAGS) | RFLAGS_RF);
    vcpu_look_events(vcpu);
}

void event_reinject(struct vcpu *vcpu, const struct event *event)
{
    vcpu->events.reinject = *event;
    vcpu_look_events(vcpu);
}

void event_post_nmi(struct vcpu *vcpu)
{
    uint8_t *pending = &vcpu->events.nmi_pending, count = __atomic_load_n(pending, __ATOMIC_RELAXED);

    while (count < NMI_LIMIT && !__atomic_compare_exchange_n(pending, &count, (uint8_t)(count + 1), false,
                                                             __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        ;
}

/* Behind one that is being handled, all are one. */
static void event_merge_nmis(struct vcpu *vcpu)
{
    uint8_t both = NMI_LIMIT;

    __atomic_compare_exchange_n(&vcpu->events.nmi_pending, &both, 1, false, __ATOMIC_RELAXED,
                                __ATOMIC_RELAXED);
}

static inline void event_trace(const struct vcpu *vcpu, enum event_type type, uint8_t vector)
{
    if (UNLIKELY(trace_on))
        trace_injected(vcpu, type, vector);
}

static void event_inject(struct vcpu *vcpu, const struct event *event)
{
    vcpu_ops->inject(vcpu, event);
    event_trace(vcpu, event->type, event->vector);
}

/* True if one waits. */
static bool event_deliver_nmi(struct vcpu *vcpu, bool *injected)
{
    static const struct event nmi = {.valid = true, .vector = EXC_NMI, .type = EVENT_NMI};

    if (!__atomic_load_n(&vcpu->events.nmi_pending, __ATOMIC_RELAXED))
        return false;
    if (vcpu_ops->nmi_blocked(vcpu))
        event_merge_nmis(vcpu);
    if (*injected || !vcpu_ops->can_inject(vcpu, EVENT_NMI))
        return true;
    event_inject(vcpu, &nmi);
    *injected = true;
    return __atomic_sub_fetch(&vcpu->events.nmi_pending, 1, __ATOMIC_RELAXED) > 0;
}

/* True if one waits. The caller has seen to it that no event goes first. */
static ALWAYS_INLINE bool event_deliver_interrupt(struct vcpu *vcpu, bool injected)
{
    int found = vcpu->irqchip->peek(vcpu->irqchip_ctx);
    uint8_t vector = (uint8_t)found;

    if (found < 0)
        return false;
    if (injected || !vcpu_ops->inject_interrupt(vcpu, vector))
        return true;
    vcpu->stats.interrupts++;
    event_trace(vcpu, EVENT_INTERRUPT, vector);
    return vcpu->irqchip->accept(vcpu->irqchip_ctx, vector);
}

/* Injects what doesn't depend on the guest's flags. */
static bool event_deliver_exception(struct vcpu *vcpu)
{
    struct vcpu_events *events = &vcpu->events;

    if (UNLIKELY(events->exception.valid)) {
        /* An interrupt whose delivery faulted stays in `reinject` and is taken after the fault. */
        event_inject(vcpu, &events->exception);
        events->exception.valid = false;
        return true;
    }
    if (UNLIKELY(events->reinject.valid)) {
        /* An exception that went first may have cleared IF: then even an interrupt that was accepted already waits. */
        if (events->reinject.type == EVENT_INTERRUPT && !vcpu_ops->can_inject(vcpu, EVENT_INTERRUPT))
            return false;
        event_inject(vcpu, &events->reinject);
        events->reinject.valid = false;
        return true;
    }
    return false;
}

/* Most exits leave the windows as they were: the back end is called only for a change. */
static void event_window(struct vcpu *vcpu, enum event_type type, bool open)
{
    uint8_t bit = (uint8_t)BIT(type);

    if (LIKELY(!!(vcpu->events.windows & bit) == open))
        return;
    vcpu->events.windows ^= bit;
    vcpu_ops->window(vcpu, type, open);
}

/* Interrupts, and nothing else but windows that are open. */
static NOINLINE void event_deliver_usual(struct vcpu *vcpu)
{
    bool irq_waits = event_deliver_interrupt(vcpu, false);

    if (LIKELY(!irq_waits && !vcpu->events.windows))
        return;
    event_window(vcpu, EVENT_NMI, false);
    event_window(vcpu, EVENT_INTERRUPT, irq_waits);
}

static __attribute__((noinline)) void event_deliver_any(struct vcpu *vcpu)
{
    bool injected = event_deliver_exception(vcpu);
    bool nmi_waits = event_deliver_nmi(vcpu, &injected);
    bool irq_waits = vcpu->events.reinject.valid || event_deliver_interrupt(vcpu, injected);

    event_window(vcpu, EVENT_NMI, nmi_waits);
    event_window(vcpu, EVENT_INTERRUPT, irq_waits);
}

void event_deliver(struct vcpu *vcpu)
{
    const struct vcpu_events *events = &vcpu->events;

    if (UNLIKELY(events->exception.valid | events->reinject.valid |
                 __atomic_load_n(&events->nmi_pending, __ATOMIC_RELAXED)))
        event_deliver_any(vcpu);
    else
        event_deliver_usual(vcpu);
}

bool event_wakes(struct vcpu *vcpu)
{
    const struct vcpu_events *events = &vcpu->events;

    if (events->exception.valid || events->reinject.valid)
        return true;
    if (__atomic_load_n(&events->nmi_pending, __ATOMIC_RELAXED) ||
        __atomic_load_n(&vcpu->pv.kicked, __ATOMIC_SEQ_CST))
        return true;
    if (!(vcpu_get(vcpu, REG_RFLAGS) & RFLAGS_IF))
        return false;
    return vcpu->irqchip->peek(vcpu->irqchip_ctx) >= 0 || (vcpu->vapic && vapic_wakes(vcpu->vapic));
}
