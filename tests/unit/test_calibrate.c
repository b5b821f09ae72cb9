#include "drivers/hw/calibrate.h"

#include "tests/unit/support.h"

/*
 * A machine whose time passes only while something is read: in picoseconds, so that all rates come out
 * exactly.
 */
static struct machine {
    unsigned __int128 ps;
    uint64_t tsc_hz, timer_hz;
    uint64_t mask, first;
    uint64_t tsc_ps, read_ps; /* what a read takes */
    uint64_t quantum_ps;      /* the timer moves only so often */
    uint64_t noise_ps;        /* up to so much is lost, */
    uint32_t noise_each;      /* once in so many reads */
    uint64_t seed;
    bool dead;
    uint64_t drift_ppm; /* the TSC gets faster by that much each ms */
} m;

static void pass(uint64_t ps)
{
    m.ps += ps;
    if (m.noise_each && support_random(&m.seed) % m.noise_each == 0)
        m.ps += support_random(&m.seed) % m.noise_ps;
}

static uint64_t at_rate(unsigned __int128 ps, uint64_t hz)
{
    return (uint64_t)(ps * hz / 1000000000000ull);
}

static uint64_t read_tsc(void *ctx)
{
    uint64_t tsc;

    assert_ptr_equal(ctx, &m);
    tsc = at_rate(m.ps, m.tsc_hz);
    pass(m.tsc_ps);
    return tsc + (uint64_t)((unsigned __int128)tsc * m.drift_ppm * (uint64_t)(m.ps / 1000000000) / 1000000);
}

static uint64_t read_timer(void *ctx)
{
    unsigned __int128 at;

    assert_ptr_equal(ctx, &m);
    pass(m.read_ps / 2);
    at = m.quantum_ps ? m.ps / m.quantum_ps * m.quantum_ps : m.ps;
    pass(m.read_ps / 2);
    return m.dead ? 7 : (m.first + at_rate(at, m.timer_hz)) & m.mask;
}

static uint64_t measure(void)
{
    struct calibrate_timer timer = {m.timer_hz, m.mask, read_timer, read_tsc, &m};

    return calibrate(&timer);
}

static void assert_measured(uint64_t ppm, uint64_t ms)
{
    uint64_t hz = measure();

    if (!calibrate_agree(hz, m.tsc_hz, ppm))
        fail_msg("measured %llu instead of %llu Hz", (unsigned long long)hz, (unsigned long long)m.tsc_hz);
    assert_true(m.ps <= ms * (unsigned __int128)1000000000);
}

/* A PC: slow buses, no noise; the timer wraps on the way. */
static void test_real_machines(void **state)
{
    (void)state;
    m = (struct machine){.tsc_hz = 3600000000,
                         .timer_hz = 3579545,
                         .mask = 0xffffff,
                         .first = 0xfffff0,
                         .tsc_ps = 7000,
                         .read_ps = 1000000};
    assert_measured(200, 15);
    m = (struct machine){.tsc_hz = 2100000000,
                         .timer_hz = 14318180,
                         .mask = 0xffffffff,
                         .first = 0xfffffff0,
                         .tsc_ps = 7000,
                         .read_ps = 500000};
    assert_measured(200, 15);
    m = (struct machine){.tsc_hz = 800000000,
                         .timer_hz = 1193182,
                         .mask = 0xffff,
                         .first = 0xff00,
                         .tsc_ps = 20000,
                         .read_ps = 3000000};
    assert_measured(400, 16);
}

/* One instruction is 1 ns, and the timers are as exact: it takes 1 ms with a HPET, as little as may be. */
static void test_counting_emulator(void **state)
{
    (void)state;
    m = (struct machine){
        .tsc_hz = 1000000000, .timer_hz = 100000000, .mask = 0xffffffff, .tsc_ps = 5000, .read_ps = 5000};
    assert_measured(200, 2);
    m.timer_hz = 3579545;
    m.mask = 0xffffff;
    m.ps = 0;
    assert_measured(200, 10);
}

/*
 * The emulated machine runs at 100 million instructions a second, and its timers move in whole microseconds.
 */
static void test_coarse_emulator(void **state)
{
    (void)state;
    for (uint64_t hz = 10000000; hz <= 400000000; hz *= 2) {
        m = (struct machine){.tsc_hz = hz,
                             .timer_hz = 3579545,
                             .mask = 0xffffff,
                             .quantum_ps = 1000000,
                             .tsc_ps = 1000000000000ull / hz * 4,
                             .read_ps = 1000000000000ull / hz * 4};
        assert_measured(400, 15);
    }
}

/* Interruptions of up to 20 us, as by the other threads of a busy host. */
static void test_noise(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 50; seed++) {
        m = (struct machine){.tsc_hz = 2400000000,
                             .timer_hz = 100000000,
                             .mask = 0xffffffff,
                             .tsc_ps = 20000,
                             .read_ps = 400000,
                             .noise_ps = 20000000,
                             .noise_each = 20,
                             .seed = seed};
        assert_measured(500, 30);
    }
}

/*
 * The other way round: the rate of a LAPIC's timer, which takes microseconds to read, by a TSC; in a virtual machine whose
 * host takes its core away for milliseconds, now and then between two reads that are to be of one moment.
 */
static void test_standing_still(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 200; seed++) {
        m = (struct machine){.tsc_hz = 1000000000,
                             .timer_hz = 2596000000 >> 2,
                             .mask = MASK(62),
                             .tsc_ps = 5000000,
                             .read_ps = 20000,
                             .noise_ps = 8000000000,
                             .noise_each = 300,
                             .seed = seed};
        assert_measured(500, 400);
    }
}

static void test_dead_timer(void **state)
{
    (void)state;
    m = (struct machine){.tsc_hz = 1000000000,
                         .timer_hz = 3579545,
                         .mask = 0xffffff,
                         .tsc_ps = 10000,
                         .read_ps = 1000000,
                         .dead = true};
    assert_int_equal(measure(), 0);
    assert_true(m.ps < (unsigned __int128)10 * 1000000000);
}

/* Runs that don't agree are no result. */
static void test_unsteady_tsc(void **state)
{
    (void)state;
    m = (struct machine){.tsc_hz = 1000000000,
                         .timer_hz = 3579545,
                         .mask = 0xffffff,
                         .tsc_ps = 10000,
                         .read_ps = 1000000,
                         .drift_ppm = 5000};
    assert_int_equal(measure(), 0);
}

static void test_agree(void **state)
{
    (void)state;
    assert_true(calibrate_agree(1000000, 1000500, 500));
    assert_false(calibrate_agree(1000000, 1000600, 500));
    assert_false(calibrate_agree(0, 1000, 5000));
    assert_true(calibrate_agree(UINT64_MAX, UINT64_MAX, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real_machines),   cmocka_unit_test(test_counting_emulator),
        cmocka_unit_test(test_coarse_emulator), cmocka_unit_test(test_noise),
        cmocka_unit_test(test_dead_timer),      cmocka_unit_test(test_unsteady_tsc),
        cmocka_unit_test(test_agree),           cmocka_unit_test(test_standing_still),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
