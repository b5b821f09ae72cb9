/*
 * Instructions that may fault: EXTABLE in an asm statement says where to go on instead. The linker gathers the entries.
 */
#pragma once

#include "core/lib/types.h"

struct trap_frame;

struct extable_entry {
    uint64_t from, to;
};

#define EXTABLE(from, to)                                                                                    \
    ".pushsection .extable, \"a\"\n\t"                                                                       \
    ".quad " from ", " to "\n\t"                                                                             \
    ".popsection\n\t"

/* If the instruction at frame->rip has an entry, moves RIP there and returns true. */
bool extable_fix(struct trap_frame *frame);
