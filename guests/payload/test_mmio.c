/*
 * Each instruction that accesses memory on a page of RAM, by the CPU, and on the text screen's page, by the hypervisor's emulator: on
 * random registers and data both leave the same registers, flags, vector registers and memory. A failure prints its seed.
 */
#include "guests/payload/payload.h"

#include "core/lib/format.h"
#include "core/lib/string.h"

#define DEVICE 0xba000ull /* behind what is on the screen */
#define RAM    ARENA
#define AREA   128
#define ROUNDS 6

#define CF     BIT(0)
#define PF     BIT(2)
#define AF     BIT(4)
#define ZF     BIT(6)
#define SF     BIT(7)
#define OF     BIT(11)
#define STATUS (CF | PF | AF | ZF | SF | OF)

enum {
    BYTE = BIT(0),   /* has a form with bytes: the opcode without bit 0 */
    IMM8 = BIT(1),   /* an immediate byte */
    IMM = BIT(2),    /* one of the operand size */
    LOCKED = BIT(3), /* can have LOCK */
    NO_66 = BIT(4),
    WIDE = BIT(5),   /* only with REX.W */
    REPEAT = BIT(6), /* a string instruction */
    VECTOR = BIT(7), /* all vector registers can be named */
    NO_W = BIT(8),
};

struct form {
    const char *name;
    uint8_t prefix; /* 66, F2 or F3, which is a part of the opcode */
    uint8_t map;    /* 0: none; 1: 0F; 2: 0F 38; 3: 0F 3A */
    uint8_t opcode;
    int8_t reg; /* -1: any */
    uint16_t kind;
    uint16_t undefined; /* flags */
    uint8_t feature;    /* bit of CPUID leaf 1 ECX, or 32 + bit of leaf 7 EBX; 0: always there */
};

#define POPCNT 23
#define SSE42  20
#define SSE41  19
#define MOVBE  22
#define CX16   13
#define ADX    (32 + 19)

static const struct form forms[] = {
    {"add-m", 0, 0, 0x01, -1, BYTE | LOCKED, 0, 0},
    {"or-m", 0, 0, 0x09, -1, BYTE | LOCKED, AF, 0},
    {"adc-m", 0, 0, 0x11, -1, BYTE | LOCKED, 0, 0},
    {"sbb-r", 0, 0, 0x1b, -1, BYTE, 0, 0},
    {"and-r", 0, 0, 0x23, -1, BYTE, AF, 0},
    {"sub-m", 0, 0, 0x29, -1, BYTE | LOCKED, 0, 0},
    {"xor-r", 0, 0, 0x33, -1, BYTE, AF, 0},
    {"cmp-m", 0, 0, 0x39, -1, BYTE, 0, 0},
    {"cmp-imm", 0, 0, 0x81, 7, BYTE | IMM, 0, 0},
    {"sbb-imm8", 0, 0, 0x83, 3, IMM8 | LOCKED, 0, 0},
    {"test-m", 0, 0, 0x85, -1, BYTE, AF, 0},
    {"test-imm", 0, 0, 0xf7, 0, BYTE | IMM, AF, 0},
    {"not", 0, 0, 0xf7, 2, BYTE | LOCKED, 0, 0},
    {"neg", 0, 0, 0xf7, 3, BYTE | LOCKED, 0, 0},
    {"mul", 0, 0, 0xf7, 4, BYTE, SF | ZF | AF | PF, 0},
    {"imul", 0, 1, 0xaf, -1, 0, SF | ZF | AF | PF, 0},
    {"imul-imm", 0, 0, 0x69, -1, IMM, SF | ZF | AF | PF, 0},
    {"inc", 0, 0, 0xff, 0, BYTE | LOCKED, 0, 0},
    {"dec", 0, 0, 0xff, 1, BYTE | LOCKED, 0, 0},
    {"rol-1", 0, 0, 0xd1, 0, BYTE, 0, 0},
    {"rcr-1", 0, 0, 0xd1, 3, BYTE, 0, 0},
    {"shl-1", 0, 0, 0xd1, 4, BYTE, AF, 0},
    {"sar-cl", 0, 0, 0xd3, 7, 0, AF | OF, 0},
    {"mov-m", 0, 0, 0x89, -1, BYTE, 0, 0},
    {"mov-r", 0, 0, 0x8b, -1, BYTE, 0, 0},
    {"mov-imm", 0, 0, 0xc7, 0, BYTE | IMM, 0, 0},
    {"movzx-b", 0, 1, 0xb6, -1, 0, 0, 0},
    {"movsx-w", 0, 1, 0xbf, -1, 0, 0, 0},
    {"movsxd", 0, 0, 0x63, -1, 0, 0, 0},
    {"movbe-r", 0, 2, 0xf0, -1, 0, 0, MOVBE},
    {"movbe-m", 0, 2, 0xf1, -1, 0, 0, MOVBE},
    {"movnti", 0, 1, 0xc3, -1, NO_66, 0, 0},
    {"cmovz", 0, 1, 0x44, -1, 0, 0, 0},
    {"setc", 0, 1, 0x92, 0, 0, 0, 0},
    {"xchg", 0, 0, 0x87, -1, BYTE | LOCKED, 0, 0},
    {"xadd", 0, 1, 0xc1, -1, BYTE | LOCKED, 0, 0},
    {"cmpxchg", 0, 1, 0xb1, -1, BYTE | LOCKED, 0, 0},
    {"cmpxchg8b", 0, 1, 0xc7, 1, NO_W | NO_66 | LOCKED, 0, 0},
    {"cmpxchg16b", 0, 1, 0xc7, 1, WIDE | NO_66 | LOCKED, 0, CX16},
    {"bt-imm", 0, 1, 0xba, 4, IMM8, SF | OF | AF | PF, 0},
    {"bts-imm", 0, 1, 0xba, 5, IMM8 | LOCKED, SF | OF | AF | PF, 0},
    {"btc-imm", 0, 1, 0xba, 7, IMM8 | LOCKED, SF | OF | AF | PF, 0},
    {"bsf", 0, 1, 0xbc, -1, 0, CF | SF | OF | AF | PF, 0},
    {"bsr", 0, 1, 0xbd, -1, 0, CF | SF | OF | AF | PF, 0},
    {"popcnt", 0xf3, 1, 0xb8, -1, 0, 0, POPCNT},
    {"crc32", 0xf2, 2, 0xf1, -1, BYTE, 0, SSE42},
    {"adcx", 0x66, 2, 0xf6, -1, NO_66, 0, ADX},
    {"adox", 0xf3, 2, 0xf6, -1, NO_66, 0, ADX},
    {"shld-imm", 0, 1, 0xa4, -1, IMM8 | NO_66, AF | OF, 0},
    {"lods", 0, 0, 0xad, -1, BYTE | REPEAT, 0, 0},
    {"stos", 0, 0, 0xab, -1, BYTE | REPEAT, 0, 0},
    {"movs", 0, 0, 0xa5, -1, BYTE | REPEAT, 0, 0},
    {"cmps", 0, 0, 0xa7, -1, BYTE | REPEAT, 0, 0},
    {"scas", 0, 0, 0xaf, -1, BYTE | REPEAT, 0, 0},
    {"movups-r", 0, 1, 0x10, -1, NO_66 | VECTOR, 0, 0},
    {"movups-m", 0, 1, 0x11, -1, NO_66 | VECTOR, 0, 0},
    {"movss-r", 0xf3, 1, 0x10, -1, NO_66 | VECTOR, 0, 0},
    {"movsd-m", 0xf2, 1, 0x11, -1, NO_66 | VECTOR, 0, 0},
    {"movlps-r", 0, 1, 0x12, -1, NO_66 | VECTOR, 0, 0},
    {"movhps-r", 0, 1, 0x16, -1, NO_66 | VECTOR, 0, 0},
    {"movhps-m", 0, 1, 0x17, -1, NO_66 | VECTOR, 0, 0},
    {"movaps-r", 0, 1, 0x28, -1, NO_66 | VECTOR, 0, 0},
    {"movntps", 0, 1, 0x2b, -1, NO_66 | VECTOR, 0, 0},
    {"movd-r", 0x66, 1, 0x6e, -1, NO_66 | VECTOR, 0, 0},
    {"movd-m", 0x66, 1, 0x7e, -1, NO_66 | VECTOR, 0, 0},
    {"movdqa-r", 0x66, 1, 0x6f, -1, NO_66 | VECTOR, 0, 0},
    {"movdqu-m", 0xf3, 1, 0x7f, -1, NO_66 | VECTOR, 0, 0},
    {"movntdq", 0x66, 1, 0xe7, -1, NO_66 | VECTOR, 0, 0},
    {"pinsrw", 0x66, 1, 0xc4, -1, NO_66 | VECTOR | IMM8, 0, 0},
    {"pextrd", 0x66, 3, 0x16, -1, NO_66 | VECTOR | IMM8, 0, SSE41},
    {"movq-mm-r", 0, 1, 0x6f, -1, NO_66 | NO_W, 0, 0},
    {"movq-mm-m", 0, 1, 0x7f, -1, NO_66 | NO_W, 0, 0},
};

struct state {
    uint64_t xmm[16][2], mm[8], gpr[16], flags, rsp;
    uint8_t data[AREA];
};

static struct state state;
static uint8_t code[1024] __attribute__((aligned(4096)));
static uint64_t seed;

static uint32_t pick(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 33) % below;
}

/* The instruction ----------------------------------------------------------------------------------------------- */

struct insn {
    uint8_t bytes[16];
    uint32_t length;
};

static void put(struct insn *i, uint8_t byte)
{
    i->bytes[i->length++] = byte;
}

/* Never RBX, which is the address, nor RSP; and a REX prefix always, so that there are no high bytes. */
static uint32_t reg_pick(const struct form *f)
{
    uint32_t reg = pick(f->kind & VECTOR ? 16 : f->kind & (NO_W | NO_66) && f->map == 1 ? 8 : 16);

    return !(f->kind & VECTOR) && (reg == 3 || reg == 4) ? reg + 2 : reg;
}

static void insn_make(struct insn *i, const struct form *f)
{
    uint32_t reg = f->reg >= 0 ? (uint32_t)f->reg : reg_pick(f), opcode = f->opcode, imm = 0;
    bool wide = f->kind & WIDE || (!(f->kind & NO_W) && pick(3) == 0), narrow;

    i->length = 0;
    if (f->kind & LOCKED && pick(2))
        put(i, 0xf0);
    if (f->kind & REPEAT && pick(3))
        put(i, pick(2) ? 0xf2 : 0xf3);
    narrow = !wide && !(f->kind & NO_66) && pick(4) == 0;
    if (narrow)
        put(i, 0x66);
    if (f->prefix)
        put(i, f->prefix);
    put(i, (uint8_t)(0x40 | (wide ? 8 : 0) | (reg & 8 ? 4 : 0)));
    if (f->kind & BYTE && pick(3) == 0) {
        opcode &= ~1u;
        imm = f->kind & IMM ? 1 : 0;
    } else if (f->kind & IMM) {
        imm = narrow ? 2 : 4;
    }
    if (f->map)
        put(i, 0x0f);
    if (f->map > 1)
        put(i, f->map == 2 ? 0x38 : 0x3a);
    put(i, (uint8_t)opcode);
    if (!(f->kind & REPEAT)) {
        put(i, (uint8_t)(0x43 | (reg & 7) << 3)); /* [rbx + a multiple of 16] */
        put(i, (uint8_t)(pick(4) * 16));
    }
    for (imm += f->kind & IMM8 ? 1 : 0; imm; imm--)
        put(i, (uint8_t)pick(f->kind & IMM8 ? 32 : 256));
}

/* Code around it ------------------------------------------------------------------------------------------------ */

static uint8_t *at;

static void emit(const void *bytes, uint32_t len)
{
    memcpy(at, bytes, len);
    at += len;
}

#define EMIT(...) emit((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* [address] is the operand of what comes before; reg 0-7 of it. */
static void emit_address(uint32_t reg, const void *address)
{
    uint32_t where = (uint32_t)(uint64_t)address;

    EMIT((uint8_t)(0x04 | (reg & 7) << 3), 0x25);
    emit(&where, 4);
}

static void emit_vectors(bool store)
{
    for (uint32_t i = 0; i < 16; i++) { /* movups */
        EMIT(i & 8 ? 0x44 : 0x40, 0x0f, 0x10 + store);
        emit_address(i, state.xmm[i]);
    }
    for (uint32_t i = 0; i < 8; i++) { /* movq */
        EMIT(0x0f, store ? 0x7f : 0x6f);
        emit_address(i, &state.mm[i]);
    }
}

/* RSP stays: it is the stack of NMIs. */
static void emit_registers(bool store)
{
    for (uint32_t i = 0; i < 16; i++) {
        if (i == 4)
            continue;
        EMIT(i & 8 ? 0x4c : 0x48, store ? 0x89 : 0x8b);
        emit_address(i, &state.gpr[i]);
    }
}

static void assemble(const struct insn *i)
{
    at = code;
    EMIT(0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57); /* push rbx, rbp, r12 .. r15 */
    emit_vectors(false);
    emit_registers(false);
    EMIT(0xff); /* push flags; popfq */
    emit_address(6, &state.flags);
    EMIT(0x9d);
    emit(i->bytes, i->length);
    EMIT(0x9c, 0x8f); /* pushfq; pop flags */
    emit_address(0, &state.flags);
    emit_registers(true);
    emit_vectors(true);
    EMIT(0x0f, 0x77, 0xfc, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b,
         0xc3); /* emms, cld, pop .. */
}

/* One case ------------------------------------------------------------------------------------------------------ */

static void copy_words(volatile uint64_t *to, const volatile uint64_t *from)
{
    for (uint32_t i = 0; i < AREA / 8; i++)
        to[i] = from[i];
}

static void state_fill(struct state *s, const struct form *f)
{
    uint64_t *words = (uint64_t *)s;

    for (uint32_t i = 0; i < sizeof(*s) / 8; i++) {
        (void)pick(1);
        words[i] = i & 1 ? seed : seed & 0x00ff00ff00ff00ff;
    }
    s->flags = BIT(1) | (seed & STATUS);
    if (f->kind & REPEAT)
        s->gpr[1] = pick(9); /* RCX: at most 8 times 8 bytes */
    s->gpr[6] = s->gpr[7] = 0;
}

/* On the memory at base; addresses are then made relative to it. */
static void state_run(struct state *s, const struct form *f, uint64_t base)
{
    state = *s;
    copy_words((volatile uint64_t *)base, (const uint64_t *)s->data);
    state.gpr[3] = base;
    if (f->kind & REPEAT) {
        state.gpr[6] = base;
        state.gpr[7] = base + 64;
    }
    ((void (*)(void))code)();
    if (f->kind & REPEAT) {
        state.gpr[6] -= base;
        state.gpr[7] -= base;
    }
    state.gpr[3] = 0;
    copy_words((volatile uint64_t *)state.data, (const volatile uint64_t *)base);
    *s = state;
}

static bool case_agrees(const struct form *f)
{
    static struct state native, emulated;
    uint64_t from = seed;
    struct insn insn;

    insn_make(&insn, f);
    state_fill(&native, f);
    emulated = native;
    assemble(&insn);
    state_run(&native, f, RAM);
    state_run(&emulated, f, DEVICE);
    native.flags &= ~(uint64_t)f->undefined;
    emulated.flags &= ~(uint64_t)f->undefined;
    if (!memcmp(&native, &emulated, sizeof(native)))
        return true;
    for (uint32_t i = 0; i < sizeof(native) / 8; i++)
        if (((uint64_t *)&native)[i] != ((uint64_t *)&emulated)[i])
            print("mmio.%s: word %u is %#llx, the CPU has %#llx, seed %#llx", f->name, i,
                  (unsigned long long)((uint64_t *)&emulated)[i],
                  (unsigned long long)((uint64_t *)&native)[i], (unsigned long long)from);
    return false;
}

static bool form_there(const struct form *f)
{
    if (!f->feature)
        return true;
    return f->feature < 32 ? cpu_has(1, 2, f->feature) : cpu_has(7, 1, f->feature - 32);
}

static void form_run(const struct form *f)
{
    char name[64];
    uint32_t wrong = 0;

    fmt_print(name, sizeof name, "mmio.%s", f->name);
    if (!form_there(f)) {
        skip(name, "this CPU doesn't have it");
        return;
    }
    for (uint32_t i = 0; i < ROUNDS && !wrong; i++)
        wrong += !case_agrees(f);
    expect(name, wrong, 0);
}

void test_mmio(void)
{
    uint64_t cr4 = read_cr4();

    if (!on_keel) {
        skip("mmio.all", "the screen's memory is a device on Keel alone");
        return;
    }
    seed = 0x6b65656c;
    write_cr4(cr4 | CR4_OSFXSR);
    for (uint32_t i = 0; i < ARRAY_SIZE(forms); i++)
        form_run(&forms[i]);
    write_cr4(cr4);
}
