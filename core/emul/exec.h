/*
 * The instruction executor: carries out one decoded instruction on a vCPU's registers and on memory that is reached
 * through callbacks. It knows what software uses on memory-mapped devices, and never a privileged instruction: a guest
 * that rewrites its code between the exit and the decoding gains nothing. Pure.
 */
#pragma once

#include "core/emul/decode.h"
#include "core/vcpu.h"

/* What emul_run returns, if it isn't one of enum error. */
enum emul_result {
    EMUL_DONE = 0,  /* finished: RIP is to be moved past it */
    EMUL_AGAIN = 1, /* a REP instruction has done a part; RIP stays, and the instruction is to be run again */
    EMUL_JUMPED = 2, /* finished, and it has set RIP */
    EMUL_FAULT = 3,  /* *fault is to be raised; RIP stays, registers are as the CPU would leave them */
};

struct emul_fault {
    uint8_t vector; /* enum exception_vector */
    bool has_error;
    uint32_t error;
    gva_t cr2; /* #PF only */
};

struct emul_ref {
    gva_t gva;    /* linear: segment base added, segment limit checked; not checked for being canonical */
    uint8_t seg;  /* enum vcpu_seg: SEG_SS makes a non-canonical address #SS instead of #GP */
    uint8_t size; /* 1, 2, 4 or 8 */
    bool rmw;     /* a read that a write to the same place follows: it faults as a write would */
};

/* Most accesses of a REP instruction in one call; then the vCPU gets a chance to take interrupts. */
#define EMUL_REP_BATCH 1024

/* The callbacks for memory and ports return 0, or EMUL_FAULT with *fault filled in, or an enum error. */
struct emul_io {
    int (*read)(void *ctx, const struct emul_ref *ref, uint64_t *value, struct emul_fault *fault);
    int (*write)(void *ctx, const struct emul_ref *ref, uint64_t value, struct emul_fault *fault);
    uint64_t (*get)(void *ctx, enum vcpu_reg reg); /* GPRs, RIP (of this instruction), RFLAGS, CR0, CR4 */
    void (*set)(void *ctx, enum vcpu_reg reg, uint64_t value);
    void (*get_seg)(void *ctx, enum vcpu_seg seg, struct vcpu_segment *out);
    /*
     * For INS and OUTS, of size 1, 2 or 4; the port permissions have been checked. NULL where these instructions can't
     * be what the CPU stopped at: they are then ERR_NOTSUP.
     */
    int (*in)(void *ctx, uint16_t port, uint32_t size, uint64_t *value, struct emul_fault *fault);
    int (*out)(void *ctx, uint16_t port, uint32_t size, uint64_t value, struct emul_fault *fault);
};

/*
 * Returns an enum emul_result, or ERR_NOTSUP for an instruction that isn't known here (its map and opcode say which),
 * or what a callback returned. *fault is written on EMUL_FAULT only.
 */
int emul_run(const struct emul_io *io, void *ctx, const struct insn *insn, struct emul_fault *fault);
