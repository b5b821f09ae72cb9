/* Reading the guest's code and data by linear address, as the vCPU itself would (mm/gwalk.h does the walk). */
#pragma once

#include "core/emul/decode.h"
#include "core/vcpu_ops.h"
#include "core/x86/msr.h"
#include "mm/gwalk.h"

/* How the vCPU's code runs: what fetching and carrying out an instruction depends on. */
struct vcpu_code {
    struct gwalk_state walk;
    uint64_t cs_base; /* 0 in 64-bit mode */
    enum insn_mode mode;
    uint32_t cpl;
};

static inline enum insn_mode code_mode(uint16_t cs_attr, uint64_t efer)
{
    if (cs_attr & SEG_ATTR_L && efer & EFER_LMA)
        return INSN_MODE_64;
    return cs_attr & SEG_ATTR_DB ? INSN_MODE_32 : INSN_MODE_16;
}

/* How accesses of its own are to be checked: GWALK_USER at CPL 3. */
static inline uint32_t code_user(const struct vcpu_code *code)
{
    return code->cpl == 3 ? GWALK_USER : 0;
}

static inline uint32_t vcpu_cpl(struct vcpu *vcpu)
{
    return vcpu_ops->get_cpl(vcpu);
}

/* The mode that CS, EFER and RFLAGS.VM put the decoder in. */
enum insn_mode vcpu_insn_mode(struct vcpu *vcpu);
/*
 * Copies up to max instruction bytes from CS:RIP. Returns how many could be had before the first byte that isn't mapped
 * as code in RAM (0: none).
 */
size_t vcpu_fetch(struct vcpu *vcpu, uint8_t *buf, size_t max);
/* The same for a whole instruction, with what vcpu_code told. buf has room for FETCH_BYTES. */
#define FETCH_BYTES 16
size_t vcpu_fetch_code(struct vcpu *vcpu, const struct vcpu_code *code, uint8_t *buf);
/* Reads guest memory at a linear address for a report; returns the bytes that could be had. Never changes guest state. */
size_t vcpu_peek(struct vcpu *vcpu, gva_t gva, void *buf, size_t len);
