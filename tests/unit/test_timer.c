#include "core/timer.h"

#include "tests/unit/support.h"

struct alarm {
    struct timer timer;
    uint64_t ran_at, again;
    int runs;
};

static struct timer_queue queue;
static struct alarm *order[8];
static int ran, changes, moved_back;

static void alarm_run(struct timer *timer, uint64_t now)
{
    struct alarm *alarm = CONTAINER_OF(timer, struct alarm, timer);

    assert_false(timer_armed(timer));
    assert_false(lock_held(&queue.lock));
    order[ran++ % 8] = alarm;
    alarm->runs++;
    alarm->ran_at = now;
    if (alarm->again)
        timer_arm(timer, now + alarm->again);
}

static void count_change(struct timer_queue *q, bool earlier, void *owner)
{
    assert_ptr_equal(q, &queue);
    assert_ptr_equal(owner, &changes);
    assert_false(lock_held(&q->lock));
    if (earlier)
        changes++;
    else
        moved_back++;
}

static int start(void **state)
{
    (void)state;
    timer_queue_init(&queue);
    queue.changed = count_change;
    queue.owner = &changes;
    ran = changes = 0;
    return 0;
}

static void alarm_init(struct alarm *alarm)
{
    *alarm = (struct alarm){0};
    timer_init(&alarm->timer, &queue, alarm_run);
}

static void test_order(void **state)
{
    struct alarm a, b, c;

    (void)state;
    alarm_init(&a);
    alarm_init(&b);
    alarm_init(&c);
    assert_true(timer_queue_next(&queue) == TIMER_NEVER);
    timer_arm(&a.timer, 30);
    timer_arm(&b.timer, 10);
    timer_arm(&c.timer, 30);
    assert_int_equal(timer_queue_next(&queue), 10);
    assert_int_equal(changes, 2);
    timer_queue_run(&queue, 9);
    assert_int_equal(ran, 0);
    timer_queue_run(&queue, 100);
    assert_int_equal(ran, 3);
    assert_ptr_equal(order[0], &b);
    assert_ptr_equal(order[1], &a);
    assert_ptr_equal(order[2], &c);
    assert_int_equal(c.ran_at, 100);
    assert_true(timer_queue_next(&queue) == TIMER_NEVER);
}

static void test_move_and_disarm(void **state)
{
    struct alarm a, b;

    (void)state;
    alarm_init(&a);
    alarm_init(&b);
    timer_arm(&a.timer, 10);
    timer_arm(&b.timer, 20);
    timer_arm(&a.timer, 30);
    assert_int_equal(timer_queue_next(&queue), 20);
    timer_disarm(&b.timer);
    timer_disarm(&b.timer);
    assert_int_equal(timer_queue_next(&queue), 30);
    timer_queue_run(&queue, 29);
    assert_int_equal(ran, 0);
    timer_arm(&a.timer, TIMER_NEVER);
    timer_queue_run(&queue, UINT64_MAX - 1);
    assert_int_equal(ran, 0);
    /* Only a deadline that got earlier is news. */
    assert_int_equal(changes, 1);
}

static void test_rearm_in_callback(void **state)
{
    struct alarm a;

    (void)state;
    alarm_init(&a);
    a.again = 5;
    timer_arm(&a.timer, 10);
    timer_queue_run(&queue, 12);
    assert_int_equal(a.runs, 1);
    assert_int_equal(timer_queue_next(&queue), 17);
    timer_queue_run(&queue, 17);
    assert_int_equal(a.runs, 2);
}

static void test_random(void **state)
{
    struct alarm alarms[16];
    uint64_t random = 4711, now = 0;

    (void)state;
    for (uint32_t i = 0; i < ARRAY_SIZE(alarms); i++)
        alarm_init(&alarms[i]);
    for (int step = 0; step < 20000; step++) {
        struct alarm *a = &alarms[support_random(&random) % ARRAY_SIZE(alarms)];
        uint64_t first = TIMER_NEVER;

        if (support_random(&random) % 4)
            timer_arm(&a->timer, now + support_random(&random) % 100);
        else
            timer_disarm(&a->timer);
        now += support_random(&random) % 10;
        timer_queue_run(&queue, now);
        for (uint32_t i = 0; i < ARRAY_SIZE(alarms); i++)
            first = MIN(first, alarms[i].timer.deadline);
        assert_true(first > now);
        assert_true(timer_queue_next(&queue) == first);
    }
    assert_true(ran > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_order, start),
        cmocka_unit_test_setup(test_move_and_disarm, start),
        cmocka_unit_test_setup(test_rearm_in_callback, start),
        cmocka_unit_test_setup(test_random, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
