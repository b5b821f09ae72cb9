/* Multiplication and division. The accumulator pair is AX with one byte, else DX:AX, EDX:EAX or RDX:RAX. */
#include "core/emul/alu.h"
#include "core/emul/handlers.h"
#include "core/lib/panic.h"

struct wide {
    uint64_t low, high;
};

static struct wide wide_read(const struct emul *e, uint32_t size)
{
    if (size == 1)
        return (struct wide){reg_read(e, REG_RAX, 1), reg_read(e, REG_RAX, 2) >> 8};
    return (struct wide){reg_read(e, REG_RAX, size), reg_read(e, REG_RDX, size)};
}

static void wide_write(const struct emul *e, uint32_t size, uint64_t low, uint64_t high)
{
    if (size == 1) {
        reg_write(e, REG_RAX, 2, (high & 0xff) << 8 | (low & 0xff));
    } else {
        reg_write(e, REG_RAX, size, low);
        reg_write(e, REG_RDX, size, high);
    }
}

/* CF and OF say that the upper half matters; SF keeps its relation to the result's sign, as on every processor. */
static void product_flags(const struct emul *e, bool overflow)
{
    flags_write(e, RFLAGS_CF | RFLAGS_OF, overflow ? RFLAGS_CF | RFLAGS_OF : 0);
}

static void multiply_unsigned(const struct emul *e, uint64_t value, uint32_t size)
{
    unsigned __int128 product = (unsigned __int128)value * reg_read(e, REG_RAX, size);
    uint64_t high = (uint64_t)(product >> (8 * size));

    wide_write(e, size, (uint64_t)product, high);
    product_flags(e, high);
}

static void multiply_signed(const struct emul *e, uint64_t value, uint32_t size)
{
    __int128 product = (__int128)sign_extend(value, size) * sign_extend(reg_read(e, REG_RAX, size), size);

    wide_write(e, size, (uint64_t)product, (uint64_t)(product >> (8 * size)));
    product_flags(e, product != sign_extend((uint64_t)product, size));
}

/* high:low / d with high < d, bit by bit: there is no library for 128-bit division here. Leaves the remainder in *high. */
static uint64_t divide_long(uint64_t *high, uint64_t low, uint64_t d, uint32_t size)
{
    uint32_t bits = 8 * size;
    uint64_t quotient = 0;

    for (uint32_t i = bits; i-- > 0;) {
        bool out = *high & size_sign(8);

        *high = *high << 1 | (low >> i & 1);
        quotient <<= 1;
        if (out || *high >= d) {
            *high -= d;
            quotient |= 1;
        }
    }
    return quotient;
}

static int divide_unsigned(const struct emul *e, uint64_t d, uint32_t size)
{
    struct wide n = wide_read(e, size);
    uint64_t quotient;

    if (n.high >= d) /* covers d = 0 */
        return fault_raise(e, EXC_DE);
    quotient = divide_long(&n.high, n.low, d, size);
    wide_write(e, size, quotient, n.high);
    return 0;
}

static struct wide wide_negate(struct wide n, uint32_t size)
{
    struct wide r = {-n.low & size_mask(size), ~n.high & size_mask(size)};

    if (r.low == 0)
        r.high = (r.high + 1) & size_mask(size);
    return r;
}

/* By magnitudes; the remainder has the dividend's sign. */
static int divide_signed(const struct emul *e, uint64_t d, uint32_t size)
{
    struct wide n = wide_read(e, size);
    bool minus_n = n.high & size_sign(size), minus_d = d & size_sign(size);
    bool minus = minus_n != minus_d;
    uint64_t quotient;

    if (minus_n)
        n = wide_negate(n, size);
    if (minus_d)
        d = -d & size_mask(size);
    if (n.high >= d)
        return fault_raise(e, EXC_DE);
    quotient = divide_long(&n.high, n.low, d, size);
    if (quotient > size_sign(size) - !minus)
        return fault_raise(e, EXC_DE);
    wide_write(e, size, minus ? -quotient : quotient, minus_n ? -n.high : n.high);
    return 0;
}

int exec_muldiv(struct emul *e)
{
    uint32_t size = e->insn->op_size;
    struct emul_ref ref;
    uint64_t value;
    int err = operand_read(e, size, false, &ref, &value);

    if (err)
        return err;
    assert(size == 1 || size == 2 || size == 4 || size == 8);
    switch (e->insn->reg & 7) {
    case 4:
        multiply_unsigned(e, value, size);
        return 0;
    case 5:
        multiply_signed(e, value, size);
        return 0;
    case 6:
        return divide_unsigned(e, value, size);
    default:
        return divide_signed(e, value, size);
    }
}

int exec_imul(struct emul *e)
{
    uint32_t size = e->insn->op_size;
    struct emul_ref ref;
    uint64_t value;
    int64_t factor;
    __int128 product;
    int err = operand_read(e, size, false, &ref, &value);

    if (err)
        return err;
    factor = e->insn->imm_size ? (int64_t)e->insn->imm : sign_extend(reg_read(e, e->insn->reg, size), size);
    product = (__int128)sign_extend(value, size) * factor;
    reg_write(e, e->insn->reg, size, (uint64_t)product);
    product_flags(e, product != sign_extend((uint64_t)product, size));
    return 0;
}
