/* The scheduler: shares, caps, affinity and wake-ups on simulated cores (sched_sim.h). */
#include "tests/unit/sched_sim.h"

/* -- shares ----------------------------------------------------------------------------------------------------- */

static void shares_follow_the_weights(void **state)
{
    struct task *a, *b, *c;

    (void)state;
    sim_init(1);
    a = hog_add(256, 0, 1);
    b = hog_add(512, 0, 1);
    c = hog_add(1280, 0, 1);
    sim_run(10 * SECOND);
    assert_share(a, 0, 10 * SECOND / 8);
    assert_share(b, 0, 10 * SECOND / 4);
    assert_share(c, 0, 10 * SECOND * 5 / 8);
}

static void extreme_weights_keep_their_shares(void **state)
{
    struct task *light, *heavy, *middle;

    (void)state;
    sim_init(1);
    light = hog_add(10, 0, 1);
    heavy = hog_add(10000, 0, 1);
    middle = hog_add(1000, 0, 1);
    sim_run(60 * SECOND);
    assert_share(heavy, 0, 60 * SECOND * 10000 / 11010);
    assert_share(middle, 0, 60 * SECOND * 1000 / 11010);
    assert_true(task_ran(light) >= 60 * SECOND * 10 / 11010 / 2);
}

static void short_runs_are_not_free(void **state)
{
    struct task *t;

    (void)state;
    sim_init(1);
    t = hog_add(10000, 0, 1);
    sim_run(MS);
    t->e.vruntime = 0;
    for (uint64_t ns = 1; ns <= 10000; ns++)
        sched_ran(&sim.sched, &t->e, t->e.charged + 1);
    assert_in_range(t->e.vruntime, 255, 257);
}

static void several_cores_are_shared(void **state)
{
    struct task *t[6];

    (void)state;
    sim_init(4);
    for (int i = 0; i < 6; i++)
        t[i] = hog_add(256, 0, 15);
    sim_run(10 * SECOND);
    for (int i = 0; i < 6; i++)
        assert_share(t[i], 0, 10 * SECOND * 4 / 6);
}

/* Two of weight 2 and four of weight 1 on two cores. */
static void weights_hold_over_several_cores(void **state)
{
    struct task *heavy[2], *light[4];

    (void)state;
    sim_init(2);
    for (int i = 0; i < 2; i++)
        heavy[i] = hog_add(512, 0, 3);
    for (int i = 0; i < 4; i++)
        light[i] = hog_add(256, 0, 3);
    sim_run(10 * SECOND);
    for (int i = 0; i < 2; i++)
        assert_share(heavy[i], 0, 10 * SECOND / 2);
    for (int i = 0; i < 4; i++)
        assert_share(light[i], 0, 10 * SECOND / 4);
}

/* One can't use more than a core, whatever its weight; what is left goes to the others. */
static void a_share_of_more_than_a_core_is_a_core(void **state)
{
    struct task *heavy, *light[2];

    (void)state;
    sim_init(2);
    heavy = hog_add(2560, 0, 3);
    light[0] = hog_add(256, 0, 3);
    light[1] = hog_add(256, 0, 3);
    sim_run(10 * SECOND);
    assert_share(heavy, 0, 10 * SECOND);
    assert_share(light[0], 0, 5 * SECOND);
    assert_share(light[1], 0, 5 * SECOND);
}

static void one_alone_is_not_disturbed(void **state)
{
    struct task *t;

    (void)state;
    sim_init(1);
    t = hog_add(256, 0, 1);
    sim_run(MS);
    assert_true(sched_deadline(&sim.sched, 0, sim.now) == FOREVER);
    sim_run(SECOND);
    assert_true(task_ran(t) >= SECOND);
}

/* -- affinity --------------------------------------------------------------------------------------------------- */

static void pinned_ones_stay(void **state)
{
    struct task *a, *b, *c;

    (void)state;
    sim_init(2);
    a = hog_add(256, 0, 1);
    b = hog_add(256, 0, 2);
    c = hog_add(256, 0, 2);
    sim_run(10 * SECOND);
    assert_share(a, 0, 10 * SECOND);
    assert_share(b, 0, 5 * SECOND);
    assert_share(c, 0, 5 * SECOND);
}

/* One is pinned to core 1, two are free: all get two thirds of a core. */
static void free_ones_make_room_for_pinned_ones(void **state)
{
    struct task *t[3];

    (void)state;
    sim_init(2);
    t[0] = hog_add(256, 0, 3);
    t[1] = hog_add(256, 0, 3);
    t[2] = hog_add(256, 0, 2);
    sim_run(10 * SECOND);
    for (int i = 0; i < 3; i++)
        assert_share(t[i], 0, 10 * SECOND * 2 / 3);
}

/* Others that were worse off on another core are no reason for one that comes to keep this core for long. */
static void a_newcomer_does_not_starve_one_that_was_alone(void **state)
{
    struct task *alone, *newcomer;
    uint64_t before;

    (void)state;
    sim_init(2);
    alone = hog_add(256, 0, 1);
    for (int i = 0; i < 5; i++)
        hog_add(256, 0, 2);
    sim_run(20 * SECOND);
    newcomer = hog_add(256, 0, 1);
    before = task_ran(alone);
    alone->waited = 0;
    sim_run(SECOND);
    assert_share(alone, before, SECOND / 2);
    assert_share(newcomer, 0, SECOND / 2);
    assert_true(alone->waited <= 50 * MS);
}

/* -- caps ------------------------------------------------------------------------------------------------------- */

static void a_cap_holds_on_an_idle_core(void **state)
{
    struct task *t;

    (void)state;
    sim_init(1);
    t = hog_add(256, 30, 1);
    sim_run(10 * SECOND);
    assert_share(t, 0, 3 * SECOND);
}

static void caps_hold_when_all_are_capped(void **state)
{
    struct task *a, *b, *c;

    (void)state;
    sim_init(2);
    a = hog_add(256, 25, 3);
    b = hog_add(1024, 60, 3);
    c = hog_add(256, 10, 3);
    sim_run(10 * SECOND);
    assert_share(a, 0, 10 * SECOND * 25 / 100);
    assert_share(b, 0, 10 * SECOND * 60 / 100);
    assert_share(c, 0, 10 * SECOND * 10 / 100);
}

static void others_get_what_a_cap_leaves(void **state)
{
    struct task *capped, *a, *b;

    (void)state;
    sim_init(1);
    capped = hog_add(2560, 20, 1);
    a = hog_add(256, 0, 1);
    b = hog_add(256, 0, 1);
    sim_run(10 * SECOND);
    assert_share(capped, 0, 2 * SECOND);
    assert_share(a, 0, 4 * SECOND);
    assert_share(b, 0, 4 * SECOND);
}

/* One with a small cap lags far behind; who wakes beside it starts where the others are. */
static void a_capped_one_is_no_measure_for_who_wakes(void **state)
{
    struct task *hog, *late;
    uint64_t before;

    (void)state;
    sim_init(1);
    hog_add(256, 2, 1);
    hog = hog_add(256, 0, 1);
    sim_run(20 * SECOND);
    late = hog_add(256, 0, 1);
    before = task_ran(hog);
    hog->waited = 0;
    sim_run(SECOND);
    assert_share(late, 0, SECOND * 49 / 100);
    assert_share(hog, before, SECOND * 49 / 100);
    assert_true(hog->waited <= 50 * MS);
}

/* It wakes while its budget is used up, and no core runs or waits for it. */
static void one_that_wakes_without_budget_is_not_forgotten(void **state)
{
    struct task *t;

    (void)state;
    sim_init(2);
    t = task_add(256, 10, 2);
    t->run = 2 * MS - LATE / 2;
    t->sleep = MS;
    task_wake(t);
    sim_run(10 * SECOND);
    assert_share(t, 0, SECOND);
}

/* -- waking ----------------------------------------------------------------------------------------------------- */

static void a_sleeper_does_not_wait_behind_hogs(void **state)
{
    struct task *t;

    (void)state;
    sim_init(1);
    for (int i = 0; i < 4; i++)
        hog_add(256, 0, 1);
    t = sleeper_add(256, 1, MS / 10, 10 * MS);
    sim_run(SECOND);
    t->waited = 0;
    sim_run(10 * SECOND);
    assert_true(t->waited <= MS);
    assert_true(task_ran(t) >= 10 * SECOND / 102);
}

/* Neither is behind the other: who came second doesn't wait for a whole slice. */
static void two_that_wake_together_both_run_soon(void **state)
{
    struct task *t;

    (void)state;
    sim_init(1);
    hog_add(256, 0, 1);
    t = sleeper_add(256, 1, MS / 10, FOREVER);
    sim_run(10 * MS);
    assert_in_range(t->waited, 1, SCHED_GRAIN + 2 * LATE);
    assert_in_range(task_ran(t), MS / 10, MS / 10 + LATE);
}

/* It sleeps just before its slice ends, and gets no more for it than its share. */
static void frequent_sleeps_gain_nothing(void **state)
{
    struct task *hog, *t;

    (void)state;
    sim_init(1);
    hog = hog_add(256, 0, 1);
    t = sleeper_add(256, 1, 4 * MS, MS / 100);
    sim_run(10 * SECOND);
    assert_true(task_ran(t) <= 10 * SECOND * 53 / 100);
    assert_true(task_ran(hog) >= 10 * SECOND * 47 / 100);
}

static void a_long_sleep_is_no_credit(void **state)
{
    struct task *hog, *t;
    uint64_t before;

    (void)state;
    sim_init(1);
    hog = hog_add(256, 0, 1);
    t = sleeper_add(256, 1, MS, FOREVER);
    sim_run(30 * SECOND);
    t->run = FOREVER;
    task_wake(t);
    before = task_ran(hog);
    hog->waited = 0;
    sim_run(SECOND);
    assert_share(hog, before, SECOND / 2);
    assert_true(hog->waited <= 30 * MS);
}

/* Two that never ran beside each other: neither has to pay for what it had alone. */
static void those_who_took_turns_do_not_starve_each_other(void **state)
{
    struct task *first, *second;

    (void)state;
    sim_init(1);
    first = sleeper_add(256, 1, 10 * SECOND, FOREVER);
    sim_run(11 * SECOND);
    second = hog_add(256, 0, 1);
    sim_run(100 * MS);
    first->run = FOREVER;
    task_wake(first);
    first->waited = 0;
    sim_run(SECOND);
    assert_true(first->waited <= 30 * MS);
    assert_share(second, 100 * MS, SECOND / 2);
}

/* Three wake at once: each idle core gets one. */
static void each_waker_gets_an_idle_core(void **state)
{
    struct task *t[3];
    uint32_t told = 0;

    (void)state;
    sim_init(3);
    for (int i = 0; i < 3; i++) {
        t[i] = task_add(256, 0, 7);
        t[i]->e.cpu = 1;
        task_wake(t[i]);
    }
    for (int i = 0; i < 3; i++)
        told += sim.cores[i].look;
    assert_int_equal(told, 3);
    sim_run(100 * MS);
    for (int i = 0; i < 3; i++)
        assert_true(task_ran(t[i]) >= 99 * MS);
}

static void waking_twice_is_waking_once(void **state)
{
    struct task *t;

    (void)state;
    sim_init(1);
    t = hog_add(256, 0, 1);
    assert_int_equal(sched_wake(&sim.sched, &t->e, SCHED_NOWHERE, 0), SCHED_NOWHERE);
    check_all();
    sim_run(MS);
    assert_int_equal(sched_wake(&sim.sched, &t->e, SCHED_NOWHERE, sim.now), SCHED_NOWHERE);
    check_all();
}

/* -- registers that are still on another core ------------------------------------------------------------------- */

/* It halted on core 0, which is idle: core 0 has to take it, even if another core asks first. */
static void one_that_is_loaded_elsewhere_waits_for_its_core(void **state)
{
    struct task *t;
    uint64_t retry;
    uint32_t tell;

    (void)state;
    sim_init(2);
    t = task_add(256, 0, 3);
    t->run = MS;
    t->sleep = FOREVER;
    t->e.cpu = 0;
    task_wake(t);
    sim_run(10 * MS);
    assert_int_equal(t->e.loaded, 0);
    t->run = FOREVER;
    task_wake(t);
    assert_null(sched_pick(&sim.sched, 1, sim.now, &retry, &tell));
    sim_run(MS);
    assert_int_equal(t->e.cpu, 0);
}

/* It waits on core 0, which takes another: core 1 was idle all the time and has to hear of it. */
static void an_idle_core_hears_of_one_that_is_unloaded(void **state)
{
    struct task *t, *pinned;

    (void)state;
    sim_init(2);
    t = task_add(256, 0, 3);
    t->e.cpu = 0;
    task_wake(t);
    sim_run(10 * MS);
    assert_int_equal(t->e.cpu, 0);
    pinned = hog_add(256, 0, 1);
    sim_run(100 * MS);
    assert_int_equal(t->e.cpu, 1);
    assert_true(task_ran(pinned) >= 90 * MS);
    assert_true(task_ran(t) >= 104 * MS);
}

/* -- many ------------------------------------------------------------------------------------------------------- */

static void nobody_starves_among_many(void **state)
{
    (void)state;
    sim_init(2);
    for (uint32_t i = 0; i < 64; i++)
        hog_add(256, 0, 3);
    sim_run(SECOND);
    for (uint32_t i = 0; i < 64; i++)
        sim.tasks[i].waited = 0;
    sim_run(10 * SECOND);
    for (uint32_t i = 0; i < 64; i++) {
        assert_share(&sim.tasks[i], task_ran(&sim.tasks[i]) * 1 / 11, 10 * SECOND * 2 / 64);
        assert_true(sim.tasks[i].waited <= 64 * SCHED_SLICE);
    }
}

/* The lightest of a random mix gets at least half of what its weight promises. */
static void check_no_starvation(uint64_t ns)
{
    uint64_t weights = 0;

    for (uint32_t i = 0; i < sim.task_count; i++)
        weights += sim.tasks[i].e.weight;
    for (uint32_t i = 0; i < sim.task_count; i++) {
        struct task *t = &sim.tasks[i];

        if (t->run == FOREVER && !t->e.cap && !t->spins)
            assert_true(task_ran(t) >= ns * t->e.weight / weights / 2);
    }
}

static void random_task(uint64_t *seed, uint64_t all)
{
    uint64_t r = support_random(seed);
    uint64_t mask = r & all ? r & all : all;
    struct task *t = task_add(64 + r / 64 % 1024, r >> 20 & 1 ? 0 : 5 + (r >> 21) % 90, mask);

    if (r >> 32 & 1) {
        t->run = 1000 + (r >> 33) % (20 * MS);
        t->sleep = 1000 + support_random(seed) % (30 * MS);
    } else if ((r >> 33) % 8 == 0) {
        t->spins = 10000 + (r >> 40) % MS;
    }
    t->sender = r >> 63 ? (uint32_t)(r >> 61 & 1) : SCHED_NOWHERE;
    task_wake(t);
}

static void random_mixes_keep_the_invariants(void **state)
{
    uint64_t seed = 0x5eed5eed5eedull;

    (void)state;
    for (int round = 0; round < 40; round++) {
        uint32_t cores = 1 + (uint32_t)(support_random(&seed) % MAX_CORES);
        uint32_t tasks = 1 + (uint32_t)(support_random(&seed) % 24);

        sim_init(cores);
        for (uint32_t i = 0; i < tasks; i++) {
            random_task(&seed, BIT(cores) - 1);
            sim_run(support_random(&seed) % (5 * MS));
        }
        sim_run(SECOND);
        check_no_starvation(SECOND);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_follow_the_weights),
        cmocka_unit_test(extreme_weights_keep_their_shares),
        cmocka_unit_test(short_runs_are_not_free),
        cmocka_unit_test(several_cores_are_shared),
        cmocka_unit_test(weights_hold_over_several_cores),
        cmocka_unit_test(a_share_of_more_than_a_core_is_a_core),
        cmocka_unit_test(one_alone_is_not_disturbed),
        cmocka_unit_test(pinned_ones_stay),
        cmocka_unit_test(free_ones_make_room_for_pinned_ones),
        cmocka_unit_test(a_newcomer_does_not_starve_one_that_was_alone),
        cmocka_unit_test(a_cap_holds_on_an_idle_core),
        cmocka_unit_test(caps_hold_when_all_are_capped),
        cmocka_unit_test(others_get_what_a_cap_leaves),
        cmocka_unit_test(a_capped_one_is_no_measure_for_who_wakes),
        cmocka_unit_test(one_that_wakes_without_budget_is_not_forgotten),
        cmocka_unit_test(a_sleeper_does_not_wait_behind_hogs),
        cmocka_unit_test(two_that_wake_together_both_run_soon),
        cmocka_unit_test(frequent_sleeps_gain_nothing),
        cmocka_unit_test(a_long_sleep_is_no_credit),
        cmocka_unit_test(those_who_took_turns_do_not_starve_each_other),
        cmocka_unit_test(each_waker_gets_an_idle_core),
        cmocka_unit_test(waking_twice_is_waking_once),
        cmocka_unit_test(one_that_is_loaded_elsewhere_waits_for_its_core),
        cmocka_unit_test(an_idle_core_hears_of_one_that_is_unloaded),
        cmocka_unit_test(nobody_starves_among_many),
        cmocka_unit_test(random_mixes_keep_the_invariants),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
