/* Instructions that use the stack or change RIP. RSP changes last, so that a fault leaves all as it was. */
#include "core/emul/handlers.h"
#include "core/x86/cr.h"

/* The part of RSP that is in use: by the stack segment's B flag (SDM volume 1 section 6.2.3). */
static uint32_t stack_width(const struct emul *e)
{
    struct vcpu_segment s;

    if (e->insn->mode == INSN_MODE_64)
        return 8;
    e->io->get_seg(e->ctx, SEG_SS, &s);
    return s.attr & SEG_ATTR_DB ? 4 : 2;
}

static int stack_push(struct emul *e, uint64_t value)
{
    uint32_t width = stack_width(e), size = e->insn->op_size;
    uint64_t top = (reg_read(e, REG_RSP, width) - size) & size_mask(width);
    struct emul_ref ref;
    int err = segment_ref(e, SEG_SS, top, size, true, &ref);

    if (!err)
        err = memory_write(e, &ref, value & size_mask(size));
    if (!err)
        reg_write(e, REG_RSP, width, top);
    return err;
}

static int stack_peek(struct emul *e, uint64_t *value)
{
    struct emul_ref ref;
    int err = segment_ref(e, SEG_SS, reg_read(e, REG_RSP, stack_width(e)), e->insn->op_size, false, &ref);

    return err ? err : memory_read(e, &ref, value);
}

static void stack_drop(struct emul *e)
{
    uint32_t width = stack_width(e);

    reg_write(e, REG_RSP, width, reg_read(e, REG_RSP, width) + e->insn->op_size);
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
    int err = stack_peek(e, &value);

    if (err)
        return err;
    stack_drop(e);
    reg_write(e, opcode_reg(e->insn), e->insn->op_size, value);
    return 0;
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
    stack_drop(e);
    if (!e->insn->has_memory)
        reg_write(e, e->insn->rm, size, value);
    return 0;
}

static bool target_allowed(const struct emul *e, uint64_t rip)
{
    struct vcpu_segment cs;
    uint32_t shift;

    if (e->insn->mode == INSN_MODE_64) {
        shift = e->io->get(e->ctx, REG_CR4) & CR4_LA57 ? 7 : 16;
        return (uint64_t)((int64_t)(rip << shift) >> shift) == rip;
    }
    e->io->get_seg(e->ctx, SEG_CS, &cs);
    return rip <= cs.limit;
}

static int target_read(struct emul *e, uint64_t *rip)
{
    struct emul_ref ref;
    int err = operand_read(e, e->insn->op_size, false, &ref, rip);

    if (!err && !target_allowed(e, *rip))
        err = fault_raise_error(e, EXC_GP, 0);
    return err;
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
