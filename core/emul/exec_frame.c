/* Instructions that push or pop more than one operand, or all of the flags. RSP changes last. */
#include "core/emul/handlers.h"
#include "core/emul/stack.h"
#include "core/lib/string.h"
#include "core/x86/cr.h"

/* RAX to RDI as PUSHA lays them down, RDI lowest: in memory, register 7 comes first. */
int exec_pusha(struct emul *e)
{
    uint32_t size = e->insn->op_size;
    uint64_t words[REG_R8 / 2] = {0};
    int err;

    for (uint32_t i = 0; i < REG_R8; i++)
        memcpy((uint8_t *)words + i * size, &(uint64_t){reg_read(e, (uint8_t)(REG_RDI - i), size)}, size);
    err = stack_write(e, -(uint64_t)size * REG_R8, size, REG_R8, words);
    if (!err)
        stack_move(e, -(uint64_t)size * REG_R8);
    return err;
}

/* The value of RSP is skipped. */
int exec_popa(struct emul *e)
{
    uint32_t size = e->insn->op_size;
    uint64_t words[REG_R8 / 2], value = 0;
    int err = stack_read(e, 0, size, REG_R8, words);

    if (err)
        return err;
    for (uint32_t i = 0; i < REG_R8; i++) {
        memcpy(&value, (uint8_t *)words + i * size, size);
        if (REG_RDI - i != REG_RSP)
            reg_write(e, (uint8_t)(REG_RDI - i), size, value);
    }
    stack_move(e, size * REG_R8);
    return 0;
}

bool flags_belong_to_monitor(const struct emul *e)
{
    uint64_t flags = flags_read(e);

    return flags & RFLAGS_VM && (flags & RFLAGS_IOPL) != RFLAGS_IOPL;
}

int monitor_takes(const struct emul *e)
{
    return e->io->get(e->ctx, REG_CR4) & CR4_VME ? ERR_NOTSUP : fault_raise_error(e, EXC_GP, 0);
}

int exec_pushf(struct emul *e)
{
    if (flags_belong_to_monitor(e))
        return monitor_takes(e);
    return stack_push(e, flags_read(e) & ~(uint64_t)(RFLAGS_RF | RFLAGS_VM));
}

/* SDM volume 2, POPF: IOPL can be changed at CPL 0 only, IF by those whom IOPL allows it. */
uint64_t flags_loadable(const struct emul *e)
{
    uint64_t mask = RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_TF | RFLAGS_DF |
                    RFLAGS_OF | RFLAGS_NT | RFLAGS_AC | RFLAGS_ID;
    uint32_t cpl = privilege_read(e);

    if (cpl == 0)
        mask |= RFLAGS_IOPL;
    if (cpl <= (flags_read(e) & RFLAGS_IOPL) >> 12)
        mask |= RFLAGS_IF;
    return e->insn->op_size == 2 ? mask & 0xffff : mask;
}

int exec_popf(struct emul *e)
{
    uint64_t value, mask;
    int err;

    if (flags_belong_to_monitor(e))
        return monitor_takes(e);
    mask = flags_loadable(e);
    err = stack_pop(e, &value);
    if (!err)
        flags_write(e, mask | RFLAGS_RF, value & mask);
    return err;
}

/* ENTER with a level: the outer frames' pointers, read below RBP, and the new frame's own go onto the stack behind the old RBP. */
static int display_push(const struct emul *e, uint32_t level, uint64_t frame)
{
    uint32_t size = e->insn->op_size, width = stack_width(e);
    uint64_t outer = reg_read(e, REG_RBP, width) - reg_read(e, REG_RSP, width), value;
    int err = 0;

    for (uint32_t i = 1; !err && i < level; i++) {
        err = stack_read(e, outer - (uint64_t)i * size, size, 1, &value);
        if (!err)
            err = stack_write(e, -(uint64_t)(i + 1) * size, size, 1, &value);
    }
    return err ? err : stack_write(e, -(uint64_t)(level + 1) * size, size, 1, &frame);
}

int exec_enter(struct emul *e)
{
    uint32_t size = e->insn->op_size, width = stack_width(e), level = e->insn->imm2 & 31;
    uint64_t frame = reg_read(e, REG_RSP, width) - size, old = reg_read(e, REG_RBP, size);
    int err = stack_write(e, -(uint64_t)size, size, 1, &old);

    if (!err && level)
        err = display_push(e, level, frame);
    if (err)
        return err;
    reg_write(e, REG_RBP, width, frame);
    stack_move(e, -(uint64_t)size * (level + 1) - (e->insn->imm & 0xffff));
    return 0;
}

int exec_leave(struct emul *e)
{
    uint32_t size = e->insn->op_size, width = stack_width(e);
    uint64_t frame = reg_read(e, REG_RBP, width), value;
    int err = stack_read(e, frame - reg_read(e, REG_RSP, width), size, 1, &value);

    if (err)
        return err;
    reg_write(e, REG_RSP, width, frame + size);
    reg_write(e, REG_RBP, size, value);
    return 0;
}

static int jump(const struct emul *e, uint64_t rip)
{
    e->io->set(e->ctx, REG_RIP, rip);
    return EMUL_JUMPED;
}

int exec_call_rel(struct emul *e)
{
    uint64_t next = e->io->get(e->ctx, REG_RIP) + e->insn->length;
    uint64_t rip = (next + e->insn->imm) & size_mask(e->insn->op_size);
    int err = target_check(e, rip);

    if (!err)
        err = stack_push(e, next);
    return err ? err : jump(e, rip);
}

/* C2 drops some bytes more. */
int exec_ret(struct emul *e)
{
    uint32_t size = e->insn->op_size;
    uint64_t rip;
    int err = stack_read(e, 0, size, 1, &rip);

    if (!err)
        err = target_check(e, rip);
    if (err)
        return err;
    stack_move(e, size + (e->insn->imm & 0xffff));
    return jump(e, rip);
}
