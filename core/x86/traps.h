/*
 * Exceptions, NMIs and interrupts of the hypervisor itself. An exception is a bug and panics, but for the guarded
 * accesses of extable.h and for memory that comes when it is touched; an interrupt goes to whoever registered its vector (irq.h).
 */
#pragma once

#include "core/lib/types.h"
#include "core/x86/irq.h"

enum trap_vector {
    TRAP_DE = 0,
    TRAP_DB = 1,
    TRAP_NMI = 2,
    TRAP_BP = 3,
    TRAP_DF = 8,
    TRAP_GP = 13,
    TRAP_PF = 14,
    TRAP_MC = 18,
    TRAP_COUNT = 32, /* exceptions; interrupts from here on */
};

/* What core/x86/traps.asm pushes, below what the CPU does (SDM volume 3, section "64-Bit Mode Stack Frame"). */
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};
_Static_assert(offsetof(struct trap_frame, vector) == 15 * 8, "traps.asm pushes 15 registers");

/* Builds the interrupt descriptor table: once, before the first cpu_load(). */
void traps_init(void);
/* Makes it the calling core's. */
void traps_load(void);

/* Who may put memory where there was none, at a page fault: true, the access is tried again. */
void traps_set_missing(bool (*missing)(uint64_t addr));

/* "page fault" and so on; never NULL. */
const char *trap_name(uint64_t vector);

/* Called by traps.asm. */
void trap_handle(struct trap_frame *frame);
