#include "core/emul/gate.h"

#include "core/emul/stack.h"

/* Of a TSS (SDM volume 3, 9.2.1, 9.7). */
#define TSS_32       0x8
#define TSS64_RSP    4u
#define TSS64_IST    36u
#define TSS32_STACKS 4u
#define TSS16_STACKS 2u

void gate_unpack(const struct emul *e, const uint64_t raw[2], struct gate *out)
{
    out->selector = (uint16_t)(raw[0] >> 16);
    out->count = raw[0] >> 32 & 0x1f;
    out->type = raw[0] >> 40 & 0x1f;
    out->dpl = raw[0] >> 45 & 3;
    out->present = raw[0] & BIT(47);
    out->offset = raw[0] & 0xffff;
    if (out->type & GATE_32)
        out->offset |= raw[0] >> 32 & 0xffff0000;
    if (mode_is_long(e))
        out->offset |= raw[1] << 32;
}

uint32_t gate_width(const struct emul *e, const struct gate *gate)
{
    return mode_is_long(e) ? 8 : gate->type & GATE_32 ? 4 : 2;
}

static bool gate_code_allowed(const struct emul *e, uint16_t attr, uint32_t cpl)
{
    if (!(attr & SEG_ATTR_S) || !(attr & TYPE_CODE) || SEG_ATTR_DPL(attr) > cpl)
        return false;
    return !mode_is_long(e) || (attr & (SEG_ATTR_L | SEG_ATTR_DB)) == SEG_ATTR_L;
}

static bool gate_rip_allowed(const struct emul *e, const struct gate_target *to)
{
    return mode_is_long(e) ? target_canonical(e, to->rip) : to->rip <= to->code.segment.limit;
}

int gate_open(const struct emul *e, const struct gate *gate, uint32_t cpl, struct gate_target *out)
{
    uint16_t attr;
    int err;

    if (selector_is_null(gate->selector))
        return fault_raise_error(e, EXC_GP, 0);
    err = descriptor_read(e, gate->selector, EXC_GP, false, &out->code);
    if (err)
        return err;
    attr = out->code.segment.attr;
    if (!gate_code_allowed(e, attr, cpl))
        return selector_fault(e, EXC_GP, gate->selector);
    if (!(attr & SEG_ATTR_P))
        return selector_fault(e, EXC_NP, gate->selector);
    out->rip = gate->offset;
    out->cpl = attr & TYPE_CONFORMING ? cpl : SEG_ATTR_DPL(attr);
    return 0;
}

/* Stacks --------------------------------------------------------------------------------------------------------- */

void gate_stack_same(const struct emul *e, struct gate_stack *out)
{
    e->io->get_seg(e->ctx, SEG_SS, &out->ss);
    out->sp = e->io->get(e->ctx, REG_RSP);
    out->width = mode_is_long(e) ? 8 : out->ss.attr & SEG_ATTR_DB ? 4 : 2;
    out->inner = false;
}

static int tss_read(const struct emul *e, uint32_t at, uint32_t size, uint64_t *value)
{
    struct vcpu_segment tr;
    struct emul_ref ref;

    e->io->get_seg(e->ctx, SEG_TR, &tr);
    if (at + size - 1 > tr.limit)
        return selector_fault(e, EXC_TS, tr.selector);
    ref = table_ref(tr.base + at, size, false);
    return memory_read(e, &ref, value);
}

static int gate_stack_long(const struct emul *e, uint32_t cpl, uint32_t number, struct gate_stack *out)
{
    uint32_t at = number ? TSS64_IST + 8 * (number - 1) : TSS64_RSP + 8 * cpl;

    out->width = 8;
    out->ss = (struct vcpu_segment){.selector = (uint16_t)cpl, .attr = (uint16_t)(cpl << 5)};
    return tss_read(e, at, 8, &out->sp);
}

int gate_stack_inner(const struct emul *e, uint32_t cpl, uint32_t number, struct gate_stack *out)
{
    struct vcpu_segment tr;
    uint64_t words = 0;
    uint32_t width;
    int err;

    out->inner = true;
    if (mode_is_long(e))
        return gate_stack_long(e, cpl, number, out);
    e->io->get_seg(e->ctx, SEG_TR, &tr);
    width = tr.attr & TSS_32 ? 4 : 2;
    err = tss_read(e, width == 4 ? TSS32_STACKS + 8 * cpl : TSS16_STACKS + 4 * cpl, width + 2, &words);
    if (err)
        return err;
    err = segment_load_data(e, SEG_SS, (uint16_t)(words >> (8 * width)), cpl, EXC_TS, &out->ss);
    out->sp = words & size_mask(width);
    out->width = out->ss.attr & SEG_ATTR_DB ? 4 : 2;
    return err;
}

int gate_push(const struct emul *e, struct gate_stack *stack, uint32_t size, uint64_t value)
{
    uint64_t mask = size_mask(stack->width), at = (stack->sp - size) & mask;
    bool wide = mode_is_long(e);
    struct emul_ref ref = {.gva = at,
                           .seg = SEG_SS,
                           .size = (uint8_t)size,
                           .unit = (uint8_t)size,
                           .rmw = true,
                           .system = stack->inner};
    int err;

    if (!wide && !segment_allows(e, &stack->ss, at, size, true))
        return selector_fault(e, EXC_SS, stack->inner ? stack->ss.selector : 0);
    if (!wide)
        ref.gva = (stack->ss.base + at) & 0xffffffff;
    err = memory_write(e, &ref, value & size_mask(size));
    if (!err)
        stack->sp = (stack->sp & ~mask) | at;
    return err;
}

int gate_enter(const struct emul *e, struct gate_target *to, const struct gate_stack *stack)
{
    int err;

    if (!gate_rip_allowed(e, to))
        return fault_raise_error(e, EXC_GP, 0);
    err = descriptor_mark(e, &to->code, TYPE_ACCESSED, 0);
    if (err)
        return err;
    to->code.segment.selector = (uint16_t)((to->code.segment.selector & ~SELECTOR_RPL) | to->cpl);
    e->io->set_seg(e->ctx, SEG_CS, &to->code.segment);
    if (stack->inner)
        e->io->set_seg(e->ctx, SEG_SS, &stack->ss);
    e->io->set(e->ctx, REG_RSP, stack->sp);
    e->io->set(e->ctx, REG_RIP, to->rip);
    return EMUL_JUMPED;
}
