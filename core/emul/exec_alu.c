#include "core/emul/alu.h"
#include "core/emul/handlers.h"

/* rm = rm op b, or only the flags of it. */
static int alu_rm(struct emul *e, enum alu_op op, bool discard, uint64_t b)
{
    uint32_t size = e->insn->op_size;
    uint64_t flags = flags_read(e), value;
    struct emul_ref ref;
    int err = operand_read(e, size, !discard, &ref, &value);

    if (err)
        return err;
    value = alu_run(op, value, b, size, &flags);
    if (!discard)
        err = operand_write(e, &ref, size, value);
    if (!err)
        flags_write(e, RFLAGS_STATUS, flags);
    return err;
}

/* reg = reg op b. */
static int alu_reg(struct emul *e, enum alu_op op, bool discard, uint8_t field, uint64_t b)
{
    uint32_t size = e->insn->op_size;
    uint64_t flags = flags_read(e);
    uint64_t value = alu_run(op, field_read(e, field, size), b, size, &flags);

    if (!discard)
        field_write(e, field, size, value);
    flags_write(e, RFLAGS_STATUS, flags);
    return 0;
}

static enum alu_op alu_opcode(const struct insn *insn)
{
    return insn->opcode >> 3 & 7;
}

int exec_alu_to_rm(struct emul *e)
{
    enum alu_op op = alu_opcode(e->insn);

    return alu_rm(e, op, op == ALU_CMP, field_read(e, e->insn->reg, e->insn->op_size));
}

int exec_alu_to_reg(struct emul *e)
{
    enum alu_op op = alu_opcode(e->insn);
    struct emul_ref ref;
    uint64_t value;
    int err = operand_read(e, e->insn->op_size, false, &ref, &value);

    return err ? err : alu_reg(e, op, op == ALU_CMP, e->insn->reg, value);
}

int exec_alu_to_acc(struct emul *e)
{
    enum alu_op op = alu_opcode(e->insn);

    return alu_reg(e, op, op == ALU_CMP, REG_RAX, e->insn->imm & size_mask(e->insn->op_size));
}

int exec_alu_imm(struct emul *e)
{
    enum alu_op op = e->insn->reg & 7;

    return alu_rm(e, op, op == ALU_CMP, e->insn->imm & size_mask(e->insn->op_size));
}

int exec_test(struct emul *e)
{
    return alu_rm(e, ALU_AND, true, field_read(e, e->insn->reg, e->insn->op_size));
}

int exec_test_acc(struct emul *e)
{
    return alu_reg(e, ALU_AND, true, REG_RAX, e->insn->imm & size_mask(e->insn->op_size));
}

/* One operand, read and written: INC, DEC, NEG. */
static int alu_unary(struct emul *e, uint64_t (*run)(uint64_t a, uint32_t size, uint64_t *flags))
{
    uint32_t size = e->insn->op_size;
    uint64_t flags = flags_read(e), value;
    struct emul_ref ref;
    int err = operand_read(e, size, true, &ref, &value);

    if (err)
        return err;
    err = operand_write(e, &ref, size, run(value, size, &flags));
    if (!err)
        flags_write(e, RFLAGS_STATUS, flags);
    return err;
}

static int exec_not(struct emul *e)
{
    struct emul_ref ref;
    uint64_t value;
    int err = operand_read(e, e->insn->op_size, true, &ref, &value);

    return err ? err : operand_write(e, &ref, e->insn->op_size, ~value);
}

int exec_inc_dec(struct emul *e)
{
    uint8_t reg = e->insn->opcode & 7;
    uint32_t size = e->insn->op_size;
    uint64_t flags = flags_read(e), value = reg_read(e, reg, size);

    reg_write(e, reg, size,
              e->insn->opcode < 0x48 ? alu_inc(value, size, &flags) : alu_dec(value, size, &flags));
    flags_write(e, RFLAGS_STATUS, flags);
    return 0;
}

int exec_group3(struct emul *e)
{
    switch (e->insn->reg & 7) {
    case 0:
    case 1:
        return alu_rm(e, ALU_AND, true, e->insn->imm & size_mask(e->insn->op_size));
    case 2:
        return exec_not(e);
    case 3:
        return alu_unary(e, alu_neg);
    default:
        return exec_muldiv(e);
    }
}

int exec_group4(struct emul *e)
{
    switch (e->insn->reg & 7) {
    case 0:
        return alu_unary(e, alu_inc);
    case 1:
        return alu_unary(e, alu_dec);
    case 2:
        return exec_call_rm(e);
    case 3:
        return exec_call_far(e);
    case 4:
        return exec_jump_rm(e);
    case 5:
        return exec_jump_far(e);
    case 6:
        return exec_push_rm(e);
    default:
        return ERR_NOTSUP;
    }
}
