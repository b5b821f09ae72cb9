/* The executor where the comparison with the processor can't go: vectors across pages, segments, tables, ring 0's flags. */
#include "core/x86/msr.h"
#include "tests/unit/exec_bench.h"

#define GDT  0x1000
#define LDT  0x1400
#define DATA 0x400

static void put64(struct fixture *f, uint64_t at, uint64_t value)
{
    memcpy(f->memory + at, &value, sizeof(value));
}

static uint64_t get64(const struct fixture *f, uint64_t at)
{
    uint64_t value;

    memcpy(&value, f->memory + at, sizeof(value));
    return value;
}

/* A GDT with a segment of each kind, and RBX at the operand. */
static struct fixture *fixture_segments(void)
{
    static const uint64_t gdt[] = {
        0,
        0x00cf9b000000ffff, /* 08 code, 32 bits */
        0x00cf92000000ffff, /* 10 data, not accessed */
        0x00cff3000000ffff, /* 18 data, ring 3 */
        0x00cf13000000ffff, /* 20 not present */
        0x00cf91000000ffff, /* 28 read-only */
        0x00af9b000000ffff, /* 30 code, 64 bits */
        0x0000890050000067, /* 38 TSS at 5000h, and its upper half */
        0xffffffff,
        0x0000820060000027, /* 48 LDT at 6000h */
        0,
        0x00cf9f000000ffff, /* 58 conforming */
        0x00008c0000080000, /* 60 a call gate */
    };
    struct fixture *f = fixture_new();

    memcpy(f->memory + GDT, gdt, sizeof(gdt));
    f->segs[SEG_GDTR] = (struct vcpu_segment){.base = GDT, .limit = sizeof(gdt) - 1};
    f->segs[SEG_LDTR] = (struct vcpu_segment){0};
    f->regs[REG_RBX] = DATA;
    f->regs[REG_RSP] = 0x800;
    return f;
}

/* A fault on the second page leaves the first as it was. */
static void test_vector_crossing(void **state)
{
    struct fixture *f = fixture_new();
    uint8_t before[MEMORY_SIZE];

    (void)state;
    f->read_only = 0x1000;
    f->regs[REG_RBX] = 0xff8;
    memcpy(before, f->memory, sizeof(before));
    memset(f->vectors, 0x77, sizeof(f->vectors));
    expect_fault(f, RUN(f, INSN_MODE_64, 0x0f, 0x11, 0x03), EXC_PF, 2);       /* movups [rbx], xmm0 */
    expect_fault(f, RUN(f, INSN_MODE_64, 0xc5, 0xfc, 0x11, 0x03), EXC_PF, 2); /* vmovups [rbx], ymm0 */
    expect_fault(f, RUN(f, INSN_MODE_64, 0x0f, 0x29, 0x03), EXC_GP, 0);       /* movaps: not aligned */
    f->regs[REG_RBX] = 0xffc;
    expect_fault(f, RUN(f, INSN_MODE_64, 0xf0, 0x0f, 0xc7, 0x0b), EXC_PF, 2); /* cmpxchg8b */
    assert_memory_equal(before, f->memory, sizeof(before));
}

static void test_vector_units(void **state)
{
    struct fixture *f = fixture_new();

    (void)state;
    f->regs[REG_RBX] = DATA;
    assert_int_equal(RUN(f, INSN_MODE_64, 0x0f, 0x10, 0x03),
                     EMUL_DONE); /* one access, which a device sees as two */
    expect_access(f, 0, DATA, 16, false, false);
    assert_int_equal(f->log[0].ref.unit, 8);
    assert_int_equal(f->accesses, 1);
    assert_int_equal(RUN(f, INSN_MODE_64, 0x0f, 0x6f, 0x1b), EMUL_DONE); /* movq mm3, [rbx] */
    assert_int_equal(f->vectors[EMUL_MM + 3][0], get64(f, DATA));
    assert_int_equal(RUN(f, INSN_MODE_32, 0x0f, 0x7f, 0x5b, 0x08), EMUL_DONE);
    assert_int_equal(get64(f, DATA + 8), get64(f, DATA));
}

static void test_pusha(void **state)
{
    struct fixture *f = fixture_new();

    (void)state;
    for (int i = 0; i < REG_R8; i++)
        f->regs[i] = 0x11110000 + i;
    f->regs[REG_RSP] = 0x800;
    assert_int_equal(RUN(f, INSN_MODE_32, 0x60), EMUL_DONE);
    assert_int_equal(f->regs[REG_RSP], 0x7e0);
    assert_int_equal(get64(f, 0x7e0), 0x1111000611110007); /* EDI, ESI */
    assert_int_equal(get64(f, 0x7e8), 0x0000080011110005); /* EBP, and ESP as it was */
    assert_int_equal(get64(f, 0x7f8), 0x1111000011110001); /* ECX, EAX */
    assert_int_equal(f->log[0].ref.unit, 4);
    memset(f->regs, 0, 8 * REG_R8);
    f->regs[REG_RSP] = 0x7e0;
    assert_int_equal(RUN(f, INSN_MODE_32, 0x61), EMUL_DONE);
    assert_int_equal(f->regs[REG_RSP], 0x800);
    assert_int_equal(f->regs[REG_RAX], 0x11110000);
    assert_int_equal(f->regs[REG_RDI], 0x11110007);
    assert_int_equal(RUN(f, INSN_MODE_16, 0x60), EMUL_DONE);
    assert_int_equal(f->regs[REG_RSP], 0x7f0);
    assert_int_equal(get64(f, 0x7f8), 0x0000000100020003); /* BX, DX, CX, AX */
}

static void test_bound(void **state)
{
    struct fixture *f = fixture_new();

    (void)state;
    f->regs[REG_RBX] = DATA;
    put64(f, DATA, 5ull << 32 | (uint32_t)-3);
    f->regs[REG_RAX] = (uint32_t)-3;
    assert_int_equal(RUN(f, INSN_MODE_32, 0x62, 0x03), EMUL_DONE);
    f->regs[REG_RAX] = 6;
    expect_fault(f, RUN(f, INSN_MODE_32, 0x62, 0x03), EXC_BR, 0);
    f->regs[REG_RAX] = (uint32_t)-4;
    expect_fault(f, RUN(f, INSN_MODE_32, 0x62, 0x03), EXC_BR, 0);
}

static void test_arpl(void **state)
{
    struct fixture *f = fixture_new();

    (void)state;
    f->regs[REG_RBX] = DATA;
    f->regs[REG_RAX] = 3;
    put64(f, DATA, 0x10);
    assert_int_equal(RUN(f, INSN_MODE_32, 0x63, 0x03), EMUL_DONE);
    assert_int_equal(get64(f, DATA), 0x13);
    assert_true(f->regs[REG_RFLAGS] & RFLAGS_ZF);
    assert_int_equal(RUN(f, INSN_MODE_32, 0x63, 0x03), EMUL_DONE);
    assert_false(f->regs[REG_RFLAGS] & RFLAGS_ZF);
    f->regs[REG_RFLAGS] |= RFLAGS_VM;
    expect_fault(f, RUN(f, INSN_MODE_16, 0x63, 0x07), EXC_UD, 0);
}

/* POPF: IF by IOPL, IOPL in ring 0 alone; in virtual-8086 mode it is the monitor's. */
static void test_flags(void **state)
{
    struct fixture *f = fixture_new();

    (void)state;
    f->regs[REG_RSP] = 0x800;
    put64(f, 0x800, RFLAGS_IF | RFLAGS_IOPL | RFLAGS_VM | RFLAGS_CF);
    assert_int_equal(RUN(f, INSN_MODE_32, 0x9d), EMUL_DONE);
    assert_int_equal(f->regs[REG_RFLAGS], RFLAGS_IF | RFLAGS_IOPL | RFLAGS_CF | RFLAGS_FIXED1);
    f->segs[SEG_SS].attr |= 3 << 5;
    f->regs[REG_RFLAGS] = RFLAGS_FIXED1 | RFLAGS_IF;
    f->regs[REG_RSP] = 0x800;
    put64(f, 0x800, RFLAGS_IOPL | RFLAGS_DF);
    assert_int_equal(RUN(f, INSN_MODE_32, 0x9d), EMUL_DONE);
    assert_int_equal(f->regs[REG_RFLAGS], RFLAGS_IF | RFLAGS_DF | RFLAGS_FIXED1);
    f->regs[REG_RFLAGS] |= RFLAGS_VM;
    expect_fault(f, RUN(f, INSN_MODE_16, 0x9c), EXC_GP, 0);
}

static void test_frames(void **state)
{
    struct fixture *f = fixture_new();

    (void)state;
    f->regs[REG_RSP] = 0x800;
    put64(f, 0x800, 0x1234);
    assert_int_equal(RUN(f, INSN_MODE_64, 0xc2, 0x10, 0), EMUL_JUMPED); /* ret 10h */
    assert_int_equal(f->regs[REG_RIP], 0x1234);
    assert_int_equal(f->regs[REG_RSP], 0x818);
    put64(f, 0x818, 1ull << 50);
    expect_fault(f, RUN(f, INSN_MODE_64, 0xc3), EXC_GP, 0);
    assert_int_equal(f->regs[REG_RSP], 0x818);
    f->regs[REG_RIP] = 0x100;
    assert_int_equal(RUN(f, INSN_MODE_64, 0xe8, 0xfb, 0, 0, 0), EMUL_JUMPED); /* call +fbh */
    assert_int_equal(f->regs[REG_RIP], 0x200);
    assert_int_equal(get64(f, 0x810), 0x105);
}

static int load(struct fixture *f, enum insn_mode mode, uint8_t modrm, uint16_t selector)
{
    put64(f, DATA, selector);
    return RUN(f, mode, 0x8e, modrm); /* mov sreg, [rbx] */
}

#define MOV_ES 0x03
#define MOV_SS 0x13
#define MOV_DS 0x1b

static void test_segment_load(void **state)
{
    struct fixture *f = fixture_segments();

    (void)state;
    assert_int_equal(load(f, INSN_MODE_32, MOV_DS, 0x10), EMUL_DONE);
    assert_int_equal(f->segs[SEG_DS].selector, 0x10);
    assert_int_equal(f->segs[SEG_DS].limit, 0xffffffff);
    assert_int_equal(f->segs[SEG_DS].attr, 0xc093);
    assert_int_equal(get64(f, GDT + 0x10), 0x00cf93000000ffff); /* accessed */
    assert_true(f->log[f->accesses - 1].ref.system);
    expect_fault(f, load(f, INSN_MODE_32, MOV_DS, 0x68), EXC_GP, 0x68);
    expect_fault(f, load(f, INSN_MODE_32, MOV_DS, 0x07), EXC_GP, 0x04); /* no LDT */
    expect_fault(f, load(f, INSN_MODE_32, MOV_DS, 0x20), EXC_NP, 0x20);
    expect_fault(f, load(f, INSN_MODE_32, MOV_DS, 0x38), EXC_GP, 0x38); /* a system segment */
    expect_fault(f, load(f, INSN_MODE_32, MOV_DS, 0x13), EXC_GP, 0x10); /* RPL above DPL */
    expect_fault(f, load(f, INSN_MODE_32, MOV_SS, 0x28), EXC_GP, 0x28);
    expect_fault(f, load(f, INSN_MODE_32, MOV_SS, 0x18), EXC_GP, 0x18);
    expect_fault(f, load(f, INSN_MODE_32, MOV_SS, 0), EXC_GP, 0);
    expect_fault(f, load(f, INSN_MODE_32, 0x0b, 0x10), EXC_UD, 0); /* mov cs */
    assert_int_equal(load(f, INSN_MODE_64, MOV_SS, 0), EMUL_SHADOW);
    f->segs[SEG_SS] = f->segs[SEG_DS];
    put64(f, 0x800, 0x10);
    assert_int_equal(RUN(f, INSN_MODE_32, 0x17), EMUL_SHADOW); /* pop ss */
    assert_int_equal(f->regs[REG_RSP], 0x804);
    expect_fault(f, load(f, INSN_MODE_64, MOV_SS, 3), EXC_GP, 0);
    assert_int_equal(load(f, INSN_MODE_32, MOV_ES, 0), EMUL_DONE);
    assert_false(f->segs[SEG_ES].attr & SEG_ATTR_P);
}

static void test_segment_real(void **state)
{
    struct fixture *f = fixture_segments();

    (void)state;
    f->regs[REG_CR0] = 0;
    f->segs[SEG_ES] = (struct vcpu_segment){.limit = 0xffffffff, .attr = 0x93};
    put64(f, DATA, 0x1234);
    assert_int_equal(RUN(f, INSN_MODE_16, 0x8e, 0x07), EMUL_DONE); /* mov es, [bx]; its limit stays */
    assert_int_equal(f->segs[SEG_ES].base, 0x12340);
    assert_int_equal(f->segs[SEG_ES].limit, 0xffffffff);
    put64(f, DATA, 0x56789abc);
    assert_int_equal(RUN(f, INSN_MODE_16, 0xc4, 0x07), EMUL_DONE); /* les ax, [bx] */
    assert_int_equal(f->regs[REG_RAX], 0x9abc);
    assert_int_equal(f->segs[SEG_ES].base, 0x56780);
}

static void test_far_jump(void **state)
{
    struct fixture *f = fixture_segments();

    (void)state;
    put64(f, DATA, 0x3000000123);
    assert_int_equal(RUN(f, INSN_MODE_32, 0xff, 0x2b), EMUL_JUMPED);
    assert_int_equal(f->regs[REG_RIP], 0x123);
    assert_int_equal(f->segs[SEG_CS].selector, 0x30);
    put64(f, DATA, 0x5b00000124);
    assert_int_equal(RUN(f, INSN_MODE_32, 0xff, 0x2b), EMUL_JUMPED);
    assert_int_equal(f->segs[SEG_CS].selector, 0x58); /* the level stays */
    put64(f, DATA, 0x1000000123);
    expect_fault(f, RUN(f, INSN_MODE_32, 0xff, 0x2b), EXC_GP, 0x10);
}

static void test_far_call(void **state)
{
    struct fixture *f = fixture_segments();

    (void)state;
    f->segs[SEG_CS].selector = 0x58;
    put64(f, DATA, 0x0800000123);
    f->read_only = 0x7f8; /* the second push faults */
    assert_int_equal(RUN(f, INSN_MODE_32, 0xff, 0x1b), EMUL_FAULT);
    assert_int_equal(f->regs[REG_RIP], 0x100);
    assert_int_equal(f->regs[REG_RSP], 0x800);
    f->read_only = MEMORY_SIZE;
    assert_int_equal(RUN(f, INSN_MODE_32, 0xff, 0x1b), EMUL_JUMPED); /* call far [ebx] */
    assert_int_equal(f->regs[REG_RIP], 0x123);
    assert_int_equal(f->segs[SEG_CS].selector, 0x08);
    assert_int_equal(f->regs[REG_RSP], 0x7f8);
    assert_int_equal(get64(f, 0x7f8), 0x5800000102);
    f->segs[SEG_CS].limit = 0xffff;
    assert_int_equal(RUN(f, INSN_MODE_16, 0x9a, 0x34, 0x12, 0x08, 0), EMUL_JUMPED); /* call 8:1234h */
    assert_int_equal(f->regs[REG_RIP], 0x1234);
    assert_int_equal(f->regs[REG_RSP], 0x7f4);
    assert_int_equal(get64(f, 0x7f4) & 0xffffffff, 0x00080128);
    f->regs[REG_CR0] = 0;
    f->segs[SEG_CS].limit = 0xffff;
    assert_int_equal(RUN(f, INSN_MODE_16, 0x9a, 0x34, 0x12, 0x00, 0xf0), EMUL_JUMPED);
    assert_int_equal(f->segs[SEG_CS].base, 0xf0000);
}

static void test_far_return(void **state)
{
    struct fixture *f = fixture_segments();

    (void)state;
    put64(f, 0x800, 0x0800000123);
    assert_int_equal(RUN(f, INSN_MODE_32, 0xca, 0x10, 0), EMUL_JUMPED); /* retf 10h */
    assert_int_equal(f->regs[REG_RIP], 0x123);
    assert_int_equal(f->segs[SEG_CS].selector, 0x08);
    assert_int_equal(f->regs[REG_RSP], 0x818);
    put64(f, 0x818, 0x6000000123);
    expect_fault(f, RUN(f, INSN_MODE_32, 0xcb), EXC_GP, 0x60); /* no code */
    f->segs[SEG_SS].attr |= 1 << 5;
    put64(f, 0x818, 0x0800000123);
    expect_fault(f, RUN(f, INSN_MODE_32, 0xcb), EXC_GP, 0x08); /* inwards */
    assert_int_equal(f->regs[REG_RSP], 0x818);
    f->regs[REG_CR0] = 0;
    put64(f, 0x818, 0xf0001234);
    assert_int_equal(RUN(f, INSN_MODE_16, 0xcb), EMUL_JUMPED);
    assert_int_equal(f->segs[SEG_CS].base, 0xf0000);
    assert_int_equal(f->regs[REG_RSP], 0x81c);
}

/* To ring 3: its stack, with what is dropped taken from both; what only ring 0 may have isn't left behind. */
static void test_far_return_outward(void **state)
{
    struct fixture *f = fixture_segments();

    (void)state;
    f->segs[SEG_DS].attr = 0xc093;
    f->segs[SEG_ES].attr = 0xc0f3;
    f->segs[SEG_FS].attr = 0xc09f; /* conforming code */
    put64(f, GDT + 0x08, 0x00cffb000000ffff);
    put64(f, 0x800, 0x0b00000123);
    put64(f, 0x810, 0x1b00000900);
    f->segs[SEG_GDTR].limit = 0x17; /* no stack segment */
    expect_fault(f, RUN(f, INSN_MODE_32, 0xca, 8, 0), EXC_GP, 0x18);
    assert_int_equal(f->regs[REG_RSP], 0x800);
    f->segs[SEG_GDTR].limit = 0x67;
    assert_int_equal(RUN(f, INSN_MODE_32, 0xca, 8, 0), EMUL_JUMPED);
    assert_int_equal(f->regs[REG_RIP], 0x123);
    assert_int_equal(f->segs[SEG_CS].selector, 0x0b);
    assert_int_equal(f->segs[SEG_SS].selector, 0x1b);
    assert_int_equal(f->regs[REG_RSP], 0x908);
    assert_false(f->segs[SEG_DS].attr & SEG_ATTR_P);
    assert_true(f->segs[SEG_ES].attr & SEG_ATTR_P);
    assert_true(f->segs[SEG_FS].attr & SEG_ATTR_P);
}

static void test_tables(void **state)
{
    struct fixture *f = fixture_segments();

    (void)state;
    put64(f, DATA, 0x38);
    assert_int_equal(RUN(f, INSN_MODE_32, 0x0f, 0x00, 0x1b), EMUL_DONE); /* ltr */
    assert_int_equal(f->segs[SEG_TR].base, 0x5000);
    assert_int_equal(get64(f, GDT + 0x38), 0x00008b0050000067);
    expect_fault(f, RUN(f, INSN_MODE_32, 0x0f, 0x00, 0x1b), EXC_GP, 0x38); /* busy */
    put64(f, DATA, 0x48);
    f->regs[REG_EFER] = EFER_LMA;
    assert_int_equal(RUN(f, INSN_MODE_64, 0x0f, 0x00, 0x13), EMUL_DONE); /* lldt */
    assert_int_equal(f->segs[SEG_LDTR].base, 0x6000);
    f->segs[SEG_GDTR].base = 0x123456789abc;
    assert_int_equal(RUN(f, INSN_MODE_64, 0x0f, 0x01, 0x03), EMUL_DONE); /* sgdt */
    assert_int_equal(get64(f, DATA), 0x123456789abc0067);
    f->regs[REG_CR0] |= CR0_TS;
    put64(f, DATA + 16, CR0_MP);
    assert_int_equal(RUN(f, INSN_MODE_64, 0x0f, 0x01, 0x73, 16), EMUL_DONE); /* lmsw [rbx + 10h]: PE stays */
    assert_int_equal(f->regs[REG_CR0], CR0_PE | CR0_PG | CR0_MP);
    assert_int_equal(RUN(f, INSN_MODE_64, 0x0f, 0x01, 0x1b), EMUL_DONE); /* lidt */
    assert_int_equal(f->segs[SEG_IDTR].base, 0x123456789abc);
    assert_int_equal(f->segs[SEG_IDTR].limit, 0x67);
    f->segs[SEG_SS].attr |= 3 << 5;
    expect_fault(f, RUN(f, INSN_MODE_64, 0x0f, 0x01, 0x1b), EXC_GP, 0);
    expect_fault(f, RUN(f, INSN_MODE_64, 0x0f, 0x00, 0x1b), EXC_GP, 0);
    expect_fault(f, RUN(f, INSN_MODE_64, 0x0f, 0x01, 0x73, 16), EXC_GP, 0);
    assert_int_equal(RUN(f, INSN_MODE_64, 0x0f, 0x01, 0x23), EMUL_DONE); /* smsw */
    f->regs[REG_CR4] = CR4_UMIP;
    expect_fault(f, RUN(f, INSN_MODE_64, 0x0f, 0x01, 0x23), EXC_GP, 0);
    expect_fault(f, RUN(f, INSN_MODE_64, 0x0f, 0x00, 0x03), EXC_GP, 0); /* sldt */
}

/* What LAR (02) or LSL (03) of a selector leaves in EAX; ~0 without ZF. */
static uint64_t rights_of(struct fixture *f, uint8_t opcode, uint16_t selector)
{
    put64(f, DATA, selector);
    f->regs[REG_RAX] = 0;
    assert_int_equal(RUN(f, INSN_MODE_32, 0x0f, opcode, 0x03), EMUL_DONE);
    return f->regs[REG_RFLAGS] & RFLAGS_ZF ? f->regs[REG_RAX] : ~0ull;
}

/* VERR (reg 4) and VERW (reg 5). */
static bool verifies(struct fixture *f, uint8_t modrm, uint16_t selector)
{
    put64(f, DATA, selector);
    assert_int_equal(RUN(f, INSN_MODE_32, 0x0f, 0x00, modrm), EMUL_DONE);
    return f->regs[REG_RFLAGS] & RFLAGS_ZF;
}

#define VERR 0x23
#define VERW 0x2b

static void test_rights(void **state)
{
    struct fixture *f = fixture_segments();

    (void)state;
    assert_int_equal(rights_of(f, 2, 0x08), 0x00c09b00);
    assert_int_equal(rights_of(f, 3, 0x08), 0xffffffff);
    assert_int_equal(rights_of(f, 2, 0x38), 0x00008900);
    assert_int_equal(rights_of(f, 3, 0x38), 0x67);
    assert_int_equal(rights_of(f, 2, 0x60), 0x00008c00);
    assert_int_equal(rights_of(f, 3, 0x60), ~0ull); /* a gate has no limit */
    assert_int_equal(rights_of(f, 2, 0), ~0ull);
    assert_int_equal(rights_of(f, 2, 0x800), ~0ull);
    assert_true(verifies(f, VERR, 0x28));
    assert_false(verifies(f, VERW, 0x28)); /* read-only */
    assert_true(verifies(f, VERW, 0x10));
    assert_false(verifies(f, VERW, 0x08)); /* code */
    assert_true(verifies(f, VERR, 0x08));
    assert_false(verifies(f, VERR, 0x38)); /* no segment */
    assert_false(verifies(f, VERR, 0x13)); /* RPL above DPL */
    assert_true(verifies(f, VERR, 0x5b));  /* conforming */
    f->segs[SEG_SS].attr |= 3 << 5;
    assert_false(verifies(f, VERR, 0x10));
    assert_int_equal(rights_of(f, 2, 0x18), 0x00c0f300);
    f->regs[REG_RFLAGS] |= RFLAGS_VM;
    expect_fault(f, RUN(f, INSN_MODE_16, 0x0f, 0x02, 0x07), EXC_UD, 0);
    expect_fault(f, RUN(f, INSN_MODE_16, 0x0f, 0x00, 0x27), EXC_UD, 0);
}

/* MOVDIR64B and CLZERO write 64 bytes at once. */
static void test_lines(void **state)
{
    struct fixture *f = fixture_new();

    (void)state;
    f->regs[REG_RBX] = DATA + 1;
    f->regs[REG_RAX] = 0x840;
    assert_int_equal(RUN(f, INSN_MODE_64, 0x66, 0x0f, 0x38, 0xf8, 0x03), EMUL_DONE);
    assert_memory_equal(f->memory + 0x840, f->memory + DATA + 1, 64);
    assert_int_equal(f->log[f->accesses - 1].ref.size, 64);
    f->regs[REG_RAX] = 0x848;
    expect_fault(f, RUN(f, INSN_MODE_64, 0x66, 0x0f, 0x38, 0xf8, 0x03), EXC_GP, 0);
    assert_int_equal(RUN(f, INSN_MODE_64, 0x0f, 0x01, 0xfc), EMUL_DONE);
    expect_access(f, f->accesses - 1, 0x840, 64, true, true);
    for (uint32_t i = 0; i < 64; i++)
        assert_int_equal(f->memory[0x840 + i], 0);
    assert_int_not_equal(get64(f, 0x880), 0);
}

/* What isn't done is named. */
static void test_names(void **state)
{
    static const struct {
        uint8_t bytes[INSN_MAX_LEN];
        const char *kind;
    } rows[] = {
        {{0x0f, 0x58, 0x03}, "an SSE or MMX instruction"},
        {{0xd9, 0x03}, "an x87 instruction"},
        {{0x0f, 0xae, 0x03}, "FXSAVE"},
        {{0xc5, 0xf8, 0x58, 0x03}, "an AVX instruction"},
        {{0x0f, 0x01, 0x3b}, "an instruction of groups 6 and 7"}, /* INVLPG, which accesses nothing */
    };
    struct insn insn;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_true(insn_decode(rows[i].bytes, INSN_MAX_LEN, INSN_MODE_64, &insn) > 0);
        assert_string_equal(emul_kind(&insn), rows[i].kind);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vector_crossing),
        cmocka_unit_test(test_vector_units),
        cmocka_unit_test(test_pusha),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_arpl),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_segment_load),
        cmocka_unit_test(test_segment_real),
        cmocka_unit_test(test_far_jump),
        cmocka_unit_test(test_far_call),
        cmocka_unit_test(test_far_return),
        cmocka_unit_test(test_far_return_outward),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_rights),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
