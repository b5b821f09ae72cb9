#include "guests/launch.h"

#include "core/clock.h"
#include "core/console.h"
#include "core/lib/error.h"
#include "core/lib/format.h"
#include "core/lib/log.h"
#include "core/run.h"
#include "core/vmmem.h"
#include "guests/board.h"
#include "guests/launch_list.h"

/* From one start to the next restart, at least: a VM that ends in a loop takes no core for itself. */
#define RESTART_NS NS_PER_SEC
/* For a timer that finds its VM locked. */
#define RETRY_NS 1000000

static uint32_t active; /* VMs that run or are paused; 1 more while launch_all starts them */
static void (*launch_ended)(int status);

static void launch_set_failed(void)
{
    __atomic_store_n(&launch_failed, true, __ATOMIC_RELAXED);
}

static void launch_activate(void)
{
    __atomic_fetch_add(&active, 1, __ATOMIC_ACQ_REL);
}

/* Not under a lock: the last one may end the machine. */
static void launch_deactivate(void)
{
    if (__atomic_sub_fetch(&active, 1, __ATOMIC_ACQ_REL) == 0)
        launch_ended(__atomic_load_n(&launch_failed, __ATOMIC_RELAXED));
}

static void launch_event(struct launch *l, const char *state, enum vm_stop why, int status)
{
    __atomic_store_n(&l->state, state, __ATOMIC_RELAXED);
    if (why == VM_STOP_NONE)
        log_event("vm", "name=%s state=%s", l->spec.name, state);
    else
        log_event("vm", "name=%s state=%s reason=%s status=%d", l->spec.name, state, vm_stop_name(why),
                  status);
}

/* -- the watchdog: a VM that says nothing for too long ---------------------------------------------------------- */

static void launch_watch(struct launch *l)
{
    struct board *board = l->vm->board;
    uint64_t now = clock_now();

    __atomic_store_n(&board->heard, now, __ATOMIC_RELAXED);
    if (l->spec.watchdog)
        timer_arm(&l->watchdog, now + l->spec.watchdog * NS_PER_SEC);
}

static void launch_watchdog_check(struct launch *l, uint64_t now)
{
    const struct board *board;
    uint64_t due;
    char why[64];

    if (!l->vm || l->vm->state != VM_RUNNING || l->vm->stop != VM_STOP_NONE)
        return;
    board = l->vm->board;
    due = __atomic_load_n(&board->heard, __ATOMIC_RELAXED) + l->spec.watchdog * NS_PER_SEC;
    if (due > now) {
        timer_arm(&l->watchdog, due);
        return;
    }
    fmt_print(why, sizeof why, "watchdog: no output for %u seconds", l->spec.watchdog);
    vm_crash(l->vm, 0, why);
}

/* Whoever holds the lock may hold it for long. */
static void launch_watchdog(struct timer *timer, uint64_t now)
{
    struct launch *l = CONTAINER_OF(timer, struct launch, watchdog);

    if (!lock_try(&l->lock)) {
        timer_arm(timer, now + RETRY_NS);
        return;
    }
    launch_watchdog_check(l, now);
    lock_drop(&l->lock);
}

/* -- a VM comes and goes; its lock is held ---------------------------------------------------------------------- */

static void launch_stats(const struct vm *vm)
{
    for (uint32_t i = 0; i < vm->vcpu_count; i++)
        log_event("exit-stats", "vm=%s vcpu=%u exits=%llu run_ms=%llu interrupts=%llu", vm->name, i,
                  (unsigned long long)vm->vcpus[i]->exits,
                  (unsigned long long)run_time(vm->vcpus[i]) / 1000000,
                  (unsigned long long)vm->vcpus[i]->stats.interrupts);
}

static void launch_destroy(struct launch *l)
{
    machine_destroy(l->vm);
    l->vm = NULL;
}

static int launch_go(struct launch *l)
{
    int err = machine_load(l->vm, &l->spec);

    if (err)
        return err;
    l->began = clock_now();
    l->ordered_off = false;
    l->vm->state = VM_RUNNING;
    launch_event(l, "running", VM_STOP_NONE, 0);
    launch_watch(l);
    vm_run(l->vm);
    return 0;
}

static bool launch_again(const struct launch *l)
{
    if (l->ordered_off)
        return false;
    switch (l->vm->stop) {
    case VM_STOP_RESET:
        return true;
    case VM_STOP_REBOOT:
        return l->spec.on_reboot == ON_REBOOT_RESTART;
    case VM_STOP_CRASH:
        return l->spec.on_crash == ON_CRASH_RESTART;
    default:
        return false;
    }
}

/*
 * It is over: memory and pool go back, unless the VM is kept for inspection. When the event is seen, all that it had is
 * free. The caller deactivates it.
 */
static void launch_finish(struct launch *l)
{
    enum vm_stop why = l->vm->stop;
    int status = l->vm->status;

    if (status != 0)
        launch_set_failed();
    timer_disarm(&l->watchdog);
    if (why == VM_STOP_CRASH && l->spec.on_crash == ON_CRASH_HOLD)
        l->vm->state = VM_CRASHED;
    else
        launch_destroy(l);
    launch_event(l, why == VM_STOP_CRASH ? "crashed" : "stopped", why, status);
}

static bool launch_go_again(struct launch *l)
{
    if (launch_go(l) == 0)
        return true;
    l->vm->stop = VM_STOP_FAILED;
    l->vm->status = 1;
    launch_finish(l);
    return false;
}

static void launch_restart(struct timer *timer, uint64_t now)
{
    struct launch *l = CONTAINER_OF(timer, struct launch, restart);
    bool ended;

    if (!lock_try(&l->lock)) {
        timer_arm(timer, now + RETRY_NS);
        return;
    }
    /* An order may have come first. */
    ended = l->vm && l->vm->state == VM_STOPPED && !launch_go_again(l);
    lock_drop(&l->lock);
    if (ended)
        launch_deactivate();
}

/* All of its vCPUs have given up their registers for good. False: it isn't active any more. */
static bool launch_ended_run(struct launch *l)
{
    uint64_t soonest = l->began + RESTART_NS;

    l->look = NULL;
    console_vm_flush(&((struct board *)l->vm->board)->console);
    launch_stats(l->vm);
    if (!launch_again(l)) {
        launch_finish(l);
        return false;
    }
    launch_event(l, "restarting", l->vm->stop, l->vm->status);
    if (l->vm->stop == VM_STOP_RESET || clock_now() >= soonest)
        return launch_go_again(l);
    l->vm->state = VM_STOPPED;
    timer_arm(&l->restart, soonest);
    return true;
}

/* -- looking at one --------------------------------------------------------------------------------------------- */

static void launch_show(struct vm *vm, launch_look look, const struct launch_args *args)
{
    uint64_t before = vmmem_open(vm);

    look(vm, args);
    vmmem_close(before);
}

/* A pause, or the moment of rest that somebody wanted for a look. */
static void launch_rested(struct launch *l)
{
    launch_look look = l->look;

    if (!look) {
        l->vm->state = VM_PAUSED;
        launch_event(l, "paused", VM_STOP_NONE, 0);
        return;
    }
    l->look = NULL;
    launch_show(l->vm, look, &l->args);
    vm_run(l->vm);
}

/* On the core of the vCPU that was the last to give up its registers. */
static void launch_parked(struct vm *vm)
{
    struct launch *l = &launches[vm->id];
    bool over = false;

    lock_take(&l->lock);
    if (vm->stop == VM_STOP_NONE)
        launch_rested(l);
    else
        over = !launch_ended_run(l);
    lock_drop(&l->lock);
    if (over)
        launch_deactivate();
}

int launch_visit(uint32_t index, launch_look look, const struct launch_args *args)
{
    struct launch *l = &launches[index];
    int err = ERR_NOTFOUND;

    if (!lock_try(&l->lock))
        return ERR_BUSY;
    if (l->vm) {
        look(l->vm, args);
        err = 0;
    }
    lock_drop(&l->lock);
    return err;
}

static int launch_look_at_rest(struct launch *l, launch_look look, const struct launch_args *args)
{
    if (!l->vm)
        return ERR_NOTFOUND;
    if (l->vm->state != VM_RUNNING) {
        launch_show(l->vm, look, args);
        return 0;
    }
    if (l->look || !vm_pause(l->vm))
        return ERR_BUSY;
    l->look = look;
    l->args = *args;
    return 0;
}

int launch_visit_at_rest(uint32_t index, launch_look look, const struct launch_args *args)
{
    struct launch *l = &launches[index];
    int err;

    if (!lock_try(&l->lock))
        return ERR_BUSY;
    err = launch_look_at_rest(l, look, args);
    lock_drop(&l->lock);
    return err;
}

struct audit_result launch_audit(void)
{
    struct audit_result result;

    for (uint32_t i = 0; i < launched; i++)
        lock_take(&launches[i].lock);
    result = audit_run();
    for (uint32_t i = 0; i < launched; i++)
        lock_drop(&launches[i].lock);
    return result;
}

/* -- orders ----------------------------------------------------------------------------------------------------- */

void launch_init(struct launch *l)
{
    timer_init(&l->restart, run_timers(0), launch_restart);
    timer_init(&l->watchdog, run_timers(0), launch_watchdog);
}

/* A crashed VM that was kept makes place. */
static int launch_make(struct launch *l)
{
    if (l->vm && l->vm->state == VM_CRASHED)
        launch_destroy(l);
    if (l->vm || l->refused)
        return ERR_BUSY;
    l->vm = machine_create((uint32_t)(l - launches), &l->spec);
    if (!l->vm)
        return ERR_NOMEM;
    l->vm->on_parked = launch_parked;
    return 0;
}

static int launch_first_go(struct launch *l)
{
    int err;

    launch_activate();
    err = launch_go(l);
    if (err) {
        l->vm->status = 1;
        l->vm->stop = VM_STOP_FAILED;
        launch_finish(l);
    }
    return err;
}

void launch_make_all(void)
{
    for (uint32_t i = 0; i < launched; i++) {
        struct launch *l = &launches[i];

        lock_take(&l->lock);
        if (l->spec.autostart && !l->refused && launch_make(l))
            launch_set_failed();
        lock_drop(&l->lock);
    }
}

/* False: it is there, and couldn't be started. */
static bool launch_all_one(struct launch *l)
{
    bool good;

    lock_take(&l->lock);
    good = !l->vm || launch_first_go(l) == 0;
    lock_drop(&l->lock);
    return good;
}

void launch_all(void (*ended)(int status))
{
    launch_ended = ended;
    launch_activate(); /* the first may end before the last has begun */
    for (uint32_t i = 0; i < launched; i++)
        if (!launch_all_one(&launches[i]))
            launch_deactivate();
    launch_deactivate();
}

int launch_start(uint32_t index)
{
    struct launch *l = &launches[index];
    bool gone = false;
    int err = ERR_BUSY;

    if (!lock_try(&l->lock))
        return err;
    err = launch_make(l);
    if (!err) {
        err = launch_first_go(l);
        gone = err != 0;
    }
    lock_drop(&l->lock);
    if (gone)
        launch_deactivate();
    return err;
}

/* One that waits for its restart has nothing that runs; a crashed one that was kept only has to go. */
static bool launch_end_parked(struct launch *l, enum vm_stop why, int status)
{
    timer_disarm(&l->restart);
    if (why == VM_STOP_RESET)
        return !launch_go_again(l);
    l->vm->stop = why;
    l->vm->status = status;
    launch_finish(l);
    return true;
}

/* *over: it isn't active any more. A paused VM's vCPUs are parked: they have to run for a moment to take note of the end. */
static int launch_end_locked(struct launch *l, enum vm_stop why, int status, bool *over)
{
    struct vm *vm = l->vm;

    if (!vm)
        return ERR_BUSY;
    l->ordered_off = why != VM_STOP_RESET;
    switch (vm->state) {
    case VM_CRASHED:
        if (why == VM_STOP_RESET)
            return ERR_BUSY;
        vm->stop = why;
        vm->status = 0;
        launch_finish(l);
        return 0;
    case VM_STOPPED:
        *over = launch_end_parked(l, why, status);
        return 0;
    case VM_PAUSED:
        vm_stop(vm, why, status);
        vm->state = VM_RUNNING;
        vm_run(vm);
        return 0;
    case VM_RUNNING:
        vm_stop(vm, why, status);
        return 0;
    default:
        return ERR_BUSY;
    }
}

static int launch_end(uint32_t index, enum vm_stop why, int status)
{
    struct launch *l = &launches[index];
    bool over = false;
    int err;

    if (!lock_try(&l->lock))
        return ERR_BUSY;
    err = launch_end_locked(l, why, status, &over);
    lock_drop(&l->lock);
    if (over)
        launch_deactivate();
    return err;
}

int launch_stop(uint32_t index)
{
    return launch_end(index, VM_STOP_OPERATOR, 0);
}

int launch_kill(uint32_t index)
{
    return launch_end(index, VM_STOP_KILLED, 1);
}

int launch_reset(uint32_t index)
{
    return launch_end(index, VM_STOP_RESET, 0);
}

int launch_pause(uint32_t index)
{
    struct launch *l = &launches[index];
    int err = ERR_BUSY;

    if (!lock_try(&l->lock))
        return err;
    if (l->vm && l->vm->state == VM_RUNNING && !l->look && vm_pause(l->vm))
        err = 0;
    lock_drop(&l->lock);
    return err;
}

int launch_resume(uint32_t index)
{
    struct launch *l = &launches[index];
    int err = ERR_BUSY;

    if (!lock_try(&l->lock))
        return err;
    if (l->vm && l->vm->state == VM_PAUSED) {
        l->vm->state = VM_RUNNING;
        launch_event(l, "running", VM_STOP_NONE, 0);
        launch_watch(l);
        vm_run(l->vm);
        err = 0;
    }
    lock_drop(&l->lock);
    return err;
}
