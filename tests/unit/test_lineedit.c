#include "core/lineedit.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/support.h"

static struct lineedit edit;

static int set_up(void **state)
{
    (void)state;
    lineedit_init(&edit);
    return 0;
}

/* Types keys; the result of the last one. */
static enum lineedit_result type(const char *keys)
{
    enum lineedit_result result = LINEEDIT_NOTHING;

    for (; *keys; keys++)
        result = lineedit_key(&edit, (uint8_t)*keys);
    return result;
}

static void assert_line(const char *text, uint32_t cursor)
{
    assert_string_equal(edit.text, text);
    assert_int_equal(edit.len, strlen(text));
    assert_int_equal(edit.cursor, cursor);
}

static void enter(const char *line)
{
    type(line);
    lineedit_remember(&edit);
    lineedit_clear(&edit);
}

static void test_insert(void **state)
{
    (void)state;
    assert_int_equal(type("ac"), LINEEDIT_CHANGED);
    assert_int_equal(type("\x1b[D"), LINEEDIT_CHANGED);
    type("b");
    assert_line("abc", 2);
    assert_int_equal(type("\x80"), LINEEDIT_NOTHING);
    assert_int_equal(type("\xff"), LINEEDIT_NOTHING);
    assert_line("abc", 2);
}

static void test_moves(void **state)
{
    static const struct {
        const char *keys;
        uint32_t cursor;
    } rows[] = {
        {"\x01", 0},    {"\x05", 5},    {"\x1b[H", 0}, {"\x1b[F", 5}, {"\x1b[1~", 0},   {"\x1b[4~", 5},
        {"\x1b[7~", 0}, {"\x1b[8~", 5}, {"\x1bOH", 0}, {"\x1bOF", 5}, {"\x02\x02", 3},  {"\x06", 4},
        {"\x1b[D", 3},  {"\x1b[C", 4},  {"\x1bOD", 3}, {"\x1bOC", 4}, {"\x1b[1;5D", 3},
    };

    (void)state;
    type("hello");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(type(rows[i].keys), LINEEDIT_CHANGED);
        assert_line("hello", rows[i].cursor);
    }
    type("\x05");
    assert_int_equal(type("\x05"), LINEEDIT_NOTHING);
    assert_int_equal(type("\x1b[C"), LINEEDIT_NOTHING);
    type("\x01");
    assert_int_equal(type("\x1b[D"), LINEEDIT_NOTHING);
}

static void test_deletes(void **state)
{
    (void)state;
    type("one two  three");
    assert_int_equal(type("\x17"), LINEEDIT_CHANGED);
    assert_line("one two  ", 9);
    type("\x17");
    assert_line("one ", 4);
    type("\x7f\b");
    assert_line("on", 2);
    type("\x01\x1b[3~");
    assert_line("n", 0);
    assert_int_equal(type("\x7f"), LINEEDIT_NOTHING);
    type("\x04");
    assert_line("", 0);
    assert_int_equal(type("\x04\x1b[3~\x17\x15\x0b"), LINEEDIT_NOTHING);
    type("left right\x02\x02\x02\x02\x02\x0b");
    assert_line("left ", 5);
    type("right\x02\x02\x15");
    assert_line("ht", 0);
}

static void test_results(void **state)
{
    (void)state;
    assert_int_equal(type("\r"), LINEEDIT_DONE);
    assert_int_equal(type("\n"), LINEEDIT_NOTHING);
    assert_int_equal(type("\n"), LINEEDIT_DONE);
    assert_int_equal(type("\t"), LINEEDIT_TAB);
    assert_int_equal(type("\x03"), LINEEDIT_CANCEL);
    assert_int_equal(type("\x0c"), LINEEDIT_REDRAW);
    assert_line("", 0);
}

static void test_unknown_sequences(void **state)
{
    (void)state;
    type("ab");
    assert_int_equal(type("\x1b[15~"), LINEEDIT_NOTHING);
    assert_int_equal(type("\x1b[99999999999~"), LINEEDIT_NOTHING);
    assert_int_equal(type("\x1b[Z"), LINEEDIT_NOTHING);
    assert_int_equal(type("\x1bOP"), LINEEDIT_NOTHING);
    assert_int_equal(type("\x1bx"), LINEEDIT_NOTHING);
    assert_line("ab", 2);
    type("\x1b[\x7f"
         "c");
    assert_line("ac", 2);
}

static void test_full(void **state)
{
    char all[LINEEDIT_MAX + 1] = "";

    (void)state;
    for (uint32_t i = 0; i < LINEEDIT_MAX; i++)
        assert_int_equal(type("x"), LINEEDIT_CHANGED);
    assert_int_equal(type("x"), LINEEDIT_NOTHING);
    memset(all, 'x', LINEEDIT_MAX);
    assert_line(all, LINEEDIT_MAX);
    assert_false(lineedit_insert(&edit, "y", 1));
    type("\x7f\x01");
    assert_false(lineedit_insert(&edit, "yz", 2));
    assert_true(lineedit_insert(&edit, "y", 1));
    all[0] = 'y';
    assert_line(all, 1);
}

static void test_history(void **state)
{
    (void)state;
    assert_int_equal(type("\x1b[A"), LINEEDIT_NOTHING);
    enter("first");
    enter("second");
    enter("second");
    type("now");
    assert_int_equal(type("\x1b[B"), LINEEDIT_NOTHING);
    assert_int_equal(type("\x1b[A"), LINEEDIT_CHANGED);
    assert_line("second", 6);
    type("\x10");
    assert_line("first", 5);
    assert_int_equal(type("\x1bOA"), LINEEDIT_NOTHING);
    type("!\x1b[B\x0e");
    assert_line("now", 3);
    type("\x10\x10");
    assert_line("first", 5);
}

static void test_history_is_bounded(void **state)
{
    char line[32];

    (void)state;
    for (int i = 0; i < 3 * LINEEDIT_HISTORY; i++) {
        snprintf(line, sizeof(line), "line%d", i);
        enter(line);
    }
    for (int i = 3 * LINEEDIT_HISTORY - 1; i >= 2 * LINEEDIT_HISTORY; i--) {
        type("\x10");
        snprintf(line, sizeof(line), "line%d", i);
        assert_string_equal(edit.text, line);
    }
    assert_int_equal(type("\x10"), LINEEDIT_NOTHING);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_insert),
        TEST(test_moves),
        TEST(test_deletes),
        TEST(test_results),
        TEST(test_unknown_sequences),
        TEST(test_full),
        TEST(test_history),
        TEST(test_history_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
