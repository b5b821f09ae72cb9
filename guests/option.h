/*
 * The options of Keel itself, one at a time: a key and a value, wherever they were written. boot/options.h reads them from
 * the multiboot2 line, guests/config.h from keel.conf's [keel] section; the line goes before the section, so what isn't
 * given stays at its "unset" value until the other one fills it in. Pure.
 */
#pragma once

#include "core/lib/log.h"
#include "core/lib/types.h"

/* 0 is "unset" in every enum: the defaults are chosen when all is known. */
enum option_console { CONSOLE_UNSET, CONSOLE_LINE, CONSOLE_FOCUS };
enum option_idle { IDLE_UNSET, IDLE_POWEROFF, IDLE_REBOOT, IDLE_HALT, IDLE_MONITOR };
enum option_panic { PANIC_UNSET, PANIC_HALT, PANIC_REBOOT, PANIC_POWEROFF };
enum option_serial { SERIAL_UNSET, SERIAL_NONE, SERIAL_PORT };

/* Faults on purpose, right after start-up, so that their reports can be tested. */
enum option_test {
    TEST_UNSET,
    TEST_FAULT,  /* reads an address where nothing is mapped */
    TEST_GUARD,  /* recursion without an end: runs into the guard page below the stack */
    TEST_ASSERT, /* an assertion that fails */
    TEST_TEXT,   /* writes to the hypervisor's code */
    TEST_EXEC,   /* executes data */
    TEST_NULL,   /* reads address 0 */
    TEST_NMI,    /* sends itself an NMI: reported, and not fatal */
    TEST_REMOTE, /* panics on other cores than the first, on all at once */
    TEST_AUDIT,  /* before the audit, VMs' memory is mapped in the hypervisor */
    TEST_PLANT,  /* the monitor's command `plant` */
};

struct options {
    enum option_console console; /* console=line|focus */
    enum option_serial serial;   /* serial=com1|com2|0xPORT|none[,BAUD] */
    uint16_t serial_port;
    uint32_t serial_baud; /* 0: unset */
    bool log_set;         /* log=error|warn|info|debug */
    enum log_level log;
    enum option_idle on_idle;   /* on_idle=poweroff|reboot|halt|monitor */
    enum option_panic on_panic; /* panic=halt|reboot|poweroff */
    uint64_t pool;              /* pool=SIZE: the hypervisor's own memory; 0: unset */
    uint64_t trace;             /* trace=SIZE: of each core's ring, on from the start; 0: unset */
    uint32_t limit;             /* limit=SECONDS, after which the machine ends; 0: none */
    uint32_t cpus;              /* cpus=N: use at most so many cores; 0: all */
    enum option_test test;      /* test=fault|guard|assert|text|exec|null|nmi|remote */
    char disable[512];          /* disable=a,b,c; may be given several times */
};

/* One row of the table of options. */
struct option {
    const char *key;
    bool (*set)(struct options *o, char *value); /* may change the text; false: not a good value */
    const char *values;                          /* what it takes, in words */
    bool line_only; /* needed before keel.conf is read, or meant for tests: not for the [keel] section */
};

/* The row with that key, or NULL. */
const struct option *option_find(const char *key);
/* Takes over from `other` what isn't set in o; features named by either are off. False if `disable` gets too long. */
bool options_fill(struct options *o, const struct options *other) MUST_CHECK;
