/* Hyper-V's synthetic interrupt controller and timers (TLFS 11, 12.3). */
#include "core/lib/string.h"
#include "core/pv_hyperv.h"
#include "core/vm.h"

#define MSR_CONTROL      0x40000080
#define MSR_VERSION      0x40000081
#define MSR_EVENT_PAGE   0x40000082
#define MSR_MESSAGE_PAGE 0x40000083
#define MSR_EOM          0x40000084
#define MSR_SINT0        0x40000090
#define MSR_TIMER0       0x400000b0 /* CONFIG and COUNT in turn */

#define SINT_VECTOR(sint) ((uint8_t)(sint))
#define SINT_MASKED       BIT(16)
#define SINT_AUTO_EOI     BIT(17)
#define VECTOR_FIRST      16

#define TIMER_ENABLED     BIT(0)
#define TIMER_PERIODIC    BIT(1)
#define TIMER_AUTO_ENABLE BIT(3)
#define TIMER_VECTOR(c)   ((uint8_t)((c) >> 4))
#define TIMER_DIRECT      BIT(12)
#define TIMER_SINT(c)     ((uint32_t)((c) >> 16 & 0xf))
#define PERIOD_MIN        1000 /* 100 us: a slow machine has to get a handler done in it */
#define TIME_MAX          (UINT64_MAX / HV_TIME_NS / 2)

#define MESSAGE_BYTES   256
#define MESSAGE_EXPIRED 0x80000010u
#define MESSAGE_PENDING BIT(0) /* of the flags: another one waits, write EOM */

static uint64_t now(const struct vcpu *vcpu)
{
    return vm_now(vcpu->vm) / HV_TIME_NS;
}

/* -- sources ------------------------------------------------------------------------------------------------------ */

void hv_synic_signal(struct vcpu *vcpu, uint32_t sint)
{
    uint64_t source = __atomic_load_n(&vcpu->pv.hv.sints[sint], __ATOMIC_RELAXED);

    if (!(source & SINT_MASKED))
        vcpu->irqchip->receive(vcpu->irqchip_ctx, SINT_VECTOR(source), false);
}

/* A source that is masked decides nothing. */
static bool is_auto(uint64_t source)
{
    return (source & (SINT_AUTO_EOI | SINT_MASKED)) == SINT_AUTO_EOI;
}

bool hv_auto_eoi(const struct vcpu *vcpu, uint8_t vector)
{
    bool found = false;

    for (uint32_t i = 0; i < HV_SINTS; i++)
        found |= is_auto(vcpu->pv.hv.sints[i]) && SINT_VECTOR(vcpu->pv.hv.sints[i]) == vector;
    return found;
}

static uint32_t autos_count(const struct hv_vcpu *hv)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < HV_SINTS; i++)
        count += is_auto(hv->sints[i]);
    return count;
}

static bool set_sint(struct vcpu *vcpu, uint32_t sint, uint64_t value)
{
    struct hv_vcpu *hv = &vcpu->pv.hv;
    bool before = autos_count(hv);

    if (!(value & SINT_MASKED) && SINT_VECTOR(value) < VECTOR_FIRST)
        return false;
    __atomic_store_n(&hv->sints[sint], value, __ATOMIC_RELAXED);
    if (before == !autos_count(hv)) {
        vcpu->irqchip->auto_eoi(vcpu->irqchip_ctx, !before);
        vcpu_look_events(vcpu);
    }
    return true;
}

/* -- messages ----------------------------------------------------------------------------------------------------- */

static uint8_t *slot_of(struct vcpu *vcpu, uint32_t sint)
{
    const struct hv_vcpu *hv = &vcpu->pv.hv;
    uint8_t *page;

    if (!(hv->control & PV_ENABLED) || !(hv->message_page & PV_ENABLED))
        return NULL;
    page = pv_area(vcpu, hv->message_page & ~PAGE_MASK, PAGE_SIZE);
    return page ? page + sint * MESSAGE_BYTES : NULL;
}

/* The type goes last: it says that there is a message. */
static void message_write(uint8_t *slot, uint32_t index, uint64_t due, uint64_t time)
{
    const uint64_t payload[3] = {index, due, time};

    slot[4] = sizeof(payload);
    slot[5] = 0;
    memset(slot + 8, 0, 8);
    memcpy(slot + 16, payload, sizeof(payload));
    __atomic_store_n((uint32_t *)(void *)slot, MESSAGE_EXPIRED, __ATOMIC_RELEASE);
}

/* False: the guest hasn't read the one before. */
static bool message_post(struct hv_timer *t)
{
    struct vcpu *vcpu = t->vcpu;
    uint32_t sint = TIMER_SINT(t->config);
    uint8_t *slot = slot_of(vcpu, sint);

    if (!slot)
        return true; /* there is nowhere to put it */
    if (__atomic_load_n((uint32_t *)(void *)slot, __ATOMIC_ACQUIRE)) {
        slot[5] |= MESSAGE_PENDING;
        return false;
    }
    message_write(slot, (uint32_t)(t - vcpu->pv.hv.timers), t->due, now(vcpu));
    hv_synic_signal(vcpu, sint);
    return true;
}

static void messages_retry(struct vcpu *vcpu)
{
    for (uint32_t i = 0; i < HV_TIMERS; i++) {
        struct hv_timer *t = &vcpu->pv.hv.timers[i];

        if (t->waits)
            t->waits = !message_post(t);
    }
}

/* -- timers ------------------------------------------------------------------------------------------------------- */

/* What is too far away to be counted in ns never comes. */
static void timer_arm_due(struct hv_timer *t)
{
    timer_arm(&t->timer, t->due > TIME_MAX ? TIMER_NEVER : t->due * HV_TIME_NS);
}

static uint64_t period_of(const struct hv_timer *t)
{
    return MIN(MAX(t->count, (uint64_t)PERIOD_MIN), TIME_MAX);
}

static void timer_fire(struct hv_timer *t)
{
    if (t->config & TIMER_DIRECT)
        t->vcpu->irqchip->receive(t->vcpu->irqchip_ctx, TIMER_VECTOR(t->config), false);
    else
        t->waits = !message_post(t);
}

/* Ticks that nobody took are not repeated. */
static void timer_due(struct timer *timer, uint64_t now_ns)
{
    struct hv_timer *t = CONTAINER_OF(timer, struct hv_timer, timer);

    timer_fire(t);
    if (!(t->config & TIMER_PERIODIC)) {
        t->config &= ~TIMER_ENABLED;
        return;
    }
    t->due = MAX(t->due, now_ns / HV_TIME_NS) + period_of(t);
    timer_arm_due(t);
}

static void timer_start(struct hv_timer *t)
{
    if (!(t->config & TIMER_DIRECT) && !TIMER_SINT(t->config))
        t->config &= ~TIMER_ENABLED;
    if (!t->timer.queue)
        timer_init(&t->timer, &t->vcpu->timers, timer_due);
    t->waits = false;
    if (!(t->config & TIMER_ENABLED) || !t->count) {
        timer_disarm(&t->timer);
        return;
    }
    t->due = t->config & TIMER_PERIODIC ? now(t->vcpu) + period_of(t) : t->count;
    timer_arm_due(t);
}

static void timer_configure(struct hv_timer *t, uint64_t value)
{
    t->config = value;
    timer_start(t);
}

static void timer_count(struct hv_timer *t, uint64_t value)
{
    t->count = value;
    if (!value)
        t->config &= ~TIMER_ENABLED;
    else if (t->config & TIMER_AUTO_ENABLE)
        t->config |= TIMER_ENABLED;
    timer_start(t);
}

/* -- MSRs --------------------------------------------------------------------------------------------------------- */

static bool set_page(struct vcpu *vcpu, uint64_t *page, uint64_t value)
{
    uint8_t *at = pv_area(vcpu, value & ~PAGE_MASK, PAGE_SIZE);

    if ((value & PV_ENABLED) && !at)
        return false;
    *page = value;
    if (value & PV_ENABLED)
        memset(at, 0, PAGE_SIZE);
    return true;
}

static struct hv_timer *timer_of(struct vcpu *vcpu, uint32_t msr)
{
    struct hv_timer *t = &vcpu->pv.hv.timers[(msr - MSR_TIMER0) / 2];

    t->vcpu = vcpu;
    return t;
}

bool hv_synic_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    const struct hv_vcpu *hv = &vcpu->pv.hv;

    if (msr >= MSR_SINT0 && msr < MSR_SINT0 + HV_SINTS)
        *value = hv->sints[msr - MSR_SINT0];
    else if (msr >= MSR_TIMER0 && msr <= HV_SYNIC_LAST)
        *value = msr & 1 ? hv->timers[(msr - MSR_TIMER0) / 2].count
                         : hv->timers[(msr - MSR_TIMER0) / 2].config;
    else if (msr == MSR_CONTROL)
        *value = hv->control;
    else if (msr == MSR_VERSION)
        *value = 1;
    else if (msr == MSR_EVENT_PAGE)
        *value = hv->event_page;
    else if (msr == MSR_MESSAGE_PAGE)
        *value = hv->message_page;
    else if (msr == MSR_EOM)
        *value = 0;
    else
        return false;
    return true;
}

bool hv_synic_write(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    struct hv_vcpu *hv = &vcpu->pv.hv;

    if (msr >= MSR_SINT0 && msr < MSR_SINT0 + HV_SINTS)
        return set_sint(vcpu, msr - MSR_SINT0, value);
    if (msr >= MSR_TIMER0 && msr <= HV_SYNIC_LAST) {
        if (msr & 1)
            timer_count(timer_of(vcpu, msr), value);
        else
            timer_configure(timer_of(vcpu, msr), value);
        return true;
    }
    switch (msr) {
    case MSR_CONTROL:
        hv->control = value;
        return true;
    case MSR_EVENT_PAGE:
        return set_page(vcpu, &hv->event_page, value);
    case MSR_MESSAGE_PAGE:
        return set_page(vcpu, &hv->message_page, value);
    case MSR_EOM:
        messages_retry(vcpu);
        return true;
    default:
        return false;
    }
}

void hv_synic_reset(struct vcpu *vcpu)
{
    struct hv_vcpu *hv = &vcpu->pv.hv;

    for (uint32_t i = 0; i < HV_TIMERS; i++)
        if (hv->timers[i].timer.queue)
            timer_disarm(&hv->timers[i].timer);
    if (autos_count(hv))
        vcpu->irqchip->auto_eoi(vcpu->irqchip_ctx, false);
    memset(hv, 0, sizeof(*hv));
    for (uint32_t i = 0; i < HV_SINTS; i++)
        hv->sints[i] = SINT_MASKED;
}
