#include "guests/launch.h"

#include "core/clock.h"
#include "core/console.h"
#include "core/console_sinks.h"
#include "core/lib/error.h"
#include "core/lib/format.h"
#include "core/lib/log.h"
#include "core/run.h"
#include "core/vmdisk.h"
#include "core/vmmem.h"
#include "core/x86/percpu.h"
#include "guests/board.h"
#include "guests/launch_list.h"

/* From one start to the next restart, at least: a VM that ends in a loop takes no core for itself. */
#define RESTART_NS NS_PER_SEC
/* It waits for the console, too, which gets lines about each restart; so long at most, should that be stuck. */
#define RESTART_ROOM    2048
#define RESTART_LAST_NS (5 * NS_PER_SEC)
/* For a timer that finds its VM locked. */
#define RETRY_NS 1000000

static uint32_t active; /* VMs that were started and aren't gone; 1 more while launch_all starts them */
static void (*launch_ended)(int status);

static void launch_set_failed(void)
{
    __atomic_store_n(&launch_failed, true, __ATOMIC_RELAXED);
}

static void launch_activate(struct launch *l)
{
    l->counted = true;
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

static void launch_ending(struct timer *timer, uint64_t now);

/* -- a VM comes and goes; its lock is held ---------------------------------------------------------------------- */

static void launch_vcpu_stats(struct vcpu *vcpu)
{
    const struct stats *stats = &vcpu->stats;

    log_event("exit-stats", "vm=%s vcpu=%u exits=%llu run_ms=%llu interrupts=%llu calls=%llu wakeups=%llu",
              vcpu->vm->name, vcpu->index, (unsigned long long)vcpu_exits(vcpu),
              (unsigned long long)run_time(vcpu) / 1000000, (unsigned long long)vcpu_interrupts(vcpu),
              (unsigned long long)stats->calls, (unsigned long long)stats->wakeups);
}

static void launch_stats(const struct vm *vm)
{
    for (uint32_t i = 0; i < vm->vcpu_count; i++)
        launch_vcpu_stats(vm->vcpus[i]);
}

void launch_run(struct launch *l)
{
    l->began = clock_now();
    l->ordered_off = false;
    l->vm->state = VM_RUNNING;
    launch_event(l, "running", VM_STOP_NONE, 0);
    launch_watch(l);
    vm_run(l->vm);
}

static int launch_go(struct launch *l)
{
    int err = machine_load(l->vm, &l->spec, &l->copies);

    if (!err)
        (l->copies.count ? launch_copy_begin : launch_run)(l);
    return err;
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
 * free. That takes its time, and is done in pieces by launch_ending.
 */
static void launch_finish(struct launch *l)
{
    struct vm *vm = l->vm;

    if (vm->status != 0)
        launch_set_failed();
    timer_disarm(&l->watchdog);
    l->copies.count = 0;
    if (vm->stop == VM_STOP_CRASH && l->spec.on_crash == ON_CRASH_HOLD) {
        vm->state = VM_CRASHED;
        launch_event(l, "crashed", vm->stop, vm->status);
    } else {
        vm->state = VM_ENDING;
        __atomic_store_n(&l->state, "stopping", __ATOMIC_RELAXED);
    }
    timer_init(&l->ending, run_timers(this_cpu()->index), launch_ending);
    timer_arm(&l->ending, clock_now());
}

static void launch_go_again(struct launch *l)
{
    if (launch_go(l) == 0)
        return;
    l->vm->stop = VM_STOP_FAILED;
    l->vm->status = 1;
    launch_finish(l);
}

static bool launch_may_restart(const struct launch *l)
{
    uint64_t now = clock_now();

    return now >= l->began + RESTART_NS && (sinks_room(RESTART_ROOM) || now >= l->began + RESTART_LAST_NS);
}

static void launch_restart(struct timer *timer, uint64_t now)
{
    struct launch *l = CONTAINER_OF(timer, struct launch, restart);

    if (!lock_try(&l->lock)) {
        timer_arm(timer, now + RETRY_NS);
        return;
    }
    /* An order may have come first. */
    if (l->vm && l->vm->state == VM_STOPPED && !l->copies.count) {
        if (launch_may_restart(l))
            launch_go_again(l);
        else
            timer_arm(timer, now + RETRY_NS);
    }
    lock_drop(&l->lock);
}

/* All of its vCPUs have given up their registers for good. */
static void launch_ended_run(struct launch *l)
{
    l->look = NULL;
    board_flush(l->vm->board);
    launch_stats(l->vm);
    if (!launch_again(l)) {
        launch_finish(l);
        return;
    }
    launch_event(l, "restarting", l->vm->stop, l->vm->status);
    if (l->vm->stop == VM_STOP_RESET || launch_may_restart(l)) {
        launch_go_again(l);
        return;
    }
    l->vm->state = VM_STOPPED;
    timer_arm(&l->restart, MAX(l->began + RESTART_NS, clock_now() + RETRY_NS));
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

    if (l->vm->resting) {
        if (vmballoon_ready(l->vm))
            vm_run(l->vm);
        else
            launch_wait_for_memory(l);
        return;
    }
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

    lock_take(&l->lock);
    if (vm->stop == VM_STOP_NONE)
        launch_rested(l);
    else
        launch_ended_run(l);
    lock_drop(&l->lock);
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
    if (!l->vm || l->vm->state == VM_ENDING)
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

static int launch_make(struct launch *l)
{
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
    int err = launch_go(l);

    if (err) {
        l->vm->status = 1;
        l->vm->stop = VM_STOP_FAILED;
        launch_finish(l);
    }
    return err;
}

/* Blank disks are cleared as memory is scrubbed: with a pause behind each piece, for others that want the core. */
static void launch_clear(struct timer *timer, uint64_t now)
{
    struct launch *l = CONTAINER_OF(timer, struct launch, clearing);

    if (!lock_try(&l->lock)) {
        timer_arm(timer, now + RETRY_NS);
        return;
    }
    if (vmdisk_clear(l->vm)) {
        uint64_t end = clock_now();

        timer_arm(timer, run_is_idle() ? end : end + (end - now));
    } else {
        (void)launch_first_go(l);
    }
    lock_drop(&l->lock);
}

/* From here on it counts; it runs when its disks are ready. */
static int launch_begin(struct launch *l)
{
    launch_activate(l);
    if (!vmdisk_clear(l->vm))
        return launch_first_go(l);
    __atomic_store_n(&l->state, "starting", __ATOMIC_RELAXED);
    timer_init(&l->clearing, run_timers(this_cpu()->index), launch_clear);
    timer_arm(&l->clearing, clock_now());
    return 0;
}

/* -- the end of one --------------------------------------------------------------------------------------------- */

/* False: there is more to scrub. */
static bool launch_gone(struct launch *l)
{
    enum vm_stop why = l->vm->stop;
    int status = l->vm->status;

    if (l->vm->state == VM_CRASHED)
        return true;
    if (vmmem_scrub(l->vm))
        return false;
    machine_destroy(l->vm);
    l->vm = NULL;
    launch_event(l, why == VM_STOP_CRASH ? "crashed" : "stopped", why, status);
    if (l->start_after && launch_make(l) == 0)
        (void)launch_begin(l);
    l->start_after = false;
    return true;
}

/* The scrubbing pauses as long as each piece took, for others that want the core: they have half of it at least. */
static void launch_ending(struct timer *timer, uint64_t now)
{
    struct launch *l = CONTAINER_OF(timer, struct launch, ending);
    bool counted;

    if (!lock_try(&l->lock)) {
        timer_arm(timer, now + RETRY_NS);
        return;
    }
    counted = l->counted;
    l->counted = false;
    if (!launch_gone(l)) {
        uint64_t end = clock_now();

        l->counted = counted;
        timer_arm(timer, run_is_idle() ? end : end + (end - now));
        counted = false;
    }
    lock_drop(&l->lock);
    if (counted)
        launch_deactivate();
}

/* -- orders ----------------------------------------------------------------------------------------------------- */

void launch_init(struct launch *l)
{
    timer_init(&l->restart, run_timers(0), launch_restart);
    timer_init(&l->watchdog, run_timers(0), launch_watchdog);
    timer_init(&l->copying, run_timers(0), launch_copy);
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

void launch_all(void (*ended)(int status))
{
    launch_ended = ended;
    __atomic_fetch_add(&active, 1, __ATOMIC_ACQ_REL); /* the first may end before the last has begun */
    for (uint32_t i = 0; i < launched; i++) {
        lock_take(&launches[i].lock);
        if (launches[i].vm) {
            (void)launch_begin(&launches[i]);
            launch_copy_now(&launches[i]); /* nothing runs on this core yet */
        }
        lock_drop(&launches[i].lock);
    }
    launch_deactivate();
}

/* One that was kept after a crash makes place, and is made anew when its memory is clean. */
static int launch_start_locked(struct launch *l)
{
    int err;

    if (l->vm && l->vm->state == VM_CRASHED && !l->counted) {
        l->vm->stop = VM_STOP_OPERATOR;
        l->vm->status = 0;
        launch_finish(l);
    }
    if (l->vm && l->vm->state == VM_ENDING) {
        l->start_after = true;
        return 0;
    }
    err = launch_make(l);
    return err ? err : launch_begin(l);
}

int launch_start(uint32_t index)
{
    struct launch *l = &launches[index];
    int err;

    if (!lock_try(&l->lock))
        return ERR_BUSY;
    err = launch_start_locked(l);
    lock_drop(&l->lock);
    return err;
}

/* One that waits for its restart, or is copied, has nothing that runs. */
static void launch_end_parked(struct launch *l, enum vm_stop why, int status)
{
    timer_disarm(&l->restart);
    if (why == VM_STOP_RESET) {
        launch_go_again(l);
        return;
    }
    l->vm->stop = why;
    l->vm->status = status;
    launch_finish(l);
}

/* A paused VM's vCPUs are parked: they have to run for a moment to take note of the end. */
static int launch_end_locked(struct launch *l, enum vm_stop why, int status)
{
    struct vm *vm = l->vm;

    if (!vm)
        return ERR_BUSY;
    l->ordered_off = why != VM_STOP_RESET;
    switch (vm->state) {
    case VM_CRASHED:
        if (why == VM_STOP_RESET || l->counted)
            return ERR_BUSY;
        vm->stop = why;
        vm->status = 0;
        launch_finish(l);
        return 0;
    case VM_ENDING:
        if (why == VM_STOP_RESET || !l->start_after)
            return ERR_BUSY;
        l->start_after = false;
        return 0;
    case VM_STOPPED:
        launch_end_parked(l, why, status);
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
    int err;

    if (!lock_try(&l->lock))
        return ERR_BUSY;
    err = launch_end_locked(l, why, status);
    lock_drop(&l->lock);
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
