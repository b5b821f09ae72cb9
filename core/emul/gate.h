/* What calls through gates and interrupts have in common: the gate, the code it leads to, and the stack of an inner level. */
#pragma once

#include "core/emul/segment.h"

/* Types of gates (SDM volume 3, table 3-2); those of 32 bits are those of 64 in long mode. */
#define GATE_CALL_16      0x4
#define GATE_TASK         0x5
#define GATE_INTERRUPT_16 0x6
#define GATE_TRAP_16      0x7
#define GATE_CALL         0xc
#define GATE_INTERRUPT    0xe
#define GATE_TRAP         0xf
#define GATE_32           0x8
#define GATE_NO_INTERRUPT 0x1 /* of the two kinds in an IDT: IF stays */

struct gate {
    uint64_t offset;
    uint16_t selector;
    uint8_t type; /* with S, which a gate has clear, as bit 4 */
    uint8_t dpl;
    uint8_t count; /* of parameters; in the IDT of long mode, the stack's number */
    bool present;
};

/* Where a gate leads to. */
struct gate_target {
    struct descriptor code;
    uint64_t rip;
    uint32_t cpl; /* the level there */
};

/* A stack that nothing is on yet but what is appended to it: it becomes the current one when the transfer can't fail any more. */
struct gate_stack {
    struct vcpu_segment ss;
    uint64_t sp;
    uint32_t width; /* of the part of sp that is in use */
    bool inner;     /* of another level than the current one */
};

void gate_unpack(const struct emul *e, const uint64_t raw[2], struct gate *out);
/* The width of what a gate pushes. */
uint32_t gate_width(const struct emul *e, const struct gate *gate);
/* The code segment and the level; raises what is wrong with it. Nothing is marked yet. */
int gate_open(const struct emul *e, const struct gate *gate, uint32_t cpl, struct gate_target *out);

/* The current stack. */
void gate_stack_same(const struct emul *e, struct gate_stack *out);
/* By the TSS: level cpl's, or in long mode that of a number in the interrupt stack table, if it isn't 0. */
int gate_stack_inner(const struct emul *e, uint32_t cpl, uint32_t number, struct gate_stack *out);
int gate_push(const struct emul *e, struct gate_stack *stack, uint32_t size, uint64_t value);
/* The end of it: CS:RIP, SS if the level is another, RSP. */
int gate_enter(const struct emul *e, struct gate_target *to, const struct gate_stack *stack);
