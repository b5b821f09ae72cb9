/*
 * The executor against the processor that runs this test: random instructions in 64-bit mode, on registers and on memory,
 * run both ways; registers, memory, defined flags and #DE must agree. KEEL_SEED in the environment gives other cases.
 */
#include "core/emul/exec.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/lib/bytes.h"
#include "core/x86/cr.h"
#include "tests/unit/support.h"

#define STATUS (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)
#define CASES  150000

/* Below 2 GB, so that the stub needs no register to reach its data. */
#define STATE_ADDR 0x10000000ul
#define CODE_ADDR  0x10010000ul
#define DATA_ADDR  0x10020000ul
#define DATA_SIZE  4096

struct state {
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

static uint32_t pick(uint32_t below)
{
    return (uint32_t)(support_random(&seed) >> 33) % below;
}

/* Forms --------------------------------------------------------------------------------------------------------- */

enum { IMM_NO, IMM_BYTE, IMM_FULL };
enum {
    BYTE_TOO = BIT(0), /* opcode with bit 0 clear is the form with one byte */
    MEM_ONLY = BIT(1),
    BITSTRING = BIT(2), /* the register operand is a bit offset */
    SHIFTS = BIT(3),    /* which flags are defined depends on the count */
    DOUBLE = BIT(4),    /* SHLD, SHRD */
    STRING = BIT(5),
    NO_MODRM = BIT(6),
    STACK = BIT(7),
    WIDE_ONLY = BIT(8), /* with REX.W */
    ALIGNED = BIT(9),
    NO_66 = BIT(10),
};

struct form {
    const char *name;
    uint8_t map;
    uint8_t opcode;
    int8_t reg; /* -1: any */
    uint8_t imm;
    uint16_t kind;
    uint64_t undefined; /* flags */
};

#define LOGIC    RFLAGS_AF
#define MULTIPLY (RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF)
#define BITS     (RFLAGS_SF | RFLAGS_OF | RFLAGS_AF | RFLAGS_PF)

#define ALU(name, opcode, undefined)                                                                         \
    {name " rm, r", 0, (opcode) + 1, -1, IMM_NO, BYTE_TOO, undefined},                                       \
        {name " r, rm", 0, (opcode) + 3, -1, IMM_NO, BYTE_TOO, undefined},                                   \
        {name " acc, imm", 0, (opcode) + 5, -1, IMM_FULL, BYTE_TOO | NO_MODRM, undefined},                   \
        {name " rm, imm", 0, 0x81, (opcode) >> 3, IMM_FULL, BYTE_TOO, undefined},                            \
    {                                                                                                        \
        name " rm, imm8", 0, 0x83, (opcode) >> 3, IMM_BYTE, 0, undefined                                     \
    }

#define SHIFT(name, reg)                                                                                     \
    {name " rm, imm8", 0, 0xc1, reg, IMM_BYTE, BYTE_TOO | SHIFTS, 0},                                        \
        {name " rm, 1", 0, 0xd1, reg, IMM_NO, BYTE_TOO | SHIFTS, 0},                                         \
    {                                                                                                        \
        name " rm, cl", 0, 0xd3, reg, IMM_NO, BYTE_TOO | SHIFTS, 0                                           \
    }

static const struct form forms[] = {
    ALU("add", 0x00, 0),
    ALU("or", 0x08, LOGIC),
    ALU("adc", 0x10, 0),
    ALU("sbb", 0x18, 0),
    ALU("and", 0x20, LOGIC),
    ALU("sub", 0x28, 0),
    ALU("xor", 0x30, LOGIC),
    ALU("cmp", 0x38, 0),
    SHIFT("rol", 0),
    SHIFT("ror", 1),
    SHIFT("rcl", 2),
    SHIFT("rcr", 3),
    SHIFT("shl", 4),
    SHIFT("shr", 5),
    SHIFT("sal", 6),
    SHIFT("sar", 7),
    {"test rm, r", 0, 0x85, -1, IMM_NO, BYTE_TOO, LOGIC},
    {"test acc, imm", 0, 0xa9, -1, IMM_FULL, BYTE_TOO | NO_MODRM, LOGIC},
    {"test rm, imm", 0, 0xf7, 0, IMM_FULL, BYTE_TOO, LOGIC},
    {"test rm, imm (1)", 0, 0xf7, 1, IMM_FULL, BYTE_TOO, LOGIC},
    {"not", 0, 0xf7, 2, IMM_NO, BYTE_TOO, 0},
    {"neg", 0, 0xf7, 3, IMM_NO, BYTE_TOO, 0},
    {"mul", 0, 0xf7, 4, IMM_NO, BYTE_TOO, MULTIPLY},
    {"imul", 0, 0xf7, 5, IMM_NO, BYTE_TOO, MULTIPLY},
    {"div", 0, 0xf7, 6, IMM_NO, BYTE_TOO, STATUS},
    {"idiv", 0, 0xf7, 7, IMM_NO, BYTE_TOO, STATUS},
    {"imul r, rm", 1, 0xaf, -1, IMM_NO, 0, MULTIPLY},
    {"imul r, rm, imm", 0, 0x69, -1, IMM_FULL, 0, MULTIPLY},
    {"imul r, rm, imm8", 0, 0x6b, -1, IMM_BYTE, 0, MULTIPLY},
    {"inc", 0, 0xff, 0, IMM_NO, BYTE_TOO, 0},
    {"dec", 0, 0xff, 1, IMM_NO, BYTE_TOO, 0},
    {"mov rm, r", 0, 0x89, -1, IMM_NO, BYTE_TOO, 0},
    {"mov r, rm", 0, 0x8b, -1, IMM_NO, BYTE_TOO, 0},
    {"mov rm, imm", 0, 0xc7, 0, IMM_FULL, BYTE_TOO, 0},
    {"movzx b", 1, 0xb6, -1, IMM_NO, 0, 0},
    {"movzx w", 1, 0xb7, -1, IMM_NO, 0, 0},
    {"movsx b", 1, 0xbe, -1, IMM_NO, 0, 0},
    {"movsx w", 1, 0xbf, -1, IMM_NO, 0, 0},
    {"movsxd", 0, 0x63, -1, IMM_NO, 0, 0},
    {"movbe r, m", 2, 0xf0, -1, IMM_NO, MEM_ONLY, 0},
    {"movbe m, r", 2, 0xf1, -1, IMM_NO, MEM_ONLY, 0},
    {"movnti", 1, 0xc3, -1, IMM_NO, MEM_ONLY | NO_66, 0},
    {"cmovcc", 1, 0x40, -1, IMM_NO, 0, 0},
    {"setcc", 1, 0x90, -1, IMM_NO, 0, 0},
    {"xchg", 0, 0x87, -1, IMM_NO, BYTE_TOO, 0},
    {"xadd", 1, 0xc1, -1, IMM_NO, BYTE_TOO, 0},
    {"cmpxchg", 1, 0xb1, -1, IMM_NO, BYTE_TOO, 0},
    {"cmpxchg8b", 1, 0xc7, 1, IMM_NO, MEM_ONLY, 0},
    {"cmpxchg16b", 1, 0xc7, 1, IMM_NO, MEM_ONLY | WIDE_ONLY | ALIGNED | NO_66, 0},
    {"bt rm, r", 1, 0xa3, -1, IMM_NO, BITSTRING, BITS},
    {"bts rm, r", 1, 0xab, -1, IMM_NO, BITSTRING, BITS},
    {"btr rm, r", 1, 0xb3, -1, IMM_NO, BITSTRING, BITS},
    {"btc rm, r", 1, 0xbb, -1, IMM_NO, BITSTRING, BITS},
    {"bt rm, imm8", 1, 0xba, 4, IMM_BYTE, 0, BITS},
    {"bts rm, imm8", 1, 0xba, 5, IMM_BYTE, 0, BITS},
    {"btr rm, imm8", 1, 0xba, 6, IMM_BYTE, 0, BITS},
    {"btc rm, imm8", 1, 0xba, 7, IMM_BYTE, 0, BITS},
    {"shld imm8", 1, 0xa4, -1, IMM_BYTE, SHIFTS | DOUBLE, 0},
    {"shld cl", 1, 0xa5, -1, IMM_NO, SHIFTS | DOUBLE, 0},
    {"shrd imm8", 1, 0xac, -1, IMM_BYTE, SHIFTS | DOUBLE, 0},
    {"shrd cl", 1, 0xad, -1, IMM_NO, SHIFTS | DOUBLE, 0},
    {"movs", 0, 0xa5, -1, IMM_NO, BYTE_TOO | STRING | NO_MODRM, 0},
    {"cmps", 0, 0xa7, -1, IMM_NO, BYTE_TOO | STRING | NO_MODRM, 0},
    {"stos", 0, 0xab, -1, IMM_NO, BYTE_TOO | STRING | NO_MODRM, 0},
    {"lods", 0, 0xad, -1, IMM_NO, BYTE_TOO | STRING | NO_MODRM, 0},
    {"scas", 0, 0xaf, -1, IMM_NO, BYTE_TOO | STRING | NO_MODRM, 0},
    {"push r", 0, 0x50, -1, IMM_NO, STACK | NO_MODRM, 0},
    {"push imm", 0, 0x68, -1, IMM_FULL, STACK | NO_MODRM, 0},
    {"push imm8", 0, 0x6a, -1, IMM_BYTE, STACK | NO_MODRM, 0},
    {"push rm", 0, 0xff, 6, IMM_NO, STACK, 0},
    {"pop r", 0, 0x58, -1, IMM_NO, STACK | NO_MODRM, 0},
    {"pop rm", 0, 0x8f, 0, IMM_NO, STACK, 0},
};

/* One random case ----------------------------------------------------------------------------------------------- */

struct sample {
    const struct form *form;
    uint8_t bytes[INSN_MAX_LEN];
    uint32_t length;
    uint32_t size;  /* of the operands */
    uint32_t count; /* of a shift */
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
        disp &= ~15u;
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
        s->start.regs.gpr[REG_R9] = (uint64_t)(pick(16) << 4) - 128;
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
    s->start.regs.flags = RFLAGS_FIXED1 | RFLAGS_IF | (support_random(&seed) & STATUS);
    if (s->form->kind & STACK)
        s->start.regs.gpr[REG_RSP] = DATA_ADDR + DATA_SIZE / 2 + pick(16);
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
    if (s->form->map == 2)
        put(s, 0x38);
    put(s, opcode);
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
    if (opcode == 0x50 || opcode == 0x58)
        opcode |= pick(8);
    at = s->length;
    sample_opcode(s, opcode);
    rex = wide ? 8 : 0;
    if (!(form->kind & NO_MODRM))
        put_modrm(s, &rex);
    put_imm(s);
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
        fail_msg("access to %#lx", ref->gva);
    return m->data + (ref->gva - DATA_ADDR);
}

static int machine_read(void *ctx, const struct emul_ref *ref, uint64_t *value, struct emul_fault *fault)
{
    (void)fault;
    *value = 0;
    memcpy(value, machine_at(ctx, ref), ref->size);
    return 0;
}

static int machine_write(void *ctx, const struct emul_ref *ref, uint64_t value, struct emul_fault *fault)
{
    (void)fault;
    memcpy(machine_at(ctx, ref), &value, ref->size);
    return 0;
}

static uint64_t machine_get(void *ctx, enum vcpu_reg reg)
{
    const struct machine *m = ctx;

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

static const struct emul_io machine_io = {
    .read = machine_read, .write = machine_write, .get = machine_get, .set = machine_set};

/* Comparing ----------------------------------------------------------------------------------------------------- */

static void sample_fail(const struct sample *s, const char *what, uint64_t got, uint64_t want)
{
    char bytes[3 * INSN_MAX_LEN + 1] = "";

    for (uint32_t i = 0; i < s->length; i++)
        snprintf(bytes + 3 * i, 4, " %02x", s->bytes[i]);
    fail_msg("%s:%s: %s is %#lx, the processor has %#lx", s->form->name, bytes, what, got, want);
}

static void compare_data(const struct sample *s, const struct machine *got, const struct machine *want)
{
    char what[32];

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
    char what[32];

    for (int i = 0; i < REG_GPR_COUNT; i++) {
        snprintf(what, sizeof(what), "register %d", i);
        if (got->regs.gpr[i] != want->regs.gpr[i])
            sample_fail(s, what, got->regs.gpr[i], want->regs.gpr[i]);
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
    const struct sigaction action = {.sa_handler = native_signal, .sa_flags = SA_ONSTACK};

    assert_int_equal(sigaltstack(&alternate, NULL), 0);
    assert_int_equal(sigaction(SIGFPE, &action, NULL), 0);
    assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
    assert_int_equal(sigaction(SIGBUS, &action, NULL), 0);
    assert_int_equal(sigaction(SIGILL, &action, NULL), 0);
}

static void test_against_processor(void **state)
{
    static struct sample s;

    (void)state;
    signals_take();
    for (uint32_t i = 0; i < CASES; i++) {
        sample_make(&s, &forms[i % ARRAY_SIZE(forms)]);
        sample_check(&s);
    }
}

static int setup(void **state)
{
    const char *given = getenv("KEEL_SEED");
    void *place = (void *)STATE_ADDR;

    (void)state;
    seed = given ? strtoull(given, NULL, 0) : 0x6b65656c;
    print_message("seed %#lx\n", seed);
    return mmap(place, DATA_ADDR + DATA_SIZE - STATE_ADDR, PROT_READ | PROT_WRITE | PROT_EXEC,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == place
               ? 0
               : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_processor),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
