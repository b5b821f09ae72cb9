#include "core/emul/exec.h"

#include "core/emul/handlers.h"

typedef int (*emul_handler)(struct emul *e);

/* The six forms of one arithmetic operation. */
#define ALU_FORMS(opcode)                                                                                    \
    [(opcode)] = exec_alu_to_rm, [(opcode) + 1] = exec_alu_to_rm, [(opcode) + 2] = exec_alu_to_reg,          \
    [(opcode) + 3] = exec_alu_to_reg, [(opcode) + 4] = exec_alu_to_acc, [(opcode) + 5] = exec_alu_to_acc

static const emul_handler handlers_one[256] = {
    ALU_FORMS(0x00),
    [0x06] = exec_push_segment,
    [0x07] = exec_pop_segment,
    ALU_FORMS(0x08),
    [0x0e] = exec_push_segment,
    ALU_FORMS(0x10),
    [0x16] = exec_push_segment,
    [0x17] = exec_pop_segment,
    ALU_FORMS(0x18),
    [0x1e] = exec_push_segment,
    [0x1f] = exec_pop_segment,
    ALU_FORMS(0x20),
    ALU_FORMS(0x28),
    ALU_FORMS(0x30),
    ALU_FORMS(0x38),
    [0x40 ... 0x4f] = exec_inc_dec,
    [0x50 ... 0x57] = exec_push_reg,
    [0x58 ... 0x5f] = exec_pop_reg,
    [0x60] = exec_pusha,
    [0x61] = exec_popa,
    [0x62] = exec_bound,
    [0x63] = exec_movsxd,
    [0x68] = exec_push_imm,
    [0x69] = exec_imul,
    [0x6a] = exec_push_imm,
    [0x6b] = exec_imul,
    [0x6c ... 0x6f] = exec_string,
    [0x80 ... 0x83] = exec_alu_imm,
    [0x84 ... 0x85] = exec_test,
    [0x86 ... 0x87] = exec_xchg,
    [0x88 ... 0x89] = exec_store,
    [0x8a ... 0x8b] = exec_load,
    [0x8c] = exec_store_segment,
    [0x8e] = exec_load_segment,
    [0x8f] = exec_pop_rm,
    [0x9a] = exec_call_far,
    [0x9c] = exec_pushf,
    [0x9d] = exec_popf,
    [0xa0 ... 0xa1] = exec_load_moffs,
    [0xa2 ... 0xa3] = exec_store_moffs,
    [0xa4 ... 0xa7] = exec_string,
    [0xa8 ... 0xa9] = exec_test_acc,
    [0xaa ... 0xaf] = exec_string,
    [0xc0 ... 0xc1] = exec_shift,
    [0xc2 ... 0xc3] = exec_ret,
    [0xc4 ... 0xc5] = exec_load_far,
    [0xc6 ... 0xc7] = exec_store_imm,
    [0xc8] = exec_enter,
    [0xc9] = exec_leave,
    [0xca ... 0xcb] = exec_ret_far,
    [0xcc ... 0xce] = exec_int,
    [0xcf] = exec_iret,
    [0xd0 ... 0xd3] = exec_shift,
    [0xd7] = exec_xlat,
    [0xe8] = exec_call_rel,
    [0xea] = exec_jump_far,
    [0xf1] = exec_int,
    [0xf6 ... 0xf7] = exec_group3,
    [0xfe ... 0xff] = exec_group4,
};

static const emul_handler handlers_0f[256] = {
    [0x00] = exec_group6,
    [0x01] = exec_group7,
    [0x02 ... 0x03] = exec_access_rights,
    [0x0d] = exec_nothing,
    [0x10 ... 0x13] = exec_vector,
    [0x16 ... 0x17] = exec_vector,
    [0x18 ... 0x1f] = exec_nothing,
    [0x28 ... 0x29] = exec_vector,
    [0x2b] = exec_vector,
    [0x40 ... 0x4f] = exec_cmov,
    [0x6e ... 0x6f] = exec_vector,
    [0x7e ... 0x7f] = exec_vector,
    [0x90 ... 0x9f] = exec_setcc,
    [0xa0] = exec_push_segment,
    [0xa1] = exec_pop_segment,
    [0xa3] = exec_bit_reg,
    [0xa4 ... 0xa5] = exec_shift_double,
    [0xa8] = exec_push_segment,
    [0xa9] = exec_pop_segment,
    [0xab] = exec_bit_reg,
    [0xac ... 0xad] = exec_shift_double,
    [0xaf] = exec_imul,
    [0xb0 ... 0xb1] = exec_cmpxchg,
    [0xb2] = exec_load_far,
    [0xb3] = exec_bit_reg,
    [0xb4 ... 0xb5] = exec_load_far,
    [0xb6 ... 0xb7] = exec_movzx,
    [0xba] = exec_bit_imm,
    [0xbb] = exec_bit_reg,
    [0xbc ... 0xbd] = exec_bit_scan,
    [0xbe ... 0xbf] = exec_movsx,
    [0xc0 ... 0xc1] = exec_xadd,
    [0xc3] = exec_store,
    [0xc4] = exec_vector,
    [0xc7] = exec_cmpxchg_pair,
    [0xd6] = exec_vector,
    [0xe7] = exec_vector,
    [0xf0] = exec_vector,
};

/* CLFLUSH, CLFLUSHOPT and CLWB, which have memory in common with FXSAVE and others. */
static bool is_flush(const struct insn *insn)
{
    uint32_t reg = insn->reg & 7;

    return !insn->rep && (reg == 7 || (reg == 6 && insn->op_prefix));
}

static emul_handler handler_find_0f(const struct insn *insn)
{
    switch (insn->opcode) {
    case 0xae:
        return is_flush(insn) ? exec_nothing : NULL;
    case 0xb8:
        return insn->rep == INSN_REP ? exec_popcnt : NULL;
    default:
        return handlers_0f[insn->opcode];
    }
}

static emul_handler handler_find_0f38(const struct insn *insn)
{
    switch (insn->opcode) {
    case 0xf0 ... 0xf1:
        return insn->rep == INSN_REPNE ? exec_crc32 : insn->rep ? NULL : exec_movbe;
    case 0xf6:
        return exec_adx;
    case 0xf8:
        return insn->op_prefix && !insn->rep ? exec_movdir64b : NULL;
    case 0xf9:
        return exec_store;
    default:
        return exec_vector;
    }
}

static emul_handler handler_find_vex(const struct insn *insn)
{
    if (insn->map == INSN_MAP_0F38 && insn->opcode >= 0xf0)
        return exec_vex;
    if (insn->map == INSN_MAP_0F3A && insn->opcode == 0xf0)
        return exec_vex;
    return exec_vector;
}

static emul_handler handler_find(const struct insn *insn)
{
    if (UNLIKELY(insn->encoding != INSN_LEGACY))
        return insn->encoding == INSN_VEX ? handler_find_vex(insn) : NULL;
    switch (insn->map) {
    case INSN_MAP_ONE:
        return handlers_one[insn->opcode];
    case INSN_MAP_0F:
        return handler_find_0f(insn);
    case INSN_MAP_0F38:
        return handler_find_0f38(insn);
    default:
        return exec_vector;
    }
}

static bool lock_allowed_one(const struct insn *insn)
{
    uint32_t reg = insn->reg & 7;

    switch (insn->opcode) {
    case 0x80 ... 0x83:
        return reg != 7;
    case 0x86 ... 0x87:
        return true;
    case 0xf6 ... 0xf7:
        return reg == 2 || reg == 3;
    case 0xfe ... 0xff:
        return reg < 2;
    default: /* arithmetic whose destination is memory, but CMP */
        return insn->opcode < 0x38 && (insn->opcode & 7) < 2;
    }
}

/* SDM volume 2, LOCK: only for what reads and writes memory. */
static bool lock_allowed(const struct insn *insn)
{
    if (!insn->has_memory)
        return false;
    if (insn->map == INSN_MAP_ONE)
        return lock_allowed_one(insn);
    switch (insn->opcode) {
    case 0xab: /* BTS */
    case 0xb3: /* BTR */
    case 0xbb: /* BTC */
    case 0xb0 ... 0xb1:
    case 0xc0 ... 0xc1:
    case 0xc7:
        return true;
    case 0xba:
        return (insn->reg & 7) > 4;
    default:
        return false;
    }
}

int emul_run(const struct emul_io *io, void *ctx, const struct insn *insn, struct emul_fault *fault)
{
    struct emul e = {.io = io, .ctx = ctx, .insn = insn, .fault = fault};
    emul_handler handler = handler_find(insn);

    if (UNLIKELY(!handler))
        return ERR_NOTSUP;
    if (UNLIKELY(insn->lock) && !lock_allowed(insn))
        return fault_raise(&e, EXC_UD);
    return handler(&e);
}
