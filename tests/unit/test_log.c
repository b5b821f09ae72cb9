#include "core/lib/log.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/support.h"

static char seen[64 * 1024];
static size_t seen_len, seen_lines;
static uint64_t now;

static void sink(const char *line, size_t len)
{
    assert_null(memchr(line, '\n', len));
    assert_true(seen_len + len + 2 < sizeof(seen));
    memcpy(seen + seen_len, line, len);
    seen_len += len;
    seen[seen_len++] = '\n';
    seen[seen_len] = '\0';
    seen_lines++;
}

static uint64_t fake_clock(void)
{
    return now;
}

static int set_up(void **state)
{
    (void)state;
    seen_len = seen_lines = 0;
    seen[0] = '\0';
    now = 0;
    log_set_sink(sink);
    log_set_clock(fake_clock);
    log_set_level(LOG_INFO);
    return 0;
}

static void test_lines(void **state)
{
    (void)state;
    now = 12345678901234;
    log_info("core %d is up", 3);
    log_event("idle", "vms=%d", 2);
    log_event("audit-end", "%s", "");
    assert_string_equal(seen, "keel[12345.678901] core 3 is up\n"
                              "keel[12345.678901] event=idle vms=2\n"
                              "keel[12345.678901] event=audit-end\n");
}

static void test_levels(void **state)
{
    (void)state;
    log_debug("no");
    log_set_level(LOG_ERROR);
    log_warn("no");
    log_error("yes");
    log_event("yes", "n=1");
    assert_string_equal(seen, "keel[0.000000] yes\nkeel[0.000000] event=yes n=1\n");
}

static void test_no_forgery(void **state)
{
    (void)state;
    log_info("name=%s", "a\nkeel[0.0] event=panic\r\t\x1b");
    assert_string_equal(seen, "keel[0.000000] name=a?keel[0.0] event=panic???\n");
}

static void test_long_line(void **state)
{
    (void)state;
    char text[3000];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    log_info("%s", text);
    assert_int_equal(seen_lines, 1);
    assert_true(seen_len <= 1024);
}

static void test_replay_keeps_the_newest(void **state)
{
    (void)state;
    log_set_sink(NULL);
    for (int i = 0; i < 3000; i++)
        log_info("line %d", i);
    log_replay(sink);
    assert_true(seen_lines > 300 && seen_lines < 3000);
    assert_true(seen_len > 15 * 1024 && seen_len <= 16 * 1024);

    /* whole lines without a gap up to the last */
    int number = 3000 - (int)seen_lines;
    for (char *line = seen; *line; line = strchr(line, '\n') + 1, number++) {
        char want[64];
        snprintf(want, sizeof(want), "keel[0.000000] line %d\n", number);
        assert_int_equal(strncmp(line, want, strlen(want)), 0);
    }
    assert_int_equal(number, 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_lines, set_up),
        cmocka_unit_test_setup(test_levels, set_up),
        cmocka_unit_test_setup(test_no_forgery, set_up),
        cmocka_unit_test_setup(test_long_line, set_up),
        cmocka_unit_test_setup(test_replay_keeps_the_newest, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
