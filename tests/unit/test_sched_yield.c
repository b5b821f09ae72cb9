/* The scheduler on simulated cores: who spins or yields, and who waits for it. */
#include "tests/unit/sched_sim.h"

/* -- yielding --------------------------------------------------------------------------------------------------- */

static void one_that_spins_lets_others_work(void **state)
{
    struct task *spinner, *worker;

    (void)state;
    sim_init(1);
    spinner = hog_add(256, 0, 1);
    spinner->spins = MS / 50;
    worker = hog_add(256, 0, 1);
    sim_run(SECOND);
    assert_true(task_ran(worker) > task_ran(spinner));
    assert_true(task_ran(spinner) >= SECOND / 1000);
}

static void yielding_alone_costs_nothing(void **state)
{
    struct task *spinner;

    (void)state;
    sim_init(1);
    spinner = hog_add(256, 0, 1);
    spinner->spins = MS / 50;
    sim_run(SECOND);
    assert_true(task_ran(spinner) >= SECOND * 99 / 100);
}

/* A heavy one isn't brought down to the share of a light one by what it spins. */
static void yielding_costs_at_most_a_slice(void **state)
{
    struct task *heavy, *light;

    (void)state;
    sim_init(1);
    heavy = hog_add(10000, 0, 1);
    heavy->spins = MS;
    light = hog_add(10, 0, 1);
    sim_run(10 * SECOND);
    assert_true(task_ran(heavy) >= 9 * SECOND);
    assert_true(task_ran(light) > 0);
}

/* One that others give work to now and again: it lets them have a turn between its own, the longer if it is theirs, and no longer one. */
static void those_who_are_given_work_leave_others_a_turn(void **state)
{
    static const struct {
        uint32_t sender;
        uint64_t turn;
    } cases[] = {{SCHED_NOWHERE, 0}, {1, SCHED_TURN}, {0, SCHED_BURST}};

    (void)state;
    for (uint32_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct task *t;

        sim_init(1);
        hog_add(256, 0, 1);
        t = sleeper_add(256, 1, 5000, 10000);
        sim_run(SECOND);
        t->sender = cases[i].sender;
        sim_run(MS);
        t->waited = 0;
        sim_run(SECOND);
        if (cases[i].turn)
            assert_in_range(t->waited, cases[i].turn - 10000, cases[i].turn - 10000 + 2 * LATE);
        else
            assert_true(t->waited <= 2 * LATE);
    }
}

/* -- waiting for one another ------------------------------------------------------------------------------------ */

static void what_one_waits_is_counted(void **state)
{
    struct task *a, *b;

    (void)state;
    sim_init(1);
    a = hog_add(256, 0, 1);
    b = hog_add(256, 0, 1);
    sim_run(SECOND);
    assert_in_range(a->e.waited, SECOND * 45 / 100, SECOND * 55 / 100);
    assert_in_range(a->e.waited + b->e.waited, SECOND * 98 / 100, SECOND);
    sim_init(1);
    a = sleeper_add(256, 1, MS, MS);
    sim_run(SECOND);
    assert_true(a->e.waited <= SECOND / 100);
}

/* Who is yielded to runs next, on this core, and the third one loses nothing by it. */
static void a_yield_swaps_places(void **state)
{
    struct task *from, *to, *third;
    uint64_t sum, before;

    (void)state;
    sim_init(1);
    for (int i = 0; i < 3; i++)
        hog_add(256, 0, 1);
    sim_run(SECOND);
    from = sim.cores[0].running;
    third = CONTAINER_OF(sim.sched.ready.next, struct task, e.node);
    to = CONTAINER_OF(sim.sched.ready.prev, struct task, e.node);
    assert_ptr_not_equal(third, to);
    sum = from->e.vruntime + (sim.now - from->e.charged) + to->e.vruntime;
    before = task_ran(third);
    assert_true(sched_yield_to(&sim.sched, 0, &to->e, sim.now));
    assert_true(sim.sched.ready.next == &to->e.node && to->e.vruntime <= third->e.vruntime);
    assert_true(from->e.vruntime + to->e.vruntime >= sum);
    sim.cores[0].look = true;
    sim_run(MS / 10);
    assert_ptr_equal(sim.cores[0].running, to);
    sim_run(10 * SECOND);
    assert_share(third, before, 10 * SECOND / 3);
}

static void one_that_cannot_run_here_is_not_yielded_to(void **state)
{
    struct task *a, *b, *c;

    (void)state;
    sim_init(2);
    a = hog_add(256, 0, 1);
    b = hog_add(256, 0, 2);
    c = hog_add(256, 0, 2);
    sim_run(50 * MS);
    assert_ptr_equal(sim.cores[0].running, a);
    assert_false(sched_yield_to(&sim.sched, 0, &b->e, sim.now));
    assert_false(sched_yield_to(&sim.sched, 0, &c->e, sim.now));
    assert_false(sched_yield_to(&sim.sched, 0, &a->e, sim.now));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_spins_lets_others_work),
        cmocka_unit_test(yielding_alone_costs_nothing),
        cmocka_unit_test(yielding_costs_at_most_a_slice),
        cmocka_unit_test(those_who_are_given_work_leave_others_a_turn),
        cmocka_unit_test(what_one_waits_is_counted),
        cmocka_unit_test(a_yield_swaps_places),
        cmocka_unit_test(one_that_cannot_run_here_is_not_yielded_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
