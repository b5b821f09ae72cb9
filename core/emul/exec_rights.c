/* Instructions that ask what a selector leads to (SDM volume 2, LAR, LSL, VERR, VERW): the answer is ZF. */
#include "core/emul/handlers.h"
#include "core/emul/segment.h"
#include "core/x86/cr.h"

#define LAR_SHOWN 0x00f0ff00u /* of a descriptor's upper half */

/* System descriptors that LAR shows, and those of them that have a limit; fewer in long mode. A bit for each type. */
#define LAR_TYPES      (BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(9) | BIT(11) | BIT(12))
#define LSL_TYPES      (BIT(1) | BIT(2) | BIT(3) | BIT(9) | BIT(11))
#define LAR_TYPES_LONG (BIT(2) | BIT(9) | BIT(11) | BIT(12))
#define LSL_TYPES_LONG (BIT(2) | BIT(9) | BIT(11))

static int rights_answer(const struct emul *e, bool yes)
{
    flags_write(e, RFLAGS_ZF, yes ? RFLAGS_ZF : 0);
    return 0;
}

/* The descriptor that the operand selects; *there is false if there is none. */
static int rights_read(const struct emul *e, struct descriptor *d, bool *there)
{
    struct emul_ref ref;
    uint64_t selector;
    int err = operand_read(e, 2, false, &ref, &selector);

    if (err)
        return err;
    *there = descriptor_exists(e, (uint16_t)selector);
    return *there ? descriptor_read(e, (uint16_t)selector, EXC_GP, false, d) : 0;
}

/* Conforming code is open to all levels. */
static bool rights_level_allows(const struct emul *e, const struct descriptor *d)
{
    uint16_t attr = d->segment.attr;
    uint32_t dpl = SEG_ATTR_DPL(attr);

    if ((attr & SEG_ATTR_S) && (attr & TYPE_CODE) && (attr & TYPE_CONFORMING))
        return true;
    return dpl >= privilege_read(e) && dpl >= (d->segment.selector & (uint32_t)SELECTOR_RPL);
}

static bool rights_type_allows(const struct emul *e, uint16_t attr, bool limit)
{
    uint64_t types = mode_is_long(e) ? (limit ? LSL_TYPES_LONG : LAR_TYPES_LONG)
                                     : (limit ? LSL_TYPES : LAR_TYPES);

    return (attr & SEG_ATTR_S) || (types & BIT(attr & SEG_ATTR_TYPE));
}

int exec_access_rights(struct emul *e)
{
    bool limit = e->insn->opcode & 1, there;
    struct descriptor d = {0};
    int err;

    if (mode_is_real(e))
        return fault_raise(e, EXC_UD);
    err = rights_read(e, &d, &there);
    if (err)
        return err;
    if (!there || !rights_type_allows(e, d.segment.attr, limit) || !rights_level_allows(e, &d))
        return rights_answer(e, false);
    reg_write(e, e->insn->reg, e->insn->op_size, limit ? d.segment.limit : d.raw[0] >> 32 & LAR_SHOWN);
    return rights_answer(e, true);
}

int exec_verify(struct emul *e)
{
    bool write = e->insn->reg & 1, there;
    struct descriptor d = {0};
    uint16_t attr;
    int err = rights_read(e, &d, &there);

    if (err)
        return err;
    attr = d.segment.attr;
    if (!there || !(attr & SEG_ATTR_S) || !rights_level_allows(e, &d))
        return rights_answer(e, false);
    if (attr & TYPE_CODE)
        return rights_answer(e, !write && (attr & TYPE_WRITABLE));
    return rights_answer(e, !write || (attr & TYPE_WRITABLE));
}
