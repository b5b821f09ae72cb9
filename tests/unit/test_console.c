#include "core/console.h"

#include <string.h>

#include "core/lib/error.h"
#include "core/lib/log.h"
#include "tests/unit/support.h"

#define MS        1000000ull
#define TYPED_MAX 128

static char out[64 * 1024];
static size_t out_len;
static uint32_t flushes;
static struct console_vm web, db;
static char web_typed[TYPED_MAX], db_typed[TYPED_MAX];
static const char *typed; /* what the source still has to give */
static uint32_t monitor_entered;
static char monitor_typed[TYPED_MAX];

static void write_out(void *ctx, const char *bytes, size_t len)
{
    (void)ctx;
    assert_true(out_len + len < sizeof(out));
    memcpy(out + out_len, bytes, len);
    out_len += len;
    out[out_len] = '\0';
}

static void flush_out(void *ctx, bool alone)
{
    (void)ctx;
    (void)alone;
    flushes++;
}

static void take(void *ctx, uint8_t byte)
{
    char *into = ctx;
    size_t len = strlen(into);

    assert_true(len < TYPED_MAX - 1);
    into[len] = (char)byte;
    into[len + 1] = '\0';
}

static int source(void *ctx)
{
    (void)ctx;
    return *typed ? (uint8_t)*typed++ : -1;
}

static void monitor_enter(void)
{
    monitor_entered++;
}

static void monitor_input(uint8_t byte)
{
    take(monitor_typed, byte);
}

static int set_up(void **state)
{
    static const struct console_sink sink = {.write = write_out, .flush = flush_out};
    static const struct console_monitor monitor = {monitor_enter, monitor_input};

    (void)state;
    out_len = 0;
    out[0] = web_typed[0] = db_typed[0] = monitor_typed[0] = '\0';
    flushes = monitor_entered = 0;
    typed = "";
    console_init();
    assert_int_equal(console_add_sink(&sink), 0);
    console_set_source(source, NULL);
    console_set_monitor(&monitor);
    console_vm_add(&web, "web", take, web_typed);
    console_vm_add(&db, "db", take, db_typed);
    return 0;
}

static void vm_says(struct console_vm *vm, const char *text, uint64_t now)
{
    console_vm_write(vm, text, strlen(text), now);
}

static void hypervisor_says(const char *text)
{
    console_line(text, strlen(text));
}

static void assert_out(const char *expected)
{
    assert_string_equal(out, expected);
    out_len = 0;
    out[0] = '\0';
}

static void test_lines_are_whole(void **state)
{
    (void)state;
    vm_says(&web, "one ", 0);
    vm_says(&db, "two ", 0);
    hypervisor_says("keel[0.1] three");
    assert_out("keel[0.1] three\r\n");
    vm_says(&web, "end\n", 1);
    vm_says(&db, "end\n\n", 1);
    assert_out("web| one end\r\ndb| two end\r\ndb| \r\n");
}

static void test_carriage_returns(void **state)
{
    (void)state;
    vm_says(&web, "a\r\nb\n\rc\r\r\n", 0);
    assert_out("web| a\r\nweb| b\r\nweb| c\r\n");
    /* A progress display: each state of it is a line. */
    vm_says(&web, "10%\r20%\r", 0);
    vm_says(&web, "30%\n", 0);
    assert_out("web| 10%\r\nweb| 20%\r\nweb| 30%\r\n");
}

static void test_control_characters(void **state)
{
    (void)state;
    console_vm_write(&web,
                     "a\0b\v\f\x07\x1c\x7f"
                     "c\t\x1b[1md\b\n",
                     17, 0);
    assert_out("web| abc\t\x1b[1md\b\r\n");
}

static void test_long_line(void **state)
{
    char expected[2 * CONSOLE_LINE_MAX];

    (void)state;
    for (uint32_t i = 0; i < CONSOLE_LINE_MAX + 3; i++)
        vm_says(&web, "x", 0);
    vm_says(&web, "\n", 0);
    memcpy(expected, "web| ", 5);
    memset(expected + 5, 'x', CONSOLE_LINE_MAX);
    strcpy(expected + 5 + CONSOLE_LINE_MAX, "\r\nweb| xxx\r\n");
    assert_out(expected);
}

static void test_prompt_is_shown_when_stale(void **state)
{
    (void)state;
    assert_true(console_deadline() == UINT64_MAX);
    vm_says(&web, "/ # ", 10 * MS);
    assert_true(console_deadline() == 10 * MS + CONSOLE_STALE_NS);
    console_poll(console_deadline() - 1);
    assert_out("");
    console_poll(console_deadline());
    assert_out("web| / # ");
    assert_true(console_deadline() == UINT64_MAX);
    /* What is typed now is echoed at once, on the same line. */
    vm_says(&web, "l", 200 * MS);
    assert_out("l");
    vm_says(&web, "s\r\nfile\r\n", 200 * MS);
    assert_out("s\r\nweb| file\r\n");
    assert_true(console_deadline() == UINT64_MAX);
}

static void test_stale_line_is_repeated_after_another(void **state)
{
    (void)state;
    vm_says(&web, "result=", 0);
    console_flush_stale(CONSOLE_STALE_NS);
    hypervisor_says("keel[0.1] here");
    assert_out("web| result=\r\nkeel[0.1] here\r\n");
    vm_says(&web, "42\n", 60 * MS);
    assert_out("web| result=42\r\n");
    /* Nothing was added but the end: it isn't said twice. */
    vm_says(&web, "whole", 0);
    console_flush_stale(CONSOLE_STALE_NS);
    vm_says(&db, "x\n", 60 * MS);
    vm_says(&web, "\n", 60 * MS);
    assert_out("web| whole\r\ndb| x\r\n");
    vm_says(&web, "next\n", 60 * MS);
    assert_out("web| next\r\n");
}

static void test_deadline_is_the_earliest(void **state)
{
    (void)state;
    vm_says(&db, "a", 20 * MS);
    vm_says(&web, "b", 10 * MS);
    assert_true(console_deadline() == 10 * MS + CONSOLE_STALE_NS);
    vm_says(&web, "\n", 10 * MS);
    assert_true(console_deadline() == 20 * MS + CONSOLE_STALE_NS);
    console_flush_stale(UINT64_MAX - 1);
    assert_out("web| b\r\ndb| a");
}

static void test_input_goes_to_the_first_vm(void **state)
{
    (void)state;
    typed = "ls\n";
    console_poll(0);
    assert_string_equal(web_typed, "ls\n");
    console_attach(&db, false);
    typed = "x";
    console_poll(0);
    assert_string_equal(db_typed, "x");
    console_vm_remove(&db);
    typed = "y";
    console_poll(0);
    assert_string_equal(db_typed, "x");
}

/* Whoever calls once for each interrupt has to go on until all is read. */
static void test_input_longer_than_a_call_takes(void **state)
{
    char line[101] = "";

    (void)state;
    memset(line, 'x', sizeof(line) - 1);
    typed = line;
    assert_true(console_poll(0));
    assert_true(strlen(web_typed) < sizeof(line) - 1);
    assert_false(console_poll(0));
    assert_string_equal(web_typed, line);
}

static void test_focus(void **state)
{
    (void)state;
    vm_says(&web, "login: ", 0);
    console_attach(&web, true);
    assert_out("login: ");
    vm_says(&web, "\x1b[2J\r\n# ", 0);
    assert_out("\x1b[2J\r\n# ");
    vm_says(&db, "not shown\n", 0);
    assert_out("");
    hypervisor_says("keel[1.0] crash");
    assert_out("\r\nkeel[1.0] crash\r\n");
    vm_says(&web, "more\n", 0);
    hypervisor_says("keel[1.1] on");
    assert_out("more\nkeel[1.1] on\r\n");
    console_poll(UINT64_MAX - 1);
    assert_out("");
}

static void test_escape_leads_to_the_monitor_and_back(void **state)
{
    (void)state;
    console_attach(&web, true);
    vm_says(&web, "# ", 0);
    typed = "a\x1dhelp";
    console_poll(0);
    assert_string_equal(web_typed, "a");
    assert_int_equal(monitor_entered, 1);
    assert_string_equal(monitor_typed, "help");
    assert_true(console_in_monitor());
    console_prompt("keel> ", 6, 6);
    assert_out("# \r\nkeel> ");
    /* Lines of VMs are shown meanwhile, prefixed, and the prompt below them again. */
    vm_says(&db, "shown\n", 0);
    assert_out("\r\ndb| shown\r\nkeel> ");
    console_prompt("keel> h", 7, 7);
    assert_out("h");
    console_prompt("keel> ", 6, 6);
    assert_out("\r\x1b[Kkeel> ");
    vm_says(&web, "x\n", 0);
    assert_out("\r\nweb| # x\r\nkeel> ");
    console_prompt_end();
    assert_out("\r\n");
    assert_true(console_resume());
    assert_false(console_in_monitor());
    vm_says(&web, "raw", 0);
    assert_out("raw");
}

static void test_no_vm_to_resume(void **state)
{
    (void)state;
    console_vm_remove(&web);
    console_vm_remove(&db);
    console_enter_monitor();
    assert_false(console_resume());
    assert_true(console_in_monitor());
}

/* Who sits at the console of a VM that goes isn't left to type to nobody, if there are other VMs. */
static void test_focus_goes(void **state)
{
    (void)state;
    console_attach(&web, true);
    console_vm_remove(&db);
    assert_int_equal(monitor_entered, 0);
    console_vm_add(&db, "db", take, db_typed);
    console_vm_remove(&web);
    assert_int_equal(monitor_entered, 1);
    assert_true(console_in_monitor());
    console_attach(&db, true);
    console_vm_remove(&db);
    assert_int_equal(monitor_entered, 1);
}

static void test_remove_shows_the_rest(void **state)
{
    (void)state;
    vm_says(&web, "last words", 0);
    console_vm_remove(&web);
    assert_out("web| last words\r\n");
    assert_true(console_deadline() == UINT64_MAX);
    assert_null(console_vm_find("web"));
    assert_ptr_equal(console_vm_find("db"), &db);
    assert_null(console_vm_find("d"));
    assert_null(console_vm_find("db|"));
}

static void test_flush(void **state)
{
    (void)state;
    vm_says(&web, "a", 0);
    vm_says(&db, "b", 0);
    console_flush();
    assert_out("web| a\r\ndb| b");
    assert_int_equal(flushes, 1);
}

static void test_sinks(void **state)
{
    static const struct console_sink sink = {.write = write_out};

    (void)state;
    for (uint32_t i = 1; i < 4; i++)
        assert_int_equal(console_add_sink(&sink), 0);
    assert_int_equal(console_add_sink(&sink), ERR_NOMEM);
}

/* Last, as there is no way back: what a panic says is shown even if the lock is never given back. */
static void panicking_sink(void *ctx, const char *bytes, size_t len)
{
    static bool once;

    (void)ctx;
    (void)bytes;
    (void)len;
    if (!once) {
        once = true;
        log_panic();
        hypervisor_says("keel[0.0] event=panic");
    }
}

static void test_panic_within(void **state)
{
    static const struct console_sink sink = {.write = panicking_sink};

    (void)state;
    assert_int_equal(console_add_sink(&sink), 0);
    hypervisor_says("keel[0.0] before");
    assert_non_null(strstr(out, "keel[0.0] event=panic\r\n"));
    assert_int_equal(flushes, 1);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_lines_are_whole),
        TEST(test_carriage_returns),
        TEST(test_control_characters),
        TEST(test_long_line),
        TEST(test_prompt_is_shown_when_stale),
        TEST(test_stale_line_is_repeated_after_another),
        TEST(test_deadline_is_the_earliest),
        TEST(test_input_goes_to_the_first_vm),
        TEST(test_input_longer_than_a_call_takes),
        TEST(test_focus),
        TEST(test_escape_leads_to_the_monitor_and_back),
        TEST(test_no_vm_to_resume),
        TEST(test_focus_goes),
        TEST(test_remove_shows_the_rest),
        TEST(test_flush),
        TEST(test_sinks),
        TEST(test_panic_within),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
