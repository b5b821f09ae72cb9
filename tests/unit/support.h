/*
 * What a unit test needs around the pure files: cmocka with the headers it wants, panic() as something that a
 * test can expect, and random numbers that are the same in every run.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* cmocka brings an assert of its own; the tested code means ours. */
#undef assert
#include "core/lib/panic.h"

extern jmp_buf support_panic_jump;
extern int support_panic_expected;
extern char support_panic_message[256]; /* of the last panic that was expected */

/* Fails the test unless `statement` panics. */
#define EXPECT_PANIC(statement)                                                                              \
    do {                                                                                                     \
        support_panic_expected = 1;                                                                          \
        if (setjmp(support_panic_jump) == 0) {                                                               \
            statement;                                                                                       \
            support_panic_expected = 0;                                                                      \
            fail_msg("no panic: %s", #statement);                                                            \
        }                                                                                                    \
        support_panic_expected = 0;                                                                          \
    } while (0)

/* The last event that would be in the trace, and how many were. */
extern struct support_traced {
    uint32_t count, who, code;
} support_traced;

/* A 64-bit xorshift: *state must not be 0. */
uint64_t support_random(uint64_t *state);
