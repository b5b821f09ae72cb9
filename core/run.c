#include "core/run.h"

#include "core/clock.h"
#include "core/crash.h"
#include "core/lib/panic.h"
#include "core/trace.h"
#include "core/vcpu_ops.h"
#include "core/vm.h"
#include "core/x86/asm.h"
#include "core/x86/fpu.h"
#include "core/x86/irq.h"
#include "core/x86/lapic.h"
#include "core/x86/percpu.h"
#include "core/x86/vectors.h"

/* A core's own; only `look` is written by others. */
struct run_core {
    struct timer_queue timers; /* host time */
    uint64_t armed; /* host TSC that the LAPIC timer is set to, so that it is written only for a change */
    uint64_t slice; /* host TSC at which the running vCPU has to go */
    uint64_t due;   /* host TSC at which the core itself has something to do: a timer, or the slice's end */
    uint64_t deadline;   /* host TSC at which the guest has to leave: for that or a timer of its own */
    struct vcpu *loaded; /* whose registers are here; it may be halted */
    uint64_t events;     /* interrupts that were about a vCPU's events alone */
    bool look;           /* the queue has changed for this core */
} __attribute__((aligned(64)));

static struct run_core cores[CPU_MAX];
static struct sched sched __attribute__((aligned(64))); /* in no line with what other ways read */

void (*run_work)(void);
bool run_work_pending;

static struct run_core *run_this(void)
{
    return &cores[this_cpu()->index];
}

/* Work for this core itself: the run loop looks, if it is about to go back into a guest. */
static void run_look_here(void)
{
    struct vcpu *vcpu = run_this()->loaded;

    if (vcpu)
        vcpu_look(vcpu);
}

struct timer_queue *run_timers(uint32_t cpu)
{
    return &cores[cpu].timers;
}

static void run_timer_irq(void *ctx)
{
    (void)ctx;
    run_this()->armed = TIMER_NEVER;
}

/* Its arrival is all that counts: it ended HLT or the guest's run. */
static void run_wake_irq(void *ctx)
{
    (void)ctx;
}

/* Who sent it has set the vCPU's LOOK_EVENTS or LOOK_POSTED. */
static void run_events_irq(void *ctx)
{
    (void)ctx;
    run_this()->events++;
}

/* A timer was armed, perhaps by another core, before all others: the core's deadline has to be set anew. */
static void run_timers_changed(struct timer_queue *queue, bool earlier, void *owner)
{
    uint32_t cpu = (uint32_t)((struct run_core *)owner - cores);

    (void)queue;
    if (cpu == this_cpu()->index)
        run_look_here();
    else if (earlier)
        lapic_ipi(cpus[cpu]->apic_id, VECTOR_WAKE);
}

int run_init(void)
{
    int err = irq_register(VECTOR_TIMER, run_timer_irq, NULL);

    sched_init(&sched);
    lock_name(&sched.lock, "scheduler");
    for (uint32_t i = 0; i < CPU_MAX; i++) {
        timer_queue_init(&cores[i].timers);
        cores[i].timers.changed = run_timers_changed;
        cores[i].timers.owner = &cores[i];
        cores[i].armed = TIMER_NEVER;
    }
    if (!err)
        err = irq_register(VECTOR_WAKE, run_wake_irq, NULL);
    if (!err)
        err = irq_register(VECTOR_EVENTS, run_events_irq, NULL);
    /* A notification that finds its vCPU outside of the guest. */
    return err ? err : irq_register(VECTOR_POSTED, run_wake_irq, NULL);
}

static void run_arm(struct run_core *core, uint64_t tsc)
{
    if (LIKELY(core->armed == tsc))
        return;
    core->armed = tsc;
    lapic_timer_arm(tsc);
}

/* -- telling other cores ---------------------------------------------------------------------------------------- */

static void run_tell(uint32_t cpu)
{
    if (cpu == SCHED_NOWHERE)
        return;
    __atomic_store_n(&cores[cpu].look, true, __ATOMIC_RELEASE);
    if (cpu == this_cpu()->index)
        run_look_here();
    else
        lapic_ipi(cpus[cpu]->apic_id, VECTOR_WAKE);
}

void run_start(struct vcpu *vcpu)
{
    run_tell(sched_wake(&sched, &vcpu->sched, SCHED_NOWHERE, clock_now()));
}

/*
 * The state is read without the lock. A vCPU that is about to block looks at its events once more after it says so
 * (run_block), so that either it sees what is pending or we see that it is blocked.
 */
static void run_interrupt(struct vcpu *vcpu, uint8_t look, uint8_t vector, uint32_t sender)
{
    uint32_t cpu;

    __atomic_or_fetch(&vcpu->look, look, __ATOMIC_SEQ_CST);
    switch (__atomic_load_n(&vcpu->sched.state, __ATOMIC_SEQ_CST)) {
    case SCHED_BLOCKED:
        if (__atomic_load_n(&vcpu->parked, __ATOMIC_RELAXED))
            break;
        __atomic_fetch_add(&vcpu->stats.wakeups, 1, __ATOMIC_RELAXED);
        run_tell(sched_wake(&sched, &vcpu->sched, sender, clock_now()));
        break;
    case SCHED_RUNNING:
        cpu = __atomic_load_n(&vcpu->sched.cpu, __ATOMIC_RELAXED);
        if (cpu == this_cpu()->index)
            break;
        __atomic_fetch_add(&vcpu->stats.calls, 1, __ATOMIC_RELAXED);
        lapic_ipi(cpus[cpu]->apic_id, vector);
        break;
    default:
        break;
    }
}

void vcpu_kick(struct vcpu *vcpu)
{
    run_interrupt(vcpu, LOOK_ALL, VECTOR_WAKE, SCHED_NOWHERE);
}

void vcpu_kick_timers(struct vcpu *vcpu)
{
    run_interrupt(vcpu, LOOK_ALL, VECTOR_WAKE, this_cpu()->index);
}

/* What runs here can't block at the same time, so that there is nothing to wake, and the back end is about to look. */
static inline bool run_is_here(const struct vcpu *vcpu)
{
    return LIKELY(this_cpu()->vcpu == vcpu) &&
           LIKELY(__atomic_load_n(&vcpu->sched.state, __ATOMIC_RELAXED) == SCHED_RUNNING);
}

void vcpu_kick_events(struct vcpu *vcpu)
{
    if (run_is_here(vcpu))
        vcpu_look_events(vcpu);
    else
        run_interrupt(vcpu, LOOK_EVENTS, VECTOR_EVENTS, SCHED_NOWHERE);
}

/* The core of one that runs, in its guest or about to go there, needs nothing but the interrupt, and no look behind it. */
static bool run_notify_posted(struct vcpu *vcpu)
{
    uint32_t cpu = __atomic_load_n(&vcpu->sched.cpu, __ATOMIC_RELAXED);

    if (!cap(CAP_POSTED) || __atomic_load_n(&vcpu->sched.state, __ATOMIC_SEQ_CST) != SCHED_RUNNING ||
        cpu == this_cpu()->index)
        return false;
    __atomic_fetch_add(&vcpu->stats.calls, 1, __ATOMIC_RELAXED);
    lapic_ipi(cpus[cpu]->apic_id, VECTOR_POSTED);
    return true;
}

void vcpu_notify(struct vcpu *vcpu)
{
    if (run_is_here(vcpu))
        vcpu_look_posted(vcpu);
    else if (!run_notify_posted(vcpu))
        run_interrupt(vcpu, LOOK_POSTED, VECTOR_EVENTS, SCHED_NOWHERE);
}

uint64_t run_time(struct vcpu *vcpu)
{
    return sched_ran(&sched, &vcpu->sched, clock_now());
}

/* One that waits for the core is its running one soon. */
bool run_is_idle(void)
{
    return !sched.running[this_cpu()->index];
}

static void run_slice_changed(void)
{
    run_this()->look = true;
    run_look_here();
}

void run_yield(void)
{
    sched_spin(&sched, this_cpu()->index, clock_now());
    run_slice_changed();
}

void run_yield_to(struct vcpu *vcpu)
{
    if (sched_yield_to(&sched, this_cpu()->index, &vcpu->sched, clock_now()))
        run_slice_changed();
}

/* -- switching -------------------------------------------------------------------------------------------------- */

static void run_unload(struct run_core *core)
{
    struct vcpu *vcpu = core->loaded;

    if (!vcpu)
        return;
    fpu_save(vcpu->fpu);
    vcpu_ops->unload(vcpu);
    core->loaded = NULL;
    this_cpu()->vcpu = NULL;
    run_tell(sched_unloaded(&sched, &vcpu->sched, clock_now()));
}

static void run_load(struct run_core *core, struct vcpu *vcpu)
{
    vcpu_ops->load(vcpu);
    fpu_restore(vcpu->fpu);
    core->loaded = vcpu;
    this_cpu()->vcpu = vcpu;
    sched_loaded(&sched, &vcpu->sched, this_cpu()->index);
}

static void run_slice(struct run_core *core)
{
    uint64_t deadline = sched_deadline(&sched, this_cpu()->index, clock_now());

    core->slice = clock_tsc_at(deadline);
}

static struct vcpu *run_next(struct run_core *core, uint64_t *retry)
{
    uint32_t tell;
    struct sched_entity *e = sched_pick(&sched, this_cpu()->index, clock_now(), retry, &tell);
    struct vcpu *vcpu;

    run_tell(tell);
    if (!e)
        return NULL;
    vcpu = CONTAINER_OF(e, struct vcpu, sched);
    timer_disarm(&vcpu->wakeup);
    if (core->loaded != vcpu) {
        run_unload(core);
        run_load(core, vcpu);
    }
    if (vcpu->pv.steal & PV_ENABLED)
        pv_steal_begin(vcpu);
    if (UNLIKELY(trace_on))
        trace_ran(vcpu);
    run_slice(core);
    return vcpu;
}

/* -- time ------------------------------------------------------------------------------------------------------- */

/* Keeps wake_tsc in step with the timer queues; the conversion is done only when the first deadline moved. */
static void run_update_wake(struct vcpu *vcpu)
{
    uint64_t next = timer_queue_next(&vcpu->timers);

    if (vcpu->index == 0)
        next = MIN(next, timer_queue_next(&vcpu->vm->timers));
    if (LIKELY(next == vcpu->wake_ns))
        return;
    vcpu->wake_ns = next;
    /* One tick more than the rounded-down product: never early. */
    vcpu->wake_tsc = next == TIMER_NEVER ? TIMER_NEVER : vcpu->vm->tsc_start + clock_tsc_from_ns(next) + 1;
}

/* What was added up to now is going to be seen. Whoever adds more sets `look` anew, and an interrupt ends the next entry at once. */
static void run_look_begin(struct vcpu *vcpu)
{
    __atomic_store_n(&vcpu->look, 0, __ATOMIC_SEQ_CST);
}

/* When the vCPU has to run for a timer. */
static inline uint64_t run_wake(const struct vcpu *vcpu)
{
    return MIN(vcpu->wake_tsc, vcpu->alarm);
}

static void run_timer_queues(struct vcpu *vcpu)
{
    struct vm *vm = vcpu->vm;
    uint64_t now = vm_now(vm);

    timer_queue_run(&vcpu->timers, now);
    if (vcpu->index == 0 && timer_queue_next(&vm->timers) <= now) {
        lock_take(&vm->devices);
        timer_queue_run(&vm->timers, now);
        lock_drop(&vm->devices);
    }
    run_update_wake(vcpu);
}

/* Runs those that are due. */
static void run_guest_timers(struct vcpu *vcpu)
{
    uint64_t tsc = rdtsc();

    run_update_wake(vcpu);
    if (LIKELY(tsc < run_wake(vcpu)))
        return;
    if (tsc >= vcpu->alarm) {
        vcpu->alarm = TIMER_NEVER;
        vcpu->irqchip->deadline_due(vcpu->irqchip_ctx);
    }
    if (tsc >= vcpu->wake_tsc)
        run_timer_queues(vcpu);
    run_look_begin(vcpu); /* events that they have brought about are seen to next */
}

/* The host TSC at which this core has to look at its own timers. */
static uint64_t run_core_deadline(const struct run_core *core)
{
    uint64_t next = timer_queue_next(&core->timers);

    return LIKELY(next == TIMER_NEVER) ? TIMER_NEVER : clock_tsc_at(next);
}

/* A vCPU that runs here waits, and its VM doesn't pay for it. */
static void run_core_due(struct run_core *core, bool work, uint64_t now)
{
    uint32_t cpu = this_cpu()->index;

    sched_hold(&sched, cpu, now);
    timer_queue_run(&core->timers, now);
    if (work) {
        run_work_pending = false;
        run_work();
    }
    sched_go_on(&sched, cpu, clock_now());
}

static void run_core_work(struct run_core *core)
{
    /* In this order: the core whose work that is writes the flag, and others don't read it. */
    bool work = this_cpu()->index == 0 && UNLIKELY(run_work_pending);
    uint64_t next = timer_queue_next(&core->timers), now;

    if (LIKELY(next == TIMER_NEVER) && LIKELY(!work))
        return;
    now = clock_now();
    if (next <= now || work)
        run_core_due(core, work, now);
}

/* -- one vCPU --------------------------------------------------------------------------------------------------- */

static void run_wakeup(struct timer *timer, uint64_t now)
{
    (void)now;
    vcpu_kick(CONTAINER_OF(timer, struct vcpu, wakeup));
}

static bool run_has_work(struct vcpu *vcpu)
{
    if (vm_halting(vcpu->vm) || vcpu_signalled(vcpu))
        return true;
    return vcpu->state == VCPU_RUNNING || (vcpu->state == VCPU_HALTED && event_wakes(vcpu));
}

/* Its guest is told that it doesn't run, while its memory is there. */
static void run_leave(struct vcpu *vcpu, enum trace_left why)
{
    if (UNLIKELY(trace_on))
        trace_left(vcpu, why);
    if (vcpu->pv.steal & PV_ENABLED)
        pv_steal_end(vcpu);
}

/* Halted: its registers stay, as long as this core has nothing else to do. */
static void run_block(struct run_core *core, struct vcpu *vcpu)
{
    if (vcpu->state == VCPU_HALTED && run_wake(vcpu) != TIMER_NEVER) {
        timer_init(&vcpu->wakeup, &core->timers, run_wakeup);
        timer_arm(&vcpu->wakeup, clock_ns_at(run_wake(vcpu)));
    }
    run_leave(vcpu, TRACE_HALTED);
    sched_block(&sched, this_cpu()->index, clock_now());
    if (run_has_work(vcpu))
        run_start(vcpu);
}

/* Its VM is being stopped or paused: it gives up its registers. The last of its VM's vCPUs to do so says that. */
static void run_park(struct run_core *core, struct vcpu *vcpu)
{
    struct vm *vm = vcpu->vm;

    if (UNLIKELY(trace_on))
        trace_left(vcpu, TRACE_PARKED);
    run_unload(core);
    /* Before it is blocked: nobody's kick may wake it then. */
    __atomic_store_n(&vcpu->parked, true, __ATOMIC_SEQ_CST);
    sched_block(&sched, this_cpu()->index, clock_now());
    if (__atomic_add_fetch(&vm->parked, 1, __ATOMIC_ACQ_REL) < vm->vcpu_count)
        return;
    if (crash_due(vm))
        crash_report(vm, &core->timers, clock_now());
    else
        vm->on_parked(vm);
}

/* INIT and start-up IPIs change registers as a whole: the back end makes them anew. */
static void run_signals(struct run_core *core, struct vcpu *vcpu)
{
    run_unload(core);
    vcpu_take_signals(vcpu);
    run_load(core, vcpu);
}

/* The end of the slice: false, the core is to go to another. */
static bool run_slice_goes_on(struct run_core *core)
{
    if (UNLIKELY(core->look)) {
        core->look = false;
        run_slice(core);
    }
    if (LIKELY(rdtsc() < core->slice))
        return true;
    run_leave(core->loaded, TRACE_PREEMPTED);
    sched_preempt(&sched, this_cpu()->index, clock_now());
    return false;
}

/* The state a vCPU must be in to enter the guest. Otherwise it gives up the core: false. */
static bool run_can_enter(struct run_core *core, struct vcpu *vcpu)
{
    bool halting = vm_halting(vcpu->vm);

    if (UNLIKELY(vcpu_signalled(vcpu)) && !halting) {
        run_signals(core, vcpu);
        halting = vm_halting(vcpu->vm); /* an INIT of the boot vCPU reboots the VM */
    }
    if (UNLIKELY(halting)) {
        run_park(core, vcpu);
        return false;
    }
    if (vcpu->state == VCPU_HALTED && event_wakes(vcpu)) {
        __atomic_store_n(&vcpu->pv.kicked, false, __ATOMIC_SEQ_CST);
        vcpu->state = VCPU_RUNNING;
    }
    if (LIKELY(vcpu->state == VCPU_RUNNING))
        return true;
    run_block(core, vcpu);
    return false;
}

/* When the guest has to leave at the latest. */
static inline void run_set_deadline(struct run_core *core, const struct vcpu *vcpu)
{
    core->deadline = MIN(run_wake(vcpu), core->due);
    if (!cap(CAP_PREEMPTION_TIMER))
        run_arm(core, core->deadline);
}

/* The same while it runs here, if a timer of its own has moved: else the run loop has to look anyway (vcpu_look). */
static inline void run_retime(struct vcpu *vcpu)
{
    struct run_core *core = run_this();

    core->deadline = MIN(run_wake(vcpu), core->due);
    if (cap(CAP_PREEMPTION_TIMER))
        vcpu_ops->set_deadline(vcpu, core->deadline);
    else
        run_arm(core, core->deadline);
}

void run_vcpu_timers_changed(struct timer_queue *queue, bool earlier, void *owner)
{
    (void)queue;
    (void)earlier;
    if (this_cpu()->vcpu != owner)
        return;
    run_update_wake(owner);
    run_retime(owner);
}

void vcpu_set_alarm(struct vcpu *vcpu, uint64_t tsc)
{
    vcpu->alarm = LIKELY(tsc != TIMER_NEVER) ? tsc - vcpu->vm->tsc_offset - vcpu->tsc_adjust : TIMER_NEVER;
    if (LIKELY(this_cpu()->vcpu == vcpu))
        run_retime(vcpu);
}

bool run_interrupts(void)
{
    const struct cpu *cpu = this_cpu();
    const struct run_core *core = run_this();
    uint64_t others = cpu->interrupts - core->events, before = cpu->interrupts;

    interrupts_window();
    return cpu->interrupts == before || cpu->interrupts - core->events != others;
}

/* All that may have to be done before an entry. False: the core is to go to another vCPU. */
static bool run_attend(struct run_core *core, struct vcpu *vcpu)
{
    run_look_begin(vcpu);
    run_core_work(core);
    run_guest_timers(vcpu);
    if (!run_slice_goes_on(core) || !run_can_enter(core, vcpu))
        return false;
    event_deliver(vcpu);
    core->due = MIN(core->slice, run_core_deadline(core));
    run_set_deadline(core, vcpu);
    return true;
}

/*
 * Most exits leave nothing to look at: the back end goes straight back into the guest. It returns when there is, and host
 * interrupts are taken in the one window then; one that waits ends the guest's run before its next instruction.
 */
static void run_vcpu(struct run_core *core, struct vcpu *vcpu)
{
    while (run_attend(core, vcpu)) {
        if (UNLIKELY(trace_on))
            trace_entered();
        vcpu_ops->run(vcpu, core->deadline);
        interrupts_window();
    }
}

/* -- one core --------------------------------------------------------------------------------------------------- */

static void run_idle(struct run_core *core, uint64_t retry)
{
    run_arm(core, MIN(run_core_deadline(core), clock_tsc_at(retry)));
    /* Interrupts are off: one that comes from here on ends the HLT. */
    if (!__atomic_load_n(&core->look, __ATOMIC_ACQUIRE))
        interrupts_wait();
    core->look = false;
}

void run_core(void)
{
    struct run_core *core = run_this();

    sched_add_core(&sched, this_cpu()->index);
    for (;;) {
        uint64_t retry;
        struct vcpu *vcpu;

        run_core_work(core);
        vcpu = run_next(core, &retry);
        if (vcpu)
            run_vcpu(core, vcpu);
        else
            run_idle(core, retry);
    }
}
