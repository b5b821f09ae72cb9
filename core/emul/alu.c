#include "core/emul/alu.h"

#include "core/emul/operand.h"

/* SF, ZF and PF of a result. */
static uint64_t flags_result(uint64_t r, uint32_t size)
{
    uint64_t flags = __builtin_parity((uint32_t)r & 0xff) ? 0 : RFLAGS_PF;

    if (r == 0)
        flags |= RFLAGS_ZF;
    if (r & size_sign(size))
        flags |= RFLAGS_SF;
    return flags;
}

static void flags_set(uint64_t *flags, uint64_t mask, uint64_t value)
{
    *flags = (*flags & ~mask) | (value & mask);
}

/* `carries` and `overflow` have their answer in the sign bit, `carries` also in bit 3 for AF. */
static uint64_t flags_arith(uint64_t r, uint64_t carries, uint64_t overflow, uint32_t size)
{
    uint64_t flags = flags_result(r, size);

    if (carries & size_sign(size))
        flags |= RFLAGS_CF;
    if (carries & BIT(3))
        flags |= RFLAGS_AF;
    if (overflow & size_sign(size))
        flags |= RFLAGS_OF;
    return flags;
}

static uint64_t alu_add(uint64_t a, uint64_t b, uint64_t carry, uint32_t size, uint64_t *flags)
{
    uint64_t r = (a + b + carry) & size_mask(size);

    flags_set(flags, RFLAGS_STATUS, flags_arith(r, (a & b) | ((a | b) & ~r), (a ^ r) & (b ^ r), size));
    return r;
}

static uint64_t alu_sub(uint64_t a, uint64_t b, uint64_t borrow, uint32_t size, uint64_t *flags)
{
    uint64_t r = (a - b - borrow) & size_mask(size);

    flags_set(flags, RFLAGS_STATUS, flags_arith(r, (~a & b) | (~(a ^ b) & r), (a ^ b) & (a ^ r), size));
    return r;
}

static uint64_t alu_logic(uint64_t r, uint32_t size, uint64_t *flags)
{
    flags_set(flags, RFLAGS_STATUS, flags_result(r, size));
    return r;
}

uint64_t alu_run(enum alu_op op, uint64_t a, uint64_t b, uint32_t size, uint64_t *flags)
{
    switch (op) {
    case ALU_ADD:
        return alu_add(a, b, 0, size, flags);
    case ALU_OR:
        return alu_logic(a | b, size, flags);
    case ALU_ADC:
        return alu_add(a, b, *flags & RFLAGS_CF, size, flags);
    case ALU_SBB:
        return alu_sub(a, b, *flags & RFLAGS_CF, size, flags);
    case ALU_AND:
        return alu_logic(a & b, size, flags);
    case ALU_XOR:
        return alu_logic(a ^ b, size, flags);
    default: /* SUB, CMP */
        return alu_sub(a, b, 0, size, flags);
    }
}

uint64_t alu_inc(uint64_t a, uint32_t size, uint64_t *flags)
{
    uint64_t all = *flags, r = alu_add(a, 1, 0, size, &all);

    flags_set(flags, RFLAGS_STATUS & ~RFLAGS_CF, all);
    return r;
}

uint64_t alu_dec(uint64_t a, uint32_t size, uint64_t *flags)
{
    uint64_t all = *flags, r = alu_sub(a, 1, 0, size, &all);

    flags_set(flags, RFLAGS_STATUS & ~RFLAGS_CF, all);
    return r;
}

uint64_t alu_neg(uint64_t a, uint32_t size, uint64_t *flags)
{
    return alu_sub(0, a, 0, size, flags);
}

/* Shifts and rotates -------------------------------------------------------------------------------------------- */

struct shifted {
    uint64_t value;
    bool carry;
};

/* Rotates a, or (with `wide`) a and the carry as one value with one bit more, to the left by count < bits. */
static struct shifted rotate_left(uint64_t a, bool carry, bool wide, uint32_t count, uint32_t size)
{
    uint32_t bits = 8 * size + wide;
    unsigned __int128 whole = a | (unsigned __int128)(wide && carry) << (8 * size);

    if (count)
        whole = whole << count | whole >> (bits - count);
    return (struct shifted){(uint64_t)whole & size_mask(size), whole >> (8 * size) & 1};
}

/* The bit that comes to stand to the left of the value is the carry; for SHR and SAR, the one to its right. */
static struct shifted shift_linear(enum shift_op op, uint64_t a, uint32_t count, uint32_t size)
{
    int64_t wide = op == SHIFT_SAR ? sign_extend(a, size) : (int64_t)a;

    if (op == SHIFT_SHL || op == SHIFT_SAL) {
        unsigned __int128 left = (unsigned __int128)a << count;
        return (struct shifted){(uint64_t)left & size_mask(size), left >> (8 * size) & 1};
    }
    if (op == SHIFT_SHR)
        return (struct shifted){a >> count, a >> (count - 1) & 1};
    return (struct shifted){(uint64_t)(wide >> count) & size_mask(size), wide >> (count - 1) & 1};
}

static struct shifted shift_any(enum shift_op op, uint64_t a, bool carry, uint32_t count, uint32_t size)
{
    uint32_t bits = 8 * size;
    struct shifted s;

    switch (op) {
    case SHIFT_ROL:
        s = rotate_left(a, false, false, count % bits, size);
        s.carry = s.value & 1;
        return s;
    case SHIFT_ROR:
        s = rotate_left(a, false, false, (bits - count % bits) % bits, size);
        s.carry = s.value & size_sign(size);
        return s;
    case SHIFT_RCL:
        return rotate_left(a, carry, true, count % (bits + 1), size);
    case SHIFT_RCR:
        return rotate_left(a, carry, true, (bits + 1 - count % (bits + 1)) % (bits + 1), size);
    default:
        return shift_linear(op, a, count, size);
    }
}

/* OF is defined for a count of one: the sign changed; for the rotates to the right, the upper two bits differ. */
static bool shift_overflow(uint64_t before, uint64_t after, uint32_t size)
{
    return (before ^ after) & size_sign(size);
}

uint64_t alu_shift(enum shift_op op, uint64_t a, uint32_t count, uint32_t size, uint64_t *flags)
{
    bool rotate = op <= SHIFT_RCR;
    struct shifted s;
    uint64_t now;

    count &= size == 8 ? 63 : 31;
    if (count == 0)
        return a;
    s = shift_any(op, a, *flags & RFLAGS_CF, count, size);
    now = rotate ? 0 : flags_result(s.value, size);
    if (s.carry)
        now |= RFLAGS_CF;
    if (shift_overflow(a, s.value, size))
        now |= RFLAGS_OF;
    flags_set(flags, rotate ? RFLAGS_CF | RFLAGS_OF : RFLAGS_STATUS, now);
    return s.value;
}

uint64_t alu_shift_double(bool left, uint64_t a, uint64_t b, uint32_t count, uint32_t size, uint64_t *flags)
{
    uint32_t bits = 8 * size;
    uint64_t r, now;
    bool carry;

    count &= size == 8 ? 63 : 31;
    if (count == 0 || count > bits) /* the latter is undefined */
        return a;
    if (left) {
        unsigned __int128 both = (unsigned __int128)a << bits | b;
        r = (uint64_t)(both << count >> bits) & size_mask(size);
        carry = a >> (bits - count) & 1;
    } else {
        unsigned __int128 both = (unsigned __int128)b << bits | a;
        r = (uint64_t)(both >> count) & size_mask(size);
        carry = a >> (count - 1) & 1;
    }
    now = flags_result(r, size) | (carry ? RFLAGS_CF : 0) | (shift_overflow(a, r, size) ? RFLAGS_OF : 0);
    flags_set(flags, RFLAGS_STATUS, now);
    return r;
}

bool alu_condition(uint32_t cc, uint64_t flags)
{
    bool less = !(flags & RFLAGS_SF) != !(flags & RFLAGS_OF);
    bool holds[8] = {
        flags & RFLAGS_OF,
        flags & RFLAGS_CF,
        flags & RFLAGS_ZF,
        flags & (RFLAGS_CF | RFLAGS_ZF),
        flags & RFLAGS_SF,
        flags & RFLAGS_PF,
        less,
        less || (flags & RFLAGS_ZF),
    };

    return holds[cc >> 1 & 7] != (cc & 1);
}
