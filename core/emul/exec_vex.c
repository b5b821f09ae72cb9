/* The general-purpose instructions with a VEX prefix: BMI1 and BMI2. They have operands of 4 or 8 bytes (SDM volume 2). */
#include "core/emul/alu.h"
#include "core/emul/handlers.h"

/* The instruction's form: a mandatory prefix as VEX.pp has it. */
enum { PP_NONE, PP_66, PP_F3, PP_F2 };

static uint32_t prefix_of(const struct insn *insn)
{
    if (insn->rep)
        return insn->rep == INSN_REP ? PP_F3 : PP_F2;
    return insn->op_prefix ? PP_66 : PP_NONE;
}

static uint32_t operand_bytes(const struct insn *insn)
{
    return insn->op_size == 8 ? 8 : 4;
}

static void flags_logic(const struct emul *e, uint64_t r, bool carry)
{
    uint64_t flags = carry ? RFLAGS_CF : 0;

    if (r == 0)
        flags |= RFLAGS_ZF;
    if (r & size_sign(operand_bytes(e->insn)))
        flags |= RFLAGS_SF;
    flags_write(e, RFLAGS_CF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF, flags);
}

static uint64_t bits_deposit(uint64_t value, uint64_t mask)
{
    uint64_t r = 0;

    for (; mask; mask &= mask - 1, value >>= 1)
        if (value & 1)
            r |= mask & -mask;
    return r;
}

static uint64_t bits_extract(uint64_t value, uint64_t mask)
{
    uint64_t r = 0;

    for (uint32_t i = 0; mask; mask &= mask - 1, i++)
        if (value & mask & -mask)
            r |= BIT(i);
    return r;
}

/* Group 17: BLSR, BLSMSK, BLSI; the destination is vvvv. */
static int exec_group17(const struct emul *e, uint64_t value, uint32_t size)
{
    uint64_t r;

    switch (e->insn->reg & 7) {
    case 1:
        r = value & (value - 1);
        break;
    case 2:
        r = (value ^ (value - 1)) & size_mask(size);
        break;
    case 3:
        r = value & -value;
        break;
    default:
        return ERR_NOTSUP;
    }
    reg_write(e, e->insn->vvvv, size, r);
    flags_logic(e, r, (e->insn->reg & 7) == 3 ? value : !value);
    return 0;
}

static int exec_bzhi(const struct emul *e, uint64_t value, uint32_t size)
{
    uint32_t n = (uint32_t)reg_read(e, e->insn->vvvv, 1), bits = 8 * size;
    uint64_t r = n < bits ? value & MASK(n) : value;

    reg_write(e, e->insn->reg, size, r);
    flags_logic(e, r, n >= bits);
    return 0;
}

static int exec_bextr(const struct emul *e, uint64_t value, uint32_t size)
{
    uint64_t control = reg_read(e, e->insn->vvvv, 2);
    uint32_t start = control & 0xff, len = (uint32_t)(control >> 8), bits = 8 * size;
    uint64_t r = start < bits ? value >> start : 0;

    if (len < bits)
        r &= MASK(len);
    reg_write(e, e->insn->reg, size, r);
    flags_write(e, RFLAGS_CF | RFLAGS_ZF | RFLAGS_OF, r ? 0 : RFLAGS_ZF);
    return 0;
}

/* The upper half goes to the first operand, which wins if both are the same. */
static int exec_mulx(const struct emul *e, uint64_t value, uint32_t size)
{
    unsigned __int128 product = (unsigned __int128)value * reg_read(e, REG_RDX, size);

    reg_write(e, e->insn->vvvv, size, (uint64_t)product);
    reg_write(e, e->insn->reg, size, (uint64_t)(product >> (8 * size)));
    return 0;
}

static uint64_t shift_plain(uint32_t prefix, uint64_t value, uint32_t count, uint32_t size)
{
    count &= 8 * size - 1;
    if (prefix == PP_66)
        return value << count;
    return prefix == PP_F3 ? (uint64_t)(sign_extend(value, size) >> count) : value >> count;
}

static int exec_by_opcode(const struct emul *e, uint32_t prefix, uint64_t value, uint32_t size)
{
    const struct insn *insn = e->insn;
    uint64_t other = reg_read(e, insn->vvvv, size), r;

    switch (insn->opcode << 4 | prefix) {
    case 0xf20 | PP_NONE: /* ANDN */
        r = ~other & value;
        flags_logic(e, r, false);
        break;
    case 0xf30 | PP_NONE:
        return exec_group17(e, value, size);
    case 0xf50 | PP_NONE:
        return exec_bzhi(e, value, size);
    case 0xf50 | PP_F2:
        r = bits_deposit(other, value);
        break;
    case 0xf50 | PP_F3:
        r = bits_extract(other, value);
        break;
    case 0xf60 | PP_F2:
        return exec_mulx(e, value, size);
    case 0xf70 | PP_NONE:
        return exec_bextr(e, value, size);
    case 0xf70 | PP_66: /* SHLX, SARX, SHRX */
    case 0xf70 | PP_F3:
    case 0xf70 | PP_F2:
        r = shift_plain(prefix, value, (uint32_t)other, size);
        break;
    default:
        return ERR_NOTSUP;
    }
    reg_write(e, insn->reg, size, r);
    return 0;
}

static bool known(const struct insn *insn)
{
    uint32_t prefix = prefix_of(insn);

    if (insn->map == INSN_MAP_0F3A)
        return insn->opcode == 0xf0 && prefix == PP_F2;
    switch (insn->opcode) {
    case 0xf2:
        return prefix == PP_NONE;
    case 0xf3:
        return prefix == PP_NONE && (insn->reg & 7) >= 1 && (insn->reg & 7) <= 3;
    case 0xf5:
        return prefix != PP_66;
    case 0xf6:
        return prefix == PP_F2;
    default:
        return insn->opcode == 0xf7;
    }
}

int exec_vex(struct emul *e)
{
    uint32_t size = operand_bytes(e->insn);
    struct emul_ref ref;
    uint64_t value;
    int err;

    if (!known(e->insn) || e->insn->wide)
        return ERR_NOTSUP;
    err = operand_read(e, size, false, &ref, &value);
    if (err)
        return err;
    if (e->insn->map == INSN_MAP_0F38)
        return exec_by_opcode(e, prefix_of(e->insn), value, size);
    value = value >> (e->insn->imm & (8 * size - 1)) | /* RORX */
            value << (-e->insn->imm & (8 * size - 1));
    reg_write(e, e->insn->reg, size, value);
    return 0;
}
