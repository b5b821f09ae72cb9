/* What surrounds panic() (core/lib/panic.h) on the machine. */
#pragma once

#include "core/lib/types.h"

struct trap_frame;

/* An exception that nothing can be done about: prints its registers and panics. */
NORETURN void panic_trap(const struct trap_frame *frame);
/* If some core is in panic, stops the calling core for good: the NMI that panic() sends to all others leads here. */
void panic_join(void);

/* What ends the machine after all is printed; without it the core halts. Must not return. */
void panic_set_stop(void (*stop)(void));
/* Tells whether an address is in the guard page of a stack, so that an overflow is called by its name. */
void panic_set_guard(bool (*is_guard)(uint64_t addr));
