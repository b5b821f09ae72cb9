/*
 * Delivery of interrupts and exceptions through the IDT (SDM volume 3, chapter 7; volume 2, INT n; APM volume 2, 8.9), where what
 * the CPU has to touch for it isn't memory: in all modes, through a task gate, too. Pure.
 */
#pragma once

#include "core/emul/exec.h"

struct emul_interrupt {
    uint8_t vector;
    bool external; /* no instruction has asked for it: error codes get EXT */
    bool checked;  /* INT n, INT3, INTO: the gate's DPL counts */
    bool has_error;
    uint32_t error;
    uint64_t rip;     /* where the program goes on */
    uint64_t resumes; /* flags that are set in what is saved: RF, for a fault */
};

/* EMUL_JUMPED or EMUL_TRAPPED; or EMUL_FAULT with *fault and nothing changed, but by a task switch. */
int emul_interrupt(const struct emul_io *io, void *ctx, enum insn_mode mode,
                   const struct emul_interrupt *event, struct emul_fault *fault);
