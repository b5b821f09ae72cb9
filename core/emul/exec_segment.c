/* Instructions that load, store or push segment and table registers (SDM volume 2). */
#include "core/emul/handlers.h"
#include "core/emul/segment.h"
#include "core/emul/stack.h"
#include "core/x86/cr.h"

static int load(const struct emul *e, enum vcpu_seg seg, uint16_t selector)
{
    struct vcpu_segment s;
    int err = 0;

    if (mode_is_real(e))
        segment_load_real(e, seg, selector, &s);
    else
        err = segment_load_data(e, seg, selector, privilege_read(e), EXC_GP, &s);
    if (!err)
        e->io->set_seg(e->ctx, seg, &s);
    return err;
}

/* Behind MOV to SS and POP SS nothing comes between: RSP is about to follow (SDM volume 3, 6.8.3). */
static int shadow_begin(enum vcpu_seg seg, int err)
{
    return !err && seg == SEG_SS ? EMUL_SHADOW : err;
}

/* 8E. CS can't be loaded so. */
int exec_load_segment(struct emul *e)
{
    uint8_t seg = e->insn->reg & 7;
    struct emul_ref ref;
    uint64_t selector;
    int err;

    if (seg == SEG_CS || seg > SEG_GS)
        return fault_raise(e, EXC_UD);
    err = operand_read(e, 2, false, &ref, &selector);
    return err ? err : shadow_begin(seg, load(e, seg, (uint16_t)selector));
}

/* LES, LDS, LSS, LFS, LGS: offset, then selector. */
int exec_load_far(struct emul *e)
{
    static const uint8_t segs[8] = {[2] = SEG_SS, [4] = SEG_FS, [5] = SEG_GS};
    uint32_t size = e->insn->op_size;
    uint64_t words[2] = {0, 0}, selector;
    struct emul_ref ref;
    int err = memory_ref(e, size + 2, false, 0, &ref);

    if (!err)
        err = memory_read(e, &ref, words);
    if (err)
        return err;
    selector = size == 8 ? words[1] : words[0] >> (8 * size);
    err = load(
        e, e->insn->map == INSN_MAP_ONE ? (e->insn->opcode & 1 ? SEG_DS : SEG_ES) : segs[e->insn->opcode & 7],
        (uint16_t)selector);
    if (!err)
        reg_write(e, e->insn->reg, size, words[0]);
    return err;
}

/* ES, CS, SS, DS, FS or GS by the opcode's bits 3-5: 06 .. 1F, 0F A0 .. A9. */
static enum vcpu_seg opcode_seg(const struct insn *insn)
{
    return insn->opcode >> 3 & (insn->map == INSN_MAP_ONE ? 3 : 7);
}

/* With 32-bit operands, the upper half of the place on the stack is left as it is, as Intel's CPUs do. */
int exec_push_segment(struct emul *e)
{
    uint32_t size = e->insn->op_size;
    struct vcpu_segment s;
    uint64_t selector;
    int err;

    e->io->get_seg(e->ctx, opcode_seg(e->insn), &s);
    selector = s.selector;
    err = stack_write(e, -(uint64_t)size, size == 4 ? 2 : size, 1, &selector);
    if (!err)
        stack_move(e, -(uint64_t)size);
    return err;
}

int exec_pop_segment(struct emul *e)
{
    enum vcpu_seg seg = opcode_seg(e->insn);
    uint64_t selector;
    int err = stack_read(e, 0, e->insn->op_size, 1, &selector);

    if (!err)
        err = load(e, seg, (uint16_t)selector);
    if (!err)
        stack_move(e, e->insn->op_size);
    return shadow_begin(seg, err);
}

/* Table registers --------------------------------------------------------------------------------------------- */

/* LLDT (reg 2) and LTR (reg 3). */
static int load_system(const struct emul *e, bool task, uint16_t selector)
{
    struct descriptor d = {0};
    uint32_t type;
    int err;

    if (!task && selector_is_null(selector)) {
        e->io->set_seg(e->ctx, SEG_LDTR, &(struct vcpu_segment){.selector = selector});
        return 0;
    }
    if (selector & SELECTOR_LDT)
        return selector_fault(e, EXC_GP, selector);
    err = descriptor_read(e, selector, EXC_GP, true, &d);
    if (err)
        return err;
    type = d.segment.attr & SEG_ATTR_TYPE;
    if ((d.segment.attr & SEG_ATTR_S) ||
        (task ? type != 9 && (type != 1 || e->insn->mode == INSN_MODE_64) : type != TYPE_LDT))
        return selector_fault(e, EXC_GP, selector);
    if (!(d.segment.attr & SEG_ATTR_P))
        return selector_fault(e, EXC_NP, selector);
    if (task)
        err = descriptor_mark(e, &d, TYPE_TSS_BUSY, 0);
    if (!err)
        e->io->set_seg(e->ctx, task ? SEG_TR : SEG_LDTR, &d.segment);
    return err;
}

/* Storing them is a matter of CR4.UMIP, too. */
static bool store_refused(const struct emul *e)
{
    return privilege_read(e) != 0 && (e->io->get(e->ctx, REG_CR4) & CR4_UMIP);
}

/* 0F 00: SLDT, STR, LLDT, LTR, VERR, VERW. */
int exec_group6(struct emul *e)
{
    uint32_t reg = e->insn->reg & 7;
    struct vcpu_segment s;
    struct emul_ref ref;
    uint64_t selector;
    int err;

    if (reg > 5)
        return ERR_NOTSUP;
    if (mode_is_real(e))
        return fault_raise(e, EXC_UD);
    if (reg > 3)
        return exec_verify(e);
    if (reg < 2 ? store_refused(e) : privilege_read(e) != 0)
        return fault_raise_error(e, EXC_GP, 0);
    if (reg < 2) {
        e->io->get_seg(e->ctx, reg ? SEG_TR : SEG_LDTR, &s);
        return operand_store(e, e->insn->has_memory ? 2 : e->insn->op_size, s.selector);
    }
    err = operand_read(e, 2, false, &ref, &selector);
    return err ? err : load_system(e, reg == 3, (uint16_t)selector);
}

/* Limit and base, of 4 bytes or 8; with 16-bit operands LGDT and LIDT take 3 of them. */
static int table_store(struct emul *e, enum vcpu_seg seg, uint32_t base)
{
    struct vcpu_segment s;
    uint64_t words[2];
    struct emul_ref ref;
    int err = memory_ref(e, 2 + base, true, 0, &ref);

    if (err)
        return err;
    e->io->get_seg(e->ctx, seg, &s);
    words[0] = (s.limit & 0xffff) | s.base << 16;
    words[1] = s.base >> 48;
    return e->io->write(e->ctx, &ref, words, e->fault);
}

static int table_load(struct emul *e, enum vcpu_seg seg, uint32_t base)
{
    struct vcpu_segment s = {0};
    uint64_t words[2] = {0, 0};
    struct emul_ref ref;
    int err = memory_ref(e, 2 + base, false, 0, &ref);

    if (!err)
        err = memory_read(e, &ref, words);
    if (err)
        return err;
    s.limit = words[0] & 0xffff;
    s.base = words[0] >> 16 | words[1] << 48;
    if (e->insn->mode != INSN_MODE_64)
        s.base &= e->insn->op_size == 2 ? 0xffffff : 0xffffffff;
    else if (!target_canonical(e, s.base))
        return fault_raise_error(e, EXC_GP, 0);
    e->io->set_seg(e->ctx, seg, &s);
    return 0;
}

/* LMSW changes the low four bits, and can set PE but never clear it. */
static int status_load(const struct emul *e)
{
    uint64_t cr0 = e->io->get(e->ctx, REG_CR0), value;
    struct emul_ref ref;
    int err = operand_read(e, 2, false, &ref, &value);

    if (!err)
        e->io->set(e->ctx, REG_CR0,
                   (cr0 & ~(CR0_MP | CR0_EM | CR0_TS)) | (value & (CR0_PE | CR0_MP | CR0_EM | CR0_TS)));
    return err;
}

/* 0F 01: SGDT, SIDT, LGDT, LIDT, SMSW, LMSW; CLZERO. */
int exec_group7(struct emul *e)
{
    uint32_t reg = e->insn->reg & 7, base = e->insn->mode == INSN_MODE_64 ? 8 : 4;
    enum vcpu_seg seg = reg & 1 ? SEG_IDTR : SEG_GDTR;

    if (!e->insn->has_memory)
        return reg == 7 && (e->insn->rm & 7) == 4 ? exec_clzero(e) : ERR_NOTSUP;
    if (reg == 5 || reg == 7)
        return ERR_NOTSUP;
    if (reg < 2 || reg == 4 ? store_refused(e) : privilege_read(e) != 0)
        return fault_raise_error(e, EXC_GP, 0);
    switch (reg) {
    case 0:
    case 1:
        return table_store(e, seg, base);
    case 2:
    case 3:
        return table_load(e, seg, base);
    case 4:
        return operand_store(e, 2, e->io->get(e->ctx, REG_CR0));
    default:
        return status_load(e);
    }
}
