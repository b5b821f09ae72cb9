/* Random instructions of the forms in native_forms.h, each with the registers and the memory that it starts from. */
#pragma once

#include "core/emul/exec.h"

#include <cpuid.h>
#include <string.h>

#include "core/lib/bytes.h"
#include "tests/unit/native_forms.h"
#include "tests/unit/support.h"

/* Below 2 GB, so that the stub needs no register to reach its data. */
#define STATE_ADDR 0x10000000ul
#define CODE_ADDR  0x10010000ul
#define DATA_ADDR  0x10020000ul
#define DATA_SIZE  4096

#define VECTORS 16
#define MMX     8

struct state {
    uint64_t ymm[VECTORS][EMUL_VECTOR_WORDS];
    uint64_t mm[MMX];
    uint64_t gpr[REG_GPR_COUNT];
    uint64_t flags;
    uint64_t host_rsp;
};

struct machine {
    struct state regs;
    uint8_t data[DATA_SIZE];
};

static struct state *const native_state = (struct state *)STATE_ADDR;
static uint8_t *const native_data = (uint8_t *)DATA_ADDR;
static uint64_t seed;

static bool host_has_lzcnt(void)
{
    uint32_t a, b, c, d;

    return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & BIT(5));
}

static bool host_has(enum host_feature feature)
{
    switch (feature) {
    case AVX:
        return __builtin_cpu_supports("avx");
    case AVX2:
        return __builtin_cpu_supports("avx2");
    case ADX:
    case BMI1:
        return __builtin_cpu_supports("bmi");
    case BMI2:
        return __builtin_cpu_supports("bmi2");
    default:
        return true;
    }
}

static uint32_t pick(uint32_t below)
{
    return (uint32_t)(support_random(&seed) >> 33) % below;
}

/* One random case ----------------------------------------------------------------------------------------------- */

struct sample {
    const struct form *form;
    uint8_t bytes[INSN_MAX_LEN];
    uint32_t length;
    uint32_t size;  /* of the operands */
    uint32_t count; /* of a shift */
    uint8_t vvvv;
    struct machine start;
};

static void put(struct sample *s, uint8_t byte)
{
    s->bytes[s->length++] = byte;
}

static void put_displacement(struct sample *s, uint32_t mod)
{
    uint32_t disp = pick(200) - 100;

    if (s->form->kind & ALIGNED)
        disp &= ~31u;
    put(s, (uint8_t)disp);
    for (int i = 8; mod == 2 && i < 32; i += 8)
        put(s, (uint8_t)(disp >> i));
}

/* [base + index << scale + disp] with base in the middle of the data and a small index. */
static void put_memory(struct sample *s, uint32_t reg, uint32_t *rex)
{
    static const uint8_t bases[] = {REG_RBX, REG_RBP, REG_RSI, REG_RDI, REG_R10, REG_R12, REG_R13, REG_RSP};
    uint32_t base = bases[pick(s->form->kind & STACK ? 8 : 7)];
    uint32_t index = pick(2) ? REG_R9 : REG_RSP; /* RSP: none */
    uint32_t mod = 1 + pick(2), scale = pick(4);

    if ((s->form->kind & BITSTRING) && reg == base)
        base = reg == REG_RBX ? REG_RSI : REG_RBX;
    s->start.regs.gpr[base] = DATA_ADDR + DATA_SIZE / 2;
    if (index == REG_R9 && base != REG_R9)
        s->start.regs.gpr[REG_R9] = (uint64_t)(pick(8) << 5) - 128;
    if (index == REG_R9 && reg == REG_R9 && (s->form->kind & BITSTRING))
        index = REG_RSP;
    *rex |= (base & 8 ? 1 : 0) | (index & 8 ? 2 : 0);
    if ((base & 7) == REG_RSP || index != REG_RSP) {
        put(s, (uint8_t)(mod << 6 | (reg & 7) << 3 | 4));
        put(s, (uint8_t)(scale << 6 | (index & 7) << 3 | (base & 7)));
    } else {
        put(s, (uint8_t)(mod << 6 | (reg & 7) << 3 | (base & 7)));
    }
    put_displacement(s, mod);
}

static void put_modrm(struct sample *s, uint32_t *rex)
{
    const struct form *f = s->form;
    uint32_t reg = f->reg >= 0 ? (uint32_t)f->reg : pick(16);

    if (reg & 8)
        *rex |= 4;
    if (f->kind & BITSTRING) {
        if (reg == REG_RSP)
            reg = REG_RDX;
        s->start.regs.gpr[reg] = (uint64_t)(int64_t)((int32_t)pick(12000) - 6000) &
                                 (pick(2) ? ~0ull : 0xffff);
        if (s->size == 4)
            s->start.regs.gpr[reg] = (uint32_t)(int16_t)s->start.regs.gpr[reg];
        else if (s->size == 8)
            s->start.regs.gpr[reg] = (uint64_t)(int16_t)s->start.regs.gpr[reg];
    }
    if ((f->kind & MEM_ONLY) || pick(2)) {
        put_memory(s, reg, rex);
    } else {
        uint32_t rm = pick(16);

        *rex |= rm & 8 ? 1 : 0;
        put(s, (uint8_t)(0xc0 | (reg & 7) << 3 | (rm & 7)));
    }
}

static void put_imm(struct sample *s)
{
    uint32_t bytes = s->form->imm == IMM_NO ? 0 : s->form->imm == IMM_BYTE ? 1 : MIN(s->size, 4u);

    if (s->form->imm == IMM_FRAME) { /* ENTER: a size, and a level */
        put(s, (uint8_t)pick(256));
        put(s, 0);
        put(s, (uint8_t)pick(256));
        return;
    }
    for (uint32_t i = 0; i < bytes; i++)
        put(s, (uint8_t)pick(256));
    if (s->form->kind & SHIFTS) {
        if ((s->form->kind & DOUBLE) && s->size == 2) {
            s->start.regs.gpr[REG_RCX] &= ~0x10ull;
            if (bytes)
                s->bytes[s->length - 1] &= ~0x10;
        }
        s->count = bytes ? s->bytes[s->length - 1] : (uint32_t)s->start.regs.gpr[REG_RCX];
        if ((s->form->opcode & 0xfd) == 0xd1 && s->form->opcode == 0xd1)
            s->count = 1;
        s->count &= s->size == 8 ? 63 : 31;
    }
}

static void sample_string(struct sample *s)
{
    s->start.regs.gpr[REG_RSI] = DATA_ADDR + 1024 + pick(1024);
    s->start.regs.gpr[REG_RDI] = DATA_ADDR + 1024 + pick(2048);
    s->start.regs.gpr[REG_RCX] = pick(40);
    if (pick(2))
        s->start.regs.flags |= RFLAGS_DF;
    if (pick(3))
        put(s, pick(2) ? 0xf2 : 0xf3);
}

static void sample_machine(struct sample *s)
{
    for (int i = 0; i < REG_GPR_COUNT; i++) {
        uint64_t v = support_random(&seed);
        s->start.regs.gpr[i] = pick(3) ? v : pick(2) ? v & 0xff : (uint64_t)(int64_t)(int8_t)v;
    }
    for (uint32_t i = 0; i < DATA_SIZE; i += 8) {
        uint64_t v = support_random(&seed);
        put_le64(s->start.data + i, i & 8 ? v : v & 0x0101010101010101);
    }
    for (uint32_t i = 0; i < VECTORS * EMUL_VECTOR_WORDS; i++)
        s->start.regs.ymm[i / EMUL_VECTOR_WORDS][i % EMUL_VECTOR_WORDS] = host_has(AVX) || i % 4 < 2
                                                                              ? support_random(&seed)
                                                                              : 0;
    for (uint32_t i = 0; i < MMX; i++)
        s->start.regs.mm[i] = support_random(&seed);
    s->start.regs.flags = RFLAGS_FIXED1 | RFLAGS_IF | (support_random(&seed) & STATUS);
    if (s->form->kind & STACK)
        s->start.regs.gpr[REG_RSP] = DATA_ADDR + DATA_SIZE / 2 + pick(16);
    if (s->form->kind & FRAME)
        s->start.regs.gpr[REG_RBP] = DATA_ADDR + DATA_SIZE / 4 + pick(16);
    if (s->form->kind & TABLE)
        s->start.regs.gpr[REG_RBX] = DATA_ADDR + pick(DATA_SIZE / 2);
}

/* Operand size and the prefixes but REX, which isn't known before ModRM. */
static void sample_size(struct sample *s, bool *wide)
{
    const struct form *f = s->form;

    *wide = (f->kind & WIDE_ONLY) || (pick(3) == 0 && !(f->map == 1 && f->opcode == 0xc7));
    s->size = *wide ? 8 : f->kind & STACK ? 8 : 4;
    if (!*wide && !(f->kind & NO_66) && pick(4) == 0) {
        put(s, 0x66);
        s->size = 2;
    }
    if (!(f->kind & NO_MODRM) && (f->kind & MEM_ONLY) && pick(4) == 0)
        put(s, 0x67);
}

static void sample_opcode(struct sample *s, uint8_t opcode)
{
    if (s->form->map)
        put(s, 0x0f);
    if (s->form->map >= 2)
        put(s, s->form->map == 2 ? 0x38 : 0x3a);
    put(s, opcode);
}

/* Puts VEX in front of the opcode at `at`: always three bytes. */
static void sample_vex(struct sample *s, uint32_t at, uint32_t rex)
{
    const struct form *f = s->form;
    bool wide = f->kind & L_ONE || (f->kind & L_ANY && pick(2));
    uint32_t pp = f->prefix == 0x66 ? 1 : f->prefix == 0xf3 ? 2 : f->prefix == 0xf2 ? 3 : 0;

    memmove(s->bytes + at + 3, s->bytes + at, s->length - at);
    s->bytes[at] = 0xc4;
    s->bytes[at + 1] = (uint8_t)((~rex & 7) << 5 | f->map);
    s->bytes[at + 2] = (uint8_t)((rex & 8) << 4 | (uint32_t)(~s->vvvv & 15) << 3 | (uint32_t)wide << 2 | pp);
    s->length += 3;
}

/* Puts REX, if one is needed or by chance, in front of the opcode at `at`. */
static void sample_rex(struct sample *s, uint32_t at, uint32_t rex)
{
    if (!rex && pick(4))
        return;
    memmove(s->bytes + at + 1, s->bytes + at, s->length - at);
    s->bytes[at] = (uint8_t)(0x40 | rex);
    s->length++;
}

static void sample_make(struct sample *s, const struct form *form)
{
    uint8_t opcode = form->opcode;
    uint32_t at, rex = 0;
    bool wide;

    *s = (struct sample){.form = form};
    sample_machine(s);
    if (form->kind & STRING)
        sample_string(s);
    sample_size(s, &wide);
    if ((form->kind & BYTE_TOO) && pick(3) == 0) {
        opcode &= ~1;
        s->size = 1;
    }
    if (opcode == 0x40 || opcode == 0x90)
        opcode |= pick(16);
    if (!form->map && (opcode == 0x50 || opcode == 0x58))
        opcode |= pick(8);
    if (form->prefix && form->vex < AVX)
        put(s, form->prefix);
    at = s->length;
    if (form->vex >= AVX) {
        wide &= !!(form->kind & W_ANY);
        s->size = wide ? 8 : 4;
        s->vvvv = form->kind & NDS ? (uint8_t)pick(16) : 0;
        put(s, opcode);
    } else {
        sample_opcode(s, opcode);
    }
    rex = wide ? 8 : 0;
    if (!(form->kind & NO_MODRM))
        put_modrm(s, &rex);
    put_imm(s);
    if (form->vex >= AVX)
        sample_vex(s, at, rex);
    else
        sample_rex(s, at, rex);
}

/* SDM volume 2 on the shifts: AF always, OF unless the count is 1, CF when all bits have left. */
static uint64_t sample_undefined(const struct sample *s)
{
    bool rotate = !(s->form->kind & DOUBLE) && s->form->reg < 4;
    uint64_t undefined = 0;

    if (!(s->form->kind & SHIFTS))
        return s->form->undefined;
    if (s->count == 0)
        return 0;
    if (!rotate)
        undefined |= RFLAGS_AF;
    if (s->count != 1)
        undefined |= RFLAGS_OF;
    if (!rotate && s->count >= 8 * s->size)
        undefined |= RFLAGS_CF;
    return undefined;
}
