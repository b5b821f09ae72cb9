/*
 * Jumps and calls to another code segment, straight, through gates and into tasks (SDM volume 2, JMP, CALL). Registers change
 * last, so that a fault leaves them as they were.
 */
#include "core/emul/far.h"
#include "core/emul/gate.h"
#include "core/emul/handlers.h"
#include "core/emul/stack.h"
#include "core/emul/task.h"

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

int far_check(const struct emul *e, const struct far *to)
{
    bool wide = (to->cs.attr & SEG_ATTR_L) && mode_is_long(e);

    if (wide ? target_canonical(e, to->rip) : to->rip <= to->cs.limit)
        return 0;
    return fault_raise_error(e, EXC_GP, 0);
}

int far_load(const struct emul *e, struct far *to)
{
    int err = 0;

    if (mode_is_real(e))
        segment_load_real(e, SEG_CS, to->selector, &to->cs);
    else
        err = segment_load_code(e, to->selector, privilege_read(e), &to->cs);
    return err ? err : far_check(e, to);
}

int far_go(const struct emul *e, const struct far *to)
{
    e->io->set_seg(e->ctx, SEG_CS, &to->cs);
    e->io->set(e->ctx, REG_RIP, to->rip);
    return EMUL_JUMPED;
}

/* Through gates, and into tasks ------------------------------------------------------------------------------------- */

static uint64_t far_next(const struct emul *e)
{
    return e->io->get(e->ctx, REG_RIP) + e->insn->length;
}

static int push_return(const struct emul *e, struct gate_stack *stack, uint32_t size)
{
    struct vcpu_segment cs;
    int err;

    e->io->get_seg(e->ctx, SEG_CS, &cs);
    err = gate_push(e, stack, size, cs.selector);
    return err ? err : gate_push(e, stack, size, far_next(e));
}

/* SS:RSP as it is, and the parameters from above it. */
static int push_stack(const struct emul *e, const struct gate *gate, struct gate_stack *stack, uint32_t size)
{
    uint32_t count = mode_is_long(e) ? 0 : gate->count;
    struct vcpu_segment ss;
    uint64_t value;
    int err;

    e->io->get_seg(e->ctx, SEG_SS, &ss);
    err = gate_push(e, stack, size, ss.selector);
    if (!err)
        err = gate_push(e, stack, size, e->io->get(e->ctx, REG_RSP));
    while (!err && count--) {
        err = stack_read(e, (uint64_t)count * size, size, 1, &value);
        if (!err)
            err = gate_push(e, stack, size, value);
    }
    return err;
}

static int gate_call(const struct emul *e, const struct gate *gate, struct gate_target *to)
{
    uint32_t size = gate_width(e, gate);
    struct gate_stack stack;
    int err = 0;

    if (to->cpl == privilege_read(e))
        gate_stack_same(e, &stack);
    else
        err = gate_stack_inner(e, to->cpl, 0, &stack);
    if (!err && stack.inner)
        err = push_stack(e, gate, &stack, size);
    if (!err)
        err = push_return(e, &stack, size);
    return err ? err : gate_enter(e, to, &stack);
}

/* A jump doesn't change the level. */
static int gate_jump(const struct emul *e, const struct gate *gate, struct gate_target *to)
{
    struct gate_stack stack;

    if (to->cpl != privilege_read(e))
        return selector_fault(e, EXC_GP, gate->selector);
    gate_stack_same(e, &stack);
    return gate_enter(e, to, &stack);
}

static int task_go(const struct emul *e, uint16_t selector, bool call)
{
    struct emul_task task = {.selector = selector, .source = call ? TASK_CALL : TASK_JMP, .rip = far_next(e)};

    return emul_task_switch(e->io, e->ctx, &task, e->fault);
}

static bool is_task(const struct emul *e, uint8_t type)
{
    return !mode_is_long(e) && (type == GATE_TASK || (type & ~GATE_32) == TYPE_TSS);
}

static bool is_call_gate(const struct emul *e, uint8_t type)
{
    return type == GATE_CALL || (type == GATE_CALL_16 && !mode_is_long(e));
}

/* The selector is that of a system descriptor. */
static int far_system(const struct emul *e, const struct far *to, bool call)
{
    uint32_t cpl = privilege_read(e);
    struct descriptor d;
    struct gate_target target;
    struct gate gate;
    int err = descriptor_read(e, to->selector, EXC_GP, true, &d);

    if (err)
        return err;
    gate_unpack(e, d.raw, &gate);
    if ((!is_task(e, gate.type) && !is_call_gate(e, gate.type)) || gate.dpl < cpl ||
        gate.dpl < (to->selector & SELECTOR_RPL))
        return selector_fault(e, EXC_GP, to->selector);
    if (!gate.present)
        return selector_fault(e, EXC_NP, to->selector);
    if (is_task(e, gate.type))
        return task_go(e, gate.type == GATE_TASK ? gate.selector : to->selector, call);
    err = gate_open(e, &gate, cpl, &target);
    if (err)
        return err;
    return call ? gate_call(e, &gate, &target) : gate_jump(e, &gate, &target);
}

/* The instructions -------------------------------------------------------------------------------------------------- */

static int call_straight(const struct emul *e, const struct far *to)
{
    uint32_t size = e->insn->op_size;
    uint64_t next = far_next(e) & size_mask(size), selector;
    struct vcpu_segment cs;
    int err;

    e->io->get_seg(e->ctx, SEG_CS, &cs);
    selector = cs.selector;
    err = stack_write(e, -(uint64_t)size, size, 1, &selector);
    if (!err)
        err = stack_write(e, -(uint64_t)size * 2, size, 1, &next);
    if (err)
        return err;
    stack_move(e, -(uint64_t)size * 2);
    return far_go(e, to);
}

static int far_transfer(const struct emul *e, bool call)
{
    struct far to;
    int err = far_read(e, &to);

    if (!err)
        err = far_load(e, &to);
    if (err == ERR_NOTSUP)
        return far_system(e, &to, call);
    if (err)
        return err;
    return call ? call_straight(e, &to) : far_go(e, &to);
}

int exec_jump_far(struct emul *e)
{
    return far_transfer(e, false);
}

int exec_call_far(struct emul *e)
{
    return far_transfer(e, true);
}
