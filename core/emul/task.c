#include "core/emul/task.h"

#include "core/emul/segment.h"
#include "core/emul/stack.h"
#include "core/lib/bytes.h"
#include "core/lib/string.h"
#include "core/x86/cr.h"

#define TYPE_32 0x8 /* of a TSS: 32 bits */

#define DR7_LOCAL 0x155ull /* L0-L3 and LE */

/* Where the two formats have what; both begin with the link to the previous task. */
struct tss_format {
    uint8_t len;          /* also the least that a descriptor's limit must hold */
    uint8_t width;        /* of IP, flags and registers */
    uint8_t cr3;          /* 0: it has none */
    uint8_t ip;           /* flags and the eight registers follow */
    uint8_t selectors;    /* ES, CS, SS, DS .. */
    uint8_t selector_gap; /* from one to the next */
    uint8_t segments;     /* how many */
    uint8_t ldt;
    uint8_t trap;
};

static const struct tss_format format_16 = {
    .len = 0x2c, .width = 2, .ip = 0x0e, .selectors = 0x22, .selector_gap = 2, .segments = 4, .ldt = 0x2a};
static const struct tss_format format_32 = {.len = 0x68,
                                            .width = 4,
                                            .cr3 = 0x1c,
                                            .ip = 0x20,
                                            .selectors = 0x48,
                                            .selector_gap = 4,
                                            .segments = 6,
                                            .ldt = 0x60,
                                            .trap = 0x64};

struct tss {
    const struct tss_format *format;
    struct descriptor descriptor;
    uint8_t bytes[EMUL_ACCESS_MAX];
};

struct task_switch {
    struct emul e;
    struct insn insn; /* none: what the operand helpers want to know of one */
    const struct emul_task *task;
    struct tss from, to;
};

static const struct tss_format *tss_format(const struct descriptor *d)
{
    return d->segment.attr & TYPE_32 ? &format_32 : &format_16;
}

static uint64_t tss_word(const struct tss *t, uint32_t at)
{
    return t->format->width == 4 ? get_le32(t->bytes + at) : get_le16(t->bytes + at);
}

static void tss_set_word(struct tss *t, uint32_t at, uint64_t value)
{
    if (t->format->width == 4)
        put_le32(t->bytes + at, (uint32_t)value);
    else
        put_le16(t->bytes + at, (uint16_t)value);
}

static uint64_t tss_flags(const struct tss *t)
{
    return tss_word(t, t->format->ip + t->format->width);
}

static uint32_t tss_reg(const struct tss *t, uint32_t reg)
{
    return t->format->ip + t->format->width * (2 + reg);
}

static uint16_t tss_selector(const struct tss *t, uint32_t seg)
{
    const struct tss_format *f = t->format;

    return seg < f->segments ? get_le16(t->bytes + f->selectors + seg * f->selector_gap) : 0;
}

static struct emul_ref tss_ref(const struct tss *t, uint32_t at, uint32_t len, bool write)
{
    return (struct emul_ref){.gva = (uint32_t)(t->descriptor.segment.base + at),
                             .seg = SEG_DS,
                             .size = (uint8_t)len,
                             .unit = 2,
                             .rmw = write,
                             .system = true};
}

static int tss_read(struct task_switch *s, struct tss *t, bool write)
{
    uint64_t words[EMUL_ACCESS_WORDS];
    struct emul_ref ref = tss_ref(t, 0, t->format->len, write);
    int err = memory_read(&s->e, &ref, words);

    if (!err)
        memcpy(t->bytes, words, t->format->len);
    return err;
}

static int tss_write(struct task_switch *s, const struct tss *t, uint32_t at, uint32_t len)
{
    uint64_t words[EMUL_ACCESS_WORDS];
    struct emul_ref ref = tss_ref(t, at, len, true);

    memcpy(words, t->bytes + at, len);
    return s->e.io->write(s->e.ctx, &ref, words, s->e.fault);
}

/* Before the switch: nothing changes ---------------------------------------------------------------------------- */

static int target_open(struct task_switch *s)
{
    uint8_t vector = s->task->source == TASK_IRET ? EXC_TS : EXC_GP;
    struct tss *to = &s->to;
    uint32_t type;
    int err;

    if (s->task->selector & SELECTOR_LDT)
        return selector_fault(&s->e, vector, s->task->selector);
    err = descriptor_read(&s->e, s->task->selector, vector, false, &to->descriptor);
    if (err)
        return err;
    type = to->descriptor.segment.attr & (SEG_ATTR_TYPE | SEG_ATTR_S) & ~(uint32_t)TYPE_32;
    if (type != (s->task->source == TASK_IRET ? 3 : 1))
        return selector_fault(&s->e, vector, s->task->selector);
    if (!(to->descriptor.segment.attr & SEG_ATTR_P))
        return selector_fault(&s->e, EXC_NP, s->task->selector);
    to->format = tss_format(&to->descriptor);
    if (to->descriptor.segment.limit < to->format->len - 1u)
        return selector_fault(&s->e, EXC_TS, s->task->selector);
    return tss_read(s, to, s->task->source == TASK_CALL || s->task->source == TASK_GATE);
}

static int source_open(struct task_switch *s)
{
    struct tss *from = &s->from;
    struct vcpu_segment tr;
    int err;

    s->e.io->get_seg(s->e.ctx, SEG_TR, &tr);
    err = descriptor_read(&s->e, tr.selector, EXC_TS, false, &from->descriptor);
    if (err)
        return err;
    from->descriptor.segment = tr; /* where the register points to counts, not the descriptor */
    from->format = tss_format(&from->descriptor);
    if (tr.limit < from->format->len - 1u)
        return selector_fault(&s->e, EXC_TS, tr.selector);
    return tss_read(s, from, true);
}

/* The switch ---------------------------------------------------------------------------------------------------- */

static void source_fill(struct task_switch *s)
{
    struct tss *t = &s->from;
    uint64_t flags = flags_read(&s->e) | s->task->resumes;
    struct vcpu_segment seg;

    if (s->task->source == TASK_IRET)
        flags &= ~(uint64_t)RFLAGS_NT;
    tss_set_word(t, t->format->ip, s->task->rip);
    tss_set_word(t, t->format->ip + t->format->width, flags);
    for (uint32_t i = 0; i < REG_R8; i++)
        tss_set_word(t, tss_reg(t, i), s->e.io->get(s->e.ctx, i));
    for (uint32_t i = 0; i < t->format->segments; i++) {
        s->e.io->get_seg(s->e.ctx, i, &seg);
        put_le16(t->bytes + t->format->selectors + i * t->format->selector_gap, seg.selector);
    }
}

/* Saves the old task; marks both; makes the new one the current one. */
static int tasks_exchange(struct task_switch *s)
{
    bool nested = s->task->source == TASK_CALL || s->task->source == TASK_GATE;
    struct tss *from = &s->from, *to = &s->to;
    struct vcpu_segment tr = from->descriptor.segment;
    int err;

    source_fill(s);
    err = tss_write(s, from, from->format->ip, from->format->ldt - from->format->ip);
    if (!err && !nested)
        err = descriptor_mark(&s->e, &from->descriptor, 0, TYPE_TSS_BUSY);
    if (!err && nested) {
        put_le16(to->bytes, tr.selector);
        tss_set_word(to, to->format->ip + to->format->width, tss_flags(to) | RFLAGS_NT);
        err = tss_write(s, to, 0, 2);
    }
    if (!err)
        err = descriptor_mark(&s->e, &to->descriptor, TYPE_TSS_BUSY, 0);
    if (err)
        return err;
    to->descriptor.segment.selector = s->task->selector;
    s->e.io->set_seg(s->e.ctx, SEG_TR, &to->descriptor.segment);
    s->e.io->set(s->e.ctx, REG_CR0, s->e.io->get(s->e.ctx, REG_CR0) | CR0_TS);
    return 0;
}

/*
 * Until their descriptors are loaded, the segment registers have the new selectors and nothing that could be accessed; CS keeps what
 * the CPU can run with, at the new privilege level.
 */
static void selectors_load(struct task_switch *s)
{
    uint16_t cpl = tss_selector(&s->to, SEG_CS) & SELECTOR_RPL;
    struct vcpu_segment seg;

    for (uint32_t i = SEG_ES; i <= SEG_GS; i++) {
        seg = (struct vcpu_segment){.selector = tss_selector(&s->to, i)};
        if (i == SEG_CS) {
            s->e.io->get_seg(s->e.ctx, SEG_CS, &seg);
            seg.selector = tss_selector(&s->to, i);
            seg.attr = (uint16_t)((seg.attr & ~(3u << 5)) | (uint32_t)cpl << 5);
        } else if (i == SEG_SS) {
            seg.selector = (uint16_t)((seg.selector & ~SELECTOR_RPL) | cpl);
            seg.attr = (uint16_t)(cpl << 5);
        }
        s->e.io->set_seg(s->e.ctx, i, &seg);
    }
}

static void registers_load(struct task_switch *s)
{
    const struct emul_io *io = s->e.io;
    const struct tss *to = &s->to;

    if (to->format->cr3 && (io->get(s->e.ctx, REG_CR0) & CR0_PG))
        io->set(s->e.ctx, REG_CR3, get_le32(to->bytes + to->format->cr3));
    io->set(s->e.ctx, REG_RIP, tss_word(to, to->format->ip));
    io->set(s->e.ctx, REG_RFLAGS, tss_flags(to) | RFLAGS_FIXED1);
    for (uint32_t i = 0; i < REG_R8; i++)
        io->set(s->e.ctx, i, tss_word(to, tss_reg(to, i))); /* upper halves: nowhere defined */
    io->set(s->e.ctx, REG_DR7, io->get(s->e.ctx, REG_DR7) & ~DR7_LOCAL);
}

/* In the new task ----------------------------------------------------------------------------------------------- */

static int ldt_load(struct task_switch *s)
{
    uint16_t selector = get_le16(s->to.bytes + s->to.format->ldt);
    struct vcpu_segment none = {.selector = selector};
    struct descriptor d = {0};
    int err;

    s->e.io->set_seg(s->e.ctx, SEG_LDTR, &none);
    if (selector_is_null(selector))
        return 0;
    if (selector & SELECTOR_LDT)
        return selector_fault(&s->e, EXC_TS, selector);
    err = descriptor_read(&s->e, selector, EXC_TS, false, &d);
    if (err)
        return err;
    if ((d.segment.attr & (SEG_ATTR_TYPE | SEG_ATTR_S)) != TYPE_LDT || !(d.segment.attr & SEG_ATTR_P))
        return selector_fault(&s->e, EXC_TS, selector);
    s->e.io->set_seg(s->e.ctx, SEG_LDTR, &d.segment);
    return 0;
}

static int code_load(struct task_switch *s, uint32_t cpl)
{
    uint16_t selector = tss_selector(&s->to, SEG_CS), attr;
    struct descriptor d = {0};
    int err = descriptor_read(&s->e, selector, EXC_TS, false, &d);

    if (err)
        return err;
    attr = d.segment.attr;
    if (!(attr & SEG_ATTR_S) || !(attr & TYPE_CODE) ||
        (attr & TYPE_CONFORMING ? SEG_ATTR_DPL(attr) > cpl : SEG_ATTR_DPL(attr) != cpl))
        return selector_fault(&s->e, EXC_TS, selector);
    if (!(attr & SEG_ATTR_P))
        return selector_fault(&s->e, EXC_NP, selector);
    err = descriptor_mark(&s->e, &d, TYPE_ACCESSED, 0);
    if (!err)
        s->e.io->set_seg(s->e.ctx, SEG_CS, &d.segment);
    return err;
}

static int data_load(struct task_switch *s, enum vcpu_seg seg, uint32_t cpl)
{
    struct vcpu_segment segment;
    int err = segment_load_data(&s->e, seg, tss_selector(&s->to, seg), cpl, EXC_TS, &segment);

    if (!err)
        s->e.io->set_seg(s->e.ctx, seg, &segment);
    return err;
}

static int segments_load_protected(struct task_switch *s)
{
    static const uint8_t data[] = {SEG_DS, SEG_ES, SEG_FS, SEG_GS};
    uint32_t cpl = tss_selector(&s->to, SEG_CS) & SELECTOR_RPL;
    int err = code_load(s, cpl);

    if (!err)
        err = data_load(s, SEG_SS, cpl);
    for (uint32_t i = 0; !err && i < ARRAY_SIZE(data); i++)
        err = data_load(s, data[i], cpl);
    return err;
}

static int segments_load(struct task_switch *s)
{
    struct vcpu_segment segment;

    if (!(tss_flags(&s->to) & RFLAGS_VM))
        return segments_load_protected(s);
    for (uint32_t i = SEG_ES; i <= SEG_GS; i++) {
        segment_load_real(&s->e, i, tss_selector(&s->to, i), &segment);
        s->e.io->set_seg(s->e.ctx, i, &segment);
    }
    return 0;
}

static int error_push(struct task_switch *s)
{
    s->insn.op_size = s->to.format->width;
    return s->task->has_error ? stack_push(&s->e, s->task->error) : 0;
}

static int target_enter(struct task_switch *s)
{
    int err;

    registers_load(s);
    selectors_load(s);
    err = ldt_load(s);
    if (!err)
        err = segments_load(s);
    if (!err)
        err = target_check(&s->e, s->e.io->get(s->e.ctx, REG_RIP));
    return err ? err : error_push(s);
}

int emul_task_switch(const struct emul_io *io, void *ctx, const struct emul_task *task,
                     struct emul_fault *fault)
{
    struct task_switch s = {.insn = {.mode = INSN_MODE_32, .op_size = 4}, .task = task};
    int err;

    s.e = (struct emul){.io = io, .ctx = ctx, .insn = &s.insn, .fault = fault};
    err = target_open(&s);
    if (!err)
        err = source_open(&s);
    if (!err)
        err = tasks_exchange(&s);
    if (!err)
        err = target_enter(&s);
    if (!err)
        return s.to.format->trap && (s.to.bytes[s.to.format->trap] & 1) ? EMUL_TRAPPED : EMUL_JUMPED;
    if (err == EMUL_FAULT && task->external)
        fault_mark_external(fault);
    return err;
}
