/*
 * Returns to another code segment (SDM volume 2, RET, IRET): to the same level, to an outer one, to virtual-8086 mode, to the task
 * that has called. Registers change last, so that a fault leaves them as they were.
 */
#include "core/emul/far.h"
#include "core/emul/handlers.h"
#include "core/emul/stack.h"
#include "core/emul/task.h"
#include "core/x86/cr.h"

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
static int return_load(const struct emul *e, struct far *to)
{
    int err = segment_load_code(e, to->selector, to->selector & SELECTOR_RPL, &to->cs);

    return err == ERR_NOTSUP ? selector_fault(e, EXC_GP, to->selector) : err ? err : far_check(e, to);
}

static bool return_is_wide(const struct emul *e, const struct far *to)
{
    return mode_is_long(e) && (to->cs.attr & SEG_ATTR_L);
}

/* 64-bit code does without a stack segment, but in ring 3. */
static int return_load_stack(const struct emul *e, const struct far *to, uint16_t selector,
                             struct vcpu_segment *out)
{
    uint32_t cpl = to->selector & SELECTOR_RPL;

    if (!selector_is_null(selector))
        return segment_load_data(e, SEG_SS, selector, cpl, EXC_GP, out);
    *out = (struct vcpu_segment){.selector = selector, .attr = (uint16_t)(cpl << 5)};
    return return_is_wide(e, to) && cpl != 3 && selector == cpl ? 0 : fault_raise_error(e, EXC_GP, 0);
}

/* The part of RSP that a stack uses: with a segment of 16 bits the rest stays. */
static uint32_t return_width(const struct emul *e, const struct far *to, const struct vcpu_segment *ss)
{
    bool whole = e->insn->mode == INSN_MODE_64 || return_is_wide(e, to) || (ss->attr & SEG_ATTR_DB);

    return whole ? e->insn->op_size : 2;
}

/* With a stack of its own, which is at RSP + `at`; the return has dropped `drop` bytes from this one, and that loses as much. */
static int return_with_stack(const struct emul *e, struct far *to, uint64_t at, uint32_t drop)
{
    uint32_t size = e->insn->op_size, cpl = to->selector & SELECTOR_RPL;
    bool outward = cpl > privilege_read(e);
    uint64_t stack[2];
    struct vcpu_segment ss;
    int err = stack_read(e, at, size, 1, &stack[0]);

    if (!err)
        err = stack_read(e, at + size, size, 1, &stack[1]);
    if (!err)
        err = return_load(e, to);
    if (!err)
        err = return_load_stack(e, to, (uint16_t)stack[1], &ss);
    if (err)
        return err;
    reg_write(e, REG_RSP, return_width(e, to, &ss), stack[0] + drop);
    e->io->set_seg(e->ctx, SEG_SS, &ss);
    if (outward)
        segments_drop(e, cpl);
    return far_go(e, to);
}

/* To the same level, or in real mode. */
static int return_same(const struct emul *e, struct far *to, uint64_t drop)
{
    int err = mode_is_real(e) ? far_load(e, to) : return_load(e, to);

    if (err)
        return err;
    stack_move(e, drop);
    return far_go(e, to);
}

/* `count` words from the top of the stack. */
static int frame_read(const struct emul *e, uint32_t from, uint32_t count, uint64_t *words)
{
    uint32_t size = e->insn->op_size;
    int err = 0;

    for (uint32_t i = from; !err && i < from + count; i++)
        err = stack_read(e, (uint64_t)i * size, size, 1, &words[i]);
    return err;
}

/* CB; CA drops some bytes more. */
int exec_ret_far(struct emul *e)
{
    uint32_t size = e->insn->op_size, drop = e->insn->imm & 0xffff, cpl = privilege_read(e), rpl;
    uint64_t words[2];
    struct far to;
    int err = frame_read(e, 0, 2, words);

    if (err)
        return err;
    to = (struct far){.rip = words[0], .selector = (uint16_t)words[1]};
    rpl = to.selector & SELECTOR_RPL;
    if (!mode_is_real(e) && rpl < cpl)
        return selector_fault(e, EXC_GP, to.selector);
    return !mode_is_real(e) && rpl > cpl ? return_with_stack(e, &to, 2ull * size + drop, drop)
                                         : return_same(e, &to, 2ull * size + drop);
}

/* IRET ------------------------------------------------------------------------------------------------------------ */

#define RFLAGS_VIF BIT(19)
#define RFLAGS_VIP BIT(20)

/* Of a frame in virtual-8086 mode: what comes behind RIP, CS and the flags. */
enum {
    FRAME_RIP,
    FRAME_CS,
    FRAME_FLAGS,
    FRAME_RSP,
    FRAME_SS,
    FRAME_ES,
    FRAME_DS,
    FRAME_FS,
    FRAME_GS,
    FRAME_WORDS
};

/* Back to what called this task or was interrupted by it. */
static int iret_task(const struct emul *e)
{
    struct emul_task task = {.source = TASK_IRET, .rip = e->io->get(e->ctx, REG_RIP) + e->insn->length};
    struct vcpu_segment tr;
    struct emul_ref ref;
    uint64_t link;
    int err;

    e->io->get_seg(e->ctx, SEG_TR, &tr);
    ref = table_ref(tr.base, 2, false);
    err = memory_read(e, &ref, &link);
    task.selector = (uint16_t)link;
    return err ? err : emul_task_switch(e->io, e->ctx, &task, e->fault);
}

static int iret_to_vm86(const struct emul *e, uint64_t *words)
{
    static const uint8_t segments[] = {SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    struct vcpu_segment s;
    int err = frame_read(e, FRAME_RSP, FRAME_WORDS - FRAME_RSP, words);

    if (!err && words[FRAME_RIP] > 0xffff)
        return fault_raise_error(e, EXC_GP, 0);
    if (err)
        return err;
    flags_write(e, flags_loadable(e) | RFLAGS_RF | RFLAGS_VM | RFLAGS_VIF | RFLAGS_VIP, words[FRAME_FLAGS]);
    for (uint32_t i = 0; i < ARRAY_SIZE(segments); i++) {
        segment_load_real(e, segments[i], (uint16_t)words[FRAME_SS + i], &s);
        e->io->set_seg(e->ctx, segments[i], &s);
    }
    segment_load_real(e, SEG_CS, (uint16_t)words[FRAME_CS], &s);
    e->io->set_seg(e->ctx, SEG_CS, &s);
    e->io->set(e->ctx, REG_RSP, words[FRAME_RSP]);
    e->io->set(e->ctx, REG_RIP, words[FRAME_RIP]);
    return EMUL_JUMPED;
}

/* In 64-bit mode the stack is always in the frame. */
static int iret_protected(const struct emul *e, struct far *to)
{
    uint32_t size = e->insn->op_size, cpl = privilege_read(e), rpl = to->selector & SELECTOR_RPL;

    if (rpl < cpl)
        return selector_fault(e, EXC_GP, to->selector);
    if (rpl > cpl || e->insn->mode == INSN_MODE_64)
        return return_with_stack(e, to, 3ull * size, 0);
    return return_same(e, to, 3ull * size);
}

/* CF. Which flags it may load is a matter of the level that it leaves. */
int exec_iret(struct emul *e)
{
    uint64_t words[FRAME_WORDS], mask = flags_loadable(e) | RFLAGS_RF;
    bool real = mode_is_real(e);
    struct far to;
    int err;

    if (flags_belong_to_monitor(e))
        return monitor_takes(e);
    if (!real && (flags_read(e) & RFLAGS_NT))
        return mode_is_long(e) ? fault_raise_error(e, EXC_GP, 0) : iret_task(e);
    err = frame_read(e, 0, FRAME_RSP, words);
    if (err)
        return err;
    if (!real && privilege_read(e) == 0) {
        if ((words[FRAME_FLAGS] & RFLAGS_VM) && !mode_is_long(e))
            return iret_to_vm86(e, words);
        if (e->insn->op_size > 2)
            mask |= RFLAGS_VIF | RFLAGS_VIP;
    }
    to = (struct far){.rip = words[FRAME_RIP], .selector = (uint16_t)words[FRAME_CS]};
    err = real ? return_same(e, &to, 3ull * e->insn->op_size) : iret_protected(e, &to);
    if (err == EMUL_JUMPED)
        flags_write(e, mask, words[FRAME_FLAGS]);
    return err;
}
