/* Limits: what passes in a while is what the rates say, and a burst; and what a limit waits for comes. */
#include "drivers/virt/vlimit.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/support.h"

#define SECOND 1000000000ull

static struct vlimit limit;

static void begin(uint64_t ops, uint64_t bytes)
{
    memset(&limit, 0, sizeof(limit));
    vlimit_set(&limit, &(struct vlimit_rates){ops, bytes});
}

/* As much as it can from `from` to `to`, of operations with so many bytes; returns how many. */
static uint64_t work(uint64_t from, uint64_t to, uint64_t bytes)
{
    uint64_t done = 0, now = from, wait;

    for (; now < to; done++) {
        while ((wait = vlimit_wait(&limit, now))) {
            assert_true(wait > now);
            if (wait >= to)
                return done;
            now = wait;
        }
        vlimit_pay(&limit, now, 1, bytes);
        assert_true(done < 1000000);
    }
    return done;
}

static void near(uint64_t value, uint64_t wanted)
{
    assert_true(value >= wanted && value <= wanted + 2);
}

static void test_rates(void **state)
{
    (void)state;
    begin(0, 0);
    vlimit_pay(&limit, 5, 1000, UINT64_MAX);
    assert_int_equal(vlimit_wait(&limit, 5), 0);
    begin(1000, 0);
    near(work(SECOND, 3 * SECOND, 1 << 20), 2000 + 100);
    near(work(3 * SECOND, 4 * SECOND, 0), 1000); /* the burst is gone */
    near(work(10 * SECOND, 11 * SECOND, 0), 1000 + 100);
    begin(0, 1000000);
    near(work(0, SECOND, 1000), 1000 + 100);
    begin(1000, 1000000); /* the smaller one counts */
    near(work(0, SECOND, 100), 1000 + 100);
    begin(1000, 1000000);
    near(work(0, SECOND, 10000), 100 + 10);
    assert_true(limit.held > 90);
}

/* Something large is begun at once and paid for afterwards. */
static void test_debt(void **state)
{
    (void)state;
    begin(0, 1000);
    assert_int_equal(vlimit_wait(&limit, 0), 0);
    vlimit_pay(&limit, 0, 1, 10000);
    assert_int_equal(vlimit_wait(&limit, 0), 10 * SECOND - SECOND / 10);
    assert_int_equal(vlimit_wait(&limit, 9 * SECOND), 10 * SECOND - SECOND / 10);
    assert_int_equal(vlimit_wait(&limit, 9900000000), 0);
    /* The greatest and the slowest that there are. */
    begin(1, 1);
    vlimit_pay(&limit, SECOND, UINT32_MAX, UINT64_MAX);
    assert_in_range(vlimit_wait(&limit, SECOND), SECOND, BIT(60) + SECOND);
    begin(VLIMIT_RATE_MAX, VLIMIT_RATE_MAX);
    vlimit_pay(&limit, SECOND, 1, 1);
    assert_int_equal(vlimit_wait(&limit, SECOND), 0);
}

/* A new limit, and a VM's time that begins anew, know nothing of old debts. */
static void test_changes(void **state)
{
    (void)state;
    begin(1, 0);
    vlimit_pay(&limit, 5 * SECOND, 100, 0);
    assert_true(vlimit_wait(&limit, 6 * SECOND) > 90 * SECOND);
    vlimit_set(&limit, &(struct vlimit_rates){1, 0});
    assert_int_equal(vlimit_wait(&limit, 6 * SECOND), 0);
    vlimit_pay(&limit, 6 * SECOND, 100, 0);
    assert_int_equal(vlimit_wait(&limit, SECOND), 0);
    vlimit_set(&limit, &(struct vlimit_rates){0, 0});
    vlimit_pay(&limit, SECOND, 100, 0);
    assert_int_equal(vlimit_wait(&limit, SECOND), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_debt),
        cmocka_unit_test(test_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
