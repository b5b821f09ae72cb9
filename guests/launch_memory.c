/* A VM that stands still, since it touches memory that it gave up and others have it all. */
#include "core/clock.h"
#include "core/lib/log.h"
#include "core/run.h"
#include "core/x86/percpu.h"
#include "guests/launch_list.h"

#define RETRY_NS 1000000

/* A stop comes by the run loop. */
static void launch_memory(struct timer *timer, uint64_t now)
{
    struct launch *l = CONTAINER_OF(timer, struct launch, memory);

    if (!lock_try(&l->lock)) {
        timer_arm(timer, now + RETRY_NS);
        return;
    }
    if (l->vm->stop == VM_STOP_NONE && !vmballoon_ready(l->vm))
        timer_arm(timer, now + RETRY_NS);
    else
        vm_run(l->vm);
    lock_drop(&l->lock);
}

void launch_wait_for_memory(struct launch *l)
{
    log_warn("vm=%s stands still until there is memory for what it gave up", l->spec.name);
    l->vm->resting = false;
    timer_init(&l->memory, run_timers(this_cpu()->index), launch_memory);
    timer_arm(&l->memory, clock_now() + RETRY_NS);
}
