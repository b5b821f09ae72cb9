/* Instructions that exchange a register with memory. LOCK is a plain read and write: devices don't see the difference. */
#include "core/emul/alu.h"
#include "core/emul/handlers.h"

int exec_xchg(struct emul *e)
{
    uint32_t size = e->insn->op_size;
    struct emul_ref ref;
    uint64_t value;
    int err = operand_read(e, size, true, &ref, &value);

    if (!err)
        err = operand_write(e, &ref, size, field_read(e, e->insn->reg, size));
    if (!err)
        field_write(e, e->insn->reg, size, value);
    return err;
}

/* With the same register twice, it holds the sum: the destination is written last. */
int exec_xadd(struct emul *e)
{
    uint32_t size = e->insn->op_size;
    uint64_t flags = 0, value, addend, sum;
    struct emul_ref ref;
    int err = operand_read(e, size, true, &ref, &value);

    if (err)
        return err;
    addend = field_read(e, e->insn->reg, size);
    sum = alu_run(ALU_ADD, value, addend, size, &flags);
    if (e->insn->has_memory) {
        err = operand_write(e, &ref, size, sum);
        if (err)
            return err;
        field_write(e, e->insn->reg, size, value);
    } else {
        field_write(e, e->insn->reg, size, value);
        field_write(e, e->insn->rm, size, sum);
    }
    flags_write(e, RFLAGS_STATUS, flags);
    return 0;
}

/* The destination is written in both cases, with its old value if the comparison fails. */
int exec_cmpxchg(struct emul *e)
{
    uint32_t size = e->insn->op_size;
    uint64_t flags = 0, value, old;
    struct emul_ref ref;
    bool equal;
    int err = operand_read(e, size, true, &ref, &value);

    if (err)
        return err;
    old = reg_read(e, REG_RAX, size);
    equal = old == value;
    (void)alu_run(ALU_CMP, old, value, size, &flags);
    if (equal || e->insn->has_memory)
        err = operand_write(e, &ref, size, equal ? field_read(e, e->insn->reg, size) : value);
    if (err)
        return err;
    if (!equal)
        reg_write(e, REG_RAX, size, value);
    flags_write(e, RFLAGS_STATUS, flags);
    return 0;
}

/* RDX:RAX is compared, RCX:RBX stored; each half has 4 bytes (CMPXCHG8B) or 8 (CMPXCHG16B). */
struct pair {
    uint64_t low, high;
};

static struct pair pair_read(const struct emul *e, uint8_t low, uint8_t high, uint32_t half)
{
    return (struct pair){reg_read(e, low, half), reg_read(e, high, half)};
}

/* In one access: CMPXCHG16B's is aligned, CMPXCHG8B's can cross a page. */
static int pair_load(struct emul *e, uint32_t half, struct emul_ref *ref, struct pair *value)
{
    uint64_t words[2] = {0, 0};
    int err = memory_ref(e, 2 * half, true, 0, ref);

    if (!err && half == 8 && (ref->gva & 15))
        err = fault_raise_error(e, EXC_GP, 0);
    if (!err)
        err = memory_read(e, ref, words);
    *value = half == 8 ? (struct pair){words[0], words[1]}
                       : (struct pair){(uint32_t)words[0], words[0] >> 32};
    return err;
}

static int pair_store(struct emul *e, uint32_t half, const struct emul_ref *ref, struct pair value)
{
    uint64_t words[2] = {value.low, value.high};

    if (half == 4)
        words[0] |= value.high << 32;
    return e->io->write(e->ctx, ref, words, e->fault);
}

int exec_cmpxchg_pair(struct emul *e)
{
    uint32_t half = e->insn->op_size == 8 ? 8 : 4;
    struct pair old, value;
    struct emul_ref ref;
    bool equal;
    int err;

    if ((e->insn->reg & 7) != 1 || !e->insn->has_memory)
        return ERR_NOTSUP;
    err = pair_load(e, half, &ref, &value);
    if (err)
        return err;
    old = pair_read(e, REG_RAX, REG_RDX, half);
    equal = old.low == value.low && old.high == value.high;
    err = pair_store(e, half, &ref, equal ? pair_read(e, REG_RBX, REG_RCX, half) : value);
    if (err)
        return err;
    if (!equal) {
        reg_write(e, REG_RAX, half, value.low);
        reg_write(e, REG_RDX, half, value.high);
    }
    flags_write(e, RFLAGS_ZF, equal ? RFLAGS_ZF : 0);
    return 0;
}
