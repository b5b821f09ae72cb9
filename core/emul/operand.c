#include "core/emul/operand.h"

#include "core/x86/cr.h"

#define TYPE_WRITABLE    0x2 /* data: writable; code: readable */
#define TYPE_EXPAND_DOWN 0x4
#define TYPE_CODE        0x8

int fault_raise(const struct emul *e, uint8_t vector)
{
    *e->fault = (struct emul_fault){.vector = vector};
    return EMUL_FAULT;
}

int fault_raise_error(const struct emul *e, uint8_t vector, uint32_t error)
{
    *e->fault = (struct emul_fault){.vector = vector, .has_error = true, .error = error};
    return EMUL_FAULT;
}

/* Flags ----------------------------------------------------------------------------------------------------- */

uint64_t flags_read(const struct emul *e)
{
    return e->io->get(e->ctx, REG_RFLAGS);
}

void flags_write(const struct emul *e, uint64_t mask, uint64_t flags)
{
    e->io->set(e->ctx, REG_RFLAGS, (flags_read(e) & ~mask) | (flags & mask));
}

/* Modes --------------------------------------------------------------------------------------------------------- */

bool mode_is_real(const struct emul *e)
{
    return !(e->io->get(e->ctx, REG_CR0) & CR0_PE) || (flags_read(e) & RFLAGS_VM);
}

uint32_t privilege_read(const struct emul *e)
{
    struct vcpu_segment ss;

    if (!(e->io->get(e->ctx, REG_CR0) & CR0_PE))
        return 0;
    e->io->get_seg(e->ctx, SEG_SS, &ss);
    return SEG_ATTR_DPL(ss.attr);
}

/* Memory -------------------------------------------------------------------------------------------------------- */

static bool segment_type_allows(const struct emul *e, const struct vcpu_segment *s, bool write)
{
    bool code = s->attr & TYPE_CODE;

    if (write ? !code && (s->attr & TYPE_WRITABLE) : !code || (s->attr & TYPE_WRITABLE))
        return true;
    return !(e->io->get(e->ctx, REG_CR0) & CR0_PE); /* real mode has no types */
}

static bool segment_limit_allows(const struct vcpu_segment *s, uint64_t offset, uint32_t size)
{
    uint64_t last = offset + size - 1;

    if ((s->attr & (TYPE_CODE | TYPE_EXPAND_DOWN)) == TYPE_EXPAND_DOWN)
        return offset > s->limit && last <= (s->attr & SEG_ATTR_DB ? 0xffffffff : 0xffff);
    return last <= s->limit;
}

/* SDM volume 3 sections 5.3 and 5.5. */
bool segment_allows(const struct emul *e, const struct vcpu_segment *s, uint64_t offset, uint32_t size,
                    bool write)
{
    return (s->attr & SEG_ATTR_P) && segment_type_allows(e, s, write) &&
           segment_limit_allows(s, offset, size);
}

static int segment_ref_legacy(const struct emul *e, uint64_t offset, bool write, struct emul_ref *ref)
{
    struct vcpu_segment s;

    e->io->get_seg(e->ctx, ref->seg, &s);
    if (!segment_allows(e, &s, offset, ref->size, write))
        return fault_raise_error(e, ref->seg == SEG_SS ? EXC_SS : EXC_GP, 0);
    ref->gva = (s.base + offset) & 0xffffffff;
    return 0;
}

static inline int ref_make(const struct emul *e, uint8_t seg, uint64_t offset, uint32_t size, bool write,
                           struct emul_ref *ref)
{
    struct vcpu_segment s;

    *ref = (struct emul_ref){.gva = offset,
                             .seg = seg,
                             .size = (uint8_t)size,
                             .unit = (uint8_t)((size | 8) & -(size | 8)), /* 2 of a far pointer's 6 */
                             .rmw = write};
    if (UNLIKELY(e->insn->mode != INSN_MODE_64))
        return segment_ref_legacy(e, offset, write, ref);
    if (UNLIKELY(seg == SEG_FS || seg == SEG_GS)) {
        e->io->get_seg(e->ctx, seg, &s);
        ref->gva += s.base;
    }
    return 0;
}

/* The address that the instruction encodes, not yet cut to the address size. */
static inline uint64_t memory_offset(const struct emul *e)
{
    const struct insn *insn = e->insn;
    uint64_t offset = insn->disp;

    if (insn->base != INSN_NO_REG)
        offset += e->io->get(e->ctx, insn->base);
    if (insn->base == REG_RIP)
        offset += insn->length;
    if (insn->index != INSN_NO_REG)
        offset += e->io->get(e->ctx, insn->index) << insn->scale;
    return offset;
}

static inline int memory_make(const struct emul *e, uint32_t size, bool write, uint64_t delta,
                              struct emul_ref *ref)
{
    uint64_t offset = (memory_offset(e) + delta) & size_mask(e->insn->addr_size);

    return ref_make(e, e->insn->segment, offset, size, write, ref);
}

int segment_ref(const struct emul *e, uint8_t seg, uint64_t offset, uint32_t size, bool write,
                struct emul_ref *ref)
{
    return ref_make(e, seg, offset, size, write, ref);
}

int memory_ref(const struct emul *e, uint32_t size, bool write, uint64_t delta, struct emul_ref *ref)
{
    return memory_make(e, size, write, delta, ref);
}

int operand_read(const struct emul *e, uint32_t size, bool modify, struct emul_ref *ref, uint64_t *value)
{
    int err;

    if (!e->insn->has_memory) {
        *value = field_read(e, e->insn->rm, size);
        return 0;
    }
    err = memory_make(e, size, modify, 0, ref);
    return err ? err : memory_read(e, ref, value);
}

int operand_write(const struct emul *e, const struct emul_ref *ref, uint32_t size, uint64_t value)
{
    if (e->insn->has_memory)
        return memory_write(e, ref, value & size_mask(size));
    field_write(e, e->insn->rm, size, value);
    return 0;
}

int operand_store(const struct emul *e, uint32_t size, uint64_t value)
{
    struct emul_ref ref;
    int err;

    if (!e->insn->has_memory) {
        field_write(e, e->insn->rm, size, value);
        return 0;
    }
    err = memory_make(e, size, true, 0, &ref);
    return err ? err : memory_write(e, &ref, value & size_mask(size));
}
