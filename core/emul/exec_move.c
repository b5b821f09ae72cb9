#include "core/emul/alu.h"
#include "core/emul/handlers.h"

/* What MOVDIR64B and CLZERO write. */
#define LINE_BYTES 64u
#define LINE_WORDS (LINE_BYTES / 8)

int exec_load(struct emul *e)
{
    const struct insn *insn = e->insn;
    struct emul_ref ref;
    uint64_t value;
    int err = operand_read(e, insn->op_size, false, &ref, &value);

    if (!err)
        field_write(e, insn->reg, insn->op_size, value);
    return err;
}

/* MOVNTI and MOVDIRI go to memory only and have no 16-bit form. */
static bool movnti_valid(const struct insn *insn)
{
    return insn->has_memory && !insn->op_prefix && !insn->rep;
}

int exec_store(struct emul *e)
{
    if (UNLIKELY(e->insn->map != INSN_MAP_ONE) && !movnti_valid(e->insn))
        return fault_raise(e, EXC_UD);
    return operand_store(e, e->insn->op_size, field_read(e, e->insn->reg, e->insn->op_size));
}

int exec_store_imm(struct emul *e)
{
    if (e->insn->reg & 7) /* XABORT, XBEGIN */
        return ERR_NOTSUP;
    return operand_store(e, e->insn->op_size, e->insn->imm);
}

/* To memory, a selector has two bytes; in a register it is zero-extended. */
int exec_store_segment(struct emul *e)
{
    struct vcpu_segment s;

    if ((e->insn->reg & 7) > SEG_GS)
        return fault_raise(e, EXC_UD);
    e->io->get_seg(e->ctx, e->insn->reg & 7, &s);
    return operand_store(e, e->insn->has_memory ? 2 : e->insn->op_size, s.selector);
}

int exec_load_moffs(struct emul *e)
{
    struct emul_ref ref;
    uint64_t value;
    int err = operand_read(e, e->insn->op_size, false, &ref, &value);

    if (!err)
        reg_write(e, REG_RAX, e->insn->op_size, value);
    return err;
}

int exec_store_moffs(struct emul *e)
{
    return operand_store(e, e->insn->op_size, reg_read(e, REG_RAX, e->insn->op_size));
}

static int load_extended(struct emul *e, uint32_t size, bool sign)
{
    struct emul_ref ref;
    uint64_t value;
    int err = operand_read(e, size, false, &ref, &value);

    if (!err)
        reg_write(e, e->insn->reg, e->insn->op_size, sign ? (uint64_t)sign_extend(value, size) : value);
    return err;
}

int exec_movzx(struct emul *e)
{
    return load_extended(e, e->insn->opcode & 1 ? 2 : 1, false);
}

int exec_movsx(struct emul *e)
{
    return load_extended(e, e->insn->opcode & 1 ? 2 : 1, true);
}

int exec_movsxd(struct emul *e)
{
    if (e->insn->mode != INSN_MODE_64)
        return exec_arpl(e);
    return load_extended(e, MIN(e->insn->op_size, 4), true);
}

static uint64_t bytes_swap(uint64_t value, uint32_t size)
{
    return __builtin_bswap64(value) >> (64 - 8 * size);
}

int exec_movbe(struct emul *e)
{
    uint32_t size = e->insn->op_size;
    struct emul_ref ref;
    uint64_t value;
    int err;

    if (!e->insn->has_memory)
        return fault_raise(e, EXC_UD);
    if (e->insn->opcode & 1)
        return operand_store(e, size, bytes_swap(reg_read(e, e->insn->reg, size), size));
    err = operand_read(e, size, false, &ref, &value);
    if (!err)
        reg_write(e, e->insn->reg, size, bytes_swap(value, size));
    return err;
}

/* The source is read, and the upper half of a 32-bit destination cleared, whether or not the condition holds. */
int exec_cmov(struct emul *e)
{
    uint32_t size = e->insn->op_size;
    struct emul_ref ref;
    uint64_t value;
    int err = operand_read(e, size, false, &ref, &value);

    if (err)
        return err;
    if (!alu_condition(e->insn->opcode, flags_read(e)))
        value = reg_read(e, e->insn->reg, size);
    reg_write(e, e->insn->reg, size, value);
    return 0;
}

int exec_setcc(struct emul *e)
{
    return operand_store(e, 1, alu_condition(e->insn->opcode, flags_read(e)));
}

/* To an aligned place in ES that a register holds; without REX.W in 64-bit mode and with any operand size, always 64 bytes. */
int exec_movdir64b(struct emul *e)
{
    uint64_t words[LINE_WORDS];
    struct emul_ref from, to;
    int err;

    err = memory_ref(e, LINE_BYTES, false, 0, &from);
    if (!err)
        err = segment_ref(e, SEG_ES, reg_read(e, e->insn->reg, e->insn->addr_size), LINE_BYTES, true, &to);
    if (!err && (to.gva & (LINE_BYTES - 1)))
        err = fault_raise_error(e, EXC_GP, 0);
    if (!err)
        err = memory_read(e, &from, words);
    return err ? err : e->io->write(e->ctx, &to, words, e->fault);
}

/* The line that RAX is in. */
int exec_clzero(struct emul *e)
{
    static const uint64_t zero[LINE_WORDS];
    uint64_t at = reg_read(e, REG_RAX, e->insn->addr_size) & ~(uint64_t)(LINE_BYTES - 1);
    struct emul_ref ref;
    int err = segment_ref(e, e->insn->segment, at, LINE_BYTES, true, &ref);

    return err ? err : e->io->write(e->ctx, &ref, zero, e->fault);
}
