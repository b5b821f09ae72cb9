#include "drivers/hw/terminal.h"

#include <string.h>

#include "tests/unit/support.h"

#define COLUMNS 10
#define ROWS    4

static struct terminal t;
static char screen[ROWS][COLUMNS];
static uint32_t draws;

static void draw(void *ctx, uint32_t row, uint32_t column, char c)
{
    assert_ptr_equal(ctx, &t);
    assert_true(row < ROWS && column < COLUMNS);
    screen[row][column] = c;
    draws++;
}

static int set_up(void **state)
{
    (void)state;
    memset(screen, ' ', sizeof(screen));
    draws = 0;
    terminal_init(&t, COLUMNS, ROWS, 1, draw, &t);
    return 0;
}

static void write_text(const char *text)
{
    terminal_write(&t, text, strlen(text));
    assert_true(terminal_draw(&t, UINT32_MAX));
}

static void assert_row(uint32_t row, const char *expected)
{
    char padded[COLUMNS + 1];

    memset(padded, ' ', COLUMNS);
    memcpy(padded, expected, strlen(expected));
    padded[COLUMNS] = '\0';
    if (memcmp(screen[row], padded, COLUMNS))
        fail_msg("row %u is \"%.10s\", not \"%s\"", row, screen[row], padded);
}

static void test_text(void **state)
{
    (void)state;
    write_text("ab\r\ncd\rx\n\te\b\bf");
    assert_row(0, "ab");
    assert_row(1, "xd");
    assert_row(2, "       fe");
}

static void test_wraps(void **state)
{
    (void)state;
    write_text("0123456789");
    assert_int_equal(t.row, 0);
    write_text("\r\n");
    assert_int_equal(t.row, 1);
    write_text("0123456789ab\t\t");
    assert_row(1, "0123456789");
    assert_row(2, "ab");
    write_text("x");
    assert_row(3, "x");
}

static void test_scrolls(void **state)
{
    (void)state;
    write_text("1\n2\n3\n4\n5\n6");
    assert_row(0, "3");
    assert_row(3, "6");
    /* Only what differs is drawn. */
    draws = 0;
    write_text("\n7");
    assert_int_equal(draws, 4);
    terminal_init(&t, COLUMNS, ROWS, 3, draw, &t);
    memset(screen, ' ', sizeof(screen));
    write_text("1\n2\n3\n4\n5");
    assert_row(0, "4");
    assert_row(1, "5");
    assert_row(2, "");
}

/* Nothing is drawn by writing, and no more at once than what is asked for. */
static void test_pieces(void **state)
{
    (void)state;
    terminal_write(&t, "abcdef\nghi", 10);
    assert_int_equal(draws, 0);
    assert_false(terminal_draw(&t, 4));
    assert_row(0, "abcd");
    assert_false(terminal_draw(&t, 4));
    assert_row(0, "abcdef");
    assert_row(1, "gh");
    terminal_write(&t, "\rx", 2);
    assert_true(terminal_draw(&t, 4));
    assert_row(1, "xhi");
    draws = 0;
    assert_true(terminal_draw(&t, 1));
    assert_int_equal(draws, 0);
}

static void test_escapes(void **state)
{
    (void)state;
    write_text("a\x1b[1;31mb\x1b[0m\x1b"
               "7c\x1b]0;title\x07"
               "d\x1b]1\x1b\\e");
    assert_row(0, "abcde");
    write_text("\rxy\x1b[K\n\x1b[12");
    assert_row(0, "xy");
    write_text("\nend");
    assert_row(2, "end");
}

static void test_other_bytes(void **state)
{
    (void)state;
    write_text("\xc3\xa4-\xe2\x82\xac\x01\x7f.");
    assert_row(0, "?-?.");
}

static void test_sizes(void **state)
{
    (void)state;
    terminal_init(&t, 100000, 100000, 1000000, draw, &t);
    assert_int_equal(t.columns, TERMINAL_MAX_COLUMNS);
    assert_int_equal(t.rows, TERMINAL_MAX_ROWS);
    assert_int_equal(t.step, TERMINAL_MAX_ROWS);
    terminal_init(&t, 2, 1, 0, draw, &t);
    write_text("abc\nd\n\ne");
    assert_int_equal(screen[0][0], 'e');
}

static void test_random(void **state)
{
    uint64_t seed = 88172645463325252ull;
    static const char bytes[] = "ab \n\r\t\b\x1b[]K;m1\x07\x80\xc3";

    (void)state;
    for (uint32_t i = 0; i < 200000; i++) {
        char c = bytes[support_random(&seed) % (sizeof(bytes) - 1)];

        terminal_write(&t, &c, 1);
        assert_true(t.row < ROWS && t.column <= COLUMNS);
        draws = 0;
        if (i % 7 == 0)
            terminal_draw(&t, 5);
        assert_true(draws <= 5);
    }
    while (!terminal_draw(&t, 5))
        ;
    for (uint32_t row = 0; row < ROWS; row++)
        assert_memory_equal(screen[row], terminal_row(&t, row), COLUMNS);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_text),    TEST(test_wraps),       TEST(test_scrolls), TEST(test_pieces),
        TEST(test_escapes), TEST(test_other_bytes), TEST(test_sizes),   TEST(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
