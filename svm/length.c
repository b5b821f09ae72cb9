/* Decoding for svm/length.h. Pure. */
#include "svm/length.h"

#include "core/fetch.h"

static uint8_t length_decode(struct vcpu *vcpu)
{
    struct vcpu_code code;
    uint8_t bytes[FETCH_BYTES];
    struct insn insn;
    size_t got;

    svm_state_get_code(vcpu, &code);
    got = vcpu_fetch_code(vcpu, &code, bytes);
    /* C libraries run CPUID dozens of times whenever a program starts, each time in another address space. */
    if (got >= 2 && bytes[0] == 0x0f && bytes[1] == 0xa2)
        return 2;
    return insn_decode(bytes, got, code.mode, &insn) < 0 ? 0 : insn.length;
}

void svm_length_learn(struct vcpu *vcpu)
{
    struct svm_vcpu *s = svm_vcpu(vcpu);
    uint64_t address = s->vmcb->cs.base + s->vmcb->rip;

    vcpu->insn_len = length_decode(vcpu);
    /* A guest may well have CPUIDs of several lengths at one address in turn, and its quick way (quick.c) looks at the bytes. */
    if (vcpu->insn_len && s->vmcb->exit_code != EXIT_CPUID)
        s->lengths[address % LENGTH_SLOTS] = (struct svm_length){
            .address = address,
            .cr3 = s->vmcb->cr3,
            .code = (uint32_t)s->vmcb->exit_code,
            .len = vcpu->insn_len,
        };
}
