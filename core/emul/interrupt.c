#include "core/emul/interrupt.h"

#include "core/emul/gate.h"
#include "core/emul/handlers.h"
#include "core/emul/stack.h"
#include "core/emul/task.h"
#include "core/x86/cr.h"

#define ERROR_IDT 2u

/* What is cleared for a handler; IF by most gates, too. */
#define FLAGS_CLEARED (RFLAGS_TF | RFLAGS_NT | RFLAGS_RF | RFLAGS_VM)

static uint64_t flags_saved(const struct emul *e, const struct emul_interrupt *event)
{
    return flags_read(e) | event->resumes;
}

static int gate_fault(const struct emul *e, uint8_t vector, const struct emul_interrupt *event)
{
    return fault_raise_error(e, vector, event->vector * 8u | ERROR_IDT);
}

static int idt_read(const struct emul *e, const struct emul_interrupt *event, uint32_t size, uint64_t *raw)
{
    struct vcpu_segment idt;
    struct emul_ref ref;

    e->io->get_seg(e->ctx, SEG_IDTR, &idt);
    if (event->vector * size + size - 1 > idt.limit)
        return gate_fault(e, EXC_GP, event);
    ref = table_ref(idt.base + event->vector * size, size, false);
    return memory_read(e, &ref, raw);
}

/* Real mode ------------------------------------------------------------------------------------------------------ */

static int deliver_real(const struct emul *e, const struct emul_interrupt *event)
{
    const uint64_t frame[] = {flags_saved(e, event), 0, event->rip};
    struct gate_stack stack;
    struct vcpu_segment cs;
    uint64_t raw = 0;
    int err = idt_read(e, event, 4, &raw);

    gate_stack_same(e, &stack);
    e->io->get_seg(e->ctx, SEG_CS, &cs);
    for (uint32_t i = 0; !err && i < ARRAY_SIZE(frame); i++)
        err = gate_push(e, &stack, 2, i == 1 ? cs.selector : frame[i]);
    if (err)
        return err;
    segment_load_real(e, SEG_CS, (uint16_t)(raw >> 16), &cs);
    e->io->set_seg(e->ctx, SEG_CS, &cs);
    e->io->set(e->ctx, REG_RSP, stack.sp);
    e->io->set(e->ctx, REG_RIP, raw & 0xffff);
    flags_write(e, RFLAGS_IF | RFLAGS_TF | RFLAGS_AC | RFLAGS_RF, 0);
    return EMUL_JUMPED;
}

/* Protected mode ------------------------------------------------------------------------------------------------- */

static bool gate_type_allowed(const struct emul *e, const struct gate *gate)
{
    if (mode_is_long(e))
        return gate->type == GATE_INTERRUPT || gate->type == GATE_TRAP;
    return gate->type == GATE_TASK || (gate->type & ~(GATE_32 | GATE_NO_INTERRUPT)) == GATE_INTERRUPT_16;
}

static int idt_gate(const struct emul *e, const struct emul_interrupt *event, struct gate *out)
{
    uint64_t raw[2] = {0, 0};
    int err = idt_read(e, event, mode_is_long(e) ? 16 : 8, raw);

    if (err)
        return err;
    gate_unpack(e, raw, out);
    if (!gate_type_allowed(e, out) || (event->checked && out->dpl < privilege_read(e)))
        return gate_fault(e, EXC_GP, event);
    return out->present ? 0 : gate_fault(e, EXC_NP, event);
}

/* Out of virtual-8086 mode into ring 0 alone. */
static int target_open(const struct emul *e, const struct gate *gate, struct gate_target *out)
{
    int err = gate_open(e, gate, privilege_read(e), out);

    if (!err && (flags_read(e) & RFLAGS_VM) && out->cpl != 0)
        return selector_fault(e, EXC_GP, gate->selector);
    return err;
}

static int stack_choose(const struct emul *e, const struct gate *gate, const struct gate_target *to,
                        struct gate_stack *out)
{
    uint32_t cpl = privilege_read(e), number = mode_is_long(e) ? gate->count & 7 : 0;
    int err = 0;

    if (number || to->cpl != cpl)
        err = gate_stack_inner(e, to->cpl, number, out);
    else
        gate_stack_same(e, out);
    out->inner = to->cpl != cpl;
    if (mode_is_long(e))
        out->sp &= ~15ull;
    return err;
}

static int push_selector(const struct emul *e, struct gate_stack *stack, uint32_t size, enum vcpu_seg seg)
{
    struct vcpu_segment s;

    e->io->get_seg(e->ctx, seg, &s);
    return gate_push(e, stack, size, s.selector);
}

/* What only virtual-8086 mode has in its data segments. */
static const uint8_t vm86_segments[] = {SEG_GS, SEG_FS, SEG_DS, SEG_ES};

static int push_frame(const struct emul *e, const struct emul_interrupt *event, struct gate_stack *stack,
                      uint32_t size)
{
    uint64_t flags = flags_saved(e, event);
    int err = 0;

    for (uint32_t i = 0; !err && (flags & RFLAGS_VM) && i < ARRAY_SIZE(vm86_segments); i++)
        err = push_selector(e, stack, size, vm86_segments[i]);
    if (!err && (stack->inner || mode_is_long(e))) {
        err = push_selector(e, stack, size, SEG_SS);
        if (!err)
            err = gate_push(e, stack, size, e->io->get(e->ctx, REG_RSP));
    }
    if (!err)
        err = gate_push(e, stack, size, flags);
    if (!err)
        err = push_selector(e, stack, size, SEG_CS);
    if (!err)
        err = gate_push(e, stack, size, event->rip);
    return !err && event->has_error ? gate_push(e, stack, size, event->error) : err;
}

static void flags_enter(const struct emul *e, const struct gate *gate)
{
    struct vcpu_segment none = {0};

    for (uint32_t i = 0; (flags_read(e) & RFLAGS_VM) && i < ARRAY_SIZE(vm86_segments); i++)
        e->io->set_seg(e->ctx, vm86_segments[i], &none);
    flags_write(e, FLAGS_CLEARED | (gate->type & GATE_NO_INTERRUPT ? 0 : RFLAGS_IF), 0);
}

static int deliver_task(const struct emul *e, const struct gate *gate, const struct emul_interrupt *event)
{
    struct emul_task task = {.selector = gate->selector,
                             .source = TASK_GATE,
                             .external = event->external,
                             .has_error = event->has_error,
                             .error = event->error,
                             .rip = event->rip,
                             .resumes = event->resumes};

    return emul_task_switch(e->io, e->ctx, &task, e->fault);
}

static int deliver_protected(const struct emul *e, const struct emul_interrupt *event)
{
    struct gate_target to;
    struct gate_stack stack = {0};
    struct gate gate;
    int err = idt_gate(e, event, &gate);

    if (err)
        return err;
    if (gate.type == GATE_TASK)
        return deliver_task(e, &gate, event);
    err = target_open(e, &gate, &to);
    if (!err)
        err = stack_choose(e, &gate, &to, &stack);
    if (!err)
        err = push_frame(e, event, &stack, gate_width(e, &gate));
    if (!err)
        err = gate_enter(e, &to, &stack);
    if (err == EMUL_JUMPED)
        flags_enter(e, &gate);
    return err;
}

static int deliver(const struct emul *e, const struct emul_interrupt *event)
{
    int err = e->io->get(e->ctx, REG_CR0) & CR0_PE ? deliver_protected(e, event) : deliver_real(e, event);

    if (err == EMUL_FAULT && event->external)
        fault_mark_external(e->fault);
    return err;
}

int emul_interrupt(const struct emul_io *io, void *ctx, enum insn_mode mode,
                   const struct emul_interrupt *event, struct emul_fault *fault)
{
    const struct insn insn = {.mode = (uint8_t)mode};
    const struct emul e = {.io = io, .ctx = ctx, .insn = &insn, .fault = fault};

    return deliver(&e, event);
}

/* Without CR4.VME, INT n belongs to the monitor in virtual-8086 mode, as PUSHF and POPF do; INT3 and INTO don't. */
int exec_int(struct emul *e)
{
    uint8_t opcode = e->insn->opcode;
    struct emul_interrupt event = {.vector = EXC_BP,
                                   .checked = opcode != 0xf1,
                                   .external = opcode == 0xf1,
                                   .rip = e->io->get(e->ctx, REG_RIP) + e->insn->length};

    if (opcode == 0xcd && flags_belong_to_monitor(e))
        return monitor_takes(e);
    if (opcode == 0xce && !(flags_read(e) & RFLAGS_OF))
        return 0;
    if (opcode == 0xcd)
        event.vector = (uint8_t)e->insn->imm;
    else if (opcode != 0xcc)
        event.vector = opcode == 0xce ? EXC_OF : EXC_DB;
    return deliver(e, &event);
}
