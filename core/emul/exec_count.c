/* Instructions that look at bits or compare, and a few that fit nowhere else (SDM volume 2). */
#include "core/emul/alu.h"
#include "core/emul/handlers.h"
#include "core/lib/panic.h"

static int source_read(const struct emul *e, uint32_t size, uint64_t *value)
{
    struct emul_ref ref;

    return operand_read(e, size, false, &ref, value);
}

/* With a source of zero, BSF and BSR leave the destination alone, as CPUs do; TZCNT and LZCNT count all of its bits. */
int exec_bit_scan(struct emul *e)
{
    bool reverse = e->insn->opcode & 1;
    bool count = e->insn->rep == INSN_REP && e->io->has(e->ctx, reverse ? EMUL_LZCNT : EMUL_TZCNT);
    uint32_t size = e->insn->op_size, bits = 8 * size;
    uint64_t value, r, zero;
    int err = source_read(e, size, &value);

    if (err)
        return err;
    assert(size == 2 || size == 4 || size == 8);
    r = value ? (uint64_t)(reverse ? 63 - __builtin_clzll(value) : __builtin_ctzll(value)) : bits;
    zero = value ? 0 : RFLAGS_ZF;
    if (count) {
        r = value && reverse ? bits - 1 - r : r;
        zero = (r ? 0 : RFLAGS_ZF) | (value ? 0 : RFLAGS_CF);
    }
    if (value || count)
        reg_write(e, e->insn->reg, size, r);
    flags_write(e, count ? RFLAGS_CF | RFLAGS_ZF : RFLAGS_ZF, zero);
    return 0;
}

int exec_popcnt(struct emul *e)
{
    uint64_t value, r = 0;
    int err = source_read(e, e->insn->op_size, &value);

    if (err)
        return err;
    for (; value; value &= value - 1)
        r++;
    reg_write(e, e->insn->reg, e->insn->op_size, r);
    flags_write(e, RFLAGS_STATUS, r ? 0 : RFLAGS_ZF);
    return 0;
}

/* CRC-32C, the lowest bit first. */
static uint32_t crc32_step(uint32_t crc, uint64_t value, uint32_t size)
{
    for (uint32_t i = 0; i < 8 * size; i++, value >>= 1)
        crc = crc >> 1 ^ (((crc ^ value) & 1) ? 0x82f63b78 : 0);
    return crc;
}

int exec_crc32(struct emul *e)
{
    uint32_t size = e->insn->opcode & 1 ? e->insn->op_size : 1;
    uint64_t value;
    int err = source_read(e, size, &value);

    if (err)
        return err;
    reg_write(e, e->insn->reg, 8, crc32_step((uint32_t)reg_read(e, e->insn->reg, 4), value, size));
    return 0;
}

/* ADCX with 66 and ADOX with F3: each knows one flag only. */
int exec_adx(struct emul *e)
{
    uint64_t carry = e->insn->rep ? RFLAGS_OF : RFLAGS_CF, value, a, sum;
    uint32_t size = e->insn->op_size == 8 ? 8 : 4;
    int err;

    if (e->insn->rep == INSN_REPNE || (!e->insn->rep && !e->insn->op_prefix))
        return ERR_NOTSUP;
    err = source_read(e, size, &value);
    if (err)
        return err;
    a = reg_read(e, e->insn->reg, size);
    sum = (a + value + !!(flags_read(e) & carry)) & size_mask(size);
    flags_write(e, carry, ((a & value) | ((a | value) & ~sum)) & size_sign(size) ? carry : 0);
    reg_write(e, e->insn->reg, size, sum);
    return 0;
}

int exec_xlat(struct emul *e)
{
    uint64_t offset = e->io->get(e->ctx, REG_RBX) + reg_read(e, REG_RAX, 1), value;
    struct emul_ref ref;
    int err = segment_ref(e, e->insn->segment, offset & size_mask(e->insn->addr_size), 1, false, &ref);

    if (!err)
        err = memory_read(e, &ref, &value);
    if (!err)
        reg_write(e, REG_RAX, 1, value);
    return err;
}

/* Two signed bounds side by side. */
int exec_bound(struct emul *e)
{
    uint32_t size = e->insn->op_size;
    int64_t index = sign_extend(reg_read(e, e->insn->reg, size), size);
    struct emul_ref ref;
    uint64_t value;
    int err = memory_ref(e, 2 * size, false, 0, &ref);

    if (!err)
        err = memory_read(e, &ref, &value);
    if (err)
        return err;
    if (index < sign_extend(value & size_mask(size), size) || index > sign_extend(value >> (8 * size), size))
        return fault_raise(e, EXC_BR);
    return 0;
}

/* 63 outside 64-bit mode: raises the RPL of a selector to that of another. */
int exec_arpl(struct emul *e)
{
    struct emul_ref ref;
    uint64_t value, rpl;
    int err;

    if (mode_is_real(e))
        return fault_raise(e, EXC_UD);
    err = operand_read(e, 2, true, &ref, &value);
    if (err)
        return err;
    rpl = reg_read(e, e->insn->reg, 2) & 3;
    if ((value & 3) < rpl) {
        err = operand_write(e, &ref, 2, (value & ~3ull) | rpl);
        if (err)
            return err;
        flags_write(e, RFLAGS_ZF, RFLAGS_ZF);
    } else {
        flags_write(e, RFLAGS_ZF, 0);
    }
    return 0;
}

/* Prefetches and hints; CLFLUSH and its kin, which translate their address and read nothing. */
int exec_nothing(struct emul *e)
{
    return e->insn->has_memory ? EMUL_DONE : ERR_NOTSUP;
}
