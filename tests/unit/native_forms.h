/* The instructions of which tests/unit/native_bench.h makes random cases, and what about each is free. */
#pragma once

#include "core/lib/types.h"
#include "core/x86/cr.h"

#define STATUS (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

enum { IMM_NO, IMM_BYTE, IMM_FULL, IMM_FRAME };
/* What the host has to have. From AVX on, it is what the form's VEX prefix is of. */
enum host_feature { ALWAYS, ADX, AVX, AVX2, BMI1, BMI2 };
enum {
    BYTE_TOO = BIT(0), /* opcode with bit 0 clear is the form with one byte */
    MEM_ONLY = BIT(1),
    BITSTRING = BIT(2), /* the register operand is a bit offset */
    SHIFTS = BIT(3),    /* which flags are defined depends on the count */
    DOUBLE = BIT(4),    /* SHLD, SHRD */
    STRING = BIT(5),
    NO_MODRM = BIT(6),
    STACK = BIT(7),
    WIDE_ONLY = BIT(8), /* with REX.W */
    ALIGNED = BIT(9),
    NO_66 = BIT(10),
    FRAME = BIT(11), /* RBP is a stack pointer, too */
    TABLE = BIT(12), /* RBX is an address */
    L_ANY = BIT(13), /* VEX.L is free */
    L_ONE = BIT(14), /* VEX.L is 1 */
    NDS = BIT(15),   /* VEX.vvvv is an operand */
    W_ANY = BIT(16), /* VEX.W is free */
    WIDE_NO = BIT(17),
};

struct form {
    const char *name;
    uint8_t map;
    uint8_t opcode;
    int8_t reg; /* -1: any */
    uint8_t imm;
    uint32_t kind;
    uint64_t undefined; /* flags */
    uint8_t prefix;     /* 66, F2 or F3, which is a part of the opcode */
    uint8_t vex;        /* enum host_feature */
};

#define LOGIC    RFLAGS_AF
#define MULTIPLY (RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF)
#define BITS     (RFLAGS_SF | RFLAGS_OF | RFLAGS_AF | RFLAGS_PF)

#define ALU(name, opcode, undefined)                                                                         \
    {name " rm, r", 0, (opcode) + 1, -1, IMM_NO, BYTE_TOO, undefined, 0, ALWAYS},                            \
        {name " r, rm", 0, (opcode) + 3, -1, IMM_NO, BYTE_TOO, undefined, 0, ALWAYS},                        \
        {name " acc, imm", 0, (opcode) + 5, -1, IMM_FULL, BYTE_TOO | NO_MODRM, undefined, 0, ALWAYS},        \
        {name " rm, imm", 0, 0x81, (opcode) >> 3, IMM_FULL, BYTE_TOO, undefined, 0, ALWAYS},                 \
    {                                                                                                        \
        name " rm, imm8", 0, 0x83, (opcode) >> 3, IMM_BYTE, 0, undefined, 0, ALWAYS                          \
    }

#define SHIFT(name, reg)                                                                                     \
    {name " rm, imm8", 0, 0xc1, reg, IMM_BYTE, BYTE_TOO | SHIFTS, 0, 0, ALWAYS},                             \
        {name " rm, 1", 0, 0xd1, reg, IMM_NO, BYTE_TOO | SHIFTS, 0, 0, ALWAYS},                              \
    {                                                                                                        \
        name " rm, cl", 0, 0xd3, reg, IMM_NO, BYTE_TOO | SHIFTS, 0, 0, ALWAYS                                \
    }

/* With and without VEX: of 16 or 32 bytes, and of less. */
#define VECTOR(name, map, opcode, prefix, kind)                                                              \
    {name, map, opcode, -1, IMM_NO, (kind) | MEM_ONLY | NO_66, 0, prefix, ALWAYS},                           \
    {                                                                                                        \
        "v" name, map, opcode, -1, IMM_NO, (kind) | MEM_ONLY | NO_66 | L_ANY, 0, prefix, AVX                 \
    }

#define SCALAR(name, map, opcode, prefix, imm, kind)                                                         \
    {name, map, opcode, -1, imm, (kind) | MEM_ONLY | NO_66, 0, prefix, ALWAYS},                              \
    {                                                                                                        \
        "v" name, map, opcode, -1, imm, (kind) | MEM_ONLY | NO_66, 0, prefix, AVX                            \
    }

static const struct form forms[] = {
    ALU("add", 0x00, 0),
    ALU("or", 0x08, LOGIC),
    ALU("adc", 0x10, 0),
    ALU("sbb", 0x18, 0),
    ALU("and", 0x20, LOGIC),
    ALU("sub", 0x28, 0),
    ALU("xor", 0x30, LOGIC),
    ALU("cmp", 0x38, 0),
    SHIFT("rol", 0),
    SHIFT("ror", 1),
    SHIFT("rcl", 2),
    SHIFT("rcr", 3),
    SHIFT("shl", 4),
    SHIFT("shr", 5),
    SHIFT("sal", 6),
    SHIFT("sar", 7),
    {"test rm, r", 0, 0x85, -1, IMM_NO, BYTE_TOO, LOGIC, 0, ALWAYS},
    {"test acc, imm", 0, 0xa9, -1, IMM_FULL, BYTE_TOO | NO_MODRM, LOGIC, 0, ALWAYS},
    {"test rm, imm", 0, 0xf7, 0, IMM_FULL, BYTE_TOO, LOGIC, 0, ALWAYS},
    {"test rm, imm (1)", 0, 0xf7, 1, IMM_FULL, BYTE_TOO, LOGIC, 0, ALWAYS},
    {"not", 0, 0xf7, 2, IMM_NO, BYTE_TOO, 0, 0, ALWAYS},
    {"neg", 0, 0xf7, 3, IMM_NO, BYTE_TOO, 0, 0, ALWAYS},
    {"mul", 0, 0xf7, 4, IMM_NO, BYTE_TOO, MULTIPLY, 0, ALWAYS},
    {"imul", 0, 0xf7, 5, IMM_NO, BYTE_TOO, MULTIPLY, 0, ALWAYS},
    {"div", 0, 0xf7, 6, IMM_NO, BYTE_TOO, STATUS, 0, ALWAYS},
    {"idiv", 0, 0xf7, 7, IMM_NO, BYTE_TOO, STATUS, 0, ALWAYS},
    {"imul r, rm", 1, 0xaf, -1, IMM_NO, 0, MULTIPLY, 0, ALWAYS},
    {"imul r, rm, imm", 0, 0x69, -1, IMM_FULL, 0, MULTIPLY, 0, ALWAYS},
    {"imul r, rm, imm8", 0, 0x6b, -1, IMM_BYTE, 0, MULTIPLY, 0, ALWAYS},
    {"inc", 0, 0xff, 0, IMM_NO, BYTE_TOO, 0, 0, ALWAYS},
    {"dec", 0, 0xff, 1, IMM_NO, BYTE_TOO, 0, 0, ALWAYS},
    {"mov rm, r", 0, 0x89, -1, IMM_NO, BYTE_TOO, 0, 0, ALWAYS},
    {"mov r, rm", 0, 0x8b, -1, IMM_NO, BYTE_TOO, 0, 0, ALWAYS},
    {"mov rm, imm", 0, 0xc7, 0, IMM_FULL, BYTE_TOO, 0, 0, ALWAYS},
    {"movzx b", 1, 0xb6, -1, IMM_NO, 0, 0, 0, ALWAYS},
    {"movzx w", 1, 0xb7, -1, IMM_NO, 0, 0, 0, ALWAYS},
    {"movsx b", 1, 0xbe, -1, IMM_NO, 0, 0, 0, ALWAYS},
    {"movsx w", 1, 0xbf, -1, IMM_NO, 0, 0, 0, ALWAYS},
    {"movsxd", 0, 0x63, -1, IMM_NO, 0, 0, 0, ALWAYS},
    {"movbe r, m", 2, 0xf0, -1, IMM_NO, MEM_ONLY, 0, 0, ALWAYS},
    {"movbe m, r", 2, 0xf1, -1, IMM_NO, MEM_ONLY, 0, 0, ALWAYS},
    {"movnti", 1, 0xc3, -1, IMM_NO, MEM_ONLY | NO_66, 0, 0, ALWAYS},
    {"cmovcc", 1, 0x40, -1, IMM_NO, 0, 0, 0, ALWAYS},
    {"setcc", 1, 0x90, -1, IMM_NO, 0, 0, 0, ALWAYS},
    {"xchg", 0, 0x87, -1, IMM_NO, BYTE_TOO, 0, 0, ALWAYS},
    {"xadd", 1, 0xc1, -1, IMM_NO, BYTE_TOO, 0, 0, ALWAYS},
    {"cmpxchg", 1, 0xb1, -1, IMM_NO, BYTE_TOO, 0, 0, ALWAYS},
    {"cmpxchg8b", 1, 0xc7, 1, IMM_NO, MEM_ONLY, 0, 0, ALWAYS},
    {"cmpxchg16b", 1, 0xc7, 1, IMM_NO, MEM_ONLY | WIDE_ONLY | ALIGNED | NO_66, 0, 0, ALWAYS},
    {"bt rm, r", 1, 0xa3, -1, IMM_NO, BITSTRING, BITS, 0, ALWAYS},
    {"bts rm, r", 1, 0xab, -1, IMM_NO, BITSTRING, BITS, 0, ALWAYS},
    {"btr rm, r", 1, 0xb3, -1, IMM_NO, BITSTRING, BITS, 0, ALWAYS},
    {"btc rm, r", 1, 0xbb, -1, IMM_NO, BITSTRING, BITS, 0, ALWAYS},
    {"bt rm, imm8", 1, 0xba, 4, IMM_BYTE, 0, BITS, 0, ALWAYS},
    {"bts rm, imm8", 1, 0xba, 5, IMM_BYTE, 0, BITS, 0, ALWAYS},
    {"btr rm, imm8", 1, 0xba, 6, IMM_BYTE, 0, BITS, 0, ALWAYS},
    {"btc rm, imm8", 1, 0xba, 7, IMM_BYTE, 0, BITS, 0, ALWAYS},
    {"shld imm8", 1, 0xa4, -1, IMM_BYTE, SHIFTS | DOUBLE, 0, 0, ALWAYS},
    {"shld cl", 1, 0xa5, -1, IMM_NO, SHIFTS | DOUBLE, 0, 0, ALWAYS},
    {"shrd imm8", 1, 0xac, -1, IMM_BYTE, SHIFTS | DOUBLE, 0, 0, ALWAYS},
    {"shrd cl", 1, 0xad, -1, IMM_NO, SHIFTS | DOUBLE, 0, 0, ALWAYS},
    {"movs", 0, 0xa5, -1, IMM_NO, BYTE_TOO | STRING | NO_MODRM, 0, 0, ALWAYS},
    {"cmps", 0, 0xa7, -1, IMM_NO, BYTE_TOO | STRING | NO_MODRM, 0, 0, ALWAYS},
    {"stos", 0, 0xab, -1, IMM_NO, BYTE_TOO | STRING | NO_MODRM, 0, 0, ALWAYS},
    {"lods", 0, 0xad, -1, IMM_NO, BYTE_TOO | STRING | NO_MODRM, 0, 0, ALWAYS},
    {"scas", 0, 0xaf, -1, IMM_NO, BYTE_TOO | STRING | NO_MODRM, 0, 0, ALWAYS},
    {"push r", 0, 0x50, -1, IMM_NO, STACK | NO_MODRM, 0, 0, ALWAYS},
    {"push imm", 0, 0x68, -1, IMM_FULL, STACK | NO_MODRM, 0, 0, ALWAYS},
    {"push imm8", 0, 0x6a, -1, IMM_BYTE, STACK | NO_MODRM, 0, 0, ALWAYS},
    {"push rm", 0, 0xff, 6, IMM_NO, STACK, 0, 0, ALWAYS},
    {"pop r", 0, 0x58, -1, IMM_NO, STACK | NO_MODRM, 0, 0, ALWAYS},
    {"pop rm", 0, 0x8f, 0, IMM_NO, STACK, 0, 0, ALWAYS},
    {"bsf", 1, 0xbc, -1, IMM_NO, 0, BITS | RFLAGS_CF, 0, ALWAYS},
    {"bsr", 1, 0xbd, -1, IMM_NO, 0, BITS | RFLAGS_CF, 0, ALWAYS},
    {"tzcnt", 1, 0xbc, -1, IMM_NO, 0, BITS, 0xf3, ALWAYS},
    {"lzcnt", 1, 0xbd, -1, IMM_NO, 0, BITS, 0xf3, ALWAYS},
    {"popcnt", 1, 0xb8, -1, IMM_NO, 0, 0, 0xf3, ALWAYS},
    {"crc32", 2, 0xf1, -1, IMM_NO, BYTE_TOO, 0, 0xf2, ALWAYS},
    {"adcx", 2, 0xf6, -1, IMM_NO, NO_66, 0, 0x66, ADX},
    {"adox", 2, 0xf6, -1, IMM_NO, NO_66, 0, 0xf3, ADX},
    {"xlat", 0, 0xd7, -1, IMM_NO, NO_MODRM | TABLE | NO_66, 0, 0, ALWAYS},
    {"pushf", 0, 0x9c, -1, IMM_NO, STACK | NO_MODRM, 0, 0, ALWAYS},
    {"enter", 0, 0xc8, -1, IMM_FRAME, STACK | NO_MODRM | FRAME | NO_66, 0, 0, ALWAYS},
    {"leave", 0, 0xc9, -1, IMM_NO, STACK | NO_MODRM | FRAME, 0, 0, ALWAYS},
    {"prefetch", 1, 0x18, -1, IMM_NO, MEM_ONLY, 0, 0, ALWAYS},
    {"clflush", 1, 0xae, 7, IMM_NO, MEM_ONLY | NO_66, 0, 0, ALWAYS},

    VECTOR("movups", 1, 0x10, 0, 0),
    VECTOR("movupd", 1, 0x10, 0x66, 0),
    VECTOR("movups store", 1, 0x11, 0, 0),
    VECTOR("movupd store", 1, 0x11, 0x66, 0),
    VECTOR("movaps", 1, 0x28, 0, ALIGNED),
    VECTOR("movapd", 1, 0x28, 0x66, ALIGNED),
    VECTOR("movaps store", 1, 0x29, 0, ALIGNED),
    VECTOR("movapd store", 1, 0x29, 0x66, ALIGNED),
    VECTOR("movntps", 1, 0x2b, 0, ALIGNED),
    VECTOR("movntpd", 1, 0x2b, 0x66, ALIGNED),
    VECTOR("movdqa", 1, 0x6f, 0x66, ALIGNED),
    VECTOR("movdqu", 1, 0x6f, 0xf3, 0),
    VECTOR("movdqa store", 1, 0x7f, 0x66, ALIGNED),
    VECTOR("movdqu store", 1, 0x7f, 0xf3, 0),
    VECTOR("movntdq", 1, 0xe7, 0x66, ALIGNED),
    VECTOR("lddqu", 1, 0xf0, 0xf2, 0),
    VECTOR("movntdqa", 2, 0x2a, 0x66, ALIGNED),
    SCALAR("movss", 1, 0x10, 0xf3, IMM_NO, 0),
    SCALAR("movsd", 1, 0x10, 0xf2, IMM_NO, 0),
    SCALAR("movss store", 1, 0x11, 0xf3, IMM_NO, 0),
    SCALAR("movsd store", 1, 0x11, 0xf2, IMM_NO, 0),
    SCALAR("movlps", 1, 0x12, 0, IMM_NO, NDS),
    SCALAR("movlpd", 1, 0x12, 0x66, IMM_NO, NDS),
    SCALAR("movlps store", 1, 0x13, 0, IMM_NO, 0),
    SCALAR("movlpd store", 1, 0x13, 0x66, IMM_NO, 0),
    SCALAR("movhps", 1, 0x16, 0, IMM_NO, NDS),
    SCALAR("movhpd", 1, 0x16, 0x66, IMM_NO, NDS),
    SCALAR("movhps store", 1, 0x17, 0, IMM_NO, 0),
    SCALAR("movhpd store", 1, 0x17, 0x66, IMM_NO, 0),
    SCALAR("movd", 1, 0x6e, 0x66, IMM_NO, W_ANY),
    SCALAR("movd store", 1, 0x7e, 0x66, IMM_NO, W_ANY),
    SCALAR("movq", 1, 0x7e, 0xf3, IMM_NO, 0),
    SCALAR("movq store", 1, 0xd6, 0x66, IMM_NO, 0),
    SCALAR("pinsrw", 1, 0xc4, 0x66, IMM_BYTE, NDS),
    SCALAR("pinsrb", 3, 0x20, 0x66, IMM_BYTE, NDS),
    SCALAR("pinsrd", 3, 0x22, 0x66, IMM_BYTE, NDS | W_ANY),
    SCALAR("pextrb", 3, 0x14, 0x66, IMM_BYTE, 0),
    SCALAR("pextrw", 3, 0x15, 0x66, IMM_BYTE, 0),
    SCALAR("pextrd", 3, 0x16, 0x66, IMM_BYTE, W_ANY),
    SCALAR("extractps", 3, 0x17, 0x66, IMM_BYTE, 0),
    {"movd mm", 1, 0x6e, -1, IMM_NO, MEM_ONLY | NO_66, 0, 0, ALWAYS},
    {"movd mm store", 1, 0x7e, -1, IMM_NO, MEM_ONLY | NO_66, 0, 0, ALWAYS},
    {"movq mm", 1, 0x6f, -1, IMM_NO, MEM_ONLY | NO_66, 0, 0, ALWAYS},
    {"movq mm store", 1, 0x7f, -1, IMM_NO, MEM_ONLY | NO_66, 0, 0, ALWAYS},
    {"movntq", 1, 0xe7, -1, IMM_NO, MEM_ONLY | NO_66, 0, 0, ALWAYS},
    {"vbroadcastss", 2, 0x18, -1, IMM_NO, MEM_ONLY | NO_66 | L_ANY, 0, 0x66, AVX},
    {"vbroadcastsd", 2, 0x19, -1, IMM_NO, MEM_ONLY | NO_66 | L_ONE, 0, 0x66, AVX},
    {"vbroadcastf128", 2, 0x1a, -1, IMM_NO, MEM_ONLY | NO_66 | L_ONE, 0, 0x66, AVX},
    {"vpbroadcastd", 2, 0x58, -1, IMM_NO, MEM_ONLY | NO_66 | L_ANY, 0, 0x66, AVX2},
    {"vpbroadcastq", 2, 0x59, -1, IMM_NO, MEM_ONLY | NO_66 | L_ANY, 0, 0x66, AVX2},
    {"vbroadcasti128", 2, 0x5a, -1, IMM_NO, MEM_ONLY | NO_66 | L_ONE, 0, 0x66, AVX2},
    {"vpbroadcastb", 2, 0x78, -1, IMM_NO, MEM_ONLY | NO_66 | L_ANY, 0, 0x66, AVX2},
    {"vpbroadcastw", 2, 0x79, -1, IMM_NO, MEM_ONLY | NO_66 | L_ANY, 0, 0x66, AVX2},
    {"vinsertf128", 3, 0x18, -1, IMM_BYTE, MEM_ONLY | NO_66 | L_ONE | NDS, 0, 0x66, AVX},
    {"vextractf128", 3, 0x19, -1, IMM_BYTE, MEM_ONLY | NO_66 | L_ONE, 0, 0x66, AVX},
    {"vinserti128", 3, 0x38, -1, IMM_BYTE, MEM_ONLY | NO_66 | L_ONE | NDS, 0, 0x66, AVX2},
    {"vextracti128", 3, 0x39, -1, IMM_BYTE, MEM_ONLY | NO_66 | L_ONE, 0, 0x66, AVX2},
    {"andn", 2, 0xf2, -1, IMM_NO, NO_66 | NDS | W_ANY, RFLAGS_AF | RFLAGS_PF, 0, BMI1},
    {"blsr", 2, 0xf3, 1, IMM_NO, NO_66 | NDS | W_ANY, RFLAGS_AF | RFLAGS_PF, 0, BMI1},
    {"blsmsk", 2, 0xf3, 2, IMM_NO, NO_66 | NDS | W_ANY, RFLAGS_AF | RFLAGS_PF, 0, BMI1},
    {"blsi", 2, 0xf3, 3, IMM_NO, NO_66 | NDS | W_ANY, RFLAGS_AF | RFLAGS_PF, 0, BMI1},
    {"bextr", 2, 0xf7, -1, IMM_NO, NO_66 | NDS | W_ANY, RFLAGS_AF | RFLAGS_PF | RFLAGS_SF, 0, BMI1},
    {"bzhi", 2, 0xf5, -1, IMM_NO, NO_66 | NDS | W_ANY, RFLAGS_AF | RFLAGS_PF, 0, BMI2},
    {"pdep", 2, 0xf5, -1, IMM_NO, NO_66 | NDS | W_ANY, 0, 0xf2, BMI2},
    {"pext", 2, 0xf5, -1, IMM_NO, NO_66 | NDS | W_ANY, 0, 0xf3, BMI2},
    {"mulx", 2, 0xf6, -1, IMM_NO, NO_66 | NDS | W_ANY, 0, 0xf2, BMI2},
    {"shlx", 2, 0xf7, -1, IMM_NO, NO_66 | NDS | W_ANY, 0, 0x66, BMI2},
    {"sarx", 2, 0xf7, -1, IMM_NO, NO_66 | NDS | W_ANY, 0, 0xf3, BMI2},
    {"shrx", 2, 0xf7, -1, IMM_NO, NO_66 | NDS | W_ANY, 0, 0xf2, BMI2},
    {"rorx", 3, 0xf0, -1, IMM_BYTE, NO_66 | W_ANY, 0, 0xf2, BMI2},
};
