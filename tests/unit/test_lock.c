/* Locks: who gets them in which order, and that nobody else does meanwhile. */
#include "core/lib/lock.h"

#include <pthread.h>

#include "tests/unit/support.h"

#define THREADS 4
#define ROUNDS  20000

static struct lock lock;
static uint64_t count;

static void test_free_and_held(void **state)
{
    (void)state;
    assert_false(lock_held(&lock));
    lock_take(&lock);
    assert_true(lock_held(&lock));
    assert_false(lock_try(&lock));
    lock_drop(&lock);
    assert_true(lock_try(&lock));
    lock_drop(&lock);
    assert_false(lock_held(&lock));
    assert_int_equal(lock.waits | lock.spins, 0); /* one that was tried for is none that was waited for */
}

static void *adder(void *arg)
{
    for (uint32_t i = 0; i < ROUNDS; i++) {
        lock_take(&lock);
        count = *(volatile uint64_t *)&count + 1;
        lock_drop(&lock);
    }
    return arg;
}

static void add_from_all(void)
{
    pthread_t threads[THREADS];

    count = 0;
    for (uint32_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, adder, NULL), 0);
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(count, THREADS * ROUNDS);
    assert_false(lock_held(&lock));
}

/* One that waits, first in line. */
static void *taker(void *arg)
{
    lock_take(&lock);
    count++;
    lock_drop(&lock);
    return arg;
}

/* Behind one that waits, another one has to wait, too, although nobody holds the lock. */
static void test_queue(void **state)
{
    pthread_t first;
    uint32_t next;

    (void)state;
    count = 0;
    lock_take(&lock);
    next = lock.next;
    assert_int_equal(pthread_create(&first, NULL, taker, NULL), 0);
    while (__atomic_load_n(&lock.next, __ATOMIC_SEQ_CST) == next)
        ;
    for (uint32_t i = 0; i < ROUNDS; i++)
        sched_yield();
    lock_drop(&lock);
    lock_take(&lock);
    assert_int_equal(count, 1);
    assert_in_range(lock.waits, 1, 2); /* the other one, and we perhaps */
    assert_true(lock.spins > 0);
    lock_drop(&lock);
    pthread_join(first, NULL);
}

static void test_fair(void **state)
{
    (void)state;
    add_from_all();
}

static void test_names(void **state)
{
    static const struct lock other, many[100];
    const char *name = NULL;

    (void)state;
    lock_name(&lock, "first");
    lock_name(&other, "other");
    lock_name(&lock, "again");
    assert_ptr_equal(lock_named(0, &name), &lock);
    assert_string_equal(name, "again");
    assert_ptr_equal(lock_named(1, &name), &other);
    assert_null(lock_named(2, &name));
    for (uint32_t i = 0; i < ARRAY_SIZE(many); i++)
        lock_name(&many[i], "too many");
    for (uint32_t i = 0; lock_named(i, &name); i++)
        assert_true(i < ARRAY_SIZE(many));
    assert_null(lock_named(UINT32_MAX, &name));
}

/* Who waits is in no queue: the next comer may be sooner. Comes last. */
static void test_unfair(void **state)
{
    pthread_t first;

    (void)state;
    lock_be_unfair();
    count = 0;
    lock_take(&lock);
    assert_int_equal(pthread_create(&first, NULL, taker, NULL), 0);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        assert_int_equal(lock.next - lock.serving, 1);
        sched_yield();
    }
    lock_drop(&lock);
    pthread_join(first, NULL);
    assert_int_equal(count, 1);
    add_from_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_free_and_held), cmocka_unit_test(test_queue),  cmocka_unit_test(test_names),
        cmocka_unit_test(test_fair),          cmocka_unit_test(test_unfair),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
