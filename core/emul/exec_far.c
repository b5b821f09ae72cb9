/*
 * Jumps, calls and returns to another code segment (SDM volume 2, JMP, CALL, RET). Gates and tasks aren't done. Registers change
 * last, so that a fault leaves them as they were.
 */
#include "core/emul/handlers.h"
#include "core/emul/segment.h"
#include "core/emul/stack.h"
#include "core/x86/msr.h"

/* Where the instruction leads to. */
struct far {
    uint16_t selector;
    uint64_t rip;
    struct vcpu_segment cs;
};

static void far_unpack(struct far *to, const uint64_t words[2], uint32_t size)
{
    to->rip = words[0] & size_mask(size);
    to->selector = (uint16_t)(size == 8 ? words[1] : words[0] >> (8 * size));
}

/* The operand: in memory, or in the instruction. */
static int far_read(const struct emul *e, struct far *to)
{
    uint32_t size = e->insn->op_size;
    uint64_t words[2] = {0, 0};
    struct emul_ref ref;
    int err;

    if (!e->insn->has_modrm) {
        *to = (struct far){.selector = e->insn->imm2, .rip = e->insn->imm & size_mask(size)};
        return 0;
    }
    err = memory_ref(e, size + 2, false, 0, &ref);
    if (!err)
        err = memory_read(e, &ref, words);
    far_unpack(to, words, size);
    return err;
}

static int far_check(const struct emul *e, const struct far *to)
{
    bool wide = (to->cs.attr & SEG_ATTR_L) && (e->io->get(e->ctx, REG_EFER) & EFER_LMA);

    if (wide ? target_canonical(e, to->rip) : to->rip <= to->cs.limit)
        return 0;
    return fault_raise_error(e, EXC_GP, 0);
}

static int far_load(const struct emul *e, struct far *to)
{
    int err = 0;

    if (mode_is_real(e))
        segment_load_real(e, SEG_CS, to->selector, &to->cs);
    else
        err = segment_load_code(e, to->selector, privilege_read(e), &to->cs);
    return err ? err : far_check(e, to);
}

static int far_go(const struct emul *e, const struct far *to)
{
    e->io->set_seg(e->ctx, SEG_CS, &to->cs);
    e->io->set(e->ctx, REG_RIP, to->rip);
    return EMUL_JUMPED;
}

int exec_jump_far(struct emul *e)
{
    struct far to;
    int err = far_read(e, &to);

    if (!err)
        err = far_load(e, &to);
    return err ? err : far_go(e, &to);
}

int exec_call_far(struct emul *e)
{
    uint32_t size = e->insn->op_size;
    uint64_t next = e->io->get(e->ctx, REG_RIP) + e->insn->length, selector;
    struct vcpu_segment cs;
    struct far to;
    int err = far_read(e, &to);

    if (!err)
        err = far_load(e, &to);
    if (err)
        return err;
    e->io->get_seg(e->ctx, SEG_CS, &cs);
    selector = cs.selector;
    next &= size_mask(size);
    err = stack_write(e, -(uint64_t)size, size, 1, &selector);
    if (!err)
        err = stack_write(e, -(uint64_t)size * 2, size, 1, &next);
    if (err)
        return err;
    stack_move(e, -(uint64_t)size * 2);
    return far_go(e, &to);
}

/* -- returns ---------------------------------------------------------------------------------------------------- */

/* What the outer level mustn't reach is gone: data segments of an inner one. */
static void segments_drop(const struct emul *e, uint32_t cpl)
{
    static const uint8_t data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    struct vcpu_segment s;

    for (uint32_t i = 0; i < ARRAY_SIZE(data); i++) {
        e->io->get_seg(e->ctx, data[i], &s);
        if (!(s.attr & SEG_ATTR_P) || SEG_ATTR_DPL(s.attr) >= cpl ||
            ((s.attr & TYPE_CODE) && (s.attr & TYPE_CONFORMING)))
            continue;
        s = (struct vcpu_segment){0};
        e->io->set_seg(e->ctx, data[i], &s);
    }
}

/* At the level that the selector asks for. What isn't code can't be returned to. */
static int return_load(const struct emul *e, struct far *to, uint32_t cpl)
{
    int err = segment_load_code(e, to->selector, cpl, &to->cs);

    return err == ERR_NOTSUP ? selector_fault(e, EXC_GP, to->selector) : err ? err : far_check(e, to);
}

/* The part of RSP that a stack uses: with a segment of 16 bits the rest stays. */
static uint32_t return_width(const struct emul *e, const struct vcpu_segment *ss)
{
    return e->insn->mode == INSN_MODE_64 || (ss->attr & SEG_ATTR_DB) ? e->insn->op_size : 2;
}

/* To an outer level: its stack is above the return address and what is dropped of this one, and loses as much. */
static int return_outward(const struct emul *e, struct far *to, uint32_t cpl)
{
    uint32_t size = e->insn->op_size, drop = e->insn->imm & 0xffff;
    uint64_t stack[2];
    struct vcpu_segment ss;
    int err = stack_read(e, 2ull * size + drop, size, 1, &stack[0]);

    if (!err)
        err = stack_read(e, 3ull * size + drop, size, 1, &stack[1]);
    if (!err)
        err = return_load(e, to, cpl);
    if (!err)
        err = segment_load_data(e, SEG_SS, (uint16_t)stack[1], cpl, EXC_GP, &ss);
    if (err)
        return err;
    e->io->set_seg(e->ctx, SEG_SS, &ss);
    far_go(e, to);
    reg_write(e, REG_RSP, return_width(e, &ss), stack[0] + drop);
    segments_drop(e, cpl);
    return EMUL_JUMPED;
}

/* CB; CA drops some bytes more. */
int exec_ret_far(struct emul *e)
{
    uint32_t size = e->insn->op_size, cpl = privilege_read(e);
    uint64_t selector;
    struct far to = {0};
    int err = stack_read(e, 0, size, 1, &to.rip);

    if (!err)
        err = stack_read(e, size, size, 1, &selector);
    if (err)
        return err;
    to.selector = (uint16_t)selector;
    if (mode_is_real(e))
        err = far_load(e, &to);
    else if ((selector & SELECTOR_RPL) < cpl)
        return selector_fault(e, EXC_GP, to.selector);
    else if ((selector & SELECTOR_RPL) > cpl)
        return return_outward(e, &to, selector & SELECTOR_RPL);
    else
        err = return_load(e, &to, cpl);
    if (err)
        return err;
    stack_move(e, 2ull * size + (e->insn->imm & 0xffff));
    return far_go(e, &to);
}
