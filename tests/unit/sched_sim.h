/* Cores and tasks in simulated time: cores do what core/run.c does, tasks run, sleep and spin; invariants are checked at each step. */
#pragma once

#include "tests/unit/support.h"

#include <string.h>

#include "core/sched.h"

#define MS        (1000 * 1000ull)
#define SECOND    (1000 * MS)
#define FOREVER   UINT64_MAX
#define MAX_TASKS 80
#define MAX_CORES 8
#define LATE      (20 * 1000ull) /* a core acts so long after its deadline */

struct task {
    struct sched_entity e;
    uint64_t run, sleep;    /* runs so long, then sleeps so long; FOREVER: never sleeps */
    uint64_t left, wake_at; /* of the present run; FOREVER: not asleep */
    uint32_t sender;        /* as sched_wake has it */
    uint64_t spins;         /* yields after so long, 0: never */
    uint64_t woken, waited; /* when it became ready; the longest wait for a core */
};

struct core {
    struct task *loaded, *running;
    bool look;
    uint64_t slice, retry, since; /* since when the task's present run counts */
};

static struct {
    struct sched sched;
    struct task tasks[MAX_TASKS];
    struct core cores[MAX_CORES];
    uint32_t task_count, core_count;
    uint64_t now;
} sim;

/* -- setting up ------------------------------------------------------------------------------------------------- */

static void sim_init(uint32_t cores)
{
    memset(&sim, 0, sizeof sim);
    sched_init(&sim.sched);
    sim.core_count = cores;
    for (uint32_t i = 0; i < cores; i++) {
        sched_add_core(&sim.sched, i);
        sim.cores[i].retry = FOREVER;
    }
}

/* mask: the cores that it may use. It sleeps; task_start() wakes it. */
static struct task *task_add(uint32_t weight, uint32_t cap, uint64_t mask)
{
    struct task *t = &sim.tasks[sim.task_count++];
    struct cpuset set = {{mask}};

    *t = (struct task){.run = FOREVER, .left = FOREVER, .wake_at = FOREVER, .sender = SCHED_NOWHERE};
    sched_entity_init(&t->e, weight, cap, &set);
    return t;
}

static void sim_tell(uint32_t cpu)
{
    if (cpu != SCHED_NOWHERE)
        sim.cores[cpu].look = true;
}

static void task_wake(struct task *t)
{
    t->left = t->run;
    t->wake_at = FOREVER;
    t->woken = sim.now;
    sim_tell(sched_wake(&sim.sched, &t->e, t->sender, sim.now));
}

static struct task *hog_add(uint32_t weight, uint32_t cap, uint64_t mask)
{
    struct task *t = task_add(weight, cap, mask);

    task_wake(t);
    return t;
}

static struct task *sleeper_add(uint32_t weight, uint64_t mask, uint64_t run, uint64_t sleep)
{
    struct task *t = task_add(weight, 0, mask);

    t->run = run;
    t->sleep = sleep;
    task_wake(t);
    return t;
}

/* -- what must hold at any time --------------------------------------------------------------------------------- */

static uint32_t list_count(const struct list *head, const struct list *node)
{
    uint32_t count = 0;

    for (const struct list *pos = head->next; pos != head; pos = pos->next)
        count += pos == node;
    return count;
}

static void check_task(const struct task *t)
{
    uint32_t running = 0, loaded = 0;

    for (uint32_t i = 0; i < sim.core_count; i++) {
        running += sim.sched.running[i] == &t->e;
        loaded += sim.cores[i].loaded == t;
        if (sim.sched.running[i] == &t->e)
            assert_true(t->e.cpu == i && cpuset_has(&t->e.allowed, i));
        if (sim.cores[i].loaded == t)
            assert_int_equal(t->e.loaded, i);
    }
    assert_int_equal(running, t->e.state == SCHED_RUNNING);
    assert_int_equal(loaded, t->e.loaded != SCHED_NOWHERE);
    assert_int_equal(list_count(&sim.sched.ready, &t->e.node), t->e.state == SCHED_READY && !t->e.release);
    assert_int_equal(list_count(&sim.sched.capped, &t->e.node), t->e.state == SCHED_READY && t->e.release);
}

static bool could_run(const struct task *t, uint32_t cpu)
{
    return cpuset_has(&t->e.allowed, cpu) && (t->e.loaded == SCHED_NOWHERE || t->e.loaded == cpu);
}

/* Has each core done what it was told to, and what its clock says? */
static bool sim_settled(void)
{
    for (uint32_t i = 0; i < sim.core_count; i++) {
        const struct core *core = &sim.cores[i];

        if (core->look || (core->running ? core->slice : core->retry) <= sim.now)
            return false;
    }
    return true;
}

/* Then no core sleeps while one waits that it could run. */
static void check_idle(const struct task *t)
{
    if (t->e.state != SCHED_READY || t->e.release || !sim_settled())
        return;
    for (uint32_t i = 0; i < sim.core_count; i++)
        if (could_run(t, i) && !sim.cores[i].running)
            fail_msg("core %u sleeps although task %u is ready", i, (uint32_t)(t - sim.tasks));
}

static void check_order(void)
{
    for (struct list *pos = sim.sched.ready.next; pos != &sim.sched.ready && pos->next != &sim.sched.ready;
         pos = pos->next)
        assert_true(CONTAINER_OF(pos, struct sched_entity, node)->vruntime <=
                    CONTAINER_OF(pos->next, struct sched_entity, node)->vruntime);
}

/* One that waits has a core that will look after it: one that was told, or has an end to its slice or its sleep. */
static void check_waiting(const struct task *t)
{
    if (t->e.state != SCHED_READY)
        return;
    for (uint32_t i = 0; i < sim.core_count; i++) {
        const struct core *core = &sim.cores[i];

        if (cpuset_has(&t->e.allowed, i) &&
            (core->look || (core->running ? core->slice != FOREVER : core->retry != FOREVER)))
            return;
    }
    fail_msg("nobody looks after task %u", (uint32_t)(t - sim.tasks));
}

static void check_all(void)
{
    for (uint32_t i = 0; i < sim.task_count; i++) {
        check_task(&sim.tasks[i]);
        check_waiting(&sim.tasks[i]);
        check_idle(&sim.tasks[i]);
    }
    check_order();
    assert_false(lock_held(&sim.sched.lock));
}

/* -- a core, as in core/run.c ----------------------------------------------------------------------------------- */

static void core_load(struct core *core, struct task *t)
{
    uint32_t cpu = (uint32_t)(core - sim.cores);

    if (core->loaded == t)
        return;
    if (core->loaded) {
        struct task *old = core->loaded;

        core->loaded = NULL;
        sim_tell(sched_unloaded(&sim.sched, &old->e, sim.now));
    }
    core->loaded = t;
    sched_loaded(&sim.sched, &t->e, cpu);
}

static void core_next(struct core *core)
{
    uint32_t cpu = (uint32_t)(core - sim.cores), tell;
    struct sched_entity *e;

    core->look = false;
    e = sched_pick(&sim.sched, cpu, sim.now, &core->retry, &tell);
    sim_tell(tell);
    core->running = e ? CONTAINER_OF(e, struct task, e) : NULL;
    if (!e)
        return;
    core_load(core, core->running);
    core->slice = sched_deadline(&sim.sched, cpu, sim.now);
    core->since = sim.now;
    core->running->waited = MAX(core->running->waited, sim.now - core->running->woken);
}

/* Counts the work that its task has done. */
static void core_progress(struct core *core)
{
    struct task *t = core->running;
    uint64_t done = sim.now - core->since;

    core->since = sim.now;
    if (t->left != FOREVER)
        t->left -= MIN(t->left, done);
}

static void core_act(struct core *core)
{
    uint32_t cpu = (uint32_t)(core - sim.cores);
    struct task *t = core->running;

    if (!t) {
        core_next(core);
        return;
    }
    core_progress(core);
    if (t->spins && sim.now - t->woken >= t->spins) {
        sched_spin(&sim.sched, cpu, sim.now);
        t->woken = sim.now;
        core->look = true;
    }
    if (core->look) {
        core->look = false;
        core->slice = sched_deadline(&sim.sched, cpu, sim.now);
    }
    if (t->left == 0) {
        t->wake_at = t->sleep == FOREVER ? FOREVER : sim.now + t->sleep;
        sched_block(&sim.sched, cpu, sim.now);
    } else if (sim.now >= core->slice) {
        t->woken = sim.now;
        sched_preempt(&sim.sched, cpu, sim.now);
    } else {
        return;
    }
    core_next(core);
}

static uint64_t plus(uint64_t a, uint64_t b)
{
    return a > FOREVER - b ? FOREVER : a + b;
}

static uint64_t core_due(const struct core *core)
{
    uint64_t due = core->running ? core->slice : core->retry;

    if (core->look)
        return sim.now + LATE / 10;
    if (due != FOREVER)
        due = plus(MAX(due, sim.now), LATE);
    if (core->running) {
        due = MIN(due, plus(core->since, core->running->left));
        if (core->running->spins)
            due = MIN(due, MAX(sim.now, core->running->woken) + core->running->spins);
    }
    return due;
}

/* -- running it all --------------------------------------------------------------------------------------------- */

static void sim_step(uint64_t end)
{
    uint64_t next = end;

    for (uint32_t i = 0; i < sim.core_count; i++)
        next = MIN(next, core_due(&sim.cores[i]));
    for (uint32_t i = 0; i < sim.task_count; i++)
        next = MIN(next, sim.tasks[i].wake_at);
    for (uint32_t i = 0; i < sim.core_count; i++) {
        struct core *core = &sim.cores[i];
        bool due = core_due(core) <= next;

        if (!due)
            continue;
        sim.now = MAX(sim.now, next);
        core_act(core);
    }
    sim.now = MAX(sim.now, next);
    for (uint32_t i = 0; i < sim.task_count; i++)
        if (sim.tasks[i].wake_at <= sim.now)
            task_wake(&sim.tasks[i]);
}

static void sim_run(uint64_t ns)
{
    uint64_t end = sim.now + ns;

    while (sim.now < end) {
        sim_step(end);
        check_all();
    }
}

static uint64_t task_ran(struct task *t)
{
    return sched_ran(&sim.sched, &t->e, sim.now);
}

/* Within 5 % of what it should be. */
static void assert_share(struct task *t, uint64_t ran_before, uint64_t want)
{
    uint64_t ran = task_ran(t) - ran_before;

    if (ran * 100 < want * 95 || ran * 100 > want * 105)
        fail_msg("task %u ran %llu us, not %llu", (uint32_t)(t - sim.tasks), (unsigned long long)ran / 1000,
                 (unsigned long long)want / 1000);
}
