#include "core/vcpu.h"

#include "core/emul/decode.h"
#include "core/exit.h"
#include "core/fetch.h"
#include "core/vapic.h"
#include "core/vcpu_ops.h"
#include "core/x86/cr.h"

uint64_t vcpu_get(struct vcpu *vcpu, enum vcpu_reg reg)
{
    if (reg < REG_GPR_COUNT && reg != REG_RSP)
        return vcpu->gpr[reg];
    if (reg == REG_RIP)
        return vcpu->rip;
    return vcpu_ops->get(vcpu, reg);
}

/* CPUID shows these bits. */
static void vcpu_set_cr4(struct vcpu *vcpu, uint64_t value)
{
    if ((value ^ vcpu_ops->get(vcpu, REG_CR4)) & READY_CR4)
        cpuid_ready_forget(&vcpu->cpuid);
    vcpu_ops->set(vcpu, REG_CR4, value);
}

void vcpu_set(struct vcpu *vcpu, enum vcpu_reg reg, uint64_t value)
{
    if (reg < REG_GPR_COUNT && reg != REG_RSP)
        vcpu->gpr[reg] = value;
    else if (reg == REG_RIP)
        vcpu_set_rip(vcpu, value);
    else if (reg == REG_CR4)
        vcpu_set_cr4(vcpu, value);
    else
        vcpu_ops->set(vcpu, reg, value);
}

uint64_t vcpu_interrupts(const struct vcpu *vcpu)
{
    uint64_t accepted = vcpu->vapic ? __atomic_load_n(&vcpu->vapic->accepted, __ATOMIC_RELAXED) : 0;

    return accepted + __atomic_load_n(&vcpu->stats.interrupts, __ATOMIC_RELAXED);
}

/* The length of the instruction at RIP by decoding it: for CPUs that don't tell. 0 if it can't be fetched. */
static uint32_t vcpu_decode_length(struct vcpu *vcpu)
{
    struct vcpu_code code;
    uint8_t bytes[FETCH_BYTES];
    struct insn insn;
    size_t got;

    vcpu_ops->get_code(vcpu, &code);
    got = vcpu_fetch_code(vcpu, &code, bytes);
    if (insn_decode(bytes, got, code.mode, &insn) < 0)
        return 0;
    return insn.length;
}

/* EIP wraps at 4 GiB; the mode is asked for only when that could matter. */
static void vcpu_move_rip(struct vcpu *vcpu, uint64_t rip)
{
    if (UNLIKELY((rip ^ vcpu->rip) >> 32) && vcpu_insn_mode(vcpu) != INSN_MODE_64)
        rip = (uint32_t)rip;
    vcpu_set_rip(vcpu, rip);
}

void vcpu_end_insn(struct vcpu *vcpu, uint64_t rflags)
{
    vcpu_ops->clear_shadow(vcpu);
    if (UNLIKELY(rflags & RFLAGS_TF)) {
        vcpu_set(vcpu, REG_DR6, vcpu_get(vcpu, REG_DR6) | DR6_BS);
        event_raise(vcpu, EXC_DB, false, 0);
    }
}

void vcpu_advance_begun(struct vcpu *vcpu, uint64_t rflags)
{
    uint32_t len = vcpu->insn_len;

    if (UNLIKELY(len == 0))
        len = vcpu_decode_length(vcpu);
    if (UNLIKELY(len == 0)) {
        exit_failed(vcpu, "the instruction that exited can't be decoded");
        return;
    }
    vcpu_move_rip(vcpu, vcpu->rip + len);
    if (rflags & RFLAGS_RF)
        vcpu_set(vcpu, REG_RFLAGS, vcpu_get(vcpu, REG_RFLAGS) & ~(uint64_t)RFLAGS_RF);
    vcpu_end_insn(vcpu, rflags);
}

void vcpu_advance_any(struct vcpu *vcpu)
{
    vcpu_advance_begun(vcpu, vcpu_get(vcpu, REG_RFLAGS));
}

void vcpu_advance_mov_ss(struct vcpu *vcpu)
{
    vcpu_move_rip(vcpu, vcpu->rip + vcpu->insn_len);
    vcpu_ops->set_shadow(vcpu);
}
