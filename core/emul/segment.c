#include "core/emul/segment.h"

#include "core/x86/cr.h"

#define RAW_PRESENT  BIT(47)
#define RAW_ACCESSED BIT(40)

static void descriptor_unpack(const uint64_t raw[2], bool wide, uint16_t selector, struct vcpu_segment *out)
{
    uint32_t limit = (uint32_t)(raw[0] & 0xffff) | (uint32_t)(raw[0] >> 32 & 0xf0000);

    out->attr = (uint16_t)(raw[0] >> 40 & 0xf0ff);
    out->limit = out->attr & SEG_ATTR_G ? limit << 12 | 0xfff : limit;
    out->base = (raw[0] >> 16 & 0xffffff) | (raw[0] >> 32 & 0xff000000);
    if (wide)
        out->base |= raw[1] << 32;
    out->selector = selector;
}

static bool table_holds(const struct emul *e, uint16_t selector, uint32_t size, gva_t *where)
{
    struct vcpu_segment table;
    bool local = selector & SELECTOR_LDT;
    uint32_t offset = selector & ~7u;

    e->io->get_seg(e->ctx, local ? SEG_LDTR : SEG_GDTR, &table);
    *where = table.base + offset;
    return (!local || (table.attr & SEG_ATTR_P)) && offset + size - 1 <= table.limit;
}

bool descriptor_exists(const struct emul *e, uint16_t selector)
{
    gva_t where;

    return !selector_is_null(selector) && table_holds(e, selector, 8, &where);
}

int descriptor_read(const struct emul *e, uint16_t selector, uint8_t vector, bool system,
                    struct descriptor *out)
{
    bool wide = system && mode_is_long(e);
    struct emul_ref ref;
    int err;

    out->raw[1] = 0;
    if (selector_is_null(selector) || !table_holds(e, selector, wide ? 16 : 8, &out->where))
        return selector_fault(e, vector, selector);
    ref = table_ref(out->where, wide ? 16 : 8, false);
    err = memory_read(e, &ref, out->raw);
    if (!err)
        descriptor_unpack(out->raw, wide, selector, &out->segment);
    return err;
}

int descriptor_mark(const struct emul *e, struct descriptor *d, uint32_t set, uint32_t clear)
{
    uint64_t raw = (d->raw[0] & ~((uint64_t)clear << 40)) | (uint64_t)set << 40;
    struct emul_ref ref = table_ref(d->where, 8, true);

    d->segment.attr = (uint16_t)((d->segment.attr & ~clear) | set);
    if (raw == d->raw[0])
        return 0;
    d->raw[0] = raw;
    return memory_write(e, &ref, raw);
}

/* A null selector; SS takes it in 64-bit mode, but not in ring 3, and with the level as RPL. */
static int segment_load_null(const struct emul *e, enum vcpu_seg seg, uint16_t selector, uint32_t cpl,
                             uint8_t vector, struct vcpu_segment *out)
{
    *out = (struct vcpu_segment){.selector = selector};
    if (seg != SEG_SS)
        return 0;
    if (e->insn->mode != INSN_MODE_64 || cpl == 3 || selector != cpl)
        return fault_raise_error(e, vector, 0);
    out->attr = (uint16_t)(cpl << 5);
    return 0;
}

static bool stack_segment_allowed(uint16_t selector, uint16_t attr, uint32_t cpl)
{
    return (attr & SEG_ATTR_S) && !(attr & TYPE_CODE) && (attr & TYPE_WRITABLE) &&
           (selector & SELECTOR_RPL) == cpl && SEG_ATTR_DPL(attr) == cpl;
}

static bool data_segment_allowed(uint16_t selector, uint16_t attr, uint32_t cpl)
{
    uint32_t rpl = selector & SELECTOR_RPL;

    if (!(attr & SEG_ATTR_S) || ((attr & TYPE_CODE) && !(attr & TYPE_WRITABLE)))
        return false;
    if ((attr & TYPE_CODE) && (attr & TYPE_CONFORMING))
        return true;
    return SEG_ATTR_DPL(attr) >= cpl && SEG_ATTR_DPL(attr) >= rpl;
}

int segment_load_data(const struct emul *e, enum vcpu_seg seg, uint16_t selector, uint32_t cpl,
                      uint8_t vector, struct vcpu_segment *out)
{
    struct descriptor d = {0};
    int err;

    if (selector_is_null(selector))
        return segment_load_null(e, seg, selector, cpl, vector, out);
    err = descriptor_read(e, selector, vector, false, &d);
    if (err)
        return err;
    if (seg == SEG_SS ? !stack_segment_allowed(selector, d.segment.attr, cpl)
                      : !data_segment_allowed(selector, d.segment.attr, cpl))
        return selector_fault(e, vector, selector);
    if (!(d.segment.attr & SEG_ATTR_P))
        return selector_fault(e, seg == SEG_SS ? EXC_SS : EXC_NP, selector);
    err = descriptor_mark(e, &d, TYPE_ACCESSED, 0);
    *out = d.segment;
    return err;
}

int segment_load_code(const struct emul *e, uint16_t selector, uint32_t cpl, struct vcpu_segment *out)
{
    struct descriptor d = {0};
    uint16_t attr;
    int err = descriptor_read(e, selector, EXC_GP, false, &d);

    if (err)
        return err;
    attr = d.segment.attr;
    if (!(attr & SEG_ATTR_S))
        return ERR_NOTSUP;
    if (!(attr & TYPE_CODE) || ((attr & SEG_ATTR_L) && (attr & SEG_ATTR_DB) && mode_is_long(e)))
        return selector_fault(e, EXC_GP, selector);
    if (attr & TYPE_CONFORMING ? SEG_ATTR_DPL(attr) > cpl
                               : SEG_ATTR_DPL(attr) != cpl || (selector & SELECTOR_RPL) > cpl)
        return selector_fault(e, EXC_GP, selector);
    if (!(attr & SEG_ATTR_P))
        return selector_fault(e, EXC_NP, selector);
    err = descriptor_mark(e, &d, TYPE_ACCESSED, 0);
    *out = d.segment;
    out->selector = (uint16_t)((selector & ~SELECTOR_RPL) | cpl);
    return err;
}

/* Real mode keeps limit and rights; in virtual-8086 mode they are always the same (SDM volume 3, 22.2). */
void segment_load_real(const struct emul *e, enum vcpu_seg seg, uint16_t selector, struct vcpu_segment *out)
{
    if (flags_read(e) & RFLAGS_VM)
        *out = (struct vcpu_segment){.limit = 0xffff, .attr = 0xf3};
    else
        e->io->get_seg(e->ctx, seg, out);
    out->selector = selector;
    out->base = (uint64_t)selector << 4;
}
