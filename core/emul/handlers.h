/* The handlers of emul_run's tables, one for each family of opcodes. Each returns what emul_run returns. */
#pragma once

#include "core/emul/operand.h"

int exec_load(struct emul *e);          /* 8A, 8B */
int exec_store(struct emul *e);         /* 88, 89, 0F C3 (MOVNTI), 0F38 F9 (MOVDIRI) */
int exec_store_imm(struct emul *e);     /* C6, C7 */
int exec_store_segment(struct emul *e); /* 8C */
int exec_load_moffs(struct emul *e);    /* A0, A1 */
int exec_store_moffs(struct emul *e);   /* A2, A3 */
int exec_movzx(struct emul *e);         /* 0F B6, B7 */
int exec_movsx(struct emul *e);         /* 0F BE, BF */
int exec_movsxd(struct emul *e);        /* 63 in 64-bit mode */
int exec_movbe(struct emul *e);         /* 0F38 F0, F1 */
int exec_movdir64b(struct emul *e);     /* 66 0F38 F8 */
int exec_clzero(struct emul *e);        /* 0F 01 FC */
int exec_cmov(struct emul *e);          /* 0F 40-4F */
int exec_setcc(struct emul *e);         /* 0F 90-9F */

int exec_xchg(struct emul *e);         /* 86, 87 */
int exec_xadd(struct emul *e);         /* 0F C0, C1 */
int exec_cmpxchg(struct emul *e);      /* 0F B0, B1 */
int exec_cmpxchg_pair(struct emul *e); /* 0F C7: CMPXCHG8B, CMPXCHG16B */

int exec_alu_to_rm(struct emul *e);  /* 00, 01 .. 38, 39 */
int exec_alu_to_reg(struct emul *e); /* 02, 03 .. 3A, 3B */
int exec_alu_to_acc(struct emul *e); /* 04, 05 .. 3C, 3D */
int exec_alu_imm(struct emul *e);    /* 80-83 */
int exec_test(struct emul *e);       /* 84, 85 */
int exec_test_acc(struct emul *e);   /* A8, A9 */
int exec_group3(struct emul *e);     /* F6, F7: TEST, NOT, NEG, MUL, IMUL, DIV, IDIV */
int exec_group4(struct emul *e);     /* FE, FF: INC, DEC, CALL, JMP, PUSH */
int exec_inc_dec(struct emul *e);    /* 40-4F outside 64-bit mode */
int exec_muldiv(struct emul *e);     /* F6, F7 with reg 4 to 7 */
int exec_imul(struct emul *e);       /* 0F AF, 69, 6B */

int exec_shift(struct emul *e);        /* C0, C1, D0-D3 */
int exec_shift_double(struct emul *e); /* 0F A4, A5, AC, AD */
int exec_bit_reg(struct emul *e);      /* 0F A3, AB, B3, BB */
int exec_bit_imm(struct emul *e);      /* 0F BA */

int exec_string(struct emul *e); /* 6C-6F, A4-A7, AA-AF */

int exec_bit_scan(struct emul *e); /* 0F BC, BD: BSF, TZCNT, BSR, LZCNT */
int exec_popcnt(struct emul *e);   /* F3 0F B8 */
int exec_crc32(struct emul *e);    /* F2 0F38 F0, F1 */
int exec_adx(struct emul *e);      /* 0F38 F6: ADCX, ADOX */
int exec_xlat(struct emul *e);     /* D7 */
int exec_bound(struct emul *e);    /* 62 */
int exec_arpl(struct emul *e);     /* 63 outside 64-bit mode */
int exec_nothing(struct emul *e);  /* 0F 0D, 0F 18-1F, CLFLUSH */
int exec_vector(struct emul *e);   /* MMX, SSE and AVX */
int exec_vex(struct emul *e);      /* BMI1, BMI2 */

int exec_load_segment(struct emul *e);  /* 8E */
int exec_load_far(struct emul *e);      /* C4, C5, 0F B2, B4, B5 */
int exec_push_segment(struct emul *e);  /* 06, 0E, 16, 1E, 0F A0, A8 */
int exec_pop_segment(struct emul *e);   /* 07, 17, 1F, 0F A1, A9 */
int exec_group6(struct emul *e);        /* 0F 00 */
int exec_group7(struct emul *e);        /* 0F 01 */
int exec_access_rights(struct emul *e); /* 0F 02, 03: LAR, LSL */
int exec_verify(struct emul *e);        /* 0F 00 with reg 4 and 5: VERR, VERW */

int exec_jump_far(struct emul *e); /* EA, FF with reg 5 */
int exec_call_far(struct emul *e); /* 9A, FF with reg 3 */
int exec_ret_far(struct emul *e);  /* CA, CB */
int exec_iret(struct emul *e);     /* CF */
int exec_int(struct emul *e);      /* CC, CD, CE, F1 */

int exec_pusha(struct emul *e);    /* 60 */
int exec_popa(struct emul *e);     /* 61 */
int exec_pushf(struct emul *e);    /* 9C */
int exec_popf(struct emul *e);     /* 9D */
int exec_enter(struct emul *e);    /* C8 */
int exec_leave(struct emul *e);    /* C9 */
int exec_call_rel(struct emul *e); /* E8 */
int exec_ret(struct emul *e);      /* C2, C3 */

int exec_push_reg(struct emul *e); /* 50-57 */
int exec_push_imm(struct emul *e); /* 68, 6A */
int exec_push_rm(struct emul *e);  /* FF with reg 6 */
int exec_pop_reg(struct emul *e);  /* 58-5F */
int exec_pop_rm(struct emul *e);   /* 8F */
int exec_call_rm(struct emul *e);  /* FF with reg 2 */
int exec_jump_rm(struct emul *e);  /* FF with reg 4 */
