/* Instructions that use the stack or change RIP. RSP changes last, so that a fault leaves all as it was. */
#include "core/emul/handlers.h"
#include "core/emul/stack.h"
#include "core/x86/cr.h"

uint32_t stack_width(const struct emul *e)
{
    struct vcpu_segment s;

    if (e->insn->mode == INSN_MODE_64)
        return 8;
    e->io->get_seg(e->ctx, SEG_SS, &s);
    return s.attr & SEG_ATTR_DB ? 4 : 2; /* SDM volume 1 section 6.2.3 */
}

static int stack_ref(const struct emul *e, uint64_t offset, uint32_t size, uint32_t count, bool write,
                     struct emul_ref *ref)
{
    uint32_t width = stack_width(e);
    uint64_t top = (reg_read(e, REG_RSP, width) + offset) & size_mask(width);
    int err = segment_ref(e, SEG_SS, top, size * count, write, ref);

    ref->unit = (uint8_t)size;
    return err;
}

int stack_write(const struct emul *e, uint64_t offset, uint32_t size, uint32_t count, const uint64_t *words)
{
    struct emul_ref ref;
    int err = stack_ref(e, offset, size, count, true, &ref);

    return err ? err : e->io->write(e->ctx, &ref, words, e->fault);
}

int stack_read(const struct emul *e, uint64_t offset, uint32_t size, uint32_t count, uint64_t *words)
{
    struct emul_ref ref;
    int err = stack_ref(e, offset, size, count, false, &ref);

    return err ? err : memory_read(e, &ref, words);
}

void stack_move(const struct emul *e, uint64_t delta)
{
    uint32_t width = stack_width(e);

    reg_write(e, REG_RSP, width, reg_read(e, REG_RSP, width) + delta);
}

int stack_push(const struct emul *e, uint64_t value)
{
    uint32_t size = e->insn->op_size;
    int err;

    value &= size_mask(size);
    err = stack_write(e, -(uint64_t)size, size, 1, &value);
    if (!err)
        stack_move(e, -(uint64_t)size);
    return err;
}

static int stack_peek(const struct emul *e, uint64_t *value)
{
    return stack_read(e, 0, e->insn->op_size, 1, value);
}

int stack_pop(const struct emul *e, uint64_t *value)
{
    int err = stack_peek(e, value);

    if (!err)
        stack_move(e, e->insn->op_size);
    return err;
}

static uint8_t opcode_reg(const struct insn *insn)
{
    return (insn->opcode & 7) | (insn->rex & BIT(0) ? 8 : 0);
}

int exec_push_reg(struct emul *e)
{
    return stack_push(e, reg_read(e, opcode_reg(e->insn), e->insn->op_size));
}

int exec_push_imm(struct emul *e)
{
    return stack_push(e, e->insn->imm);
}

int exec_push_rm(struct emul *e)
{
    struct emul_ref ref;
    uint64_t value;
    int err = operand_read(e, e->insn->op_size, false, &ref, &value);

    return err ? err : stack_push(e, value);
}

/* POP RSP: the value read wins. */
int exec_pop_reg(struct emul *e)
{
    uint64_t value;
    int err = stack_pop(e, &value);

    if (!err)
        reg_write(e, opcode_reg(e->insn), e->insn->op_size, value);
    return err;
}

/* An address that is based on RSP is computed with its new value (SDM volume 2, POP). */
int exec_pop_rm(struct emul *e)
{
    uint32_t size = e->insn->op_size;
    struct emul_ref ref;
    uint64_t value;
    int err = stack_peek(e, &value);

    if (!err && e->insn->has_memory)
        err = memory_ref(e, size, true, e->insn->base == REG_RSP ? size : 0, &ref);
    if (!err && e->insn->has_memory)
        err = memory_write(e, &ref, value);
    if (err)
        return err;
    stack_move(e, size);
    if (!e->insn->has_memory)
        reg_write(e, e->insn->rm, size, value);
    return 0;
}

bool target_canonical(const struct emul *e, uint64_t rip)
{
    uint32_t shift = e->io->get(e->ctx, REG_CR4) & CR4_LA57 ? 7 : 16;

    return (uint64_t)((int64_t)(rip << shift) >> shift) == rip;
}

static bool target_allowed(const struct emul *e, uint64_t rip)
{
    struct vcpu_segment cs;

    if (e->insn->mode == INSN_MODE_64)
        return target_canonical(e, rip);
    e->io->get_seg(e->ctx, SEG_CS, &cs);
    return rip <= cs.limit;
}

int target_check(const struct emul *e, uint64_t rip)
{
    return target_allowed(e, rip) ? 0 : fault_raise_error(e, EXC_GP, 0);
}

static int target_read(struct emul *e, uint64_t *rip)
{
    struct emul_ref ref;
    int err = operand_read(e, e->insn->op_size, false, &ref, rip);

    return err ? err : target_check(e, *rip);
}

int exec_call_rm(struct emul *e)
{
    uint64_t rip;
    int err = target_read(e, &rip);

    if (!err)
        err = stack_push(e, e->io->get(e->ctx, REG_RIP) + e->insn->length);
    if (err)
        return err;
    e->io->set(e->ctx, REG_RIP, rip);
    return EMUL_JUMPED;
}

int exec_jump_rm(struct emul *e)
{
    uint64_t rip;
    int err = target_read(e, &rip);

    if (err)
        return err;
    e->io->set(e->ctx, REG_RIP, rip);
    return EMUL_JUMPED;
}
