/*
 * The executor against the processor that runs this: a random instruction in 64-bit mode, on registers and on memory, is run both
 * ways; registers, vector registers, memory, defined flags and #DE must agree. Who includes it defines NATIVE_FAIL(text).
 */
#pragma once

#include "core/emul/exec.h"

#include <cpuid.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/lib/bytes.h"
#include "core/x86/cr.h"
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

    if (s->form->imm == IMM_FRAME) { /* ENTER: a size, and level 0 */
        put(s, (uint8_t)pick(256));
        put(s, 0);
        put(s, 0);
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

/* Natively ------------------------------------------------------------------------------------------------------ */

static sigjmp_buf native_jump;

static void native_signal(int number)
{
    siglongjmp(native_jump, number);
}

struct code {
    uint8_t *at;
};

static void code_bytes(struct code *c, const void *bytes, size_t len)
{
    memcpy(c->at, bytes, len);
    c->at += len;
}

#define CODE(c, ...) code_bytes(c, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* opcode reg, [address] or the other way round */
static void code_move(struct code *c, uint8_t opcode, uint32_t reg, const void *address)
{
    CODE(c, reg & 8 ? 0x4c : 0x48, opcode, 0x04 | (reg & 7) << 3, 0x25);
    put_le32(c->at, (uint32_t)(uintptr_t)address);
    c->at += 4;
}

/* The same for YMM or, without AVX, XMM: VMOVUPS, MOVUPS. And for MMX: MOVQ. */
static void code_vector(struct code *c, bool store, uint32_t reg, const void *address)
{
    if (host_has(AVX))
        CODE(c, 0xc5, reg & 8 ? 0x7c : 0xfc);
    else
        CODE(c, reg & 8 ? 0x44 : 0x40, 0x0f);
    CODE(c, 0x10 + store, 0x04 | (reg & 7) << 3, 0x25);
    put_le32(c->at, (uint32_t)(uintptr_t)address);
    c->at += 4;
}

static void code_mmx(struct code *c, bool store, uint32_t reg, const void *address)
{
    CODE(c, 0x0f, store ? 0x7f : 0x6f, 0x04 | reg << 3, 0x25);
    put_le32(c->at, (uint32_t)(uintptr_t)address);
    c->at += 4;
}

static void code_vectors(struct code *c, bool store)
{
    for (uint32_t i = 0; i < VECTORS; i++)
        code_vector(c, store, i, native_state->ymm[i]);
    for (uint32_t i = 0; i < MMX; i++)
        code_mmx(c, store, i, &native_state->mm[i]);
}

static void code_stack(struct code *c, uint8_t opcode, uint8_t modrm, const void *address)
{
    CODE(c, opcode, modrm, 0x25);
    put_le32(c->at, (uint32_t)(uintptr_t)address);
    c->at += 4;
}

static void native_assemble(const struct sample *s)
{
    struct code c = {(uint8_t *)CODE_ADDR};

    CODE(&c, 0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57); /* push rbx, rbp, r12 .. r15 */
    code_move(&c, 0x89, REG_RSP, &native_state->host_rsp);
    code_vectors(&c, false);
    code_stack(&c, 0xff, 0x34, &native_state->flags);
    CODE(&c, 0x9d); /* popfq */
    for (uint32_t i = 0; i < REG_GPR_COUNT; i++)
        code_move(&c, 0x8b, i, &native_state->gpr[i]);
    code_bytes(&c, s->bytes, s->length);
    for (uint32_t i = 0; i < REG_GPR_COUNT; i++)
        code_move(&c, 0x89, i, &native_state->gpr[i]);
    code_move(&c, 0x8b, REG_RSP, &native_state->host_rsp);
    CODE(&c, 0x9c); /* pushfq */
    code_stack(&c, 0x8f, 0x04, &native_state->flags);
    code_vectors(&c, true);
    CODE(&c, 0x0f, 0x77); /* emms */
    if (host_has(AVX))
        CODE(&c, 0xc5, 0xf8, 0x77);                                                   /* vzeroupper */
    CODE(&c, 0xfc, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3); /* cld, pop .., ret */
}

/* Returns 0 or the number of the signal. */
static int native_run(const struct sample *s, struct machine *m)
{
    int number;

    native_assemble(s);
    *native_state = m->regs;
    memcpy(native_data, m->data, DATA_SIZE);
    number = sigsetjmp(native_jump, 1);
    if (number)
        return number;
    ((void (*)(void))CODE_ADDR)();
    m->regs = *native_state;
    m->regs.host_rsp = 0;
    memcpy(m->data, native_data, DATA_SIZE);
    return 0;
}

/* By the executor ----------------------------------------------------------------------------------------------- */

static uint8_t *machine_at(struct machine *m, const struct emul_ref *ref)
{
    if (ref->gva < DATA_ADDR || ref->gva + ref->size > DATA_ADDR + DATA_SIZE)
        NATIVE_FAIL("an access outside");
    return m->data + (ref->gva - DATA_ADDR);
}

static int machine_read(void *ctx, const struct emul_ref *ref, uint64_t *value, struct emul_fault *fault)
{
    (void)fault;
    value[(ref->size - 1) / 8] = 0;
    memcpy(value, machine_at(ctx, ref), ref->size);
    return 0;
}

static int machine_write(void *ctx, const struct emul_ref *ref, const uint64_t *value,
                         struct emul_fault *fault)
{
    (void)fault;
    memcpy(machine_at(ctx, ref), value, ref->size);
    return 0;
}

static uint64_t machine_get(void *ctx, enum vcpu_reg reg)
{
    const struct machine *m = ctx;

    if (reg == REG_CR0)
        return CR0_PE | CR0_PG;
    return reg == REG_RFLAGS ? m->regs.flags : reg == REG_RIP ? CODE_ADDR : m->regs.gpr[reg];
}

static void machine_set(void *ctx, enum vcpu_reg reg, uint64_t value)
{
    struct machine *m = ctx;

    if (reg == REG_RFLAGS)
        m->regs.flags = value;
    else
        m->regs.gpr[reg] = value;
}

static void machine_get_vector(void *ctx, uint8_t vector, uint64_t *value)
{
    const struct machine *m = ctx;

    if (vector >= EMUL_MM)
        *value = m->regs.mm[vector - EMUL_MM];
    else
        memcpy(value, m->regs.ymm[vector], sizeof(m->regs.ymm[vector]));
}

static void machine_set_vector(void *ctx, uint8_t vector, const uint64_t *value, bool whole)
{
    struct machine *m = ctx;

    if (vector >= EMUL_MM)
        m->regs.mm[vector - EMUL_MM] = *value;
    else
        memcpy(m->regs.ymm[vector], value, (whole ? 4 : 2) * sizeof(*value));
}

static void machine_get_seg(void *ctx, enum vcpu_seg seg, struct vcpu_segment *out)
{
    (void)ctx;
    (void)seg;
    *out = (struct vcpu_segment){.attr = 0xf3}; /* ring 3 */
}

static bool machine_has(void *ctx, enum emul_feature feature)
{
    (void)ctx;
    return feature == EMUL_TZCNT ? __builtin_cpu_supports("bmi") : host_has_lzcnt();
}

static const struct emul_io machine_io = {.read = machine_read,
                                          .write = machine_write,
                                          .get = machine_get,
                                          .set = machine_set,
                                          .get_seg = machine_get_seg,
                                          .get_vector = machine_get_vector,
                                          .set_vector = machine_set_vector,
                                          .has = machine_has};

/* Comparing ----------------------------------------------------------------------------------------------------- */

static void sample_fail(const struct sample *s, const char *what, uint64_t got, uint64_t want)
{
    char bytes[3 * INSN_MAX_LEN + 1] = "", text[256];

    for (uint32_t i = 0; i < s->length; i++)
        snprintf(bytes + 3 * i, 4, " %02x", s->bytes[i]);
    snprintf(text, sizeof(text), "%s:%s: %s is %#lx, the processor has %#lx", s->form->name, bytes, what, got,
             want);
    NATIVE_FAIL(text);
}

static void compare_data(const struct sample *s, const struct machine *got, const struct machine *want)
{
    char what[48];

    if (memcmp(got->data, want->data, DATA_SIZE) == 0)
        return;
    for (int i = 0; i < DATA_SIZE; i++) {
        snprintf(what, sizeof(what), "byte %#x", i);
        if (got->data[i] != want->data[i])
            sample_fail(s, what, got->data[i], want->data[i]);
    }
}

static void compare(const struct sample *s, const struct machine *got, const struct machine *want)
{
    char what[48];

    for (int i = 0; i < REG_GPR_COUNT; i++) {
        snprintf(what, sizeof(what), "register %d", i);
        if (got->regs.gpr[i] != want->regs.gpr[i])
            sample_fail(s, what, got->regs.gpr[i], want->regs.gpr[i]);
    }
    for (int i = 0; i < VECTORS * EMUL_VECTOR_WORDS; i++) {
        snprintf(what, sizeof(what), "word %d of vector register %d", i % 4, i / 4);
        if (got->regs.ymm[i / 4][i % 4] != want->regs.ymm[i / 4][i % 4])
            sample_fail(s, what, got->regs.ymm[i / 4][i % 4], want->regs.ymm[i / 4][i % 4]);
    }
    for (int i = 0; i < MMX; i++) {
        snprintf(what, sizeof(what), "MMX register %d", i);
        if (got->regs.mm[i] != want->regs.mm[i])
            sample_fail(s, what, got->regs.mm[i], want->regs.mm[i]);
    }
    if ((got->regs.flags ^ want->regs.flags) & ~sample_undefined(s))
        sample_fail(s, "RFLAGS", got->regs.flags, want->regs.flags);
    compare_data(s, got, want);
}

static void sample_check(const struct sample *s)
{
    static struct machine native, emulated;
    struct emul_fault fault = {0};
    struct insn insn;
    int number, result;

    native = emulated = s->start;
    if (insn_decode(s->bytes, s->length, INSN_MODE_64, &insn) != (int)s->length)
        sample_fail(s, "length", insn.length, s->length);
    number = native_run(s, &native);
    if (number && number != SIGFPE)
        sample_fail(s, "no signal", 0, (uint64_t)number);
    result = emul_run(&machine_io, &emulated, &insn, &fault);
    if (number == SIGFPE && result == EMUL_FAULT && fault.vector == EXC_DE)
        return;
    if (number || result)
        sample_fail(s, "result", (uint64_t)result, (uint64_t)number);
    compare(s, &emulated, &native);
}

/* The stack pointer may be anything when a signal comes. cmocka sets its own handlers before each test. */
static void signals_take(void)
{
    static uint8_t stack[65536];
    const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
    static const int numbers[] = {SIGFPE, SIGSEGV, SIGBUS, SIGILL};
    const struct sigaction action = {.sa_handler = native_signal, .sa_flags = SA_ONSTACK};

    if (sigaltstack(&alternate, NULL))
        NATIVE_FAIL("sigaltstack");
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        if (sigaction(numbers[i], &action, NULL))
            NATIVE_FAIL("sigaction");
}

static bool native_set_up(void)
{
    void *place = (void *)STATE_ADDR;

    return mmap(place, DATA_ADDR + DATA_SIZE - STATE_ADDR, PROT_READ | PROT_WRITE | PROT_EXEC,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == place;
}

/* One random case of a form. False: the host doesn't have it. */
static bool native_case(const struct form *form)
{
    static struct sample s;

    if (!host_has(form->vex))
        return false;
    sample_make(&s, form);
    sample_check(&s);
    return true;
}
