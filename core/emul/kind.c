/* Names of what the executor leaves to a report. */
#include "core/emul/exec.h"

static const char *kind_one(const struct insn *insn)
{
    switch (insn->opcode) {
    case 0x9c ... 0x9d:
    case 0xcd:
    case 0xcf:
        return "an instruction of virtual-8086 mode with CR4.VME";
    case 0xd8 ... 0xdf:
        return "an x87 instruction";
    default:
        return "an instruction";
    }
}

static const char *kind_0f(const struct insn *insn)
{
    static const char *const states[8] = {"FXSAVE", "FXRSTOR", "LDMXCSR",  "STMXCSR",
                                          "XSAVE",  "XRSTOR",  "XSAVEOPT", "CLFLUSH"};
    static const char *const nines[8] = {"an instruction", "CMPXCHG8B", "an instruction", "XRSTORS",
                                         "XSAVEC",         "XSAVES",    "VMPTRLD",        "VMPTRST"};

    switch (insn->opcode) {
    case 0x00 ... 0x01:
        return "an instruction of groups 6 and 7";
    case 0xae:
        return states[insn->reg & 7];
    case 0xc7:
        return nines[insn->reg & 7];
    case 0x78 ... 0x79:
        return "VMREAD or VMWRITE";
    default:
        return "an SSE or MMX instruction";
    }
}

const char *emul_kind(const struct insn *insn)
{
    switch (insn->encoding) {
    case INSN_EVEX:
        return "an AVX-512 instruction";
    case INSN_XOP:
        return "an XOP instruction";
    case INSN_VEX:
        return "an AVX instruction";
    }
    if (insn->map == INSN_MAP_ONE)
        return kind_one(insn);
    return insn->map == INSN_MAP_0F ? kind_0f(insn) : "an SSE instruction";
}
