#include "core/monitor.h"

#include <string.h>

#include "core/console.h"
#include "core/lib/error.h"
#include "tests/unit/support.h"

static char out[16 * 1024];
static size_t out_len;
static struct console_vm web;
static uint32_t ran, offs, reboots;
static uint32_t last_count;
static char last_word[64];

static void write_out(void *ctx, const char *bytes, size_t len)
{
    (void)ctx;
    assert_true(out_len + len < sizeof(out));
    memcpy(out + out_len, bytes, len);
    out_len += len;
    out[out_len] = '\0';
}

static void off(void)
{
    offs++;
}

static void reboot(void)
{
    reboots++;
}

static int run_extra(uint32_t count, const char *const *words)
{
    ran++;
    last_count = count;
    strcpy(last_word, words[count - 1]);
    return count > 3 ? ERR_INVALID : 0;
}

static int run_later(uint32_t count, const char *const *words)
{
    (void)count, (void)words;
    ran += monitor_for_program();
    return MONITOR_LATER;
}

static const struct monitor_command extra[] = {
    {"later", "", "answers later", run_later},
    {"vms", "[NAME] [WHAT]", "lists the VMs", run_extra},
    {"cap", "", "lists the capabilities", run_extra},
};

static int set_up(void **state)
{
    static const struct console_sink sink = {.write = write_out};

    (void)state;
    out_len = 0;
    out[0] = '\0';
    ran = offs = reboots = 0;
    console_init();
    assert_int_equal(console_add_sink(&sink), 0);
    console_vm_add(&web, "web", NULL, NULL);
    monitor_init(off, reboot);
    assert_int_equal(monitor_register(extra, 3), 0);
    return 0;
}

static void type(const char *keys)
{
    for (; *keys; keys++)
        console_input((uint8_t)*keys);
}

static void assert_out(const char *expected)
{
    assert_string_equal(out, expected);
    out_len = 0;
    out[0] = '\0';
}

static void test_prompt_and_back(void **state)
{
    (void)state;
    type("\x1d");
    assert_out("keel> ");
    type("\r\n");
    assert_out("\r\n");
    assert_false(console_in_monitor());
    type("\x1d");
    type("  \r");
    assert_false(console_in_monitor());
}

static void test_commands(void **state)
{
    (void)state;
    type("\x1dvms\r");
    assert_out("keel> vms\r\nkeel> ");
    assert_int_equal(ran, 1);
    type(" vms  a b \r");
    assert_int_equal(last_count, 3);
    assert_string_equal(last_word, "b");
    out_len = 0;
    type("vms a b c\n");
    assert_out("vms a b c\r\nkeel| usage: vms [NAME] [WHAT]\r\nkeel> ");
    type("xyz\n");
    assert_out("xyz\r\nkeel| there is no command xyz; try help\r\nkeel> ");
    type("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\r");
    assert_non_null(strstr(out, "keel| more than 16 words\r\n"));
}

static void test_editing(void **state)
{
    (void)state;
    type("\x1d\x7f\x08wms\x08\x08\x08vms\r");
    assert_int_equal(ran, 1);
    type("rubbish\x15vms\r");
    assert_int_equal(ran, 2);
    out_len = 0;
    type("v\x1b\x1b");
    assert_out("v");
    type("\x7f");
    assert_out("\r\x1b[Kkeel> ");
    type("ms");
    out_len = 0;
    type("\x01");
    assert_out("\r\x1b[Kkeel> ms\b\b");
    type("v");
    assert_out("\r\x1b[Kkeel> vms\b\b");
    console_line("keel[0.0] x", 11);
    assert_out("\r\nkeel[0.0] x\r\nkeel> vms\b\b");
    type("\x03");
    assert_out("\r\nkeel> ");
    type("\x10");
    assert_out("vms");
    assert_int_equal(ran, 2);
}

/* A long line scrolls: no more than a terminal's width is shown. */
static void test_long_line(void **state)
{
    (void)state;
    type("\x1d");
    for (uint32_t i = 0; i < MONITOR_LINE_MAX; i++)
        type("y");
    out_len = 0;
    type("\x01");
    assert_int_equal(out_len, 4 + 78 + 72);
    out_len = 0;
    type("\x05");
    assert_int_equal(out_len, 4 + 78);
}

static const char *name_at(uint32_t index)
{
    static const char *const names[] = {"web", "worker", "db"};

    return index < 3 ? names[index] : NULL;
}

static int run_start(uint32_t count, const char *const *words)
{
    ran++;
    last_count = count;
    strcpy(last_word, words[count - 1]);
    return count == 2 ? 0 : ERR_INVALID;
}

static const struct monitor_command vm_rows[] = {
    {"vm list", "", "lists", run_extra},
    {"vm start", "NAME", "starts", run_start},
    {"vm stop", "NAME", "stops", run_start},
};

static void set_up_names(void)
{
    monitor_set_names(name_at);
    assert_int_equal(monitor_register(vm_rows, 3), 0);
    type("\x1d");
    out_len = 0;
}

static void test_two_words(void **state)
{
    (void)state;
    set_up_names();
    type("vm start web\r");
    assert_int_equal(ran, 1);
    assert_int_equal(last_count, 2);
    assert_string_equal(last_word, "web");
    out_len = 0;
    type("vm start\r");
    assert_out("vm start\r\nkeel| usage: vm start NAME\r\nkeel> ");
    type("vm\r");
    assert_non_null(strstr(out, "keel| usage: vm start NAME\r\nkeel| usage: vm stop NAME\r\nkeel> "));
    out_len = 0;
    type("vm begin\r");
    assert_non_null(strstr(out, "keel| usage: vm start NAME\r\n"));
    assert_null(strstr(out, "usage: vms"));
}

static void test_completion(void **state)
{
    (void)state;
    set_up_names();
    type("p\t");
    assert_out("poweroff");
    type("\x15");
    type("vm s\t");
    out_len = 0;
    type("\t");
    assert_non_null(strstr(out, "keel| vm start \r\nkeel| vm stop \r\nkeel> vm st"));
    out_len = 0;
    type("a\td\t");
    assert_out("art db ");
    type("\x15"
         "vm start w");
    out_len = 0;
    type("\t");
    assert_non_null(strstr(out, "keel| web \r\nkeel| worker \r\n"));
    out_len = 0;
    type("o\t");
    assert_out("orker ");
    type("\t");
    type("\x15"
         "console we\t");
    assert_non_null(strstr(out, "console web "));
    out_len = 0;
    type("\x15"
         "zz");
    out_len = 0;
    type("\t");
    assert_int_equal(out_len, 0);
}

/* Completion is of what is before the cursor, and fills the line at most. */
static void test_completion_limits(void **state)
{
    (void)state;
    set_up_names();
    type("off\x02\x02\x02power\x0bo\t");
    out_len = 0;
    type("\x15");
    for (uint32_t i = 0; i < MONITOR_LINE_MAX; i++)
        type(i < MONITOR_LINE_MAX - 10 ? " " : "v");
    type("\t");
    type("\x15");
    for (uint32_t i = 0; i < MONITOR_LINE_MAX - 4; i++)
        type("x");
    type("\x01"
         "vm s\t");
    assert_int_equal(ran, 0);
    type("\x15\x0b\t");
    assert_non_null(strstr(out, "keel| vm stop "));
}

static void test_line_is_bounded(void **state)
{
    (void)state;
    type("\x1d");
    for (uint32_t i = 0; i < 10 * MONITOR_LINE_MAX; i++)
        type("x");
    type("\r");
    assert_null(strstr(out, "no command xxx; try help"));
    assert_non_null(strstr(out, "there is no command xxx"));
}

static void test_help_is_sorted(void **state)
{
    const char *last = out;

    (void)state;
    type("\x1dhelp\r");
    for (const char *const *name =
             (const char *const[]){"cap ", "console NAME ", "help ", "kv COMMAND... ", "poweroff ", "quit ",
                                   "reboot ", "vms [NAME] [WHAT] ", NULL};
         *name; name++) {
        char line[64] = "\r\nkeel| ";
        const char *at = strstr(out, strcat(line, *name));

        assert_non_null(at);
        assert_true(at > last);
        last = at;
    }
    out_len = 0;
    type("help me\r");
    assert_non_null(strstr(out, "usage: help"));
}

/* Pairs alone, whatever becomes of it, and a last line that says what ended. */
static void test_kv(void **state)
{
    (void)state;
    type("\x1dkv\r");
    assert_out("keel> kv\r\nkeel| usage: kv COMMAND...\r\nkeel> ");
    type("kv vms a\"b\r");
    assert_out("kv vms a\"b\r\nkeel| end=\"vms\"\r\nkeel> ");
    assert_int_equal(last_count, 2);
    type("kv vms a b c\r");
    assert_out(
        "kv vms a b c\r\nkeel| error=usage usage=\"vms [NAME] [WHAT]\"\r\nkeel| end=\"vms\"\r\nkeel> ");
    type("kv x\"y\\\r");
    assert_out("kv x\"y\\\r\nkeel| error=no-such-command command=\"x\\\"y\\\\\"\r\nkeel| end=none\r\nkeel> ");
    type("kv console nobody\r");
    assert_out(
        "kv console nobody\r\nkeel| error=no-such-vm vm=\"nobody\"\r\nkeel| end=\"console\"\r\nkeel> ");
    type("kv kv vms\r");
    assert_out("kv kv vms\r\nkeel| error=usage usage=\"kv COMMAND...\"\r\nkeel| end=\"kv\"\r\nkeel> ");
    type("kv help\r");
    assert_non_null(strstr(out, "keel| command=\"console\" usage=\"NAME\" help=\"passes"));
    assert_null(strstr(out, "Tab"));
    assert_non_null(strstr(out, "keel| end=\"help\"\r\nkeel> "));
    assert_false(monitor_for_program());
    ran = 0;
    type("kv later\r");
    assert_null(strstr(out, "end=\"later\""));
    assert_int_equal(ran, 1);
}

static void test_console(void **state)
{
    (void)state;
    type("\x1d");
    type("console\r");
    assert_non_null(strstr(out, "usage: console NAME"));
    type("console nobody\r");
    assert_non_null(strstr(out, "there is no VM named nobody"));
    assert_true(console_in_monitor());
    type("console web\r");
    assert_false(console_in_monitor());
    out_len = 0;
    console_vm_write(&web, "# ", 2, 0);
    assert_out("# ");
}

static void test_power(void **state)
{
    (void)state;
    type("\x1dquit\rpoweroff\rreboot\rquit now\r");
    assert_int_equal(offs, 2);
    assert_int_equal(reboots, 1);
}

static void test_too_many_commands(void **state)
{
    static struct monitor_command many[MONITOR_MAX_COMMANDS];

    (void)state;
    for (uint32_t i = 0; i < MONITOR_MAX_COMMANDS; i++)
        many[i] = (struct monitor_command){"m", "", "", run_extra};
    assert_int_equal(monitor_register(many, MONITOR_MAX_COMMANDS), ERR_NOMEM);
    assert_int_equal(monitor_register(many, MONITOR_MAX_COMMANDS - 9), 0);
    assert_int_equal(monitor_register(many, 1), ERR_NOMEM);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_prompt_and_back),   TEST(test_commands),  TEST(test_editing),   TEST(test_line_is_bounded),
        TEST(test_help_is_sorted),    TEST(test_kv),        TEST(test_console),   TEST(test_power),
        TEST(test_too_many_commands), TEST(test_long_line), TEST(test_two_words), TEST(test_completion),
        TEST(test_completion_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
