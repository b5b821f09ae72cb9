/*
 * The executor against the processor that runs this (tests/unit/native_bench.h), as long as wanted: an input is a seed, and the
 * form of its cases. What libFuzzer learns from coverage here is little; its seed makes the run repeatable.
 */
#include <stdio.h>
#include <stdlib.h>

#define NATIVE_FAIL(text)                                                                                    \
    do {                                                                                                     \
        fprintf(stderr, "%s\n", text);                                                                       \
        abort();                                                                                             \
    } while (0)

#include "tests/unit/native_bench.h"

#define CASES 16 /* of one form, for each input */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    if (!native_set_up())
        abort();
    signals_take();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 9)
        return -1;
    memcpy(&seed, data + 1, sizeof(seed));
    seed |= 1;
    for (int i = 0; i < CASES; i++)
        native_case(&forms[data[0] % ARRAY_SIZE(forms)]);
    iret_case();
    return 0;
}
