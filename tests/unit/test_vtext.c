#include "drivers/virt/vtext.h"

#include <string.h>

#include "tests/unit/device.h"

static struct vtext text;
static char said[4096];
static size_t said_len;

static void say(void *ctx, uint8_t byte)
{
    (void)ctx;
    assert_true(said_len < sizeof(said) - 1);
    said[said_len++] = (char)byte;
    said[said_len] = 0;
}

static int setup(void **state)
{
    (void)state;
    bench_start(1000);
    vtext_init(&text, &bench_timers, say, NULL);
    said_len = 0;
    said[0] = 0;
    return 0;
}

static void put_at(uint32_t row, uint32_t column, const char *s)
{
    for (uint32_t i = 0; s[i]; i++)
        bench_write(vtext_mmio, &text, (row * VTEXT_COLUMNS + column + i) * 2, 2, 0x0700u | (uint8_t)s[i]);
}

static void expect_said(const char *what)
{
    assert_string_equal(said, what);
    said_len = 0;
    said[0] = 0;
}

static void test_lines(void **state)
{
    (void)state;
    put_at(0, 0, "hello");
    put_at(2, 3, "world\x01\xff");
    bench_wait(40 * MS);
    expect_said("");
    bench_wait(20 * MS);
    expect_said("hello\r\n   world.\r\n");
    /* Nothing new: nothing said, and no timer left. */
    put_at(0, 0, "hello");
    bench_wait(60 * MS);
    expect_said("");
    assert_int_equal(timer_queue_next(&bench_timers), TIMER_NEVER);
    put_at(0, 5, "!");
    bench_wait(60 * MS);
    expect_said("hello!\r\n");
}

/* Who never stops writing is shown all the same. */
static void test_latest(void **state)
{
    (void)state;
    for (int i = 0; i < 60; i++) {
        put_at(0, 0, i % 2 ? "a" : "b");
        bench_wait(10 * MS);
    }
    assert_int_equal(said_len, 3);
}

/* The serial port's line goes first, but not for long. */
static void test_waits(void **state)
{
    (void)state;
    put_at(0, 0, "one");
    text.waits = true;
    bench_wait(90 * MS);
    expect_said("");
    text.waits = false;
    bench_wait(20 * MS);
    expect_said("one\r\n");
    put_at(1, 0, "two");
    text.waits = true;
    bench_wait(490 * MS);
    expect_said("");
    bench_wait(20 * MS);
    expect_said("two\r\n");
}

static void scroll(uint32_t rows)
{
    for (uint32_t i = 0; i < VTEXT_ROWS * VTEXT_COLUMNS * 2; i += 4) {
        uint32_t from = i + rows * VTEXT_COLUMNS * 2;
        uint64_t cells = from < VTEXT_ROWS * VTEXT_COLUMNS * 2 ? bench_read(vtext_mmio, &text, from, 4)
                                                               : 0x07200720;

        bench_write(vtext_mmio, &text, i, 4, cells);
    }
}

static void test_scrolling(void **state)
{
    (void)state;
    put_at(22, 0, "one");
    put_at(23, 0, "two");
    put_at(24, 0, "three");
    bench_wait(60 * MS);
    expect_said("one\r\ntwo\r\nthree\r\n");
    scroll(2);
    put_at(23, 0, "four");
    put_at(24, 0, "five");
    bench_wait(60 * MS);
    expect_said("four\r\nfive\r\n");
    /* By the start address, as consoles do that use all of the memory. */
    put_at(25, 0, "six");
    bench_write(vtext_ports, &text, 0, 2, 0x0c);
    bench_write(vtext_ports, &text, 0, 1, 0x0d);
    bench_write(vtext_ports, &text, 1, 1, VTEXT_COLUMNS);
    assert_int_equal(bench_read(vtext_ports, &text, 1, 1), VTEXT_COLUMNS);
    bench_wait(60 * MS);
    expect_said("six\r\n");
}

static void test_flush_and_reset(void **state)
{
    (void)state;
    put_at(0, 0, "last words");
    vtext_flush(&text);
    expect_said("last words\r\n");
    put_at(1, 0, "gone");
    vtext_reset(&text);
    bench_wait(MS * 1000);
    expect_said("");
    put_at(0, 0, "last words");
    bench_wait(60 * MS);
    expect_said("last words\r\n");
}

static void test_edges(void **state)
{
    uint64_t value = 0, first;

    (void)state;
    assert_int_equal(bench_access(vtext_mmio, &text, true, VTEXT_SIZE - 1, 2, &value), BUS_UNCLAIMED);
    bench_write(vtext_mmio, &text, VTEXT_SIZE - 8, 8, 0x1122334455667788);
    assert_int_equal(bench_read(vtext_mmio, &text, VTEXT_SIZE - 4, 4), 0x11223344);
    first = bench_read(vtext_ports, &text, 6, 1);
    assert_int_equal(bench_read(vtext_ports, &text, 6, 1) ^ first, 9);
    bench_write(vtext_ports, &text, 0, 1, 0xff);
    bench_write(vtext_ports, &text, 1, 1, 0x5a);
    assert_int_equal(bench_access(vtext_ports, &text, false, 3, 1, &value), BUS_UNCLAIMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_lines, setup),     cmocka_unit_test_setup(test_latest, setup),
        cmocka_unit_test_setup(test_scrolling, setup), cmocka_unit_test_setup(test_flush_and_reset, setup),
        cmocka_unit_test_setup(test_edges, setup),     cmocka_unit_test_setup(test_waits, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
