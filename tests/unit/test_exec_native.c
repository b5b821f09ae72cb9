/* The executor against the processor that runs this test. KEEL_SEED in the environment gives other cases. */
#define NATIVE_FAIL(text) fail_msg("%s", text)

#include "tests/unit/native_bench.h"

#define CASES 200000
#define IRETS 20000

static void test_against_processor(void **state)
{
    uint32_t done[ARRAY_SIZE(forms)] = {0};

    (void)state;
    signals_take();
    for (uint32_t i = 0; i < CASES; i++)
        done[i % ARRAY_SIZE(forms)] += native_case(&forms[i % ARRAY_SIZE(forms)]);
    for (uint32_t i = 0; i < ARRAY_SIZE(forms); i++)
        if (!done[i])
            print_message("%s: this processor doesn't have it\n", forms[i].name);
}

static void test_iret_against_processor(void **state)
{
    (void)state;
    signals_take();
    for (uint32_t i = 0; i < IRETS; i++)
        iret_case();
}

static int setup(void **state)
{
    const char *given = getenv("KEEL_SEED");

    (void)state;
    seed = given ? strtoull(given, NULL, 0) : 0x6b65656c;
    print_message("seed %#lx\n", seed);
    return native_set_up() ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_processor),
        cmocka_unit_test(test_iret_against_processor),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
