/* The scheduler while a core does work that is no task's: for the monitor, for a VM that ends. */
#include "tests/unit/sched_sim.h"

/* The core does something else for so long, with what runs on it held. */
static void core_works(uint32_t cpu, uint64_t ns)
{
    struct core *core = &sim.cores[cpu];

    if (core->running)
        core_progress(core);
    sched_hold(&sim.sched, cpu, sim.now);
    sim.now += ns;
    core->since = sim.now;
    sched_go_on(&sim.sched, cpu, sim.now);
}

static void work_of_the_core_is_nobodys_time(void **state)
{
    struct task *t, *other;
    uint64_t ran, vruntime;

    (void)state;
    sim_init(1);
    t = hog_add(256, 0, 1);
    sim_run(MS);
    ran = task_ran(t);
    vruntime = t->e.vruntime;
    sched_hold(&sim.sched, 0, sim.now);
    sim.now += 70 * MS;
    assert_true(task_ran(t) == ran);
    other = hog_add(256, 0, 1); /* a wake-up looks at what the running one has had */
    assert_true(t->e.vruntime == vruntime && other->e.vruntime <= vruntime);
    sim.cores[0].since = sim.now += 70 * MS;
    sched_go_on(&sim.sched, 0, sim.now);
    assert_true(task_ran(t) == ran && t->e.vruntime == vruntime);
    sim_run(10 * SECOND);
    assert_share(t, ran, 5 * SECOND);
}

/* One that was on the core when that worked for others, time and again, is late by what the core took and not by more. */
static void a_sleeper_does_not_pay_for_the_core(void **state)
{
    struct task *sleeper;

    (void)state;
    sim_init(1);
    hog_add(256, 0, 1);
    sleeper = sleeper_add(64, 1, MS / 10, 50 * MS);
    for (uint32_t i = 0, worked = 0; worked < 50; i++) {
        assert_true(i < 1000000);
        sim_run(30000); /* more than what a core is late by */
        if (sim.cores[0].running != sleeper)
            continue;
        core_works(0, 30 * MS);
        worked++;
        sim_run(MS);
    }
    assert_true(sleeper->waited <= 2 * MS);
    sim_run(SECOND);
    assert_true(task_ran(sleeper) >= 50 * MS / 10);
}

static void a_core_without_work_has_nobody_to_hold(void **state)
{
    (void)state;
    sim_init(1);
    core_works(0, MS);
    assert_false(lock_held(&sim.sched.lock));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_of_the_core_is_nobodys_time),
        cmocka_unit_test(a_sleeper_does_not_pay_for_the_core),
        cmocka_unit_test(a_core_without_work_has_nobody_to_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
