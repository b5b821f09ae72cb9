/* What the decoder has to know about each opcode: one 16-bit word for each of the maps without a prefix of their own. */
#pragma once

#include "core/lib/types.h"

/* The immediate that follows ModRM, SIB and displacement (the letters are those of SDM volume 2 appendix A.2.2). */
enum insn_imm {
    IMM_NONE,
    IMM_B,     /* a byte */
    IMM_W,     /* two bytes */
    IMM_BB,    /* two times a byte */
    IMM_Z,     /* 2 bytes with 16-bit operands, else 4 */
    IMM_V,     /* 2, 4 or 8 bytes */
    IMM_D,     /* four bytes */
    IMM_REL,   /* 2 or 4 bytes of a near branch */
    IMM_MOFFS, /* an address of the address size */
    IMM_FAR,   /* offset and selector */
    IMM_ENTER, /* IMM_W and IMM_B */
};

#define ATTR_IMM(attr) ((enum insn_imm)((attr)&MASK(4)))
#define ATTR_MODRM     BIT(4)
#define ATTR_BYTE      BIT(5)  /* operands of one byte */
#define ATTR_D64       BIT(6)  /* 64-bit mode: operands have 8 bytes, or 2 after 66 */
#define ATTR_F64       BIT(7)  /* 64-bit mode: operands have 8 bytes */
#define ATTR_NO64      BIT(8)  /* not in 64-bit mode */
#define ATTR_BAD       BIT(9)  /* no instruction */
#define ATTR_STRING    BIT(10) /* addresses memory through RSI, RDI or RBX */
#define ATTR_REG       BIT(11) /* ModRM names two registers, whatever mod says */
#define ATTR_MEM       BIT(12) /* mod = 3 isn't allowed */
#define ATTR_PREFIX    BIT(13) /* a legacy prefix */
#define ATTR_GROUP     BIT(14) /* reg of ModRM decides more (decode.c, group_attr) */
#define ATTR_ESCAPE    BIT(15) /* leads to another map; for 0F, 62, 8F, C4 and C5 */

extern const uint16_t insn_attr_one[256];
extern const uint16_t insn_attr_0f[256];
