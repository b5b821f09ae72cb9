#include "core/console_ring.h"

#include <stdio.h>
#include <string.h>

#include "core/console.h"
#include "tests/unit/support.h"

static struct console_ring ring;

static int set_up(void **state)
{
    (void)state;
    console_ring_init(&ring);
    return 0;
}

static void push(const char *text)
{
    console_ring_push(&ring, (const uint8_t *)text, strlen(text));
}

static void assert_pop(uint32_t max, const char *expected, bool gap)
{
    uint8_t bytes[CONSOLE_RING];
    bool cut;
    uint32_t count = console_ring_pop(&ring, bytes, max, &cut);

    assert_int_equal(count, strlen(expected));
    assert_memory_equal(bytes, expected, count);
    assert_int_equal(cut, gap);
}

static void test_lines(void **state)
{
    (void)state;
    push("one\ntwo");
    assert_int_equal(console_ring_used(&ring), 7);
    assert_pop(100, "one\n", false);
    assert_pop(2, "tw", false);
    assert_pop(100, "o", false);
    assert_pop(100, "", false);
    assert_int_equal(ring.written, 7);
    assert_int_equal(ring.dropped, 0);
}

/* A full buffer loses its oldest lines, whole, and says where. */
static void test_drop(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < CONSOLE_RING / 8; i++)
        push("1234567\n");
    push("x");
    assert_int_equal(ring.dropped_lines, 1);
    assert_int_equal(ring.dropped, 8);
    assert_pop(100, "1234567\n", true);
    assert_pop(100, "1234567\n", false);
    for (uint32_t i = 0; i < CONSOLE_RING; i++)
        push("abcdefg\n");
    assert_int_equal(ring.written, CONSOLE_RING + 1 + 8 * CONSOLE_RING);
    assert_int_equal(ring.dropped + 16 + console_ring_used(&ring), ring.written);
    assert_pop(100, "abcdefg\n", true);
}

static void test_endless_line(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < CONSOLE_RING + 1; i++)
        push("x");
    assert_int_equal(ring.dropped, CONSOLE_RING);
    assert_pop(100, "x", true);
    assert_pop(100, "", false);
}

/* The console with a sink that has room for so much ------------------------------------------------------ */

static char out[64 * 1024];
static size_t out_len, room;
static struct console_vm vms[2];

static void write_out(void *ctx, const char *bytes, size_t len)
{
    (void)ctx;
    assert_true(out_len + len < sizeof(out));
    memcpy(out + out_len, bytes, len);
    out_len += len;
    out[out_len] = '\0';
    room -= room < len ? room : len;
}

static size_t room_out(void *ctx)
{
    (void)ctx;
    return room;
}

static int set_up_console(void **state)
{
    static const struct console_sink sink = {.write = write_out, .room = room_out};

    (void)state;
    out_len = 0;
    out[0] = '\0';
    room = 0;
    console_init();
    assert_int_equal(console_add_sink(&sink), 0);
    console_vm_add(&vms[0], "a", NULL, NULL);
    console_vm_add(&vms[1], "b", NULL, NULL);
    return 0;
}

static void vm_write(uint32_t vm, const char *text)
{
    console_vm_write(&vms[vm], text, strlen(text), 0);
}

/* What finds no room waits; then the VMs take turns, a line each. */
static void test_turns(void **state)
{
    (void)state;
    vm_write(0, "1\n2\n3\n");
    vm_write(1, "1\n2\n");
    assert_int_equal(out_len, 0);
    room = 1 << 20;
    console_poll(1);
    assert_string_equal(out, "a| 1\r\nb| 1\r\na| 2\r\nb| 2\r\na| 3\r\n");
}

static const char *typed;
static uint32_t monitor_got;

static int source(void *ctx)
{
    (void)ctx;
    return *typed ? (uint8_t)*typed++ : -1;
}

static void monitor_enter(void)
{
}

static void monitor_input(uint8_t byte)
{
    (void)byte;
    monitor_got++;
}

static uint32_t vm_got;

static void vm_input(void *ctx, uint8_t byte)
{
    (void)ctx;
    (void)byte;
    vm_got++;
}

/* While there is no room for the monitor's answers it isn't asked for more; what a VM is told needs none, nor does Ctrl-]. */
static void test_monitor_waits(void **state)
{
    static const struct console_monitor monitor = {monitor_enter, monitor_input};
    static struct console_vm vm;

    (void)state;
    console_set_source(source, NULL);
    console_set_monitor(&monitor);
    console_vm_add(&vm, "c", vm_input, NULL);
    console_attach(&vm, false);
    monitor_got = vm_got = 0;
    room = 0;
    typed = "to VM\x1d"
            "asked";
    console_poll(1);
    assert_int_equal(vm_got, 5);
    assert_int_equal(monitor_got, 0);
    assert_string_equal(typed, "asked");
    room = 1 << 20;
    console_poll(2);
    assert_int_equal(monitor_got, 5);
}

/* The hypervisor's own lines don't wait. */
static void test_own_lines(void **state)
{
    (void)state;
    vm_write(0, "waits\n");
    console_line("keel[0.0] doesn't", 17);
    assert_string_equal(out, "keel[0.0] doesn't\r\n");
}

/* A VM that writes faster than the console takes is told to wait; if it doesn't, its newest lines stay. */
static void test_flood(void **state)
{
    char line[32];

    (void)state;
    assert_true(console_vm_ready(&vms[0]));
    for (uint32_t i = 0; i < 10000; i++) {
        snprintf(line, sizeof(line), "line %u\n", i);
        vm_write(0, line);
    }
    vm_write(1, "b's\n");
    assert_false(console_vm_ready(&vms[0]));
    assert_true(console_vm_ready(&vms[1]));
    assert_true(vms[0].ring.dropped_lines > 9000);
    assert_int_equal(vms[1].ring.dropped, 0);
    room = 1 << 20;
    console_poll(1);
    assert_non_null(strstr(out, "\r\nb| b's\r\n"));
    assert_non_null(strstr(out, "\r\na| line 9999\r\n"));
    assert_true(console_vm_ready(&vms[0]));
}

/* What is dropped in the middle of a line doesn't join its halves. */
static void test_gap(void **state)
{
    (void)state;
    room = 1 << 20;
    vm_write(0, "half");
    room = 0;
    for (uint32_t i = 0; i < CONSOLE_RING; i++)
        vm_write(0, "z\n");
    room = 1 << 20;
    console_poll(1);
    assert_memory_equal(out, "a| half\r\na| z\r\n", 15);
}

/* In focus mode another VM's newest lines are kept, and come when the focus is left; it needn't wait for that. */
static void test_hidden(void **state)
{
    (void)state;
    room = 1 << 20;
    console_attach(&vms[0], true);
    for (uint32_t i = 0; i < CONSOLE_RING; i++)
        vm_write(1, "hidden\n");
    vm_write(1, "last\n");
    vm_write(0, "raw");
    assert_string_equal(out, "raw");
    assert_true(console_vm_ready(&vms[1]));
    console_attach(&vms[0], false);
    assert_non_null(strstr(out, "b| hidden\r\nb| last\r\n"));
}

/* A hidden VM's end shows what it said last. */
static void test_hidden_end(void **state)
{
    (void)state;
    room = 1 << 20;
    console_attach(&vms[0], true);
    vm_write(1, "last words\nand more");
    console_vm_remove(&vms[1]);
    assert_string_equal(out, "b| last words\r\nb| and more\r\n");
}

#define TEST(name)         cmocka_unit_test_setup(name, set_up)
#define TEST_CONSOLE(name) cmocka_unit_test_setup(name, set_up_console)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_lines),
        TEST(test_drop),
        TEST(test_endless_line),
        TEST_CONSOLE(test_turns),
        TEST_CONSOLE(test_monitor_waits),
        TEST_CONSOLE(test_own_lines),
        TEST_CONSOLE(test_flood),
        TEST_CONSOLE(test_gap),
        TEST_CONSOLE(test_hidden),
        TEST_CONSOLE(test_hidden_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
