#include "core/lib/scale.h"

#include "tests/unit/support.h"

/* The exact quotient, which the host can compute with its 128-bit division. */
static uint64_t exact(uint64_t ticks, uint64_t from, uint64_t to)
{
    return (uint64_t)((unsigned __int128)ticks * to / from);
}

static void test_identity(void **state)
{
    (void)state;
    struct scale s = scale_make(NS_PER_SEC, NS_PER_SEC);

    assert_int_equal(scale_apply(s, 0), 0);
    assert_int_equal(scale_apply(s, 123456789), 123456789);
    assert_int_equal(scale_apply(s, UINT64_MAX), UINT64_MAX);
}

static void test_known_rates(void **state)
{
    (void)state;
    const uint64_t rates[] = {1,        1000,       32768,      1193182,    3579545,
                              24000000, NS_PER_SEC, 2893299000, 5000000000, BIT(40) - 1};
    const uint64_t ticks[] = {0, 1, 1000, NS_PER_SEC, BIT(40), BIT(50)};

    for (size_t from = 0; from < ARRAY_SIZE(rates); from++)
        for (size_t to = 0; to < ARRAY_SIZE(rates); to++)
            for (size_t i = 0; i < ARRAY_SIZE(ticks); i++) {
                if ((unsigned __int128)ticks[i] * rates[to] / rates[from] > UINT64_MAX >> 1)
                    continue;
                struct scale s = scale_make(rates[from], rates[to]);
                uint64_t want = exact(ticks[i], rates[from], rates[to]);
                uint64_t got = scale_apply(s, ticks[i]);
                assert_true(s.shift < 64);
                assert_true(got <= want);
                /* the last bit of mult is worth 2^-shift ticks each */
                assert_true(want - got <= (s.shift == 63 ? 1 + (ticks[i] >> 63) : 1 + (ticks[i] >> s.shift)));
            }
}

static void test_no_drift(void **state)
{
    (void)state;
    /* Ten years of a 3 GHz TSC in ns: off by less than a microsecond. */
    uint64_t hz = 3000000001, seconds = 10ull * 365 * 86400;
    struct scale s = scale_make(hz, NS_PER_SEC);

    assert_in_range(seconds * NS_PER_SEC - scale_apply(s, hz * seconds), 0, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_known_rates),
        cmocka_unit_test(test_no_drift),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
