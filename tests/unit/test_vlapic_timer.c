#include "tests/unit/vlapic_bench.h"

#define VECTOR 0xec
#define TICK   VLAPIC_TICK_NS

/* True, once, if the timer has interrupted. */
static bool ticked(void)
{
    if (vlapic_peek(&apic) != VECTOR)
        return false;
    vlapic_accept(&apic, VECTOR);
    vlapic_eoi(&apic);
    return true;
}

static void test_one_shot(void **state)
{
    (void)state;
    mmio_write(0x3e0, 0x0b); /* divide by 1 */
    mmio_write(0x320, VECTOR);
    mmio_write(0x380, 1000);
    bench_wait(TICK - 1);
    assert_int_equal(mmio_read(0x390), 1000);
    bench_wait(1);
    assert_int_equal(mmio_read(0x390), 999);
    bench_wait(999 * TICK - 1);
    assert_int_equal(mmio_read(0x390), 1);
    assert_false(ticked());
    bench_wait(1);
    assert_int_equal(mmio_read(0x390), 0);
    assert_true(ticked());
    bench_wait(NS_PER_SEC);
    assert_false(ticked());
    assert_int_equal(mmio_read(0x380), 1000);
    assert_true(timer_queue_next(&bench_timers) == TIMER_NEVER);
    mmio_write(0x380, 1000);
    mmio_write(0x380, 0);
    assert_int_equal(mmio_read(0x390), 0);
    bench_wait(NS_PER_SEC);
    assert_false(ticked());
}

static void test_divide(void **state)
{
    static const uint32_t shifts[16] = {
        [0] = 1, [1] = 2, [2] = 3, [3] = 4, [8] = 5, [9] = 6, [10] = 7, [11] = 0};

    (void)state;
    mmio_write(0x320, VECTOR);
    for (uint32_t divide = 0; divide < 16; divide++) {
        if (divide & 4)
            continue;
        mmio_write(0x3e0, divide);
        assert_int_equal(mmio_read(0x3e0), divide);
        mmio_write(0x380, 10);
        bench_wait((10ull << shifts[divide]) * TICK - 1);
        assert_false(ticked());
        bench_wait(1);
        assert_true(ticked());
    }
    /* Changed on the way: the count goes on at the new rate. */
    mmio_write(0x3e0, 0x0b);
    mmio_write(0x380, 1000);
    bench_wait(600 * TICK);
    mmio_write(0x3e0, 0);
    assert_int_equal(mmio_read(0x390), 400);
    bench_wait(800 * TICK - 1);
    assert_false(ticked());
    bench_wait(1);
    assert_true(ticked());
}

/* The count goes on in the new mode, and what has ended stays so until an initial count is written. */
static void test_mode_changes(void **state)
{
    (void)state;
    mmio_write(0x3e0, 0x0b);
    mmio_write(0x320, 0x20000 | VECTOR);
    mmio_write(0x380, 1000);
    bench_wait(2300 * TICK);
    assert_true(ticked());
    mmio_write(0x320, VECTOR);
    assert_int_equal(mmio_read(0x390), 700);
    bench_wait(200 * TICK);
    mmio_write(0x320, 0x20000 | VECTOR);
    assert_int_equal(mmio_read(0x390), 500);
    mmio_write(0x320, VECTOR);
    bench_wait(500 * TICK);
    assert_true(ticked());
    bench_wait(300 * TICK);
    mmio_write(0x320, 0x20000 | VECTOR);
    bench_wait(NS_PER_SEC);
    assert_int_equal(mmio_read(0x390), 0);
    mmio_write(0x3e0, 0x0);
    assert_int_equal(mmio_read(0x390), 0);
    assert_int_equal(mmio_read(0x380), 1000);
    assert_false(ticked());
    mmio_write(0x380, 1000);
    bench_wait(2000 * TICK);
    assert_true(ticked());
}

/* The longest count: 2^32 - 1 ticks, divided by 128. */
static void test_longest(void **state)
{
    const uint64_t length = (uint64_t)UINT32_MAX * 128 * TICK;

    (void)state;
    mmio_write(0x3e0, 0x0a);
    mmio_write(0x320, VECTOR);
    mmio_write(0x380, UINT32_MAX);
    bench_wait(length - 1);
    assert_int_equal(mmio_read(0x390), 1);
    assert_false(ticked());
    bench_wait(1);
    assert_int_equal(mmio_read(0x390), 0);
    assert_true(ticked());
}

/* What software that trusts CPUID computes: a second is VLAPIC_HZ ticks, to the ns and for an hour. */
static void test_periodic_does_not_drift(void **state)
{
    uint64_t began = bench_now;

    (void)state;
    mmio_write(0x3e0, 0x0b);
    mmio_write(0x320, 0x20000 | VECTOR);
    mmio_write(0x380, VLAPIC_HZ / 250);
    for (uint64_t i = 1; i <= 250 * 3600; i += 997) {
        bench_wait(began + i * 4 * MS - bench_now);
        assert_int_equal(mmio_read(0x390), VLAPIC_HZ / 250);
        assert_true(ticked());
    }
}

static void test_periodic(void **state)
{
    int ticks = 0;

    (void)state;
    mmio_write(0x3e0, 0x0b);
    mmio_write(0x320, 0x20000 | VECTOR);
    mmio_write(0x380, MS / TICK);
    for (int i = 0; i < 1000; i++) {
        bench_wait(MS);
        ticks += ticked();
    }
    assert_int_equal(ticks, 1000);
    bench_wait(MS / 4);
    assert_int_equal(mmio_read(0x390), MS / TICK * 3 / 4);
    /* Late ones are not repeated, and the phase stays. */
    bench_stall(10 * MS);
    assert_true(ticked());
    bench_wait(MS * 3 / 4 - 1);
    assert_false(ticked());
    bench_wait(1);
    assert_true(ticked());
    /* Masked: nothing runs; unmasked: goes on in phase. */
    mmio_write(0x320, 0x30000 | VECTOR);
    assert_true(timer_queue_next(&bench_timers) == TIMER_NEVER);
    bench_wait(5 * MS + MS / 2);
    mmio_write(0x320, 0x20000 | VECTOR);
    assert_false(ticked());
    bench_wait(MS / 2);
    assert_true(ticked());
    mmio_write(0x380, 1); /* far too fast */
    ticks = 0;
    for (int i = 0; i < 1000; i++) {
        bench_wait(10 * US);
        ticks += ticked();
    }
    assert_in_range(ticks, 90, 102);
}

static void test_deadline(void **state)
{
    uint64_t deadline = bench_tsc() + 2500;

    (void)state;
    vlapic_set_deadline(&apic, deadline, bench_tsc()); /* not in that mode */
    assert_int_equal(vlapic_deadline(&apic, bench_tsc()), 0);
    mmio_write(0x320, 0x40000 | VECTOR);
    mmio_write(0x380, 77);
    assert_int_equal(mmio_read(0x380), 0);
    vlapic_set_deadline(&apic, deadline, bench_tsc());
    assert_true(vlapic_deadline(&apic, bench_tsc()) == deadline);
    apic_wait(999);
    assert_false(ticked());
    apic_wait(2);
    assert_true(bench_tsc() >= deadline);
    assert_true(ticked());
    assert_int_equal(vlapic_deadline(&apic, bench_tsc()), 0);
    vlapic_set_deadline(&apic, 1, bench_tsc()); /* long past: at once */
    assert_true(ticked());
    assert_int_equal(vlapic_deadline(&apic, bench_tsc()), 0);
    vlapic_set_deadline(&apic, bench_tsc() + 2500, bench_tsc());
    vlapic_set_deadline(&apic, 0, bench_tsc());
    apic_wait(NS_PER_SEC);
    assert_false(ticked());
    vlapic_set_deadline(&apic, UINT64_MAX, bench_tsc());
    assert_true(alarm_at == TIMER_NEVER);
    assert_true(vlapic_deadline(&apic, bench_tsc()) == UINT64_MAX);
    mmio_write(0x320, VECTOR); /* leaving the mode disarms */
    assert_int_equal(vlapic_deadline(&apic, bench_tsc()), 0);
}

/* Whatever the TSC's rate, no tick is lost in between. */
static void test_alarm_is_the_deadline(void **state)
{
    uint64_t random = 31;

    (void)state;
    mmio_write(0x320, 0x40000 | VECTOR);
    for (int i = 0; i < 20000; i++) {
        uint64_t deadline = bench_tsc() + 1 +
                            (support_random(&random) >> (20 + support_random(&random) % 40));

        vlapic_set_deadline(&apic, deadline, bench_tsc());
        assert_true(alarm_at == deadline);
        assert_int_equal(timer_queue_next(&bench_timers), TIMER_NEVER);
        vlapic_deadline_due(&apic);
        assert_true(ticked());
        vlapic_deadline_due(&apic); /* of an alarm that wasn't turned off */
        assert_false(ticked());
        bench_now += support_random(&random) % MS;
    }
}

static void tsc_moves(uint64_t by)
{
    tsc_adjust += by;
    vlapic_tsc_moved(&apic);
}

static void test_tsc_adjust_moves_the_deadline(void **state)
{
    (void)state;
    mmio_write(0x320, 0x40000 | VECTOR);
    vlapic_set_deadline(&apic, bench_tsc() + 25000, bench_tsc());
    tsc_moves(-10000ull); /* the TSC goes back: 4 us later */
    apic_wait(13999);
    assert_false(ticked());
    apic_wait(3);
    assert_true(ticked());
    vlapic_set_deadline(&apic, bench_tsc() + 25000, bench_tsc());
    tsc_moves(25000);
    assert_true(ticked());
}

static void test_masked_deadline_is_gone(void **state)
{
    (void)state;
    mmio_write(0x320, 0x50000 | VECTOR);
    vlapic_set_deadline(&apic, bench_tsc() + 2500, bench_tsc());
    apic_wait(2000);
    assert_int_equal(vlapic_deadline(&apic, bench_tsc()), 0);
    mmio_write(0x320, 0x40000 | VECTOR);
    apic_wait(MS);
    assert_false(ticked());
}

/* Due, but not yet run when the guest masks or reprograms: it has happened. */
static void test_late_but_not_lost(void **state)
{
    (void)state;
    mmio_write(0x3e0, 0x0b);
    mmio_write(0x320, VECTOR);
    mmio_write(0x380, 1000);
    bench_now += 1001 * TICK;
    mmio_write(0x320, 0x10000 | VECTOR);
    assert_true(ticked());
    mmio_write(0x320, 0x40000 | VECTOR);
    vlapic_set_deadline(&apic, bench_tsc() + 2500, bench_tsc());
    bench_now += 2000;
    assert_int_equal(vlapic_deadline(&apic, bench_tsc()), 0);
    assert_true(ticked());
}

static void test_modes_that_are_not_there(void **state)
{
    (void)state;
    mmio_write(0x320, 0x60000 | VECTOR);
    assert_int_equal(mmio_read(0x320), VECTOR);
    apic.config.tsc_deadline = false;
    mmio_write(0x320, 0x40000 | VECTOR);
    assert_int_equal(mmio_read(0x320), VECTOR);
}

static void test_reset_stops(void **state)
{
    (void)state;
    mmio_write(0x320, 0x20000 | VECTOR);
    mmio_write(0x380, 1000);
    vlapic_receive_init(&apic);
    assert_true(timer_queue_next(&bench_timers) == TIMER_NEVER);
    assert_int_equal(mmio_read(0x380), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_one_shot, start),
        cmocka_unit_test_setup(test_divide, start),
        cmocka_unit_test_setup(test_mode_changes, start),
        cmocka_unit_test_setup(test_longest, start),
        cmocka_unit_test_setup(test_periodic, start),
        cmocka_unit_test_setup(test_periodic_does_not_drift, start),
        cmocka_unit_test_setup(test_deadline, start),
        cmocka_unit_test_setup(test_alarm_is_the_deadline, start),
        cmocka_unit_test_setup(test_tsc_adjust_moves_the_deadline, start),
        cmocka_unit_test_setup(test_masked_deadline_is_gone, start),
        cmocka_unit_test_setup(test_late_but_not_lost, start),
        cmocka_unit_test_setup(test_modes_that_are_not_there, start),
        cmocka_unit_test_setup(test_reset_stops, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
