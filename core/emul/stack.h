/* The stack of the instruction that is being executed. */
#pragma once

#include "core/emul/operand.h"

/* The part of RSP that is in use, in bytes. */
uint32_t stack_width(const struct emul *e);
/* `count` values of `size` bytes at RSP + offset; RSP stays. */
int stack_write(const struct emul *e, uint64_t offset, uint32_t size, uint32_t count, const uint64_t *words);
int stack_read(const struct emul *e, uint64_t offset, uint32_t size, uint32_t count, uint64_t *words);
void stack_move(const struct emul *e, uint64_t delta);
/* One value, of the operand size. */
int stack_push(const struct emul *e, uint64_t value);
int stack_pop(const struct emul *e, uint64_t *value);
/* The flags that POPF loads with this operand size and at this level. */
uint64_t flags_loadable(const struct emul *e);
/* In virtual-8086 mode without IOPL 3, PUSHF, POPF, INT n and IRET are the monitor's: #GP(0). What CR4.VME makes of them isn't done. */
bool flags_belong_to_monitor(const struct emul *e);
int monitor_takes(const struct emul *e);
/* Is it an address that RIP can have in 64-bit mode? */
bool target_canonical(const struct emul *e, uint64_t rip);
/* #GP(0) if RIP can't be there. */
int target_check(const struct emul *e, uint64_t rip);
