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

static void timer_fire(struct timer *timer, uint64_t now)
{
    struct vlapic *l = CONTAINER_OF(timer, struct vlapic, timer);

    if (timer_mode(l) == TIMER_PERIODIC)
        timer_arm(timer, MAX(count_end(l, now), now + VLAPIC_MIN_PERIOD));
    vlapic_lvt_deliver(l, LVT_TIMER);
}

/* What has come due, but wasn't run yet, happens before the guest changes anything. */
static void timer_settle(struct vlapic *l, uint64_t now)
{
    if (UNLIKELY(l->timer.deadline <= now)) {
        timer_disarm(&l->timer);
        timer_fire(&l->timer, now);
    }
}

/* Arms for the next event; a masked count needs none. In TSC-deadline mode there is no count. */
static void timer_start(struct vlapic *l, uint64_t now)
{
    timer_arm(&l->timer, l->lvt[LVT_TIMER] & LVT_MASKED ? TIMER_NEVER : count_end(l, now));
}

static NOINLINE void deadline_end(struct vlapic *l)
{
    l->deadline = 0;
    l->config.alarm(l->config.ctx, TIMER_NEVER);
}

/* Without one, it was delivered before the alarm came. */
void vlapic_deadline_due(struct vlapic *l)
{
    if (!l->deadline)
        return;
    l->deadline = 0;
    vlapic_lvt_deliver(l, LVT_TIMER);
}

/* 0 is none. */
static inline bool deadline_is_due(const struct vlapic *l, uint64_t tsc)
{
    return l->deadline - 1 < tsc;
}

/* As timer_settle. */
static inline void deadline_settle(struct vlapic *l, uint64_t tsc)
{
    if (deadline_is_due(l, tsc))
        vlapic_deadline_due(l);
}

/* One in the past is due at once; 0 is none. */
static NOINLINE void deadline_pass(struct vlapic *l)
{
    vlapic_deadline_due(l);
    deadline_end(l);
}

static inline void deadline_start(struct vlapic *l, uint64_t tsc)
{
    if (UNLIKELY(l->deadline <= tsc))
        deadline_pass(l);
    else
        l->config.alarm(l->config.ctx, LIKELY(l->deadline - tsc < DELTA_MAX) ? l->deadline : TIMER_NEVER);
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
    if (l->deadline)
        deadline_settle(l, l->config.tsc(l->config.ctx));
    if ((LVT_TIMER_MODE(lvt) == TIMER_DEADLINE) != (timer_mode(l) == TIMER_DEADLINE)) {
        if (l->deadline)
            deadline_end(l);
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

uint64_t vlapic_deadline(struct vlapic *l, uint64_t tsc)
{
    deadline_settle(l, tsc);
    return l->deadline;
}

static NOINLINE void deadline_follow(struct vlapic *l, uint64_t deadline, uint64_t tsc)
{
    vlapic_deadline_due(l);
    vlapic_set_deadline(l, deadline, tsc);
}

void vlapic_set_deadline(struct vlapic *l, uint64_t deadline, uint64_t tsc)
{
    if (UNLIKELY(timer_mode(l) != TIMER_DEADLINE))
        return;
    if (UNLIKELY(deadline_is_due(l, tsc))) {
        deadline_follow(l, deadline, tsc);
        return;
    }
    l->deadline = deadline;
    deadline_start(l, tsc);
}

void vlapic_tsc_moved(struct vlapic *l)
{
    if (l->deadline)
        deadline_start(l, l->config.tsc(l->config.ctx));
}

void vlapic_timer_reset(struct vlapic *l)
{
    timer_disarm(&l->timer);
    l->initial = l->divide = 0;
    l->ended = false;
    if (l->deadline)
        deadline_end(l);
}

void vlapic_timer_init(struct vlapic *l)
{
    timer_init(&l->timer, l->config.timers, timer_fire);
}
