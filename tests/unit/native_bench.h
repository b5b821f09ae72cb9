/*
 * The executor against the processor that runs this: a random instruction in 64-bit mode, on registers and on memory, is run both
 * ways; registers, vector registers, memory, defined flags and #DE must agree. Who includes it defines NATIVE_FAIL(text).
 */
#pragma once

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/x86/msr.h"
#include "tests/unit/native_sample.h"

#define GDT_SIZE 256 /* of the data: where the executor finds what the host's selectors are */

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

/* Returns where the code goes on behind the instruction. */
static uint64_t native_assemble(const struct sample *s)
{
    uint64_t behind;
    struct code c = {(uint8_t *)CODE_ADDR};

    CODE(&c, 0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57); /* push rbx, rbp, r12 .. r15 */
    code_move(&c, 0x89, REG_RSP, &native_state->host_rsp);
    code_vectors(&c, false);
    code_stack(&c, 0xff, 0x34, &native_state->flags);
    CODE(&c, 0x9d); /* popfq */
    for (uint32_t i = 0; i < REG_GPR_COUNT; i++)
        code_move(&c, 0x8b, i, &native_state->gpr[i]);
    code_bytes(&c, s->bytes, s->length);
    behind = (uint64_t)c.at;
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
    return behind;
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

    switch (reg) {
    case REG_CR0:
        return CR0_PE | CR0_PG;
    case REG_CR4:
        return CR4_PAE;
    case REG_EFER:
        return EFER_LMA;
    case REG_RIP:
        return CODE_ADDR;
    default:
        return reg == REG_RFLAGS ? m->regs.flags : m->regs.gpr[reg];
    }
}

static void machine_set(void *ctx, enum vcpu_reg reg, uint64_t value)
{
    struct machine *m = ctx;

    if (reg == REG_RFLAGS)
        m->regs.flags = value;
    else if (reg != REG_RIP)
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
    if (seg == SEG_GDTR)
        *out = (struct vcpu_segment){.base = DATA_ADDR, .limit = GDT_SIZE - 1};
    else
        *out = (struct vcpu_segment){.attr = 0xf3}; /* ring 3 */
}

static void machine_set_seg(void *ctx, enum vcpu_seg seg, const struct vcpu_segment *in)
{
    (void)ctx;
    (void)seg;
    (void)in;
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
                                          .set_seg = machine_set_seg,
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
    if (number || (result && result != EMUL_JUMPED))
        sample_fail(s, "result", (uint64_t)result, (uint64_t)number);
    compare(s, &emulated, &native);
}

/* IRET ---------------------------------------------------------------------------------------------------------- */

#define IRET_FLAGS                                                                                           \
    (STATUS | RFLAGS_DF | RFLAGS_ID | RFLAGS_IF | RFLAGS_IOPL | RFLAGS_RF | RFLAGS_VM | BIT(19) | BIT(20))

static const struct form iret = {"iret", 0, 0xcf, -1, IMM_NO, STACK | NO_MODRM, RFLAGS_RF, 0, ALWAYS};

static void iret_frame(struct sample *s, uint64_t rip, uint16_t cs, uint16_t ss)
{
    const uint64_t words[] = {rip, cs, support_random(&seed) & IRET_FLAGS, support_random(&seed), ss};
    uint8_t *at = s->start.data + (s->start.regs.gpr[REG_RSP] - DATA_ADDR);

    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        memcpy(at + i * s->size, &words[i], s->size);
}

/* To behind itself, in ring 3: with flags of which it may not take all, and with any stack pointer. */
static void iret_case(void)
{
    static struct sample s;
    uint16_t cs, ss;

    __asm__("mov %%cs, %0; mov %%ss, %1" : "=r"(cs), "=r"(ss));
    s = (struct sample){.form = &iret, .size = pick(2) ? 8 : 4};
    sample_machine(&s);
    if (s.size == 8)
        put(&s, 0x48);
    put(&s, 0xcf);
    if (cs / 8 * 8 + 8 > GDT_SIZE || ss / 8 * 8 + 8 > GDT_SIZE)
        NATIVE_FAIL("the host's selectors");
    put_le64(s.start.data + cs / 8 * 8, 0x00affb000000ffff);
    put_le64(s.start.data + ss / 8 * 8, 0x00cff3000000ffff);
    iret_frame(&s, native_assemble(&s), cs, ss);
    sample_check(&s);
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
