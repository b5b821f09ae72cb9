/* Arithmetic on values of 1, 2, 4 and 8 bytes and the status flags that it leaves (SDM volume 1 appendix A). Pure. */
#pragma once

#include "core/x86/cr.h"

#define RFLAGS_STATUS (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

/* As in bits 3-5 of the opcodes and in the reg field of group 1. */
enum alu_op { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };

/* As in the reg field of group 2; SAL is another name of SHL. */
enum shift_op { SHIFT_ROL, SHIFT_ROR, SHIFT_RCL, SHIFT_RCR, SHIFT_SHL, SHIFT_SHR, SHIFT_SAL, SHIFT_SAR };

/*
 * These return the result, cut to `size` bytes, and change *flags: only status flags, and only those that the instruction
 * changes. Flags that the manual leaves undefined are cleared or kept. Operands have no bits beyond size.
 */
uint64_t alu_run(enum alu_op op, uint64_t a, uint64_t b, uint32_t size, uint64_t *flags);
uint64_t alu_inc(uint64_t a, uint32_t size, uint64_t *flags);
uint64_t alu_dec(uint64_t a, uint32_t size, uint64_t *flags);
uint64_t alu_neg(uint64_t a, uint32_t size, uint64_t *flags);
uint64_t alu_shift(enum shift_op op, uint64_t a, uint32_t count, uint32_t size, uint64_t *flags);
/* SHLD and SHRD: the bits that come in are those of b. */
uint64_t alu_shift_double(bool left, uint64_t a, uint64_t b, uint32_t count, uint32_t size, uint64_t *flags);
/* The condition in the low 4 bits of Jcc, SETcc and CMOVcc. */
bool alu_condition(uint32_t cc, uint64_t flags);
