#include "core/timer.h"

static struct timer *timer_first(struct timer_queue *queue)
{
    return CONTAINER_OF(queue->timers.next, struct timer, node);
}

/* Publishes the first deadline after the list has changed; the lock is held. */
static void queue_publish(struct timer_queue *queue)
{
    uint64_t next = list_empty(&queue->timers) ? TIMER_NEVER : timer_first(queue)->deadline;

    __atomic_store_n(&queue->next, next, __ATOMIC_RELAXED);
}

static void queue_lock(struct timer_queue *queue)
{
    if (!queue->lone)
        lock_take(&queue->lock);
}

static void queue_unlock(struct timer_queue *queue)
{
    if (!queue->lone)
        lock_drop(&queue->lock);
}

void timer_queue_init(struct timer_queue *queue)
{
    *queue = (struct timer_queue){.lock = LOCK_INIT, .next = TIMER_NEVER};
    list_init(&queue->timers);
}

/* Takes the first timer that is due out of the queue. */
static struct timer *queue_pop(struct timer_queue *queue, uint64_t now)
{
    struct timer *timer = NULL;

    queue_lock(queue);
    if (!list_empty(&queue->timers) && timer_first(queue)->deadline <= now) {
        timer = timer_first(queue);
        list_remove(&timer->node);
        timer->deadline = TIMER_NEVER;
        queue_publish(queue);
    }
    queue_unlock(queue);
    return timer;
}

void timer_queue_run(struct timer_queue *queue, uint64_t now)
{
    struct timer *timer;

    while (timer_queue_next(queue) <= now && (timer = queue_pop(queue, now)))
        timer->callback(timer, now);
}

void timer_init(struct timer *timer, struct timer_queue *queue, timer_callback callback)
{
    *timer = (struct timer){.deadline = TIMER_NEVER, .queue = queue, .callback = callback};
    list_init(&timer->node);
}

/* Equal deadlines keep the order of their arming. */
static void queue_insert(struct timer_queue *queue, struct timer *timer)
{
    struct list *pos = queue->timers.next;

    while (pos != &queue->timers && CONTAINER_OF(pos, struct timer, node)->deadline <= timer->deadline)
        pos = pos->next;
    list_insert(pos, &timer->node);
}

void timer_arm(struct timer *timer, uint64_t deadline)
{
    struct timer_queue *queue = timer->queue;
    uint64_t before, next;

    if (timer->deadline == deadline)
        return;
    queue_lock(queue);
    before = queue->next;
    list_remove(&timer->node);
    timer->deadline = deadline;
    if (deadline != TIMER_NEVER)
        queue_insert(queue, timer);
    queue_publish(queue);
    next = queue->next;
    queue_unlock(queue);
    /* Outside the lock: the owner may look at the queue. */
    if (next != before && queue->changed)
        queue->changed(queue, next < before, queue->owner);
}

void timer_disarm(struct timer *timer)
{
    timer_arm(timer, TIMER_NEVER);
}
