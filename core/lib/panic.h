/* The end of the line for our own bugs, and the assertion that leads there. Never for bad input. */
#pragma once

#include "core/lib/types.h"

/* Stops the other cores, prints the message, this core's state and a stack trace, and ends the machine as configured. */
NORETURN void panic(const char *fmt, ...) PRINTF(1, 2);

#define assert(cond)                                                                                         \
    do {                                                                                                     \
        if (UNLIKELY(!(cond)))                                                                               \
            panic("assertion failed: %s (%s:%d)", #cond, __FILE__, __LINE__);                                \
    } while (0)
