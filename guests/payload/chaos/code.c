/* Instructions: any bytes, or such as a decoder accepts, or those that a hypervisor has to do with. */
#include "guests/payload/chaos/chaos.h"

#include "core/lib/bytes.h"
#include "core/lib/string.h"

#define ONE_OF(table) (table)[chaos_below(ARRAY_SIZE(table))]
#define RAX           0
#define RCX           1
#define RDX           2
#define STRING_MAX    0x40

static uint8_t byte_any(void)
{
    return (uint8_t)(chaos_any() >> 40);
}

static uint32_t bytes_any(uint8_t *at, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        at[i] = byte_any();
    return count;
}

static uint32_t prefixes(uint8_t *at, bool wide)
{
    static const uint8_t all[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65};
    uint32_t n = 0;

    while (n < 3 && chaos_once_in(4))
        at[n++] = ONE_OF(all);
    if (wide && chaos_once_in(3))
        at[n++] = (uint8_t)(0x40 | chaos_below(16));
    return n;
}

/* ModR/M, mostly of memory behind a register, and whatever may follow. */
static uint32_t operands(uint8_t *at)
{
    uint8_t modrm = byte_any();

    if (chaos_once_in(2))
        modrm &= 0x3f;
    at[0] = modrm;
    if (chaos_once_in(2)) /* a small displacement, a small immediate */
        put_le64(at + 1, chaos_below(0x100) * 0x0100000000000001ull);
    else
        bytes_any(at + 1, 10);
    return 11;
}

static bool is_wide(const struct chaos_step *step)
{
    return step->kind == CHAOS_LONG && (step->cs & 0xf8) != CHAOS_CODE32 && (step->cs & 0xf8) != CHAOS_CODE16;
}

static uint32_t code_map(uint8_t *at, const struct chaos_step *step)
{
    static const uint8_t maps[] = {0, 0, 0, 0, 0x0f, 0x0f, 0x0f, 0x38, 0x3a};
    uint32_t n = prefixes(at, is_wide(step));
    uint8_t map = ONE_OF(maps);

    if (map)
        at[n++] = 0x0f;
    if (map > 0x0f)
        at[n++] = map;
    at[n++] = byte_any();
    return n + operands(at + n);
}

static uint32_t code_vex(uint8_t *at)
{
    static const uint8_t first[] = {0xc4, 0xc5, 0x62, 0x8f};
    uint8_t kind = ONE_OF(first);
    uint32_t n = 1;

    at[0] = kind;
    n += bytes_any(at + n, kind == 0xc5 ? 1 : kind == 0x62 ? 3 : 2);
    if (kind == 0xc4 && !chaos_once_in(8))
        at[1] = (uint8_t)((at[1] & 0xe0) | (1 + chaos_below(3)));
    at[n++] = byte_any();
    return n + operands(at + n);
}

/* What ends with an operand has it behind the bytes here. */
static uint32_t code_system(uint8_t *at, struct chaos_step *step)
{
    static const struct {
        uint8_t len, bytes[5];
    } rows[] = {
        {2, {0x0f, 0x00}},
        {2, {0x0f, 0x00}},
        {2, {0x0f, 0x01}},
        {2, {0x0f, 0x01}},
        {2, {0x0f, 0x01}},
        {2, {0x0f, 0x02}},
        {2, {0x0f, 0x03}},
        {2, {0x0f, 0x05}},
        {2, {0x0f, 0x06}},
        {2, {0x0f, 0x07}},
        {2, {0x0f, 0x08}},
        {2, {0x0f, 0x09}},
        {3, {0xf3, 0x0f, 0x09}},
        {2, {0x0f, 0x0b}},
        {2, {0x0f, 0x20}},
        {2, {0x0f, 0x21}},
        {2, {0x0f, 0x22}},
        {2, {0x0f, 0x22}},
        {2, {0x0f, 0x23}},
        {2, {0x0f, 0x23}},
        {2, {0x0f, 0x31}},
        {2, {0x0f, 0x33}},
        {2, {0x0f, 0x34}},
        {2, {0x0f, 0x35}},
        {2, {0x0f, 0x37}},
        {2, {0x0f, 0x77}},
        {2, {0x0f, 0x78}},
        {2, {0x0f, 0x79}},
        {2, {0x0f, 0xa2}},
        {2, {0x0f, 0xaa}},
        {2, {0x0f, 0xae}},
        {2, {0x0f, 0xae}},
        {3, {0xf3, 0x0f, 0xae}},
        {3, {0x66, 0x0f, 0xae}},
        {2, {0x0f, 0xc7}},
        {3, {0x66, 0x0f, 0xc7}},
        {3, {0xf3, 0x0f, 0xc7}},
        {2, {0x0f, 0xb2}},
        {2, {0x0f, 0xb4}},
        {2, {0x0f, 0xb5}},
        {2, {0x0f, 0xa1}},
        {2, {0x0f, 0xa9}},
        {4, {0x66, 0x0f, 0x38, 0x80}},
        {4, {0x66, 0x0f, 0x38, 0x81}},
        {4, {0x66, 0x0f, 0x38, 0x82}},
        {4, {0x66, 0x0f, 0x38, 0xf8}},
        {3, {0x0f, 0x38, 0xf9}},
        {3, {0x0f, 0x01, 0xd1}},
        {3, {0x0f, 0x01, 0xd0}},
        {3, {0x0f, 0x01, 0xc1}},
        {3, {0x0f, 0x01, 0xd9}},
        {3, {0x0f, 0x01, 0xf8}},
        {3, {0x0f, 0x01, 0xf9}},
        {3, {0x0f, 0x01, 0xca}},
        {3, {0x0f, 0x01, 0xcb}},
        {1, {0x8e}},
        {1, {0x8e}},
        {1, {0x8c}},
        {1, {0x9a}},
        {1, {0xea}},
        {1, {0xff}},
        {2, {0x48, 0xff}},
        {1, {0xca}},
        {1, {0xcb}},
        {2, {0x48, 0xcb}},
        {1, {0xcf}},
        {2, {0x48, 0xcf}},
        {2, {0x66, 0xcf}},
        {1, {0xcc}},
        {1, {0xcd}},
        {1, {0xce}},
        {1, {0xf1}},
        {1, {0x9d}},
        {1, {0x9d}},
        {1, {0x9c}},
        {1, {0xc4}},
        {1, {0xc5}},
        {1, {0x63}},
        {1, {0x07}},
        {1, {0x17}},
        {1, {0x1f}},
        {1, {0xf4}},
        {2, {0xfb, 0xf4}},
        {1, {0xfa}},
        {1, {0xfb}},
        {1, {0x0e}},
        {1, {0x62}},
        {1, {0x9b}},
        {2, {0xf3, 0x90}},
        {2, {0x66, 0x9d}},
        {1, {0xc8}},
        {1, {0xd6}},
    };
    uint32_t row = chaos_below(ARRAY_SIZE(rows)), n = rows[row].len;

    memcpy(at, rows[row].bytes, n);
    if (chaos_once_in(2)) /* a selector, or a register's value near to what it is */
        step->gpr[chaos_below(8)] = chaos_once_in(2) ? chaos_selector()
                                                     : 0x80010033 ^ 1ull << chaos_below(64);
    if (chaos_once_in(2))
        return n + operands(at + n);
    at[n] = byte_any() | 0xc0;
    return n + 1;
}

static uint64_t msr_value(void)
{
    switch (chaos_below(6)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
        return chaos_any();
    case 3:
        return 0xfee00000 | chaos_below(16) << 8;
    default:
        return chaos_value();
    }
}

/* Half of the writes change one bit of what is there: that comes nearer to being accepted. */
static uint32_t code_msr(uint8_t *at, struct chaos_step *step)
{
    uint64_t value = msr_value();
    uint32_t n = 0, bit = chaos_below(64);

    step->gpr[RCX] = chaos_msr();
    step->gpr[RAX] = (uint32_t)value;
    step->gpr[RDX] = (uint32_t)(value >> 32);
    at[0] = 0x0f;
    at[1] = 0x32;
    if (chaos_once_in(3))
        return 2;
    if (chaos_once_in(2)) {
        /* RDMSR; BTC EAX or EDX, n */
        static const uint8_t flip[] = {0x0f, 0x32, 0x0f, 0xba, 0xf8};

        memcpy(at, flip, sizeof flip);
        at[4] |= (uint8_t)(bit < 32 ? RAX : RDX);
        at[5] = (uint8_t)(bit & 31);
        n = 6;
    }
    at[n] = 0x0f;
    at[n + 1] = 0x30;
    return n + 2;
}

/* Likewise with a bit of a control or debug register: MOV RAX, reg; BTC RAX, n; MOV reg, RAX. */
static uint32_t code_control(uint8_t *at, struct chaos_step *step)
{
    static const uint8_t numbers[] = {0, 0, 0, 4, 4, 4, 3, 2, 8};
    bool debug = chaos_once_in(5), wide = is_wide(step), lost = on_tcg && step->kind == CHAOS_LONG;
    uint8_t reg = debug ? (uint8_t)chaos_below(8) : ONE_OF(numbers), other = debug ? 1 : 0;
    uint32_t n = 0;

    /* QEMU's own CPU checks nothing of what is written to CR0, and is lost in long mode without paging. */
    if ((reg == 8 && !wide) || (reg == 0 && lost))
        reg = 4;
    for (int i = 0; i < 2; i++) {
        if (reg == 8)
            at[n++] = 0x44;
        at[n++] = 0x0f;
        at[n++] = (uint8_t)(0x20 + other + 2 * i);
        at[n++] = (uint8_t)(0xc0 | (reg & 7) << 3);
        if (i || chaos_once_in(8))
            continue;
        if (wide)
            at[n++] = 0x48;
        at[n++] = 0x0f;
        at[n++] = 0xba;
        at[n++] = 0xf8;
        /* Where another bit of CR3 leads is nearly always the end. */
        at[n++] = (uint8_t)chaos_below(reg == 3 ? 12 : wide && chaos_once_in(3) ? 64 : 32);
    }
    return n;
}

static uint32_t code_port(uint8_t *at, struct chaos_step *step)
{
    static const uint8_t opcodes[] = {0xe4, 0xe5, 0xe6, 0xe7, 0xec, 0xed, 0xee, 0xef, 0xec,
                                      0xee, 0xed, 0xef, 0xee, 0xef, 0x6c, 0x6d, 0x6e, 0x6f};
    uint8_t opcode = ONE_OF(opcodes);
    uint32_t n = 0;

    step->gpr[RDX] = chaos_port() | (chaos_once_in(8) ? chaos_any() << 16 : 0);
    if (chaos_once_in(4))
        step->gpr[RAX] = chaos_below(256);
    if (chaos_once_in(3))
        at[n++] = 0x66;
    if (opcode < 0x70 && !chaos_once_in(4)) {
        at[n++] = chaos_once_in(2) ? 0xf3 : 0xf2;
        step->gpr[RCX] = chaos_once_in(64) ? chaos_any() : chaos_below(STRING_MAX);
    }
    if (opcode < 0x70 && chaos_once_in(4))
        at[n++] = 0x67;
    at[n++] = opcode;
    at[n++] = (uint8_t)chaos_port();
    return n - (opcode >= 0xec || opcode < 0x70);
}

/* General instructions that read or write memory, on a device; the registers all point to one. */
uint32_t chaos_access(uint8_t *at, struct chaos_step *step)
{
    static const uint8_t opcodes[] = {0x88, 0x89, 0x8a, 0x8b, 0x88, 0x89, 0x8a, 0x8b, 0xc6, 0xc7,
                                      0x00, 0x01, 0x31, 0x39, 0x85, 0x87, 0xa4, 0xa5, 0xab, 0xaa,
                                      0xad, 0xa7, 0xaf, 0xff, 0xf7, 0x81, 0x83, 0xd3, 0x8f, 0xfe};
    uint8_t opcode = ONE_OF(opcodes);
    uint32_t n = prefixes(at, is_wide(step));

    for (uint32_t i = 0; i < 8; i++)
        if (i != RAX && i != 4)
            step->gpr[i] = i == RCX ? chaos_below(STRING_MAX) : chaos_device();
    at[n++] = opcode;
    at[n] = byte_any();
    if ((opcode & 0xfe) == 0xc6 || opcode == 0x8f) /* QEMU's own CPU carries out what isn't defined */
        at[n] &= 0xc7;
    else if (opcode == 0xff)
        at[n] &= 0xcf;
    if (chaos_once_in(16))
        return n + 1 + bytes_any(at + n + 1, 8);
    /* No displacement, so that what may follow is an immediate operand or the end. */
    at[n] &= 0x3f;
    if ((at[n] & 6) == 4)
        at[n] ^= 2;
    return n + 1;
}

uint32_t chaos_instruction(uint8_t *at, struct chaos_step *step)
{
    uint32_t kind = chaos_below(28);

    if (kind < 3)
        return bytes_any(at, 1 + chaos_below(16));
    if (kind < 10)
        return code_map(at, step);
    if (kind < 12) /* nor for all of these has QEMU's translator a function */
        return on_tcg ? code_map(at, step) : code_vex(at);
    if (kind < 18)
        return code_system(at, step);
    if (kind < 22)
        return code_msr(at, step);
    return kind < 24 ? code_control(at, step) : code_port(at, step);
}
