/*
 * The decoder against Capstone: for what both take as an instruction, the length, the presence of an encoded address and its parts
 * must agree, and what Capstone takes, the decoder must take. Where Capstone is wrong, known_difference says why.
 */
#include <capstone/capstone.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/emul/decode.h"

static csh handles[3];
static const enum insn_mode modes[3] = {INSN_MODE_16, INSN_MODE_32, INSN_MODE_64};

enum scope {
    LENGTH = 1,   /* the length differs */
    MEMORY = 2,   /* one of the two sees no address */
    REJECTED = 4, /* only Capstone takes it */
    ADDRESS = 8,  /* base, index, scale or displacement differ */
};

struct difference {
    uint8_t map, first, last; /* opcodes */
    uint8_t scope;
    bool prefixed; /* only with 66, F2 or F3 */
    const char *why;
};

/* Capstone 4.0.2. */
static const struct difference differences[] = {
    {INSN_MAP_ONE, 0x68, 0x68, LENGTH | REJECTED, true,
     "PUSH with 66 and a REP prefix: Capstone forgets the 66"},
    {INSN_MAP_ONE, 0xc2, 0xc2, LENGTH | REJECTED, false, "RET with REX.W: Capstone reads four bytes"},
    {INSN_MAP_ONE, 0xd7, 0xd7, MEMORY, false, "XLAT: Capstone shows no operand"},
    {INSN_MAP_ONE, 0xe8, 0xe9, LENGTH | REJECTED, false,
     "near branch: Intel ignores 66 in 64-bit mode, and both do 67, which misleads Capstone after REX"},
    {INSN_MAP_0F, 0x0f, 0x0f, MEMORY, false, "3DNow! suffixes that Capstone doesn't know"},
    {INSN_MAP_0F, 0x78, 0x78, LENGTH | REJECTED, false,
     "EXTRQ and INSERTQ: Capstone takes them for VMREAD, and VMREAD for them behind 67"},
    {INSN_MAP_0F, 0x80, 0x8f, LENGTH | REJECTED, true, "66 on a near branch, as for E8"},
    {INSN_MAP_0F, 0xa6, 0xa7, REJECTED, false, "VIA's instructions, which neither vendor has"},
    {INSN_MAP_0F, 0xb9, 0xb9, LENGTH | MEMORY | REJECTED, false, "UD1 has a ModRM"},
    {INSN_MAP_0F, 0xff, 0xff, LENGTH | MEMORY | REJECTED, false, "UD0 has a ModRM (Intel)"},
};

/*
 * SDM volume 2 sections 2.3.2 to 2.3.4: 66, F2, F3, LOCK or REX in front of VEX is #UD, and Capstone takes it. And it
 * reads a byte too many behind some EVEX register forms with embedded rounding.
 */
static bool known_vector_difference(const struct insn *insn, int scope)
{
    if (insn->encoding == INSN_LEGACY)
        return false;
    return scope == REJECTED || (scope == LENGTH && insn->encoding == INSN_EVEX && insn->mod == 3);
}

static bool known_difference(const struct insn *insn, int scope)
{
    for (size_t i = 0; i < ARRAY_SIZE(differences); i++) {
        const struct difference *d = &differences[i];

        if (insn->map == d->map && insn->opcode >= d->first && insn->opcode <= d->last &&
            (d->scope & scope) && (!d->prefixed || insn->op_prefix || insn->rep))
            return true;
    }
    return known_vector_difference(insn, scope);
}

static const x86_op_mem *capstone_memory(const cs_insn *cs)
{
    for (int i = 0; i < cs->detail->x86.op_count; i++)
        if (cs->detail->x86.operands[i].type == X86_OP_MEM)
            return &cs->detail->x86.operands[i].mem;
    return NULL;
}

static uint8_t capstone_reg(x86_reg reg)
{
    static const x86_reg regs[3][REG_GPR_COUNT] = {
        {X86_REG_AX, X86_REG_CX, X86_REG_DX, X86_REG_BX, X86_REG_SP, X86_REG_BP, X86_REG_SI, X86_REG_DI},
        {X86_REG_EAX, X86_REG_ECX, X86_REG_EDX, X86_REG_EBX, X86_REG_ESP, X86_REG_EBP, X86_REG_ESI,
         X86_REG_EDI, X86_REG_R8D, X86_REG_R9D, X86_REG_R10D, X86_REG_R11D, X86_REG_R12D, X86_REG_R13D,
         X86_REG_R14D, X86_REG_R15D},
        {X86_REG_RAX, X86_REG_RCX, X86_REG_RDX, X86_REG_RBX, X86_REG_RSP, X86_REG_RBP, X86_REG_RSI,
         X86_REG_RDI, X86_REG_R8, X86_REG_R9, X86_REG_R10, X86_REG_R11, X86_REG_R12, X86_REG_R13, X86_REG_R14,
         X86_REG_R15}};

    for (int set = 0; set < 3; set++)
        for (uint8_t i = 0; i < REG_GPR_COUNT && reg != X86_REG_INVALID; i++)
            if (regs[set][i] == reg)
                return i;
    return reg == X86_REG_RIP || reg == X86_REG_EIP ? REG_RIP : INSN_NO_REG;
}

/* Of ModRM's addresses: where EVEX scales its displacement, and an index is a vector, the executor never comes. */
static bool address_agrees(const struct insn *insn, const x86_op_mem *mem)
{
    uint64_t mask = ~0ull >> (64 - 8 * insn->addr_size);

    if (!insn->has_modrm || insn->encoding == INSN_EVEX ||
        (insn->encoding == INSN_VEX && insn->map == INSN_MAP_0F38 && (insn->opcode & 0xfc) == 0x90))
        return true;
    if (insn->base != capstone_reg(mem->base) || insn->index != capstone_reg(mem->index))
        return false;
    return ((insn->disp ^ (uint64_t)mem->disp) & mask) == 0 &&
           (insn->index == INSN_NO_REG || 1 << insn->scale == mem->scale);
}

static NORETURN void mismatch(const uint8_t *bytes, size_t size, const struct insn *insn, int length,
                              const cs_insn *cs)
{
    fprintf(stderr,
            "mode %d, map %d, opcode %02x, encoding %d: length %d, memory %d; Capstone: %d, \"%s %s\"\n",
            insn->mode * 8, insn->map, insn->opcode, insn->encoding, length, insn->has_memory, cs->size,
            cs->mnemonic, cs->op_str);
    for (size_t i = 0; i < size; i++)
        fprintf(stderr, " %02x", bytes[i]);
    fprintf(stderr, "\n");
    abort();
}

static void compare(int which, const uint8_t *bytes, size_t size)
{
    static cs_insn *cs;
    const uint8_t *code = bytes;
    size_t left = size;
    uint64_t address = 0x1000;
    struct insn insn;
    int length = insn_decode(bytes, size, modes[which], &insn);
    int scope = 0;

    if (!cs)
        cs = cs_malloc(handles[0]);
    if (!cs_disasm_iter(handles[which], &code, &left, &address, cs))
        return;
    if (length < 0)
        scope = REJECTED;
    else if (length != cs->size)
        scope = LENGTH;
    else if (insn.has_memory != !!capstone_memory(cs))
        scope = MEMORY;
    else if (insn.has_memory && !address_agrees(&insn, capstone_memory(cs)))
        scope = ADDRESS;
    if (scope && !known_difference(&insn, scope))
        mismatch(bytes, size, &insn, length, cs);
}

/* Without the last byte, an instruction is too short, never another one. */
static void check_truncated(const uint8_t *bytes, size_t size, enum insn_mode mode)
{
    struct insn insn, shorter;
    int length = insn_decode(bytes, size, mode, &insn);

    if (length > 0 &&
        (length > INSN_MAX_LEN || insn_decode(bytes, (size_t)length - 1, mode, &shorter) != ERR_RANGE))
        abort();
}

/* A CS prefix says nothing in 64-bit mode, but keeps the decoder off its short way for MOV. */
static void check_short_way(const uint8_t *bytes, size_t size)
{
    uint8_t prefixed[INSN_MAX_LEN + 1] = {0x2e};
    struct insn insn, other;

    memcpy(prefixed + 1, bytes, size);
    if (size >= INSN_MAX_LEN || insn_decode(bytes, size, INSN_MODE_64, &insn) < 0)
        return;
    if (insn_decode(prefixed, size + 1, INSN_MODE_64, &other) != insn.length + 1)
        abort();
    other.length--;
    if (memcmp(&insn, &other, sizeof(insn)))
        abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const cs_mode cs_modes[3] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};

    (void)argc;
    (void)argv;
    for (int i = 0; i < 3; i++) {
        if (cs_open(CS_ARCH_X86, cs_modes[i], &handles[i]) != CS_ERR_OK)
            abort();
        cs_option(handles[i], CS_OPT_DETAIL, CS_OPT_ON);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size = size - 1 > INSN_MAX_LEN ? INSN_MAX_LEN : size - 1;
    check_truncated(data + 1, size, modes[data[0] % 3]);
    check_short_way(data + 1, size);
    compare(data[0] % 3, data + 1, size);
    return 0;
}
