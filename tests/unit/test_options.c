#include "boot/options.h"

#include <string.h>

#include "tests/unit/log_kept.h"
#include "tests/unit/support.h"

static struct options o;

static void test_nothing(void **state)
{
    (void)state;
    const struct options none = {0};

    assert_int_equal(options_parse(&o, ""), 0);
    assert_memory_equal(&o, &none, sizeof(o));
    assert_int_equal(options_parse(&o, " \t  "), 0);
    assert_memory_equal(&o, &none, sizeof(o));
}

static void test_all(void **state)
{
    (void)state;
    assert_int_equal(
        options_parse(&o, "console=focus  serial=com2,9600 log=debug disable=smap,apicv on_idle=halt "
                          "pool=32M trace=1M panic=reboot cpus=3 limit=600 test=guard disable=umip"),
        0);
    assert_int_equal(o.console, CONSOLE_FOCUS);
    assert_int_equal(o.serial, SERIAL_PORT);
    assert_int_equal(o.serial_port, 0x2f8);
    assert_int_equal(o.serial_baud, 9600);
    assert_true(o.log_set);
    assert_int_equal(o.log, LOG_DEBUG);
    assert_string_equal(o.disable, "smap,apicv,umip");
    assert_int_equal(o.on_idle, IDLE_HALT);
    assert_int_equal(o.pool, 32 * MiB);
    assert_int_equal(o.trace, MiB);
    assert_int_equal(o.on_panic, PANIC_REBOOT);
    assert_int_equal(o.cpus, 3);
    assert_int_equal(o.limit, 600);
    assert_int_equal(o.test, TEST_GUARD);
    assert_string_equal(seen, "");
}

static void test_serial(void **state)
{
    (void)state;
    assert_int_equal(options_parse(&o, "serial=0x3e8"), 0);
    assert_int_equal(o.serial_port, 0x3e8);
    assert_int_equal(o.serial_baud, 0);
    assert_int_equal(options_parse(&o, "serial=none"), 0);
    assert_int_equal(o.serial, SERIAL_NONE);

    const char *const bad[] = {"serial=",          "serial=com3",    "serial=0",
                               "serial=0xffff",    "serial=com1,",   "serial=com1,49",
                               "serial=com1,fast", "serial=0x10000", "serial=none,5000000"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(options_parse(&o, bad[i]), 1);
        assert_int_equal(o.serial, SERIAL_UNSET);
    }
}

static void test_one_line_for_each_mistake(void **state)
{
    (void)state;
    assert_int_equal(options_parse(&o, "colour=blue cpus=0 log quiet pool=1M cpus=2"), 5);
    assert_string_equal(
        seen,
        "keel[0.000000] multiboot2 line: there is no option 'colour=blue'\n"
        "keel[0.000000] multiboot2 line: 'cpus=0' is not understood: cpus takes a number from 1 upwards\n"
        "keel[0.000000] multiboot2 line: 'log' is not understood: log takes error, warn, info or debug\n"
        "keel[0.000000] multiboot2 line: there is no option 'quiet'\n"
        "keel[0.000000] multiboot2 line: 'pool=1M' is not understood: pool takes a size from 4M upwards\n");
    assert_int_equal(o.cpus, 2);
    assert_int_equal(o.pool, 0);
}

static void test_long_words(void **state)
{
    (void)state;
    char line[1200];

    memset(line, 'x', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    assert_int_equal(options_parse(&o, line), 1);
    memcpy(line, "disable=", 8);
    assert_int_equal(options_parse(&o, line),
                     0); /* cut to the longest word there is; caps_disable() complains */
    assert_true(strlen(o.disable) < sizeof(o.disable));
    memcpy(line + 600, " disable=", 9);
    assert_int_equal(options_parse(&o, line), 1);
}

static void test_find(void **state)
{
    (void)state;
    assert_false(option_find("console")->line_only);
    assert_true(option_find("test")->line_only);
    assert_null(option_find("colour"));
}

/* What the line says goes before what keel.conf says; features named by either are off. */
static void test_fill(void **state)
{
    (void)state;
    static struct options line, section;
    static const struct options none;

    options_parse(&line, "serial=com2 on_idle=halt disable=smap");
    options_parse(
        &section,
        "serial=com1,9600 on_idle=reboot disable=apicv log=debug pool=8M panic=halt console=focus limit=9");
    assert_true(options_fill(&line, &section));
    assert_int_equal(line.serial_port, 0x2f8);
    assert_int_equal(line.serial_baud, 0);
    assert_int_equal(line.on_idle, IDLE_HALT);
    assert_string_equal(line.disable, "smap,apicv");
    assert_true(line.log_set && line.log == LOG_DEBUG);
    assert_int_equal(line.pool, 8 * MiB);
    assert_int_equal(line.limit, 9);
    assert_int_equal(line.on_panic, PANIC_HALT);
    assert_int_equal(line.console, CONSOLE_FOCUS);

    line = none;
    assert_true(options_fill(&line, &section));
    assert_memory_equal(&line, &section, sizeof(line));
    assert_true(options_fill(&line, &none));
    assert_memory_equal(&line, &section, sizeof(line));
    memset(line.disable, 'x', sizeof(line.disable) - 2);
    line.disable[sizeof(line.disable) - 2] = '\0';
    assert_false(options_fill(&line, &section));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_nothing, set_up),
        cmocka_unit_test_setup(test_all, set_up),
        cmocka_unit_test_setup(test_serial, set_up),
        cmocka_unit_test_setup(test_one_line_for_each_mistake, set_up),
        cmocka_unit_test_setup(test_long_words, set_up),
        cmocka_unit_test_setup(test_find, set_up),
        cmocka_unit_test_setup(test_fill, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
