/*
 * The instruction executor: carries out one decoded instruction on a vCPU's registers and on memory that is reached
 * through callbacks. It knows the general-purpose instructions that access memory, and the moves of SSE, AVX and MMX. It
 * checks rights as the CPU does: a guest that rewrites its code between the exit and the decoding gains nothing. Pure.
 */
#pragma once

#include "core/emul/decode.h"
#include "core/vcpu.h"

/* What emul_run returns, if it isn't one of enum error. */
enum emul_result {
    EMUL_DONE = 0,  /* finished: RIP is to be moved past it */
    EMUL_AGAIN = 1, /* a REP instruction has done a part; RIP stays, and the instruction is to be run again */
    EMUL_JUMPED = 2,  /* finished, and it has set RIP */
    EMUL_FAULT = 3,   /* *fault is to be raised; RIP stays, registers are as the CPU would leave them */
    EMUL_SHADOW = 4,  /* finished, and neither interrupt nor trap comes before the next instruction */
    EMUL_TRAPPED = 5, /* as EMUL_JUMPED, into a task that asks for #DB at once */
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
    uint8_t size; /* at most EMUL_ACCESS_MAX */
    uint8_t unit; /* of what a device sees: 1, 2, 4 or 8 */
    bool rmw;     /* a read that a write to the same place follows: it faults as a write would */
    bool
        system; /* to a descriptor table or TSS, by the CPU itself: a supervisor's, whatever the privilege level */
};

#define EMUL_ACCESS_MAX   104 /* a whole TSS */
#define EMUL_ACCESS_WORDS (EMUL_ACCESS_MAX / 8)

/* Vector registers by number: XMM or YMM, and the MMX registers behind them. */
#define EMUL_MM           16
#define EMUL_VECTORS      24
#define EMUL_VECTOR_WORDS 4

enum emul_feature { EMUL_TZCNT, EMUL_LZCNT };

/* Most accesses of a REP instruction in one call; then the vCPU gets a chance to take interrupts. */
#define EMUL_REP_BATCH 1024

/*
 * The callbacks for memory and ports return 0, or EMUL_FAULT with *fault filled in, or an enum error. A value has as many words
 * as its size needs, the first being the lowest; a read clears what of the last is beyond the size.
 */
struct emul_io {
    int (*read)(void *ctx, const struct emul_ref *ref, uint64_t *value, struct emul_fault *fault);
    int (*write)(void *ctx, const struct emul_ref *ref, const uint64_t *value, struct emul_fault *fault);
    uint64_t (*get)(void *ctx,
                    enum vcpu_reg reg); /* GPRs, RIP (of this instruction), RFLAGS, CR0, CR4, EFER */
    void (*set)(void *ctx, enum vcpu_reg reg, uint64_t value);
    void (*get_seg)(void *ctx, enum vcpu_seg seg, struct vcpu_segment *out);
    void (*set_seg)(void *ctx, enum vcpu_seg seg, const struct vcpu_segment *in);
    /* EMUL_VECTOR_WORDS words; an MMX register has one. Setting XMM with `whole` clears what is beyond, else it stays. */
    void (*get_vector)(void *ctx, uint8_t vector, uint64_t *value);
    void (*set_vector)(void *ctx, uint8_t vector, const uint64_t *value, bool whole);
    bool (*has)(void *ctx, enum emul_feature feature);
    /*
     * For INS and OUTS, of size 1, 2 or 4; the port permissions have been checked. NULL where these instructions can't
     * be what the CPU stopped at: they are then ERR_NOTSUP.
     */
    int (*in)(void *ctx, uint16_t port, uint32_t size, uint64_t *value, struct emul_fault *fault);
    int (*out)(void *ctx, uint16_t port, uint32_t size, uint64_t value, struct emul_fault *fault);
    /*
     * Up to `count` of them at once, upwards in memory from *ref on, which is the first one's and is checked for all; they end
     * on its page. Returns how many it has done: 0 where one has to be tried by itself, as it may fault. May be NULL.
     */
    uint32_t (*run)(void *ctx, uint16_t port, bool write, const struct emul_ref *ref, uint32_t count);
};

/*
 * Returns an enum emul_result, or ERR_NOTSUP for an instruction that isn't known here (emul_kind says what it is), with nothing
 * changed, or what a callback returned. *fault is written on EMUL_FAULT only.
 */
int emul_run(const struct emul_io *io, void *ctx, const struct insn *insn, struct emul_fault *fault);
/* What kind of instruction it is that emul_run doesn't know, in words for a report. */
const char *emul_kind(const struct insn *insn);
