/*
 * String instructions. After each element the registers are as the CPU would leave them for an interrupt there, so that a
 * fault, or the end of a batch, needs no other state (SDM volume 2, REP).
 */
#include "core/emul/alu.h"
#include "core/emul/handlers.h"
#include "core/lib/panic.h"
#include "core/x86/cr.h"

static int string_source(struct emul *e, uint32_t size, uint64_t *value)
{
    uint64_t offset = reg_read(e, REG_RSI, e->insn->addr_size);
    struct emul_ref ref;
    int err = segment_ref(e, e->insn->segment, offset, size, false, &ref);

    return err ? err : memory_read(e, &ref, value);
}

static int string_dest_ref(struct emul *e, uint32_t size, bool write, struct emul_ref *ref)
{
    return segment_ref(e, SEG_ES, reg_read(e, REG_RDI, e->insn->addr_size), size, write, ref);
}

static int string_dest_read(struct emul *e, uint32_t size, uint64_t *value)
{
    struct emul_ref ref;
    int err = string_dest_ref(e, size, false, &ref);

    return err ? err : memory_read(e, &ref, value);
}

static int string_dest_write(struct emul *e, uint32_t size, uint64_t value)
{
    struct emul_ref ref;
    int err = string_dest_ref(e, size, true, &ref);

    return err ? err : memory_write(e, &ref, value);
}

static void string_step(struct emul *e, uint8_t reg, uint32_t size)
{
    uint64_t step = flags_read(e) & RFLAGS_DF ? -(uint64_t)size : size;

    reg_write(e, reg, e->insn->addr_size, e->io->get(e->ctx, reg) + step);
}

static void string_compare(struct emul *e, uint64_t a, uint64_t b, uint32_t size)
{
    uint64_t flags = 0;

    (void)alu_run(ALU_CMP, a, b, size, &flags);
    flags_write(e, RFLAGS_STATUS, flags);
}

/* A port read can't be taken back, so the destination is tried first, with a read that faults as the write would. */
static int string_in(struct emul *e, uint32_t size)
{
    uint16_t port = (uint16_t)reg_read(e, REG_RDX, 2);
    struct emul_ref ref;
    uint64_t value;
    int err;

    if (!e->io->in)
        return ERR_NOTSUP;
    err = string_dest_ref(e, size, true, &ref);
    if (!err)
        err = memory_read(e, &ref, &value);
    if (!err)
        err = e->io->in(e->ctx, port, size, &value, e->fault);
    return err ? err : memory_write(e, &ref, value & size_mask(size));
}

static int string_out(struct emul *e, uint32_t size)
{
    uint64_t value;
    int err;

    if (!e->io->out)
        return ERR_NOTSUP;
    err = string_source(e, size, &value);
    if (!err)
        err = e->io->out(e->ctx, (uint16_t)reg_read(e, REG_RDX, 2), size, value, e->fault);
    return err;
}

static int string_movs(struct emul *e, uint32_t size)
{
    uint64_t value;
    int err = string_source(e, size, &value);

    return err ? err : string_dest_write(e, size, value);
}

static int string_cmps(struct emul *e, uint32_t size)
{
    uint64_t a, b;
    int err = string_source(e, size, &a);

    if (!err)
        err = string_dest_read(e, size, &b);
    if (!err)
        string_compare(e, a, b, size);
    return err;
}

static int string_stos(struct emul *e, uint32_t size)
{
    return string_dest_write(e, size, reg_read(e, REG_RAX, size));
}

static int string_lods(struct emul *e, uint32_t size)
{
    uint64_t value;
    int err = string_source(e, size, &value);

    if (!err)
        reg_write(e, REG_RAX, size, value);
    return err;
}

static int string_scas(struct emul *e, uint32_t size)
{
    uint64_t value;
    int err = string_dest_read(e, size, &value);

    if (!err)
        string_compare(e, reg_read(e, REG_RAX, size), value, size);
    return err;
}

struct string_form {
    int (*element)(struct emul *e, uint32_t size);
    bool source, dest; /* RSI, RDI move on */
    bool compares;     /* REPE and REPNE look at ZF */
};

static const struct string_form *string_form(uint8_t opcode)
{
    static const struct string_form in = {string_in, false, true, false};
    static const struct string_form out = {string_out, true, false, false};
    static const struct string_form forms[8] = {
        [2] = {string_movs, true, true, false},  /* A4 */
        [3] = {string_cmps, true, true, true},   /* A6 */
        [5] = {string_stos, false, true, false}, /* AA */
        [6] = {string_lods, true, false, false}, /* AC */
        [7] = {string_scas, false, true, true},  /* AE */
    };

    if (opcode < 0x70)
        return opcode < 0x6e ? &in : &out;
    assert(forms[opcode >> 1 & 7].element);
    return &forms[opcode >> 1 & 7];
}

static int string_element(struct emul *e, const struct string_form *form, uint32_t size)
{
    int err = form->element(e, size);

    if (err)
        return err;
    if (form->source)
        string_step(e, REG_RSI, size);
    if (form->dest)
        string_step(e, REG_RDI, size);
    return 0;
}

/* True if REPE or REPNE ends here. */
static bool string_decided(const struct emul *e, const struct string_form *form)
{
    bool zero;

    if (!form->compares)
        return false;
    zero = flags_read(e) & RFLAGS_ZF;
    return zero != (e->insn->rep == INSN_REP);
}

/* How many elements from `offset` on are on one page and in their segment; *first is the first one's. 0: perhaps not even one. */
static uint32_t string_span(struct emul *e, const struct string_form *form, uint64_t offset, uint32_t size,
                            uint32_t count, struct emul_ref *first)
{
    uint8_t seg = form->source ? e->insn->segment : SEG_ES;
    uint64_t left = (size_mask(e->insn->addr_size) - offset) / size; /* the address wraps behind them */
    struct emul_ref last;

    if (segment_ref(e, seg, offset, size, form->dest, first))
        return 0;
    count = (uint32_t)MIN(MIN(count, left), (PAGE_SIZE - (first->gva & PAGE_MASK)) / size);
    if (count == 0 || segment_ref(e, seg, offset + (uint64_t)(count - 1) * size, size, form->dest, &last))
        return 0;
    return last.gva - first->gva == (uint64_t)(count - 1) * size ? count : 0;
}

/* INS and OUTS upwards: many elements for one look at where they are. Returns how many; 0: they go one by one. */
static uint32_t string_run(struct emul *e, const struct string_form *form, uint32_t size, uint64_t count)
{
    uint8_t reg = form->source ? REG_RSI : REG_RDI;
    uint32_t width = e->insn->addr_size, done;
    struct emul_ref first;

    if (e->insn->opcode >= 0x70 || !e->io->run || flags_read(e) & RFLAGS_DF)
        return 0;
    done = string_span(e, form, reg_read(e, reg, width), size, (uint32_t)MIN(count, EMUL_REP_BATCH), &first);
    if (done)
        done = e->io->run(e->ctx, (uint16_t)reg_read(e, REG_RDX, 2), form->source, &first, done);
    if (done)
        reg_write(e, reg, width, e->io->get(e->ctx, reg) + (uint64_t)done * size);
    return done;
}

static int string_repeat(struct emul *e, const struct string_form *form, uint32_t size)
{
    uint32_t width = e->insn->addr_size, run;
    uint32_t batch = flags_read(e) & RFLAGS_TF ? 1 : EMUL_REP_BATCH; /* a step ends behind each */
    uint64_t count = reg_read(e, REG_RCX, width);

    for (uint32_t done = 0; count; done += run) {
        int err = 0;

        if (done >= batch)
            return EMUL_AGAIN;
        run = string_run(e, form, size, MIN(count, batch - done));
        if (run == 0) {
            run = 1;
            err = string_element(e, form, size);
        }
        if (err)
            return err;
        count -= run;
        reg_write(e, REG_RCX, width, count);
        if (string_decided(e, form))
            break;
    }
    return 0;
}

/* There is no port access of 8 bytes: with REX.W, INS and OUTS still move 4. */
int exec_string(struct emul *e)
{
    const struct string_form *form = string_form(e->insn->opcode);
    uint32_t size = e->insn->opcode < 0x70 ? MIN(e->insn->op_size, 4) : e->insn->op_size;

    return e->insn->rep ? string_repeat(e, form, size) : string_element(e, form, size);
}
