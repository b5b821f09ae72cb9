#include "core/lib/string.h"

#include "tests/unit/support.h"

static void test_compare(void **state)
{
    (void)state;
    assert_int_equal(str_len(""), 0);
    assert_int_equal(str_len("abc"), 3);
    assert_int_equal(str_nlen("abc", 2), 2);
    assert_int_equal(str_nlen("abc", 9), 3);
    assert_true(str_eq("", ""));
    assert_true(str_eq("ab", "ab"));
    assert_false(str_eq("ab", "abc"));
    assert_false(str_eq("abc", "ab"));
    assert_false(str_eq("abd", "abc"));
    assert_true(str_starts("keel.conf", "keel"));
    assert_true(str_starts("keel", ""));
    assert_false(str_starts("kee", "keel"));
    assert_false(str_starts("kexl", "keel"));
}

static void test_copy(void **state)
{
    (void)state;
    char buf[4] = "zzz";

    assert_true(str_copy(buf, "abc", sizeof(buf)));
    assert_string_equal(buf, "abc");
    assert_false(str_copy(buf, "wxyz", sizeof(buf)));
    assert_string_equal(buf, "wxy");
    assert_true(str_copy(buf, "", 1));
    assert_string_equal(buf, "");
    assert_false(str_copy(buf, "a", 0));
}

static void test_find(void **state)
{
    (void)state;
    const char *s = "a=b=c";

    assert_ptr_equal(str_find(s, '='), s + 1);
    assert_null(str_find(s, 'z'));
    assert_ptr_equal(str_find(s, '\0'), s + 5);
}

struct number {
    const char *text;
    bool size, valid;
    uint64_t value;
};

static void test_number(void **state)
{
    (void)state;
    static const struct number numbers[] = {
        {"0", false, true, 0},
        {"42", false, true, 42},
        {"0x1F", false, true, 31},
        {"0X1f", false, true, 31},
        {"18446744073709551615", false, true, UINT64_MAX},
        {"0xffffffffffffffff", false, true, UINT64_MAX},
        {"512M", true, true, 512 * MiB},
        {"2g", true, true, 2 * GiB},
        {"0x10k", true, true, 16 * KiB},
        {"17179869183G", true, true, 17179869183 * GiB},
        {"17179869184G", true, false, 0},
        {"18446744073709551616", false, false, 0},
        {"0x10000000000000000", false, false, 0},
        {"512M", false, false, 0},
        {"512MB", true, false, 0},
        {"", false, false, 0},
        {"0x", false, false, 0},
        {"K", true, false, 0},
        {"-1", false, false, 0},
        {" 1", false, false, 0},
        {"1 ", false, false, 0},
        {"12a", false, false, 0},
        {"1.5G", true, false, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        uint64_t value = 77;
        assert_int_equal(str_number(numbers[i].text, numbers[i].size, &value), numbers[i].valid);
        assert_int_equal(value, numbers[i].valid ? numbers[i].value : 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
