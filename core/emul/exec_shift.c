#include "core/emul/alu.h"
#include "core/emul/handlers.h"

static uint32_t shift_count(const struct emul *e)
{
    switch (e->insn->opcode) {
    case 0xd0 ... 0xd1:
        return 1;
    case 0xd2 ... 0xd3:
        return (uint32_t)reg_read(e, REG_RCX, 1);
    default:
        return e->insn->imm & 0xff;
    }
}

int exec_shift(struct emul *e)
{
    uint32_t size = e->insn->op_size;
    uint64_t flags = flags_read(e), value;
    struct emul_ref ref;
    int err = operand_read(e, size, true, &ref, &value);

    if (err)
        return err;
    value = alu_shift(e->insn->reg & 7, value, shift_count(e), size, &flags);
    err = operand_write(e, &ref, size, value);
    if (!err)
        flags_write(e, RFLAGS_STATUS, flags);
    return err;
}

int exec_shift_double(struct emul *e)
{
    uint32_t size = e->insn->op_size;
    uint32_t count = e->insn->opcode & 1 ? (uint32_t)reg_read(e, REG_RCX, 1) : e->insn->imm & 0xff;
    uint64_t flags = flags_read(e), value;
    struct emul_ref ref;
    int err = operand_read(e, size, true, &ref, &value);

    if (err)
        return err;
    value = alu_shift_double(e->insn->opcode < 0xa8, value, reg_read(e, e->insn->reg, size), count, size,
                             &flags);
    err = operand_write(e, &ref, size, value);
    if (!err)
        flags_write(e, RFLAGS_STATUS, flags);
    return err;
}
