/* A VM whose kernel and initrds are copied, on core 0, with a pause behind each piece for others that want that core. */
#include "core/clock.h"
#include "core/run.h"
#include "guests/launch_list.h"

#define RETRY_NS 1000000

/* Until then it is as if it waited for its restart: it can be stopped and reset. */
void launch_copy_begin(struct launch *l)
{
    if (l->vm->state == VM_CREATED)
        __atomic_store_n(&l->state, "starting", __ATOMIC_RELAXED);
    l->vm->state = VM_STOPPED;
    timer_arm(&l->copying, clock_now());
}

/* An order may have ended it: then nothing is left. */
static void launch_copy_piece(struct launch *l, uint64_t now)
{
    uint64_t end;

    if (!l->copies.count)
        return;
    machine_copy(l->vm, &l->copies);
    if (!l->copies.count) {
        launch_run(l);
        return;
    }
    end = clock_now();
    timer_arm(&l->copying, run_is_idle() ? end : end + (end - now));
}

void launch_copy_now(struct launch *l)
{
    if (!l->copies.count)
        return;
    while (l->copies.count)
        machine_copy(l->vm, &l->copies);
    launch_run(l);
}

void launch_copy(struct timer *timer, uint64_t now)
{
    struct launch *l = CONTAINER_OF(timer, struct launch, copying);

    if (!lock_try(&l->lock)) {
        timer_arm(timer, now + RETRY_NS);
        return;
    }
    launch_copy_piece(l, now);
    lock_drop(&l->lock);
}
