#include "core/lib/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/support.h"

/* Formats with ours and with the C library's, and wants the same text and the same length. */
#define SAME(...)                                                                                            \
    do {                                                                                                     \
        char ours[128], theirs[128];                                                                         \
        int n = fmt_print(ours, sizeof(ours), __VA_ARGS__);                                                  \
        int m = snprintf(theirs, sizeof(theirs), __VA_ARGS__);                                               \
        assert_string_equal(ours, theirs);                                                                   \
        assert_int_equal(n, m);                                                                              \
    } while (0)

#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-overflow"
#pragma GCC diagnostic ignored "-Wformat-zero-length"

static void test_quote(void **state)
{
    char text[8];

    (void)state;
    assert_string_equal(fmt_quote(text, sizeof(text), "a b"), "a b");
    assert_string_equal(fmt_quote(text, sizeof(text), "\"\\x"), "\\\"\\\\x");
    assert_string_equal(fmt_quote(text, sizeof(text), "12345678"), "1234567");
    assert_string_equal(fmt_quote(text, sizeof(text), "123456\""), "123456"); /* not half of it */
    assert_string_equal(fmt_quote(text, 1, "x"), "");
}

static void test_integers(void **state)
{
    (void)state;
    const long long values[] = {0, 1, -1, 9, 10, 255, 65536, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        long long v = values[i];
        SAME("%d %i %u %x %X %o", (int)v, (int)v, (unsigned)v, (unsigned)v, (unsigned)v, (unsigned)v);
        SAME("%ld %lu %lx %lo %zu", (long)v, (unsigned long)v, (unsigned long)v, (unsigned long)v, (size_t)v);
        SAME("%lld %llu %llx", v, (unsigned long long)v, (unsigned long long)v);
        SAME("%hhd %hhu %hhx %hd %hu %hx", (int)v, (unsigned)v, (unsigned)v, (int)v, (unsigned)v,
             (unsigned)v);
        SAME("[%12lld] [%-12lld] [%012lld] [%.5lld] [%12.5lld] [%-12.5lld]", v, v, v, v, v, v);
        SAME("[%#x] [%#10x] [%#010x] [%-#10x] [%#X]", (unsigned)v, (unsigned)v, (unsigned)v, (unsigned)v,
             (unsigned)v);
        SAME("[%*d] [%*d] [%.*d]", 8, (int)v, -8, (int)v, 4, (int)v);
    }
    SAME("[%.0d] [%.0x]", 0, 0);
}

static void test_strings(void **state)
{
    (void)state;
    SAME("%s|%8s|%-8s|%.2s|%8.2s|%-8.2s|%.*s", "keel", "keel", "keel", "keel", "keel", "keel", 3, "keel");
    SAME("%c|%4c|%-4c|%%|100%%", 'a', 'b', 'c');
    SAME("");
    SAME("plain");

    const char unterminated[3] = {'a', 'b', 'c'};
    char buf[8];
    fmt_print(buf, sizeof(buf), "%.3s", unterminated);
    assert_string_equal(buf, "abc");
    fmt_print(buf, sizeof(buf), "%s", NULL);
    assert_string_equal(buf, "(null)");
    fmt_print(buf, sizeof(buf), "%p", (void *)0xabc);
    assert_string_equal(buf, "0xabc");
}

static void test_truncation(void **state)
{
    (void)state;
    char buf[6];

    memset(buf, 'z', sizeof(buf));
    assert_int_equal(fmt_print(buf, 4, "%s", "abcdef"), 6);
    assert_memory_equal(buf, "abc\0zz", 6);
    assert_int_equal(fmt_print(buf, 1, "%d", 12345), 5);
    assert_int_equal(buf[0], 0);
    assert_int_equal(fmt_print(NULL, 0, "%s-%d", "abc", 7), 5);
    assert_int_equal(fmt_print(buf, sizeof(buf), "%30d", 1), 30);
    assert_string_equal(buf, "     ");
}

static void test_odd_formats(void **state)
{
    (void)state;
    char buf[16];

    fmt_print(buf, sizeof(buf), "a%");
    assert_string_equal(buf, "a");
    fmt_print(buf, sizeof(buf), "a%5");
    assert_string_equal(buf, "a");
    fmt_print(buf, sizeof(buf), "%k");
    assert_string_equal(buf, "k");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quote),      cmocka_unit_test(test_integers),    cmocka_unit_test(test_strings),
        cmocka_unit_test(test_truncation), cmocka_unit_test(test_odd_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
