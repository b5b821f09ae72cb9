/*
 * Timers: callbacks at a point of time. A queue belongs to one vCPU (or core), is sorted by deadline, and runs what is
 * due when it is asked to; who owns the queue arms the hardware for timer_queue_next(). Pure: time is passed in.
 */
#pragma once

#include "core/lib/list.h"
#include "core/lib/lock.h"
#include "core/lib/types.h"

#define TIMER_NEVER UINT64_MAX

struct timer;
/* Called once per arming, after the timer has left its queue; may arm it again. `now` >= the deadline. */
typedef void (*timer_callback)(struct timer *timer, uint64_t now);

struct timer_queue {
    struct lock lock;   /* guards the list: a device's timer may be armed from another core */
    bool lone;          /* nobody but its owner arms or runs them: no lock is taken */
    struct list timers; /* by deadline, earliest first */
    uint64_t next;      /* deadline of the first, TIMER_NEVER if there is none; read without the lock */
    /* The first deadline has moved; NULL if nobody has to hear of it. Not called by timer_queue_run. */
    void (*changed)(struct timer_queue *queue, bool earlier, void *owner);
    void *owner;
};

struct timer {
    struct list node;
    uint64_t deadline; /* ns; TIMER_NEVER while not armed */
    struct timer_queue *queue;
    timer_callback callback;
};

void timer_queue_init(struct timer_queue *queue);
static inline uint64_t timer_queue_next(const struct timer_queue *queue)
{
    return __atomic_load_n(&queue->next, __ATOMIC_RELAXED);
}
/* Runs all timers with deadline <= now, earliest first. */
void timer_queue_run(struct timer_queue *queue, uint64_t now);

void timer_init(struct timer *timer, struct timer_queue *queue, timer_callback callback);
/* Arms the timer, or moves it if it is armed already. TIMER_NEVER disarms. */
void timer_arm(struct timer *timer, uint64_t deadline);
void timer_disarm(struct timer *timer);
static inline bool timer_armed(const struct timer *timer)
{
    return timer->deadline != TIMER_NEVER;
}
