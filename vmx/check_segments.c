/* SDM volume 3, 27.3.1.2: the guest's segment registers. */
#include "core/lib/format.h"
#include "core/vcpu.h"
#include "core/x86/cr.h"
#include "vmx/check_rules.h"
#include "vmx/vmcs.h"

#define ACCESS_V86      0xf3
#define ACCESS_RESERVED (0xf00u | ~(uint32_t)MASK(17))
#define SELECTOR_RPL(s) ((s)&3)
#define SELECTOR_TI     4

struct guest_segment {
    uint16_t selector;
    uint64_t base;
    uint32_t limit, access, type, dpl;
    bool usable;
};

/* What the rules for one register depend on beside itself. */
struct segment_rules {
    bool v86, ug, ia32e, real;
    struct guest_segment cs, ss;
};

static const char *const names[] = {"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"};

static struct guest_segment segment_of(const struct check *c, uint32_t seg)
{
    uint32_t access = (uint32_t)check_field(c, VMCS_GUEST_ACCESS(seg));

    return (struct guest_segment){
        .selector = (uint16_t)check_field(c, VMCS_GUEST_SELECTOR(seg)),
        .base = check_field(c, VMCS_GUEST_BASE(seg)),
        .limit = (uint32_t)check_field(c, VMCS_GUEST_LIMIT(seg)),
        .access = access,
        .type = access & SEG_ATTR_TYPE,
        .dpl = SEG_ATTR_DPL(access),
        .usable = !(access & ACCESS_UNUSABLE),
    };
}

static void segment_rule(struct check *c, bool holds, uint32_t seg, const char *rule)
{
    char text[80];

    if (holds)
        return;
    fmt_print(text, sizeof(text), "guest %s: %s", names[seg], rule);
    check_rule(c, false, text);
}

/* Virtual-8086 mode: the descriptors are those of real mode. */
static void check_v86(struct check *c, uint32_t seg, const struct guest_segment *s)
{
    segment_rule(c, s->base == (uint64_t)s->selector << 4, seg,
                 "base is the selector times 16 in virtual-8086 mode");
    segment_rule(c, s->limit == 0xffff, seg, "limit is FFFFH in virtual-8086 mode");
    segment_rule(c, s->access == ACCESS_V86, seg, "access rights are F3H in virtual-8086 mode");
}

static bool granularity_valid(const struct guest_segment *s)
{
    bool g = s->access & SEG_ATTR_G;

    return implies((s->limit & PAGE_MASK) != PAGE_MASK, !g) && implies(s->limit >> 20, g);
}

/* Common to all registers that are usable. */
static void check_descriptor(struct check *c, uint32_t seg, const struct guest_segment *s, bool system)
{
    segment_rule(c, !(s->access & SEG_ATTR_S) == system, seg, "S is 0 for system segments alone");
    segment_rule(c, s->access & SEG_ATTR_P, seg, "P is 1");
    segment_rule(c, !(s->access & ACCESS_RESERVED), seg, "reserved bits of the access rights");
    segment_rule(c, granularity_valid(s), seg, "G agrees with the limit");
}

static bool code_type_valid(const struct segment_rules *r)
{
    return (r->cs.type & 9) == 9 || (r->ug && r->cs.type == 3);
}

static bool code_dpl_valid(const struct segment_rules *r)
{
    if (r->cs.type == 3)
        return r->cs.dpl == 0;
    return r->cs.type & 4 ? r->cs.dpl <= r->ss.dpl : r->cs.dpl == r->ss.dpl;
}

static void check_code(struct check *c, const struct segment_rules *r)
{
    const struct guest_segment *cs = &r->cs;

    segment_rule(c, code_type_valid(r), SEG_CS, "type is accessed code");
    segment_rule(c, code_dpl_valid(r), SEG_CS, "DPL agrees with SS");
    segment_rule(c, cs->base >> 32 == 0, SEG_CS, "base of 32 bits");
    segment_rule(c, !(r->ia32e && cs->access & SEG_ATTR_L && cs->access & SEG_ATTR_DB), SEG_CS,
                 "not L and D at once");
    check_descriptor(c, SEG_CS, cs, false);
}

static void check_stack(struct check *c, const struct segment_rules *r)
{
    const struct guest_segment *ss = &r->ss;

    segment_rule(c, r->ug || SELECTOR_RPL(ss->selector) == SELECTOR_RPL(r->cs.selector), SEG_SS,
                 "RPL is that of CS");
    segment_rule(c, r->ug || ss->dpl == SELECTOR_RPL(ss->selector), SEG_SS, "DPL is RPL");
    segment_rule(c, implies(r->cs.type == 3 || r->real, ss->dpl == 0), SEG_SS, "DPL is 0 in real mode");
    if (!ss->usable)
        return;
    segment_rule(c, ss->type == 3 || ss->type == 7, SEG_SS, "type is accessed writable data");
    segment_rule(c, ss->base >> 32 == 0, SEG_SS, "base of 32 bits");
    check_descriptor(c, SEG_SS, ss, false);
}

static void check_data(struct check *c, uint32_t seg, const struct segment_rules *r)
{
    struct guest_segment s = segment_of(c, seg);

    if (seg == SEG_FS || seg == SEG_GS)
        segment_rule(c, check_canonical(c, s.base), seg, "base is canonical");
    if (!s.usable)
        return;
    if (seg == SEG_DS || seg == SEG_ES)
        segment_rule(c, s.base >> 32 == 0, seg, "base of 32 bits");
    segment_rule(c, s.type & 1 && implies(s.type & 8, s.type & 2), seg, "type is accessed and readable");
    segment_rule(c, r->ug || s.type > 11 || s.dpl >= SELECTOR_RPL(s.selector), seg, "DPL is at least RPL");
    check_descriptor(c, seg, &s, false);
}

static void check_system(struct check *c, const struct segment_rules *r)
{
    struct guest_segment tr = segment_of(c, SEG_TR), ldtr = segment_of(c, SEG_LDTR);

    segment_rule(c, tr.usable, SEG_TR, "is usable");
    segment_rule(c, !(tr.selector & SELECTOR_TI), SEG_TR, "TI is 0");
    segment_rule(c, check_canonical(c, tr.base), SEG_TR, "base is canonical");
    segment_rule(c, tr.type == 11 || (tr.type == 3 && !r->ia32e), SEG_TR, "type is a busy TSS");
    check_descriptor(c, SEG_TR, &tr, true);
    if (!ldtr.usable)
        return;
    segment_rule(c, !(ldtr.selector & SELECTOR_TI), SEG_LDTR, "TI is 0");
    segment_rule(c, check_canonical(c, ldtr.base), SEG_LDTR, "base is canonical");
    segment_rule(c, ldtr.type == 2, SEG_LDTR, "type is an LDT");
    check_descriptor(c, SEG_LDTR, &ldtr, true);
}

void check_guest_segments(struct check *c)
{
    struct segment_rules rules = {
        .v86 = check_field(c, VMCS_GUEST_RFLAGS) & RFLAGS_VM,
        .ug = check_proc2(c) & PROC2_UG,
        .ia32e = check_field(c, VMCS_ENTRY_CONTROLS) & ENTRY_IA32E,
        .real = !(check_field(c, VMCS_GUEST_CR0) & CR0_PE),
        .cs = segment_of(c, SEG_CS),
        .ss = segment_of(c, SEG_SS),
    };

    for (uint32_t seg = SEG_ES; seg <= SEG_GS; seg++) {
        struct guest_segment s = segment_of(c, seg);

        if (rules.v86)
            check_v86(c, seg, &s);
        else if (seg == SEG_CS)
            check_code(c, &rules);
        else if (seg == SEG_SS)
            check_stack(c, &rules);
        else
            check_data(c, seg, &rules);
    }
    check_system(c, &rules);
}
