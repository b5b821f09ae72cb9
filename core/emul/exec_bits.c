/* BT, BTS, BTR, BTC. With the bit number in a register, a memory operand is a bit string of any length around its address. */
#include "core/emul/alu.h"
#include "core/emul/handlers.h"

/* Bits 3-4 of the opcodes A3, AB, B3, BB; the low two bits of group 8's reg field. */
enum bit_op { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

static uint64_t bit_apply(enum bit_op op, uint64_t value, uint64_t bit)
{
    switch (op) {
    case BIT_SET:
        return value | bit;
    case BIT_RESET:
        return value & ~bit;
    case BIT_COMPLEMENT:
        return value ^ bit;
    default:
        return value;
    }
}

static int bit_memory(struct emul *e, enum bit_op op, uint64_t delta, uint64_t bit, bool *was)
{
    struct emul_ref ref;
    uint64_t value;
    int err = memory_ref(e, e->insn->op_size, op != BIT_TEST, delta, &ref);

    if (!err)
        err = memory_read(e, &ref, &value);
    if (err)
        return err;
    *was = value & bit;
    return op == BIT_TEST ? 0 : memory_write(e, &ref, bit_apply(op, value, bit));
}

static int exec_bit(struct emul *e, enum bit_op op, uint64_t delta, uint32_t number)
{
    uint64_t bit = BIT(number), value;
    bool was;
    int err;

    if (e->insn->has_memory) {
        err = bit_memory(e, op, delta, bit, &was);
        if (err)
            return err;
    } else {
        value = reg_read(e, e->insn->rm, e->insn->op_size);
        was = value & bit;
        if (op != BIT_TEST)
            reg_write(e, e->insn->rm, e->insn->op_size, bit_apply(op, value, bit));
    }
    flags_write(e, RFLAGS_CF, was ? RFLAGS_CF : 0);
    return 0;
}

int exec_bit_reg(struct emul *e)
{
    uint32_t size = e->insn->op_size, bits = 8 * size;
    int64_t number = sign_extend(reg_read(e, e->insn->reg, size), size);
    int64_t unit = number >> (size == 8 ? 6 : size == 4 ? 5 : 4);

    return exec_bit(e, e->insn->opcode >> 3 & 3, (uint64_t)unit * size, (uint32_t)number & (bits - 1));
}

int exec_bit_imm(struct emul *e)
{
    return exec_bit(e, e->insn->reg & 3, 0, (uint32_t)e->insn->imm & (8 * e->insn->op_size - 1));
}
