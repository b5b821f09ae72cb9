/* The LAPIC timer (SDM 11.5.4): one-shot, periodic, TSC-deadline. */
#include "drivers/virt/vlapic_regs.h"

#define DELTA_MAX BIT(62) /* TSC ticks; what is farther away than this never comes */

static enum timer_mode timer_mode(const struct vlapic *l)
{
    return LVT_TIMER_MODE(l->lvt[LVT_TIMER]);
}

/* The divide configuration register's bits 3, 1, 0: 2, 4, ... 128, 1; as a shift. */
static uint32_t timer_shift(const struct vlapic *l)
{
    return ((l->divide >> 1 & 4) + (l->divide & 3) + 1) % 8;
}

/* What `count` steps of the counter take, in ns: below 2^45. */
static uint64_t timer_span(const struct vlapic *l, uint32_t count)
{
    return ((uint64_t)count << timer_shift(l)) * VLAPIC_TICK_NS;
}

/* From the initial count to 0. */
static uint64_t timer_length(const struct vlapic *l)
{
    return timer_span(l, l->initial);
}

static uint64_t deadline_ns(const struct vlapic *l, uint64_t now)
{
    uint64_t tsc = scale_apply(l->config.ns_to_tsc, now) + l->tsc_adjust;

    if (l->deadline <= tsc)
        return now;
    if (l->deadline - tsc >= DELTA_MAX)
        return TIMER_NEVER;
    /* One ns more than the rounded-down product: never early. */
    return now + scale_apply(l->config.tsc_to_ns, l->deadline - tsc) + 1;
}

/* When the counting timer reaches 0 for the next time after now. */
static uint64_t count_end(const struct vlapic *l, uint64_t now)
{
    uint64_t length = timer_length(l), elapsed = now - l->start;

    if (length == 0 || l->ended)
        return TIMER_NEVER;
    if (timer_mode(l) == TIMER_PERIODIC)
        return l->start + (elapsed / length + 1) * length;
    return elapsed < length ? l->start + length : TIMER_NEVER;
}

static void timer_deliver(struct vlapic *l)
{
    l->deadline = 0;
    vlapic_lvt_deliver(l, LVT_TIMER);
}

static void timer_fire(struct timer *timer, uint64_t now)
{
    struct vlapic *l = CONTAINER_OF(timer, struct vlapic, timer);

    if (timer_mode(l) == TIMER_PERIODIC)
        timer_arm(timer, MAX(count_end(l, now), now + VLAPIC_MIN_PERIOD));
    timer_deliver(l);
}

/* What has come due, but wasn't run yet, happens before the guest changes anything. */
static void timer_settle(struct vlapic *l, uint64_t now)
{
    if (UNLIKELY(l->timer.deadline <= now)) {
        timer_disarm(&l->timer);
        timer_fire(&l->timer, now);
    }
}

/* Arms for the next event. A deadline in the past fires at once; a masked count needs no event. */
static void timer_start(struct vlapic *l, uint64_t now)
{
    uint64_t next = TIMER_NEVER;

    if (timer_mode(l) == TIMER_DEADLINE) {
        if (l->deadline)
            next = deadline_ns(l, now);
    } else if (!(l->lvt[LVT_TIMER] & LVT_MASKED)) {
        next = count_end(l, now);
    }
    if (UNLIKELY(next == now)) {
        timer_disarm(&l->timer);
        timer_deliver(l);
    } else {
        timer_arm(&l->timer, next);
    }
}

/* In a new mode the count goes on from where it is, and one that has ended does so with the next initial count only. */
static void timer_leave_mode(struct vlapic *l, uint64_t now)
{
    uint64_t length = timer_length(l), elapsed = now - l->start;

    if (length && timer_mode(l) == TIMER_PERIODIC)
        l->start = now - elapsed % length;
    else if (elapsed >= length)
        l->ended = true;
}

/* Going to or from TSC-deadline mode disarms the timer. */
void vlapic_timer_set_lvt(struct vlapic *l, uint32_t lvt, uint64_t now)
{
    timer_settle(l, now);
    if ((LVT_TIMER_MODE(lvt) == TIMER_DEADLINE) != (timer_mode(l) == TIMER_DEADLINE)) {
        l->deadline = 0;
        l->initial = 0;
    }
    if (LVT_TIMER_MODE(lvt) != timer_mode(l))
        timer_leave_mode(l, now);
    l->lvt[LVT_TIMER] = lvt;
    timer_start(l, now);
}

void vlapic_timer_set_initial(struct vlapic *l, uint32_t count, uint64_t now)
{
    if (timer_mode(l) == TIMER_DEADLINE)
        return;
    timer_settle(l, now);
    l->initial = count;
    l->ended = false;
    l->start = now;
    timer_start(l, now);
}

/* The count goes on from where it is, at the new rate. */
void vlapic_timer_set_divide(struct vlapic *l, uint32_t divide, uint64_t now)
{
    uint32_t current;

    timer_settle(l, now);
    current = vlapic_timer_current(l, now);
    l->divide = divide;
    l->start = now - timer_span(l, l->initial - current);
    timer_start(l, now);
}

uint32_t vlapic_timer_current(const struct vlapic *l, uint64_t now)
{
    uint64_t length = timer_length(l), elapsed = now - l->start;

    if (length == 0 || l->ended)
        return 0;
    if (timer_mode(l) == TIMER_PERIODIC)
        elapsed %= length;
    return elapsed < length ? l->initial - (uint32_t)(elapsed / VLAPIC_TICK_NS >> timer_shift(l)) : 0;
}

uint64_t vlapic_deadline(struct vlapic *l, uint64_t now)
{
    timer_settle(l, now);
    return l->deadline;
}

void vlapic_set_deadline(struct vlapic *l, uint64_t deadline, uint64_t now)
{
    if (timer_mode(l) != TIMER_DEADLINE)
        return;
    timer_settle(l, now);
    l->deadline = deadline;
    timer_start(l, now);
}

void vlapic_set_tsc_adjust(struct vlapic *l, uint64_t adjust, uint64_t now)
{
    timer_settle(l, now);
    l->tsc_adjust = adjust;
    if (timer_mode(l) == TIMER_DEADLINE)
        timer_start(l, now);
}

void vlapic_timer_reset(struct vlapic *l)
{
    timer_disarm(&l->timer);
    l->initial = l->divide = 0;
    l->ended = false;
    l->deadline = 0;
}

void vlapic_timer_init(struct vlapic *l)
{
    timer_init(&l->timer, l->config.timers, timer_fire);
}
