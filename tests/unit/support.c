#include "tests/unit/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/trace.h"

jmp_buf support_panic_jump;
int support_panic_expected;
char support_panic_message[256];

void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(support_panic_message, sizeof(support_panic_message), fmt, ap);
    va_end(ap);
    if (support_panic_expected)
        longjmp(support_panic_jump, 1);
    fprintf(stderr, "panic: %s\n", support_panic_message);
    abort();
}

/* core/trace.c isn't pure. */
bool trace_on;
struct support_traced support_traced;

void trace_put(uint32_t who, uint32_t code)
{
    support_traced.count++;
    support_traced.who = who;
    support_traced.code = code;
}

uint64_t support_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}
