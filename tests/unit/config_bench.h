/* keel.conf read from memory, with what is told of its faults. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guests/config.h"
#include "tests/unit/support.h"

static struct config c;
static char told[16384];

static inline void report(void *ctx, uint32_t line, const char *sentence)
{
    size_t used = strlen(told);

    assert_ptr_equal(ctx, &c);
    snprintf(told + used, sizeof(told) - used, "%u: %s\n", line, sentence);
}

/* From memory of exactly this size, so that a byte read beyond it is found out. */
static inline uint32_t parse_bytes(const char *text, size_t len)
{
    char *copy = calloc(1, len);
    uint32_t faults;

    if (len)
        memcpy(copy, text, len);
    told[0] = '\0';
    faults = config_parse(copy, len, &c, report, &c);
    free(copy);
    return faults;
}

static inline uint32_t parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

static inline void expect(const char *text, const char *faults)
{
    uint32_t count = 0;

    for (const char *at = faults; (at = strchr(at, '\n')); at++)
        count++;
    assert_int_equal(parse(text), count);
    assert_string_equal(told, faults);
}

/* One more line, the fourth, in a VM that is otherwise good. */
static inline void expect_line(const char *line, const char *sentence)
{
    char text[6000], fault[512];

    snprintf(text, sizeof(text), "[vm a]\nkernel=k\nmemory=4M\n%s\n[vm b]\nkernel=k\nmemory=4M\n", line);
    snprintf(fault, sizeof(fault), "4: %s\n", sentence);
    expect(text, fault);
    assert_int_equal(c.vm_count, 2);
    assert_true(c.vms[0].bad);
    assert_false(c.vms[1].bad);
}
