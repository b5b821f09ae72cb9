/*
 * The moves of SSE, AVX and MMX between memory and a vector register (SDM volume 2; the forms with registers alone access no
 * memory). The CPU has checked CR0, CR4 and XCR0 before the access that it stopped at.
 */
#include "core/emul/handlers.h"
#include "core/lib/string.h"

#define XMM_BYTES 16
#define XMM_WORDS 2

enum vector_kind {
    LOAD,        /* into the low bytes; those above become 0 */
    STORE,       /* the low bytes */
    LOAD_LOW,    /* the low half; the upper one is that of the same register, with VEX of vvvv */
    LOAD_HIGH,   /* the other way round */
    STORE_HIGH,  /* the upper half */
    INSERT,      /* one element, which the immediate counts; the others as with LOAD_LOW */
    EXTRACT,     /* one element */
    BROADCAST,   /* VEX: into all elements */
    INSERT_128,  /* VEX: one half of a YMM */
    EXTRACT_128, /* VEX */
    MMX_LOAD,
    MMX_STORE,
};

#define WHOLE   0 /* as a size: 16 bytes, or 32 with VEX.L */
#define OPERAND 1 /* as a size: 4, or 8 with REX.W */

#define PP_NONE BIT(0)
#define PP_66   BIT(1)
#define PP_F3   BIT(2)
#define PP_F2   BIT(3)
#define ALIGNED BIT(4) /* to its size, or #GP */
#define VEX     BIT(5) /* only with it */
#define BYTE    BIT(6) /* the size is one byte: OPERAND has its number */

struct vector_form {
    uint8_t map, opcode;
    uint8_t when; /* prefixes; and ALIGNED, VEX, BYTE */
    uint8_t kind, size;
};

static const struct vector_form forms[] = {
    {INSN_MAP_0F, 0x10, PP_NONE | PP_66, LOAD, WHOLE}, /* MOVUPS, MOVUPD */
    {INSN_MAP_0F, 0x10, PP_F3, LOAD, 4},               /* MOVSS */
    {INSN_MAP_0F, 0x10, PP_F2, LOAD, 8},               /* MOVSD */
    {INSN_MAP_0F, 0x11, PP_NONE | PP_66, STORE, WHOLE},
    {INSN_MAP_0F, 0x11, PP_F3, STORE, 4},
    {INSN_MAP_0F, 0x11, PP_F2, STORE, 8},
    {INSN_MAP_0F, 0x12, PP_NONE | PP_66, LOAD_LOW, 8}, /* MOVLPS, MOVLPD */
    {INSN_MAP_0F, 0x13, PP_NONE | PP_66, STORE, 8},
    {INSN_MAP_0F, 0x16, PP_NONE | PP_66, LOAD_HIGH, 8}, /* MOVHPS, MOVHPD */
    {INSN_MAP_0F, 0x17, PP_NONE | PP_66, STORE_HIGH, 8},
    {INSN_MAP_0F, 0x28, PP_NONE | PP_66 | ALIGNED, LOAD, WHOLE}, /* MOVAPS, MOVAPD */
    {INSN_MAP_0F, 0x29, PP_NONE | PP_66 | ALIGNED, STORE, WHOLE},
    {INSN_MAP_0F, 0x2b, PP_NONE | PP_66 | ALIGNED, STORE, WHOLE}, /* MOVNTPS, MOVNTPD */
    {INSN_MAP_0F, 0x6e, PP_66, LOAD, OPERAND},                    /* MOVD, MOVQ */
    {INSN_MAP_0F, 0x6e, PP_NONE, MMX_LOAD, OPERAND},
    {INSN_MAP_0F, 0x6f, PP_66 | ALIGNED, LOAD, WHOLE}, /* MOVDQA */
    {INSN_MAP_0F, 0x6f, PP_F3, LOAD, WHOLE},           /* MOVDQU */
    {INSN_MAP_0F, 0x6f, PP_NONE, MMX_LOAD, 8},         /* MOVQ */
    {INSN_MAP_0F, 0x7e, PP_66, STORE, OPERAND},
    {INSN_MAP_0F, 0x7e, PP_F3, LOAD, 8}, /* MOVQ */
    {INSN_MAP_0F, 0x7e, PP_NONE, MMX_STORE, OPERAND},
    {INSN_MAP_0F, 0x7f, PP_66 | ALIGNED, STORE, WHOLE},
    {INSN_MAP_0F, 0x7f, PP_F3, STORE, WHOLE},
    {INSN_MAP_0F, 0x7f, PP_NONE, MMX_STORE, 8},
    {INSN_MAP_0F, 0xc4, PP_66, INSERT, 2},                         /* PINSRW */
    {INSN_MAP_0F, 0xd6, PP_66, STORE, 8},                          /* MOVQ */
    {INSN_MAP_0F, 0xe7, PP_66 | ALIGNED, STORE, WHOLE},            /* MOVNTDQ */
    {INSN_MAP_0F, 0xe7, PP_NONE, MMX_STORE, 8},                    /* MOVNTQ */
    {INSN_MAP_0F, 0xf0, PP_F2, LOAD, WHOLE},                       /* LDDQU */
    {INSN_MAP_0F38, 0x18, PP_66 | VEX, BROADCAST, 4},              /* VBROADCASTSS */
    {INSN_MAP_0F38, 0x19, PP_66 | VEX, BROADCAST, 8},              /* VBROADCASTSD */
    {INSN_MAP_0F38, 0x1a, PP_66 | VEX, BROADCAST, 16},             /* VBROADCASTF128 */
    {INSN_MAP_0F38, 0x2a, PP_66 | ALIGNED, LOAD, WHOLE},           /* MOVNTDQA */
    {INSN_MAP_0F38, 0x58, PP_66 | VEX, BROADCAST, 4},              /* VPBROADCASTD */
    {INSN_MAP_0F38, 0x59, PP_66 | VEX, BROADCAST, 8},              /* VPBROADCASTQ */
    {INSN_MAP_0F38, 0x5a, PP_66 | VEX, BROADCAST, 16},             /* VBROADCASTI128 */
    {INSN_MAP_0F38, 0x78, PP_66 | VEX | BYTE, BROADCAST, OPERAND}, /* VPBROADCASTB */
    {INSN_MAP_0F38, 0x79, PP_66 | VEX, BROADCAST, 2},              /* VPBROADCASTW */
    {INSN_MAP_0F3A, 0x14, PP_66 | BYTE, EXTRACT, OPERAND},         /* PEXTRB */
    {INSN_MAP_0F3A, 0x15, PP_66, EXTRACT, 2},                      /* PEXTRW */
    {INSN_MAP_0F3A, 0x16, PP_66, EXTRACT, OPERAND},                /* PEXTRD, PEXTRQ */
    {INSN_MAP_0F3A, 0x17, PP_66, EXTRACT, 4},                      /* EXTRACTPS */
    {INSN_MAP_0F3A, 0x18, PP_66 | VEX, INSERT_128, 16},            /* VINSERTF128 */
    {INSN_MAP_0F3A, 0x19, PP_66 | VEX, EXTRACT_128, 16},           /* VEXTRACTF128 */
    {INSN_MAP_0F3A, 0x20, PP_66 | BYTE, INSERT, OPERAND},          /* PINSRB */
    {INSN_MAP_0F3A, 0x22, PP_66, INSERT, OPERAND},                 /* PINSRD, PINSRQ */
    {INSN_MAP_0F3A, 0x38, PP_66 | VEX, INSERT_128, 16},            /* VINSERTI128 */
    {INSN_MAP_0F3A, 0x39, PP_66 | VEX, EXTRACT_128, 16},           /* VEXTRACTI128 */
};

/* F2 and F3 go before 66 (SDM volume 2 section 2.3.5.5 has no such case; A.1 on mandatory prefixes). */
static uint8_t prefix_of(const struct insn *insn)
{
    if (insn->rep)
        return insn->rep == INSN_REP ? PP_F3 : PP_F2;
    return insn->op_prefix ? PP_66 : PP_NONE;
}

static const struct vector_form *form_find(const struct insn *insn)
{
    uint8_t prefix = prefix_of(insn);

    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        const struct vector_form *f = &forms[i];
        bool mmx = f->kind == MMX_LOAD || f->kind == MMX_STORE;

        if (f->map == insn->map && f->opcode == insn->opcode && f->when & prefix)
            return insn->encoding == INSN_VEX ? (mmx ? NULL : f) : f->when & VEX ? NULL : f;
    }
    return NULL;
}

/* A register with its bytes. */
union vector {
    uint64_t words[EMUL_VECTOR_WORDS];
    uint8_t bytes[EMUL_VECTOR_WORDS * 8];
};

static void vector_read(const struct emul *e, uint8_t reg, union vector *v)
{
    *v = (union vector){0};
    e->io->get_vector(e->ctx, reg, v->words);
}

/* What an instruction doesn't set stays where it has no VEX prefix, and becomes 0 with it. */
static void vector_write(const struct emul *e, const union vector *v)
{
    e->io->set_vector(e->ctx, e->insn->reg, v->words, e->insn->encoding == INSN_VEX);
}

/* The rest of an XMM register of which a part is set. */
static void vector_rest(const struct emul *e, union vector *v)
{
    vector_read(e, e->insn->encoding == INSN_VEX ? e->insn->vvvv : e->insn->reg, v);
    memset(v->bytes + XMM_BYTES, 0, sizeof(v->bytes) - XMM_BYTES);
}

static uint32_t form_size(const struct vector_form *form, const struct insn *insn)
{
    if (form->when & BYTE)
        return 1;
    if (form->size == OPERAND)
        return insn->op_size == 8 ? 8 : 4;
    return form->size != WHOLE ? form->size : insn->wide ? 2 * XMM_BYTES : XMM_BYTES;
}

static int vector_ref(const struct emul *e, const struct vector_form *form, uint32_t size, bool write,
                      struct emul_ref *ref)
{
    int err = memory_ref(e, size, write, 0, ref);

    if (!err && (form->when & ALIGNED) && (ref->gva & (size - 1)))
        err = fault_raise_error(e, EXC_GP, 0);
    return err;
}

/* What is stored, from the register's bytes on. */
static uint32_t store_offset(const struct vector_form *form, const struct insn *insn, uint32_t size)
{
    switch (form->kind) {
    case STORE_HIGH:
        return 8;
    case EXTRACT:
        return (insn->imm & (XMM_BYTES / size - 1)) * size;
    case EXTRACT_128:
        return insn->imm & 1 ? XMM_BYTES : 0;
    default:
        return 0;
    }
}

static int vector_store(const struct emul *e, const struct vector_form *form, uint32_t size)
{
    union vector v, out = {0};
    struct emul_ref ref;
    int err = vector_ref(e, form, size, true, &ref);

    if (err)
        return err;
    vector_read(e, form->kind == MMX_STORE ? EMUL_MM + (e->insn->reg & 7) : e->insn->reg, &v);
    memcpy(out.bytes, v.bytes + store_offset(form, e->insn, size), size);
    return e->io->write(e->ctx, &ref, out.words, e->fault);
}

static void vector_broadcast(const struct insn *insn, const union vector *in, uint32_t size, union vector *v)
{
    *v = (union vector){0};
    for (uint32_t i = 0; i < (insn->wide ? 2u : 1u) * XMM_BYTES; i += size)
        memcpy(v->bytes + i, in->bytes, size);
}

/* The register's new value from what was read. */
static void vector_merge(const struct emul *e, const struct vector_form *form, uint32_t size,
                         const union vector *in, union vector *v)
{
    const struct insn *insn = e->insn;

    switch (form->kind) {
    case LOAD_LOW:
    case LOAD_HIGH:
        vector_rest(e, v);
        v->words[form->kind == LOAD_HIGH] = in->words[0];
        break;
    case INSERT:
        vector_rest(e, v);
        memcpy(v->bytes + (insn->imm & (XMM_BYTES / size - 1)) * size, in->bytes, size);
        break;
    case BROADCAST:
        vector_broadcast(insn, in, size, v);
        break;
    case INSERT_128:
        vector_read(e, insn->vvvv, v);
        memcpy(v->bytes + (insn->imm & 1) * XMM_BYTES, in->bytes, XMM_BYTES);
        break;
    default:
        *v = *in;
    }
}

static int vector_load(const struct emul *e, const struct vector_form *form, uint32_t size)
{
    union vector in = {0}, v;
    struct emul_ref ref;
    int err = vector_ref(e, form, size, false, &ref);

    if (!err)
        err = memory_read(e, &ref, in.words);
    if (err)
        return err;
    if (form->kind == MMX_LOAD) {
        e->io->set_vector(e->ctx, EMUL_MM + (e->insn->reg & 7), in.words, false);
        return 0;
    }
    vector_merge(e, form, size, &in, &v);
    vector_write(e, &v);
    return 0;
}

static bool form_stores(const struct vector_form *form)
{
    return form->kind == STORE || form->kind == STORE_HIGH || form->kind == EXTRACT ||
           form->kind == EXTRACT_128 || form->kind == MMX_STORE;
}

int exec_vector(struct emul *e)
{
    const struct vector_form *form = form_find(e->insn);
    uint32_t size;

    if (!form || !e->insn->has_memory)
        return ERR_NOTSUP;
    size = form_size(form, e->insn);
    return form_stores(form) ? vector_store(e, form, size) : vector_load(e, form, size);
}
