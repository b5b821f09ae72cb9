#include "drivers/virt/vexit.h"

#include "tests/unit/support.h"

static uint32_t calls, last;

static void on_exit(void *ctx, uint32_t value)
{
    assert_ptr_equal(ctx, &calls);
    calls++;
    last = value;
}

static void test_values(void **state)
{
    static const struct {
        uint32_t size, value;
    } rows[] = {{1, 0}, {1, 0xff}, {2, 0x1234}, {4, 0xfedcba98}};
    struct vexit port;

    (void)state;
    vexit_init(&port, on_exit, &calls);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct bus_access access = {.size = rows[i].size, .write = true, .value = rows[i].value};

        assert_int_equal(vexit_ports(&port, &access), BUS_OK);
        assert_int_equal(calls, i + 1);
        assert_int_equal(last, rows[i].value);
    }
}

static void test_other_accesses(void **state)
{
    struct vexit port;
    struct bus_access read = {.size = 4, .value = ~0ull};
    struct bus_access above = {.addr = 1, .size = 1, .write = true, .value = 7};

    (void)state;
    vexit_init(&port, on_exit, &calls);
    calls = 0;
    assert_int_equal(vexit_ports(&port, &read), BUS_OK);
    assert_int_equal(read.value, 0);
    assert_int_equal(vexit_ports(&port, &above), BUS_OK);
    assert_int_equal(calls, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_other_accesses)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
