/* Lengths and operands that the hypervisor relies on by name; the width comes from fuzz_decode. */
#include "core/emul/decode.h"

#include "tests/unit/support.h"

#define BYTES(...)                                                                                           \
    (const uint8_t[INSN_MAX_LEN])                                                                            \
    {                                                                                                        \
        __VA_ARGS__                                                                                          \
    }

static struct insn decode(const uint8_t *bytes, enum insn_mode mode)
{
    struct insn insn;

    assert_true(insn_decode(bytes, INSN_MAX_LEN, mode, &insn) > 0);
    return insn;
}

/* All that a processor without next-RIP saving may ask for. */
static void test_intercepted(void **state)
{
    static const struct {
        const char *name;
        uint8_t length, mode;
        uint8_t bytes[INSN_MAX_LEN];
    } rows[] = {
        {"cpuid", 2, 8, {0x0f, 0xa2}},
        {"rdmsr", 2, 8, {0x0f, 0x32}},
        {"wrmsr", 2, 8, {0x0f, 0x30}},
        {"rdtsc", 2, 8, {0x0f, 0x31}},
        {"rdpmc", 2, 8, {0x0f, 0x33}},
        {"rdtscp", 3, 8, {0x0f, 0x01, 0xf9}},
        {"hlt", 1, 8, {0xf4}},
        {"pause", 2, 8, {0xf3, 0x90}},
        {"vmmcall", 3, 8, {0x0f, 0x01, 0xd9}},
        {"vmcall", 3, 8, {0x0f, 0x01, 0xc1}},
        {"vmrun", 3, 8, {0x0f, 0x01, 0xd8}},
        {"xsetbv", 3, 8, {0x0f, 0x01, 0xd1}},
        {"monitor", 3, 8, {0x0f, 0x01, 0xc8}},
        {"invd", 2, 8, {0x0f, 0x08}},
        {"wbinvd", 2, 8, {0x0f, 0x09}},
        {"wbnoinvd", 3, 8, {0xf3, 0x0f, 0x09}},
        {"clts", 2, 8, {0x0f, 0x06}},
        {"lmsw ax", 3, 8, {0x0f, 0x01, 0xf0}},
        {"lmsw [rax]", 3, 8, {0x0f, 0x01, 0x30}},
        {"smsw [rip]", 7, 8, {0x0f, 0x01, 0x25, 1, 2, 3, 4}},
        {"invlpg [rax]", 3, 8, {0x0f, 0x01, 0x38}},
        {"lgdt [rsp+8]", 5, 8, {0x0f, 0x01, 0x54, 0x24, 8}},
        {"mov cr0, rax", 3, 8, {0x0f, 0x22, 0xc0}},
        {"mov cr8, rax", 4, 8, {0x44, 0x0f, 0x22, 0xc0}},
        {"lock mov cr0 (AMD's cr8)", 4, 4, {0xf0, 0x0f, 0x22, 0xc0}},
        {"mov cr4, rax, mod 0", 3, 8, {0x0f, 0x22, 0x20}},
        {"mov dr7, rax, mod 1", 3, 8, {0x0f, 0x23, 0x78}},
        {"int 80", 2, 8, {0xcd, 0x80}},
        {"int3", 1, 8, {0xcc}},
        {"into", 1, 4, {0xce}},
        {"int1", 1, 8, {0xf1}},
        {"in al, imm", 2, 8, {0xe4, 0x60}},
        {"in eax, dx", 1, 8, {0xed}},
        {"out dx, ax", 2, 8, {0x66, 0xef}},
        {"rep insb", 2, 8, {0xf3, 0x6c}},
        {"rep outsd fs a32", 4, 8, {0xf3, 0x64, 0x67, 0x6f}},
        {"iret", 2, 8, {0x48, 0xcf}},
        {"pushf", 1, 8, {0x9c}},
        {"jmp far 16", 5, 2, {0xea, 0, 0, 0, 0xf0}},
        {"jmp far 32 from 16", 8, 2, {0x66, 0xea, 0, 0, 0, 0, 8, 0}},
        {"mov rax, imm64", 10, 8, {0x48, 0xb8}},
        {"mov al, moffs64", 9, 8, {0xa0}},
        {"mov al, moffs32", 6, 8, {0x67, 0xa0}},
        {"enter", 4, 8, {0xc8, 1, 0, 1}},
        {"test rm, imm", 6, 8, {0xf7, 0xc0}},
        {"not rm", 2, 8, {0xf7, 0xd0}},
        {"vzeroupper", 3, 8, {0xc5, 0xf8, 0x77}},
        {"vmovups zmm", 6, 8, {0x62, 0xf1, 0x7c, 0x48, 0x10, 0x00}},
        {"vpermq", 6, 8, {0xc4, 0xe3, 0xfd, 0x00, 0xc0, 0x1b}},
        {"xop blcfill", 5, 8, {0x8f, 0xe9, 0x78, 0x01, 0xc8}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct insn insn;
        int length = insn_decode(rows[i].bytes, INSN_MAX_LEN, rows[i].mode, &insn);

        if (length != rows[i].length)
            fail_msg("%s: length %d, want %d", rows[i].name, length, rows[i].length);
    }
}

static void test_operands(void **state)
{
    struct insn i;

    (void)state;
    i = decode(BYTES(0x44, 0x8b, 0xbc, 0xcb, 0x80, 0xff, 0xff, 0xff),
               INSN_MODE_64); /* mov r15d, [rbx + rcx*8 - 128] */
    assert_true(i.has_memory && i.base == REG_RBX && i.index == REG_RCX && i.scale == 3 && i.reg == REG_R15);
    assert_int_equal(i.disp, (uint64_t)-128);
    assert_true(i.op_size == 4 && i.addr_size == 8 && i.segment == SEG_DS);
    i = decode(BYTES(0x66, 0x65, 0x67, 0x89, 0x45, 0x08), INSN_MODE_64); /* mov gs:[ebp + 8], ax */
    assert_true(i.op_size == 2 && i.addr_size == 4 && i.segment == SEG_GS && i.base == REG_RBP);
    i = decode(BYTES(0x8b, 0x45, 0x08), INSN_MODE_32);
    assert_int_equal(i.segment, SEG_SS);
    i = decode(BYTES(0x3e, 0x8b, 0x45, 0x08), INSN_MODE_32);
    assert_int_equal(i.segment, SEG_DS);
    i = decode(BYTES(0x26, 0x8b, 0x00), INSN_MODE_64); /* ES means nothing there */
    assert_int_equal(i.segment, SEG_DS);
    i = decode(BYTES(0x8b, 0x05, 0x10, 0, 0, 0), INSN_MODE_64);
    assert_int_equal(i.base, REG_RIP);
    i = decode(BYTES(0x8b, 0x05, 0x10, 0, 0, 0), INSN_MODE_32);
    assert_int_equal(i.base, INSN_NO_REG);
    i = decode(BYTES(0x8b, 0x42, 0xfe), INSN_MODE_16); /* mov ax, [bp + si - 2] */
    assert_true(i.base == REG_RBP && i.index == REG_RSI && i.segment == SEG_SS && i.op_size == 2);
    i = decode(BYTES(0x42, 0x8b, 0x04, 0x20), INSN_MODE_64); /* index r12 is one, rsp is none */
    assert_int_equal(i.index, REG_R12);
    i = decode(BYTES(0x48, 0x66, 0x8b, 0x00), INSN_MODE_64); /* a REX that isn't last counts for nothing */
    assert_true(i.rex == 0 && i.op_size == 2);
    i = decode(BYTES(0x66, 0x48, 0x8b, 0x00), INSN_MODE_64);
    assert_int_equal(i.op_size, 8);
}

static void test_errors(void **state)
{
    static const uint8_t prefixes[INSN_MAX_LEN + 1] = {[0 ... 14] = 0x66, 0x90};
    struct insn insn;

    (void)state;
    assert_int_equal(insn_decode(prefixes, 0, INSN_MODE_64, &insn), ERR_RANGE);
    assert_int_equal(insn_decode(prefixes, 14, INSN_MODE_64, &insn), ERR_RANGE);
    assert_int_equal(insn_decode(prefixes, 16, INSN_MODE_64, &insn), ERR_INVALID);
    assert_int_equal(insn_decode(prefixes + 1, 15, INSN_MODE_64, &insn), 15);
    assert_int_equal(insn_decode(BYTES(0x0f, 0x0b), 1, INSN_MODE_64, &insn), ERR_RANGE);
    assert_int_equal(insn_decode(BYTES(0x06), 15, INSN_MODE_64, &insn), ERR_INVALID);
    assert_int_equal(insn_decode(BYTES(0x06), 15, INSN_MODE_32, &insn), 1);
    assert_int_equal(insn_decode(BYTES(0x8d, 0xc0), 15, INSN_MODE_64, &insn), ERR_INVALID);
    assert_int_equal(insn_decode(BYTES(0x66, 0xc5, 0xf8, 0x77), 15, INSN_MODE_64, &insn), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_intercepted),
        cmocka_unit_test(test_operands),
        cmocka_unit_test(test_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
