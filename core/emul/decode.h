/*
 * The x86 instruction decoder (SDM volume 2 chapter 2 and appendix A; APM volume 3). It gives the length of every valid
 * instruction, vector extensions included, and the operands of those that core/emul/exec.h carries out. Pure.
 */
#pragma once

#include "core/lib/error.h"
#include "core/vcpu.h"

#define INSN_MAX_LEN 15
#define INSN_NO_REG  0xff

/* The default address size of the code segment, in bytes. */
enum insn_mode { INSN_MODE_16 = 2, INSN_MODE_32 = 4, INSN_MODE_64 = 8 };

/* Opcode maps, numbered as in VEX and EVEX prefixes; 8-10 are AMD's XOP maps. */
enum insn_map {
    INSN_MAP_ONE = 0,
    INSN_MAP_0F = 1,
    INSN_MAP_0F38 = 2,
    INSN_MAP_0F3A = 3,
    INSN_MAP_EVEX5 = 5,
    INSN_MAP_EVEX6 = 6,
    INSN_MAP_XOP8 = 8,
    INSN_MAP_XOP9 = 9,
    INSN_MAP_XOPA = 10,
};

enum insn_encoding { INSN_LEGACY, INSN_VEX, INSN_EVEX, INSN_XOP };

enum insn_rep { INSN_REP_NONE = 0, INSN_REPNE = 0xf2, INSN_REP = 0xf3 };

struct insn {
    uint8_t length;
    uint8_t mode;     /* enum insn_mode */
    uint8_t encoding; /* enum insn_encoding */
    uint8_t map;      /* enum insn_map */
    uint8_t opcode;
    uint8_t op_size;   /* of the operands: 1, 2, 4 or 8 */
    uint8_t addr_size; /* 2, 4 or 8 */
    uint8_t rep;       /* enum insn_rep: the last of F2 and F3 */
    bool lock;
    bool op_prefix;  /* 66 is there */
    uint8_t rex;     /* the REX byte, or 0; for VEX and the like, the same bits with 0x40 set */
    uint8_t segment; /* enum vcpu_seg of the memory operand (of the source, for string instructions) */
    uint8_t vvvv;    /* VEX and the like: the register that is the third operand */
    bool wide;       /* VEX.L: 32 bytes */

    bool has_modrm;
    bool has_memory;      /* an address is encoded: ModRM memory form, moffs, string instruction or XLAT */
    uint8_t mod, reg, rm; /* reg and rm with REX.R and REX.B; with has_memory, rm is meaningless */
    uint8_t base, index;  /* enum vcpu_reg (base: also REG_RIP), or INSN_NO_REG */
    uint8_t scale;        /* the index is shifted left by it */
    uint8_t imm_size, imm2_size;
    uint16_t imm2; /* selector of a far pointer, level of ENTER */
    uint64_t disp; /* sign-extended; EVEX: not scaled; moffs: the whole address */
    uint64_t imm;  /* sign-extended; the offset of a far pointer */
};

/*
 * Decodes the instruction that starts at bytes[0]. Returns its length, ERR_RANGE if all of bytes is the start of a
 * longer instruction, or ERR_INVALID if this is none (or is longer than 15 bytes). On an error, *out is undefined.
 */
int insn_decode(const uint8_t *bytes, size_t len, enum insn_mode mode, struct insn *out);
/*
 * What nearly every access to a device is: MOV in 64-bit mode between a register (88H-8BH) or an immediate (C6H, C7H) and
 * [base + displacement] or [displacement], without prefixes but 66H and, behind it, REX; base not being RSP.
 */
struct insn_mov {
    uint8_t length;
    uint8_t opcode, modrm, rex;
    uint8_t size;     /* of the operands */
    uint8_t reg;      /* enum vcpu_reg as in struct insn */
    uint8_t base;     /* enum vcpu_reg, also REG_RIP, or INSN_NO_REG */
    uint8_t imm_size; /* 0: from or to reg */
    bool load;
    bool op_prefix;     /* 66 is there */
    uint64_t disp, imm; /* sign-extended */
};

#define INSN_MOV_MAX 13 /* 66, REX, opcode, ModRM, SIB, disp32, imm32 */
/* False: it is something else, for insn_decode, which agrees in everything. bytes has at least INSN_MOV_MAX. */
bool insn_decode_mov(const uint8_t *bytes, struct insn_mov *out);
