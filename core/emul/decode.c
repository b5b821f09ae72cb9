#include "core/emul/decode.h"

#include "core/emul/decode_table.h"
#include "core/lib/bytes.h"

#define REX_B     BIT(0)
#define REX_X     BIT(1)
#define REX_R     BIT(2)
#define REX_W     BIT(3)
#define REX_FIXED 0x40
#define PREFIX_OP 0x66

/* The bytes not read yet. Running over the end is noted and looked at once, when the instruction is complete. */
struct cursor {
    const uint8_t *bytes;
    uint32_t pos, end;
    bool over;
};

static inline uint8_t cursor_byte(struct cursor *c)
{
    if (UNLIKELY(c->pos >= c->end)) {
        c->over = true;
        return 0;
    }
    return c->bytes[c->pos++];
}

/* The next `size` bytes, sign-extended. */
static uint64_t cursor_signed(struct cursor *c, uint32_t size)
{
    const uint8_t *p = c->bytes + c->pos;

    if (UNLIKELY(c->end - c->pos < size)) {
        c->over = true;
        return 0;
    }
    c->pos += size;
    switch (size) {
    case 1:
        return (uint64_t)(int8_t)p[0];
    case 2:
        return (uint64_t)(int16_t)get_le16(p);
    case 4:
        return (uint64_t)(int32_t)get_le32(p);
    default:
        return get_le64(p);
    }
}

/* Prefixes ------------------------------------------------------------------------------------------------------ */

static void prefix_note(struct insn *insn, uint8_t byte, uint8_t *segment)
{
    switch (byte) {
    case PREFIX_OP:
        insn->op_prefix = true;
        break;
    case 0x67:
        insn->addr_size = insn->mode == INSN_MODE_32 ? 2 : 4;
        break;
    case 0xf0:
        insn->lock = true;
        break;
    case 0xf2:
    case 0xf3:
        insn->rep = byte;
        break;
    case 0x64:
    case 0x65:
        *segment = byte == 0x64 ? SEG_FS : SEG_GS;
        break;
    default: /* 26, 2E, 36, 3E: ES, CS, SS, DS in the order of enum vcpu_seg; nothing in 64-bit mode */
        if (insn->mode != INSN_MODE_64)
            *segment = byte >> 3 & 3;
    }
}

/* Takes prefixes and REX and returns the byte behind them. REX counts only if the opcode follows at once. */
static uint8_t prefixes_take(struct cursor *c, struct insn *insn, uint8_t *segment)
{
    for (;;) {
        uint8_t byte = cursor_byte(c);

        if (insn->mode == INSN_MODE_64 && (byte & 0xf0) == REX_FIXED) {
            insn->rex = byte;
        } else if (insn_attr_one[byte] & ATTR_PREFIX) {
            insn->rex = 0;
            prefix_note(insn, byte, segment);
        } else {
            return byte;
        }
    }
}

/* Opcodes ------------------------------------------------------------------------------------------------------- */

static uint32_t vector_attr(uint8_t map, uint8_t opcode)
{
    switch (map) {
    case INSN_MAP_0F:
        if (opcode == 0x77) /* VZEROUPPER, VZEROALL */
            return 0;
        return ATTR_MODRM |
               ((insn_attr_0f[opcode] & ATTR_GROUP) ? 0 : ATTR_IMM(insn_attr_0f[opcode]) == IMM_B);
    case INSN_MAP_0F38:
    case INSN_MAP_EVEX5:
    case INSN_MAP_EVEX6:
    case INSN_MAP_XOP9:
        return ATTR_MODRM;
    case INSN_MAP_0F3A:
    case INSN_MAP_XOP8:
        return ATTR_MODRM | IMM_B;
    case INSN_MAP_XOPA:
        return ATTR_MODRM | IMM_D;
    default:
        return ATTR_BAD;
    }
}

/* The last byte of VEX and XOP, the third of EVEX: W, vvvv, L and pp, which stands for a 66, F3 or F2. */
static void vector_wpp(struct insn *insn, uint8_t byte)
{
    static const uint8_t rep[4] = {0, 0, INSN_REP, INSN_REPNE};

    insn->vvvv = ~byte >> 3 & (insn->mode == INSN_MODE_64 ? 15 : 7);
    insn->wide = byte & BIT(2);
    insn->op_prefix = (byte & 3) == 1;
    insn->rep = rep[byte & 3];
    if (insn->mode == INSN_MODE_64)
        insn->rex |= byte & BIT(7) ? REX_W : 0;
}

/* The inverted R, X and B at the top of the byte behind 62, 8F, C4 or (R alone) C5. */
static void vector_rxb(struct insn *insn, uint8_t byte)
{
    insn->rex = insn->mode == INSN_MODE_64 ? REX_FIXED | (~byte >> 5 & 7) : REX_FIXED;
}

/* Takes what follows the byte `escape`, up to the opcode (SDM volume 2 sections 2.3.5 and 2.7, APM volume 3 section 1.2.5). */
static uint32_t vector_take(struct cursor *c, struct insn *insn, uint8_t escape)
{
    uint8_t byte = cursor_byte(c);
    bool clean = !insn->rex && !insn->op_prefix && !insn->rep && !insn->lock;

    if (escape == 0xc5) {
        vector_rxb(insn, byte | 0x60);
        insn->map = INSN_MAP_0F;
        vector_wpp(insn, byte & 0x7f);
        insn->encoding = INSN_VEX;
    } else {
        vector_rxb(insn, byte);
        insn->map = byte & (escape == 0x62 ? 0x07 : 0x1f);
        vector_wpp(insn, cursor_byte(c));
        insn->encoding = escape == 0x62 ? INSN_EVEX : escape == 0x8f ? INSN_XOP : INSN_VEX;
    }
    if (escape == 0x62)
        (void)cursor_byte(c); /* masking, broadcast, vector length: no matter here */
    insn->opcode = cursor_byte(c);
    return clean ? vector_attr(insn->map, insn->opcode) : ATTR_BAD;
}

/* 62, C4 and C5 are BOUND, LES and LDS outside 64-bit mode, and 8F is POP, if the next byte can be their ModRM. */
static bool vector_begins(const struct cursor *c, const struct insn *insn, uint8_t byte)
{
    uint8_t next = c->pos < c->end ? c->bytes[c->pos] : 0;

    if (byte == 0x8f)
        return (next & 0x1f) >= INSN_MAP_XOP8;
    return insn->mode == INSN_MODE_64 || next >= 0xc0;
}

/* Finds map and opcode, and returns its attributes; `byte` is the first behind the prefixes. */
static uint32_t opcode_take(struct cursor *c, struct insn *insn, uint8_t byte)
{
    insn->map = INSN_MAP_ONE;
    insn->opcode = byte;
    if (LIKELY(!(insn_attr_one[byte] & ATTR_ESCAPE)))
        return insn_attr_one[byte];
    if (byte != 0x0f)
        return vector_begins(c, insn, byte) ? vector_take(c, insn, byte) : insn_attr_one[byte];
    insn->map = INSN_MAP_0F;
    insn->opcode = cursor_byte(c);
    if (!(insn_attr_0f[insn->opcode] & ATTR_ESCAPE))
        return insn_attr_0f[insn->opcode];
    insn->map = insn->opcode == 0x38 ? INSN_MAP_0F38 : INSN_MAP_0F3A;
    insn->opcode = cursor_byte(c);
    return insn->map == INSN_MAP_0F38 ? ATTR_MODRM : ATTR_MODRM | IMM_B;
}

/* What the reg field adds to an opcode's attributes (SDM volume 2 table A-6). */
static uint32_t group_attr_one(const struct insn *insn)
{
    uint32_t reg = insn->reg & 7;

    switch (insn->opcode) {
    case 0x8f:
        return reg ? ATTR_BAD : 0;
    case 0xc6:
    case 0xc7: /* reg 7 with rm 0 is XABORT or XBEGIN */
        return reg == 0 || (reg == 7 && insn->mod == 3 && (insn->rm & 7) == 0) ? 0 : ATTR_BAD;
    case 0xf6:
        return reg < 2 ? IMM_B : 0;
    case 0xf7:
        return reg < 2 ? IMM_Z : 0;
    case 0xfe:
        return reg < 2 ? 0 : ATTR_BAD;
    default: { /* FF: INC, DEC, CALL, CALL far, JMP, JMP far, PUSH */
        static const uint16_t attr[8] = {0, 0, ATTR_F64, ATTR_MEM, ATTR_F64, ATTR_MEM, ATTR_D64, ATTR_BAD};
        return attr[reg];
    }
    }
}

static uint32_t group_attr(const struct insn *insn)
{
    if (insn->map == INSN_MAP_ONE)
        return group_attr_one(insn);
    switch (insn->opcode) {
    case 0x78: /* VMREAD; EXTRQ and INSERTQ */
        return insn->op_prefix || insn->rep == INSN_REPNE ? IMM_BB : 0;
    case 0xb8: /* POPCNT; without its prefix Itanium's JMPE */
        return insn->rep == INSN_REP ? 0 : ATTR_BAD;
    default: /* BA: BT, BTS, BTR, BTC from reg 4 on */
        return (insn->reg & 7) < 4 ? ATTR_BAD : 0;
    }
}

/* Addresses ----------------------------------------------------------------------------------------------------- */

/* SDM volume 2 table 2-1. */
static void modrm_memory_16(struct cursor *c, struct insn *insn, uint8_t rm)
{
    static const uint8_t base[8] = {REG_RBX, REG_RBX, REG_RBP, REG_RBP, REG_RSI, REG_RDI, REG_RBP, REG_RBX};
    static const uint8_t index[8] = {REG_RSI,     REG_RDI,     REG_RSI,     REG_RDI,
                                     INSN_NO_REG, INSN_NO_REG, INSN_NO_REG, INSN_NO_REG};

    insn->base = base[rm];
    insn->index = index[rm];
    if (insn->mod == 0 && rm == 6) {
        insn->base = INSN_NO_REG;
        insn->disp = cursor_signed(c, 2);
    } else if (insn->mod) {
        insn->disp = cursor_signed(c, insn->mod);
    }
}

static void sib_take(struct cursor *c, struct insn *insn)
{
    uint8_t sib = cursor_byte(c);
    uint8_t index = (sib >> 3 & 7) | (insn->rex & REX_X ? 8 : 0);
    uint8_t base = (sib & 7) | (insn->rex & REX_B ? 8 : 0);

    insn->scale = sib >> 6;
    insn->index = index == REG_RSP ? INSN_NO_REG : index;
    insn->base = base;
    if (insn->mod == 0 && (base & 7) == REG_RBP) {
        insn->base = INSN_NO_REG;
        insn->disp = cursor_signed(c, 4);
    }
}

/* SDM volume 2 tables 2-2 and 2-3. */
static void modrm_memory_32(struct cursor *c, struct insn *insn, uint8_t rm)
{
    if (rm == REG_RSP) {
        sib_take(c, insn);
    } else if (insn->mod == 0 && rm == REG_RBP) {
        insn->base = insn->mode == INSN_MODE_64 ? REG_RIP : INSN_NO_REG;
        insn->disp = cursor_signed(c, 4);
    } else {
        insn->base = insn->rm;
    }
    if (insn->mod)
        insn->disp = cursor_signed(c, insn->mod == 1 ? 1 : 4);
}

static void modrm_take(struct cursor *c, struct insn *insn, bool registers)
{
    uint8_t modrm = cursor_byte(c);

    insn->has_modrm = true;
    insn->mod = registers ? 3 : modrm >> 6;
    insn->reg = (modrm >> 3 & 7) | (insn->rex & REX_R ? 8 : 0);
    insn->rm = (modrm & 7) | (insn->rex & REX_B ? 8 : 0);
    if (insn->mod == 3)
        return;
    insn->has_memory = true;
    if (insn->addr_size == 2)
        modrm_memory_16(c, insn, modrm & 7);
    else
        modrm_memory_32(c, insn, modrm & 7);
    if (insn->base == REG_RSP || insn->base == REG_RBP)
        insn->segment = SEG_SS;
}

/* Operand size and immediates ----------------------------------------------------------------------------------- */

static uint8_t operand_size(const struct insn *insn, uint32_t attr)
{
    if (attr & ATTR_BYTE)
        return 1;
    if (insn->mode == INSN_MODE_64) {
        if ((insn->rex & REX_W) || (attr & ATTR_F64))
            return 8;
        return insn->op_prefix ? 2 : attr & ATTR_D64 ? 8 : 4;
    }
    if (attr & ATTR_REG)
        return 4;
    return (insn->mode == INSN_MODE_16) == insn->op_prefix ? 4 : 2;
}

static void imm_take_one(struct cursor *c, struct insn *insn, uint8_t size)
{
    insn->imm = cursor_signed(c, size);
    insn->imm_size = size;
}

static void imm_take(struct cursor *c, struct insn *insn, enum insn_imm kind)
{
    switch (kind) {
    case IMM_NONE:
        break;
    case IMM_B:
        imm_take_one(c, insn, 1);
        break;
    case IMM_W:
        imm_take_one(c, insn, 2);
        break;
    case IMM_D:
        imm_take_one(c, insn, 4);
        break;
    case IMM_Z:
    case IMM_REL:
        imm_take_one(c, insn, insn->op_size == 2 ? 2 : 4);
        break;
    case IMM_V:
        imm_take_one(c, insn, insn->op_size);
        break;
    case IMM_MOFFS:
        insn->has_memory = true;
        insn->disp = cursor_signed(c, insn->addr_size);
        break;
    case IMM_FAR:
        imm_take_one(c, insn, insn->op_size);
        insn->imm2 = (uint16_t)cursor_signed(c, 2);
        insn->imm2_size = 2;
        break;
    case IMM_BB:
    case IMM_ENTER:
        imm_take_one(c, insn, kind == IMM_BB ? 1 : 2);
        insn->imm2 = cursor_byte(c);
        insn->imm2_size = 1;
        break;
    }
}

/* --------------------------------------------------------------------------------------------------------------- */

static inline void insn_reset(struct insn *insn, enum insn_mode mode)
{
    *insn = (struct insn){
        .mode = mode, .addr_size = mode, .segment = SEG_DS, .base = INSN_NO_REG, .index = INSN_NO_REG};
}

#define SIB_DISPLACEMENT 0x25 /* neither base nor index */

/* The signed number of 0, 1, 2 or 4 bytes at p. */
static inline uint64_t mov_number(const uint8_t *p, uint32_t size)
{
    if (size == 4)
        return (uint64_t)(int32_t)get_le32(p);
    if (UNLIKELY(size == 2))
        return (uint64_t)(int16_t)get_le16(p);
    return size ? (uint64_t)(int8_t)*p : 0;
}

/* Of its operands, by opcode and prefixes. */
static inline uint8_t mov_size(const struct insn_mov *mov)
{
    if (!(mov->opcode & 1))
        return 1;
    if (mov->rex & REX_W)
        return 8;
    return mov->op_prefix ? 2 : 4;
}

/* Where the bytes behind ModRM begin, and which base they have; a SIB is taken if it only says "no base, no index". */
static inline const uint8_t *mov_address(const uint8_t *p, struct insn_mov *mov, uint32_t *disp_size)
{
    uint8_t mod = mov->modrm >> 6, rm = mov->modrm & 7;

    *disp_size = mod == 2 ? 4 : mod;
    mov->base = rm | (mov->rex & REX_B ? 8 : 0);
    if (rm == REG_RSP) {
        if (mod != 0 || *p != SIB_DISPLACEMENT || mov->rex & REX_X)
            return NULL;
        mov->base = INSN_NO_REG;
        *disp_size = 4;
        return p + 1;
    }
    if (mod == 0 && rm == REG_RBP) {
        mov->base = REG_RIP;
        *disp_size = 4;
    }
    return mod == 3 ? NULL : p;
}

bool insn_decode_mov(const uint8_t *bytes, struct insn_mov *mov)
{
    const uint8_t *p = bytes;
    uint32_t disp_size;

    mov->op_prefix = *p == PREFIX_OP;
    p += mov->op_prefix;
    mov->rex = (*p & 0xf0) == REX_FIXED ? *p++ : 0;
    mov->opcode = *p++;
    mov->modrm = *p++;
    mov->size = mov_size(mov);
    mov->imm_size = 0;
    if ((mov->opcode & 0xfe) == 0xc6 && !(mov->modrm & 0x38))
        mov->imm_size = MIN(mov->size, 4);
    else if ((mov->opcode & 0xfc) != 0x88)
        return false;
    mov->load = !mov->imm_size && mov->opcode & 2;
    mov->reg = (mov->modrm >> 3 & 7) | (mov->rex & REX_R ? 8 : 0);
    p = mov_address(p, mov, &disp_size);
    if (!p)
        return false;
    mov->disp = mov_number(p, disp_size);
    p += disp_size;
    mov->imm = mov_number(p, mov->imm_size);
    mov->length = (uint8_t)(p + mov->imm_size - bytes);
    return true;
}

/* The general decoder's result for it. */
static int mov_expand(const struct insn_mov *mov, struct insn *insn)
{
    insn_reset(insn, INSN_MODE_64);
    insn->length = mov->length;
    insn->opcode = mov->opcode;
    insn->op_size = mov->size;
    insn->op_prefix = mov->op_prefix;
    insn->rex = mov->rex;
    insn->has_modrm = insn->has_memory = true;
    insn->mod = mov->modrm >> 6;
    insn->reg = mov->reg;
    insn->rm = (mov->modrm & 7) | (mov->rex & REX_B ? 8 : 0);
    insn->base = mov->base;
    if (insn->base == REG_RBP)
        insn->segment = SEG_SS;
    insn->disp = mov->disp;
    insn->imm = mov->imm;
    insn->imm_size = mov->imm_size;
    return insn->length;
}

/* Not inlined: its many registers would be saved on the short way too. */
static __attribute__((noinline)) int insn_decode_any(const uint8_t *bytes, size_t len, enum insn_mode mode,
                                                     struct insn *insn)
{
    struct cursor c = {.bytes = bytes, .end = MIN(len, INSN_MAX_LEN)};
    uint8_t override = INSN_NO_REG;
    uint32_t attr;

    insn_reset(insn, mode);
    attr = opcode_take(&c, insn, prefixes_take(&c, insn, &override));
    if (attr & ATTR_MODRM)
        modrm_take(&c, insn, attr & ATTR_REG);
    if (attr & ATTR_GROUP)
        attr |= group_attr(insn);
    insn->has_memory |= !!(attr & ATTR_STRING);
    if (override != INSN_NO_REG)
        insn->segment = override;
    insn->op_size = operand_size(insn, attr);
    imm_take(&c, insn, ATTR_IMM(attr));

    if (c.over)
        return len < INSN_MAX_LEN ? ERR_RANGE : ERR_INVALID;
    if ((attr & ATTR_BAD) || ((attr & ATTR_MEM) && insn->mod == 3))
        return ERR_INVALID;
    if ((attr & ATTR_NO64) && mode == INSN_MODE_64)
        return ERR_INVALID;
    insn->length = (uint8_t)c.pos;
    return insn->length;
}

int insn_decode(const uint8_t *bytes, size_t len, enum insn_mode mode, struct insn *insn)
{
    struct insn_mov mov;

    if (LIKELY(mode == INSN_MODE_64 && len >= INSN_MOV_MAX) && insn_decode_mov(bytes, &mov))
        return mov_expand(&mov, insn);
    return insn_decode_any(bytes, len, mode, insn);
}
