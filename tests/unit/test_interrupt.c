/* Interrupts, IRET and calls through gates, in each mode, on a GDT, an IDT and a TSS in the fixture's memory. */
#include "core/emul/interrupt.h"

#include "core/x86/msr.h"
#include "tests/unit/exec_bench.h"

#define GDT   0x1000
#define IDT   0x1100
#define TSS   0x1400
#define STACK 0x0800 /* the program's */
#define INNER 0x0c00 /* of ring 0 */
#define IST1  0x0e08 /* not aligned */

enum {
    CODE0 = 0x08,
    DATA0 = 0x10,
    CODE3 = 0x18,
    DATA3 = 0x20,
    CODE64 = 0x28,
    CODE64_3 = 0x30,
    TASK = 0x38, /* and its upper half */
    CALL = 0x48, /* and its upper half */
    CONFORMING = 0x58,
    OTHER = 0x60, /* another task */
};

static void put(struct fixture *f, uint32_t at, uint32_t width, uint64_t value)
{
    memcpy(f->memory + at, &value, width);
}

static uint64_t word(const struct fixture *f, uint64_t at, uint32_t width)
{
    uint64_t value = 0;

    memcpy(&value, f->memory + at, width);
    return value;
}

static uint64_t gate(uint16_t selector, uint32_t offset, uint32_t type, uint32_t dpl)
{
    return (uint64_t)(offset >> 16) << 48 | (uint64_t)(0x80 | dpl << 5 | type) << 40 |
           (uint64_t)selector << 16 | (offset & 0xffff);
}

static void segment_set(struct fixture *f, enum vcpu_seg seg, uint16_t selector, uint16_t attr)
{
    f->segs[seg] = (struct vcpu_segment){.limit = 0xffffffff, .selector = selector, .attr = attr};
}

/* In ring `cpl` of 32-bit code. */
static struct fixture *fixture_ring(uint32_t cpl)
{
    static const uint64_t gdt[] = {0,
                                   0x00cf9b000000ffff,
                                   0x00cf93000000ffff,
                                   0x00cffb000000ffff,
                                   0x00cff3000000ffff,
                                   0x00af9b000000ffff,
                                   0x00affb000000ffff,
                                   0x00008b0014000067,
                                   0,
                                   0,
                                   0,
                                   0x00cf9f000000ffff,
                                   0x0000890015000067};
    struct fixture *f = fixture_new();

    memset(f->memory + GDT, 0, 0x800);
    memcpy(f->memory + GDT, gdt, sizeof(gdt));
    f->segs[SEG_GDTR] = (struct vcpu_segment){.base = GDT, .limit = sizeof(gdt) - 1};
    f->segs[SEG_IDTR] = (struct vcpu_segment){.base = IDT, .limit = 0x2ff};
    f->segs[SEG_TR] = (struct vcpu_segment){.base = TSS, .limit = 0x67, .selector = TASK, .attr = 0x8b};
    f->segs[SEG_LDTR] = (struct vcpu_segment){0};
    put(f, TSS + 4, 4, INNER);
    put(f, TSS + 8, 2, DATA0);
    segment_set(f, SEG_CS, cpl ? CODE3 | 3 : CODE0, cpl ? 0xc0fb : 0xc09b);
    for (int i = 0; i <= SEG_GS; i++)
        if (i != SEG_CS)
            segment_set(f, i, cpl ? DATA3 | 3 : DATA0, cpl ? 0xc0f3 : 0xc093);
    f->regs[REG_RSP] = STACK;
    f->regs[REG_RFLAGS] = RFLAGS_FIXED1 | RFLAGS_IF | RFLAGS_TF | RFLAGS_CF;
    return f;
}

/* The same in long mode, in 64-bit code; a stack in the IST, and gates of 16 bytes. */
static struct fixture *fixture_long(uint32_t cpl)
{
    struct fixture *f = fixture_ring(cpl);

    f->regs[REG_EFER] = EFER_LMA;
    memset(f->memory + TSS, 0, 0x68);
    put(f, TSS + 4, 8, INNER + 8);
    put(f, TSS + 36, 8, IST1);
    segment_set(f, SEG_CS, cpl ? CODE64_3 | 3 : CODE64, cpl ? 0xa0fb : 0xa09b);
    return f;
}

static int deliver(struct fixture *f, enum insn_mode mode, const struct emul_interrupt *event)
{
    return emul_interrupt(&io, f, mode, event, &f->fault);
}

static int interrupt(struct fixture *f, enum insn_mode mode, uint8_t vector)
{
    const struct emul_interrupt event = {.vector = vector, .external = true, .rip = 0x345};

    return deliver(f, mode, &event);
}

#define INT 0xcd

static void test_same_level(void **state)
{
    struct fixture *f = fixture_ring(0);
    const struct emul_interrupt event = {.vector = 14,
                                         .external = true,
                                         .has_error = true,
                                         .error = 0x1234,
                                         .rip = 0x345,
                                         .resumes = RFLAGS_RF};
    uint64_t flags = f->regs[REG_RFLAGS];

    (void)state;
    put(f, IDT + 8 * 14, 8, gate(CODE0, 0x5678, 0xe, 0));
    assert_int_equal(deliver(f, INSN_MODE_32, &event), EMUL_JUMPED);
    assert_int_equal(f->regs[REG_RIP], 0x5678);
    assert_int_equal(f->regs[REG_RFLAGS], RFLAGS_FIXED1 | RFLAGS_CF);
    assert_int_equal(f->regs[REG_RSP], STACK - 16);
    assert_int_equal(word(f, STACK - 4, 4), flags | RFLAGS_RF);
    assert_int_equal(word(f, STACK - 8, 4), CODE0);
    assert_int_equal(word(f, STACK - 12, 4), 0x345);
    assert_int_equal(word(f, STACK - 16, 4), 0x1234);
    put(f, IDT + 8 * 0x20, 8, gate(CODE0, 0x9abc, 7, 0)); /* a trap gate of 16 bits: IF stays */
    f->regs[REG_RFLAGS] = flags;
    assert_int_equal(interrupt(f, INSN_MODE_32, 0x20), EMUL_JUMPED);
    assert_int_equal(f->regs[REG_RFLAGS], RFLAGS_FIXED1 | RFLAGS_CF | RFLAGS_IF);
    assert_int_equal(f->regs[REG_RSP], STACK - 22);
    assert_int_equal(word(f, STACK - 22, 2), 0x345);
}

static void test_inner_level(void **state)
{
    struct fixture *f = fixture_ring(3);
    uint64_t flags = f->regs[REG_RFLAGS];

    (void)state;
    put(f, IDT + 8 * 0x80, 8, gate(CODE0, 0x5678, 0xe, 3));
    f->segs[SEG_IDTR].limit = 0x7ff;
    assert_int_equal(RUN(f, INSN_MODE_32, INT, 0x80), EMUL_JUMPED);
    assert_int_equal(f->segs[SEG_CS].selector, CODE0);
    assert_int_equal(f->segs[SEG_SS].selector, DATA0);
    assert_int_equal(f->regs[REG_RSP], INNER - 20);
    assert_int_equal(word(f, INNER - 4, 4), DATA3 | 3);
    assert_int_equal(word(f, INNER - 8, 4), STACK);
    assert_int_equal(word(f, INNER - 12, 4), flags);
    assert_int_equal(word(f, INNER - 16, 4), CODE3 | 3);
    assert_int_equal(word(f, INNER - 20, 4), 0x102);
    assert_true(f->log[f->accesses - 1].ref.system); /* a supervisor's access, whoever was interrupted */
    f = fixture_ring(3);
    put(f, IDT + 8 * 0x80, 8, gate(CODE0, 0x5678, 0xe, 0));
    f->segs[SEG_IDTR].limit = 0x7ff;
    expect_fault(f, RUN(f, INSN_MODE_32, INT, 0x80), EXC_GP, 0x80 * 8 + 2); /* not for ring 3 */
    assert_int_equal(interrupt(f, INSN_MODE_32, 0x80), EMUL_JUMPED);
}

/* Each thing that can be wrong with gate, code and stack, and that nothing has changed then. */
static void test_refused(void **state)
{
    static const struct {
        uint64_t gate;
        uint8_t vector;
        uint32_t error;
    } rows[] = {
        {0x00008e0000080000 & ~(1ull << 47), EXC_NP, 0x21 * 8 + 3},
        {0x00008c0000080000, EXC_GP, 0x21 * 8 + 3}, /* a call gate */
        {0x00008e0000000000, EXC_GP, 1},
        {0x00008e0000100000, EXC_GP, DATA0 + 1},
        {0x00008e0008000000, EXC_GP, 0x800 + 1},
    };
    struct fixture *f = fixture_ring(3);

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        put(f, IDT + 8 * 0x21, 8, rows[i].gate);
        expect_fault(f, interrupt(f, INSN_MODE_32, 0x21), rows[i].vector, rows[i].error);
    }
    put(f, IDT + 8 * 0x21, 8, gate(CODE0, 0x5678, 0xe, 3));
    expect_fault(f, interrupt(f, INSN_MODE_32, 0x80), EXC_GP, 0x80 * 8 + 3); /* beyond the IDT */
    put(f, TSS + 8, 2, DATA3);
    expect_fault(f, interrupt(f, INSN_MODE_32, 0x21), EXC_TS, DATA3 + 1);
    put(f, TSS + 8, 2, DATA0);
    f->segs[SEG_TR].limit = 8;
    expect_fault(f, interrupt(f, INSN_MODE_32, 0x21), EXC_TS, TASK + 1);
    f->segs[SEG_TR].limit = 0x67;
    f->read_only = INNER - 16;
    assert_int_equal(interrupt(f, INSN_MODE_32, 0x21), EMUL_FAULT);
    assert_int_equal(f->fault.vector, EXC_PF);
    assert_int_equal(f->fault.error, 2);
    assert_int_equal(f->regs[REG_RSP], STACK);
    assert_int_equal(f->regs[REG_RIP], 0x100);
    assert_int_equal(f->segs[SEG_SS].selector, DATA3 | 3);
}

static void test_real(void **state)
{
    struct fixture *f = fixture_new();

    (void)state;
    f->regs[REG_CR0] = 0;
    f->segs[SEG_IDTR] = (struct vcpu_segment){.base = 0, .limit = 0x3ff};
    f->segs[SEG_SS] = f->segs[SEG_CS] = (struct vcpu_segment){.limit = 0xffff, .attr = 0x93};
    f->segs[SEG_CS].selector = 0x70;
    f->regs[REG_RSP] = 0x12340002; /* wraps behind the first word */
    f->regs[REG_RFLAGS] |= RFLAGS_IF | RFLAGS_TF | RFLAGS_AC;
    f->segs[SEG_SS].base = 0x1000;
    put(f, 4 * 0x13, 4, 0xf0001234);
    f->segs[SEG_SS].base = 0x1000;
    assert_int_equal(RUN(f, INSN_MODE_16, INT, 0x13), EMUL_FAULT); /* beyond the fixture's memory, at fffeh */
    f->regs[REG_RSP] = 0x12340806;
    assert_int_equal(RUN(f, INSN_MODE_16, INT, 0x13), EMUL_JUMPED);
    assert_int_equal(f->regs[REG_RIP], 0x1234);
    assert_int_equal(f->segs[SEG_CS].base, 0xf0000);
    assert_int_equal(f->regs[REG_RSP], 0x12340800);
    assert_int_equal(f->regs[REG_RFLAGS], RFLAGS_FIXED1);
    assert_int_equal(word(f, 0x1800, 2), 0x102);
    assert_int_equal(word(f, 0x1802, 2), 0x70);
    assert_int_equal(word(f, 0x1804, 2), RFLAGS_FIXED1 | RFLAGS_IF | RFLAGS_TF);
    assert_int_equal(RUN(f, INSN_MODE_16, 0xcf), EMUL_JUMPED); /* and back */
    assert_int_equal(f->regs[REG_RIP], 0x102);
    assert_int_equal(f->segs[SEG_CS].selector, 0x70);
    assert_int_equal(f->regs[REG_RSP], 0x12340806);
    assert_int_equal(f->regs[REG_RFLAGS], RFLAGS_FIXED1 | RFLAGS_IF | RFLAGS_TF);
    f->segs[SEG_IDTR].limit = 0x4e;
    expect_fault(f, RUN(f, INSN_MODE_16, INT, 0x13), EXC_GP, 0x13 * 8 + 2);
}

static void test_long(void **state)
{
    struct fixture *f = fixture_long(3);

    (void)state;
    put(f, IDT + 16 * 0x20, 8, gate(CODE64, 0x5678, 0xe, 0));
    put(f, IDT + 16 * 0x20 + 8, 8, 0xffff8000);
    assert_int_equal(interrupt(f, INSN_MODE_64, 0x20), EMUL_JUMPED);
    assert_int_equal(f->regs[REG_RIP], 0xffff800000005678);
    assert_int_equal(f->segs[SEG_SS].selector, 0); /* none */
    assert_int_equal(f->segs[SEG_SS].attr, 0);
    assert_int_equal(f->regs[REG_RSP], INNER - 40); /* aligned first */
    assert_int_equal(word(f, INNER - 8, 8), DATA3 | 3);
    assert_int_equal(word(f, INNER - 16, 8), STACK);
    assert_int_equal(word(f, INNER - 32, 8), CODE64_3 | 3);
    assert_int_equal(word(f, INNER - 40, 8), 0x345);
    f = fixture_long(0);
    f->regs[REG_RSP] = STACK + 3;
    put(f, IDT + 16 * 0x21, 8, gate(CODE64, 0x5678, 0xf, 0));
    assert_int_equal(interrupt(f, INSN_MODE_64, 0x21), EMUL_JUMPED);
    assert_int_equal(f->regs[REG_RSP], STACK - 40);
    assert_int_equal(word(f, STACK - 16, 8), STACK + 3);
    assert_int_equal(f->segs[SEG_SS].selector, DATA0); /* the level is the same */
    put(f, IDT + 16 * 0x22, 8, gate(CODE64, 0x5678, 0xe, 0) | 1ull << 32);
    assert_int_equal(interrupt(f, INSN_MODE_64, 0x22), EMUL_JUMPED);
    assert_int_equal(f->regs[REG_RSP], IST1 - 8 - 40);
    put(f, IDT + 16 * 0x23, 8, gate(CODE0, 0x5678, 0xe, 0)); /* no 64-bit code */
    expect_fault(f, interrupt(f, INSN_MODE_64, 0x23), EXC_GP, CODE0 + 1);
    put(f, IDT + 16 * 0x23, 8, gate(TASK, 0, 5, 0));
    expect_fault(f, interrupt(f, INSN_MODE_64, 0x23), EXC_GP, 0x23 * 8 + 3);
    put(f, IDT + 16 * 0x20, 8, gate(CODE64, 0x5678, 0xe, 0));
    put(f, IDT + 16 * 0x20 + 8, 8, 0x8000);
    f->regs[REG_RSP] = STACK;
    expect_fault(f, interrupt(f, INSN_MODE_64, 0x20), EXC_GP, 1); /* not canonical */
    assert_int_equal(f->regs[REG_RSP], STACK);
}

static void test_vm86(void **state)
{
    struct fixture *f = fixture_ring(3);

    (void)state;
    for (int i = 0; i <= SEG_GS; i++)
        f->segs[i] = (struct vcpu_segment){
            .limit = 0xffff, .selector = (uint16_t)(0x10 * i), .base = 0x100ull * i, .attr = 0xf3};
    f->regs[REG_RFLAGS] = RFLAGS_FIXED1 | RFLAGS_VM | RFLAGS_IF;
    expect_fault(f, RUN(f, INSN_MODE_16, INT, 0x21), EXC_GP, 0); /* the monitor's */
    expect_fault(f, RUN(f, INSN_MODE_16, 0xcf), EXC_GP, 0);
    f->regs[REG_CR4] = CR4_VME;
    assert_int_equal(RUN(f, INSN_MODE_16, INT, 0x21), ERR_NOTSUP);
    put(f, IDT + 8 * 0x21, 8, gate(CODE0, 0x5678, 0xe, 0));
    assert_int_equal(interrupt(f, INSN_MODE_16, 0x21), EMUL_JUMPED);
    assert_int_equal(f->regs[REG_RSP], INNER - 36);
    assert_int_equal(word(f, INNER - 4, 4), 0x10 * SEG_GS);
    assert_int_equal(word(f, INNER - 16, 4), 0x10 * SEG_ES);
    assert_int_equal(word(f, INNER - 20, 4), 0x10 * SEG_SS);
    assert_int_equal(word(f, INNER - 28, 4), RFLAGS_FIXED1 | RFLAGS_VM | RFLAGS_IF);
    assert_int_equal(f->regs[REG_RFLAGS], RFLAGS_FIXED1);
    assert_false(f->segs[SEG_GS].attr & SEG_ATTR_P);
    assert_int_equal(RUN(f, INSN_MODE_32, 0xcf), EMUL_JUMPED); /* and back */
    assert_int_equal(f->regs[REG_RFLAGS], RFLAGS_FIXED1 | RFLAGS_VM | RFLAGS_IF);
    assert_int_equal(f->regs[REG_RSP], STACK);
    assert_int_equal(f->regs[REG_RIP], 0x345);
    for (int i = 0; i <= SEG_GS; i++) {
        assert_int_equal(f->segs[i].base, 0x100 * i);
        assert_int_equal(f->segs[i].attr, 0xf3);
    }
    f->regs[REG_RFLAGS] &= ~(uint64_t)RFLAGS_VM;
    segment_set(f, SEG_CS, CODE3 | 3, 0xc0fb);
    put(f, IDT + 8 * 0x21, 8, gate(CODE3, 0x5678, 0xe, 3)); /* out of virtual-8086 mode, ring 0 alone */
    f->regs[REG_RFLAGS] |= RFLAGS_VM;
    expect_fault(f, interrupt(f, INSN_MODE_16, 0x21), EXC_GP, CODE3 + 1);
}

static void frame(struct fixture *f, uint32_t width, uint64_t rip, uint64_t cs, uint64_t flags, uint64_t rsp,
                  uint64_t ss)
{
    const uint64_t words[] = {rip, cs, flags, rsp, ss};

    for (uint32_t i = 0; i < ARRAY_SIZE(words); i++)
        put(f, STACK + i * width, width, words[i]);
}

#define ALL_FLAGS (RFLAGS_IF | RFLAGS_IOPL | RFLAGS_AC | RFLAGS_ID | RFLAGS_DF | RFLAGS_RF)

static void test_iret(void **state)
{
    struct fixture *f = fixture_ring(0);

    (void)state;
    frame(f, 4, 0x345, CODE0, ALL_FLAGS, 0, 0);
    assert_int_equal(RUN(f, INSN_MODE_32, 0xcf), EMUL_JUMPED);
    assert_int_equal(f->regs[REG_RFLAGS], ALL_FLAGS | RFLAGS_FIXED1);
    assert_int_equal(f->regs[REG_RSP], STACK + 12);
    f->regs[REG_RSP] = STACK;
    f->regs[REG_RFLAGS] = RFLAGS_FIXED1;
    frame(f, 4, 0x456, CODE3 | 3, RFLAGS_IOPL, 0x900, DATA3 | 3);
    f->segs[SEG_ES].attr = 0xc093;
    assert_int_equal(RUN(f, INSN_MODE_32, 0xcf), EMUL_JUMPED); /* outward */
    assert_int_equal(f->segs[SEG_CS].selector, CODE3 | 3);
    assert_int_equal(f->segs[SEG_SS].selector, DATA3 | 3);
    assert_int_equal(f->regs[REG_RSP], 0x900);
    assert_int_equal(f->regs[REG_RFLAGS], RFLAGS_FIXED1 | RFLAGS_IOPL);
    assert_false(f->segs[SEG_ES].attr & SEG_ATTR_P);
    f = fixture_ring(3);
    frame(f, 4, 0x456, CODE3 | 3, ALL_FLAGS | RFLAGS_VM, 0, 0);
    assert_int_equal(RUN(f, INSN_MODE_32, 0xcf), EMUL_JUMPED); /* neither IF, IOPL nor VM in ring 3 */
    assert_int_equal(f->regs[REG_RFLAGS],
                     RFLAGS_FIXED1 | RFLAGS_IF | RFLAGS_AC | RFLAGS_ID | RFLAGS_DF | RFLAGS_RF);
    f->regs[REG_RSP] = STACK;
    frame(f, 4, 0x456, CODE0, 0, 0, 0);
    expect_fault(f, RUN(f, INSN_MODE_32, 0xcf), EXC_GP, CODE0); /* inward */
    frame(f, 4, 0x456, TASK | 3, 0, 0, 0);
    expect_fault(f, RUN(f, INSN_MODE_32, 0xcf), EXC_GP, TASK);
    assert_int_equal(f->regs[REG_RSP], STACK);
}

static void test_iret_long(void **state)
{
    struct fixture *f = fixture_long(0);

    (void)state;
    frame(f, 8, 0x345, CODE64, RFLAGS_IF, 0x123456789, 0);
    assert_int_equal(RUN(f, INSN_MODE_64, 0x48, 0xcf), EMUL_JUMPED); /* the same level, no stack segment */
    assert_int_equal(f->regs[REG_RSP], 0x123456789);
    assert_int_equal(f->segs[SEG_SS].attr, 0);
    f->regs[REG_RSP] = STACK;
    frame(f, 8, 0x345, CODE0, RFLAGS_IF, 0x900, 0);
    expect_fault(f, RUN(f, INSN_MODE_64, 0x48, 0xcf), EXC_GP, 0); /* 32-bit code has to have one */
    frame(f, 8, 0x345, CODE64_3 | 3, RFLAGS_IF, 0x900, 3);
    expect_fault(f, RUN(f, INSN_MODE_64, 0x48, 0xcf), EXC_GP, 0); /* ring 3, too */
    frame(f, 8, 1ull << 50, CODE64_3 | 3, RFLAGS_IF, 0x900, DATA3 | 3);
    expect_fault(f, RUN(f, INSN_MODE_64, 0x48, 0xcf), EXC_GP, 0);
    assert_int_equal(f->regs[REG_RSP], STACK);
    frame(f, 8, 0x345, CODE64_3 | 3, RFLAGS_IF, 1ull << 50, DATA3 | 3);
    assert_int_equal(RUN(f, INSN_MODE_64, 0x48, 0xcf), EMUL_JUMPED);
    assert_int_equal(f->regs[REG_RSP], 1ull << 50); /* which isn't looked at */
    assert_int_equal(f->segs[SEG_CS].selector, CODE64_3 | 3);
    f = fixture_long(0);
    f->regs[REG_RFLAGS] |= RFLAGS_NT;
    frame(f, 8, 0x345, CODE64, RFLAGS_IF, 0x900, 0);
    expect_fault(f, RUN(f, INSN_MODE_64, 0x48, 0xcf), EXC_GP, 0); /* there are no tasks */
}

static void other_task_make(struct fixture *f)
{
    put(f, 0x1500 + 0x20, 4, 0x777);
    put(f, 0x1500 + 0x24, 4, RFLAGS_FIXED1);
    put(f, 0x1500 + 0x38, 4, 0x900);
    for (uint32_t i = 0; i < 6; i++)
        put(f, 0x1500 + 0x48 + 4 * i, 2, i == SEG_CS ? CODE0 : DATA0);
}

/* Through a task gate and back by IRET; by a jump to the TSS itself. */
static void test_tasks(void **state)
{
    struct fixture *f = fixture_ring(0);

    (void)state;
    other_task_make(f);
    put(f, IDT + 8 * 8, 8, gate(OTHER, 0, 5, 0));
    assert_int_equal(interrupt(f, INSN_MODE_32, 8), EMUL_JUMPED);
    assert_int_equal(f->regs[REG_RIP], 0x777);
    assert_int_equal(f->segs[SEG_TR].selector, OTHER);
    assert_true(f->regs[REG_RFLAGS] & RFLAGS_NT);
    assert_int_equal(RUN(f, INSN_MODE_32, 0xcf), EMUL_JUMPED);
    assert_int_equal(f->regs[REG_RIP], 0x345);
    assert_int_equal(f->segs[SEG_TR].selector, TASK);
    f = fixture_ring(0);
    other_task_make(f);
    put(f, 0x1500 + 0x64, 1, 1); /* T */
    assert_int_equal(RUN(f, INSN_MODE_32, 0xea, 0, 0, 0, 0, OTHER, 0), EMUL_TRAPPED);
    assert_int_equal(f->regs[REG_RIP], 0x777);
    f->segs[SEG_TR].limit = 0x20; /* the old task's state has no place */
    put(f, GDT + TASK, 8, 0x0000890014000067);
    expect_fault(f, RUN(f, INSN_MODE_32, 0x9a, 0, 0, 0, 0, TASK, 0), EXC_TS, OTHER);
}

static void test_call_gate(void **state)
{
    struct fixture *f = fixture_ring(3);

    (void)state;
    put(f, GDT + CALL, 8, gate(CODE0, 0x5678, 0xc, 3) | 2ull << 32);
    put(f, STACK, 8, 0x2222222211111111);
    assert_int_equal(RUN(f, INSN_MODE_32, 0x9a, 0, 0, 0, 0, CALL | 3, 0), EMUL_JUMPED);
    assert_int_equal(f->regs[REG_RIP], 0x5678);
    assert_int_equal(f->segs[SEG_CS].selector, CODE0);
    assert_int_equal(f->regs[REG_RSP], INNER - 24);
    assert_int_equal(word(f, INNER - 8, 4), STACK);
    assert_int_equal(word(f, INNER - 12, 4), 0x22222222);
    assert_int_equal(word(f, INNER - 16, 4), 0x11111111);
    assert_int_equal(word(f, INNER - 20, 4), CODE3 | 3);
    assert_int_equal(word(f, INNER - 24, 4), 0x107);
    assert_int_equal(RUN(f, INSN_MODE_32, 0xca, 8, 0), EMUL_JUMPED); /* retf 8 drops them from both */
    assert_int_equal(f->regs[REG_RSP], STACK + 8);
    assert_int_equal(f->segs[SEG_SS].selector, DATA3 | 3);
    f = fixture_ring(3);
    put(f, GDT + CALL, 8, gate(CODE0, 0x5678, 0xc, 0));
    expect_fault(f, RUN(f, INSN_MODE_32, 0x9a, 0, 0, 0, 0, CALL, 0), EXC_GP, CALL);
    put(f, GDT + CALL, 8, gate(CODE0, 0x5678, 0xc, 3));
    expect_fault(f, RUN(f, INSN_MODE_32, 0xea, 0, 0, 0, 0, CALL, 0), EXC_GP, CODE0); /* no jump inward */
    put(f, GDT + CALL, 8, gate(CONFORMING, 0x5678, 0xc, 3));
    assert_int_equal(RUN(f, INSN_MODE_32, 0xea, 0, 0, 0, 0, CALL, 0), EMUL_JUMPED);
    assert_int_equal(f->segs[SEG_CS].selector, CONFORMING | 3);
    assert_int_equal(f->regs[REG_RSP], STACK);
    f = fixture_long(3);
    put(f, GDT + CALL, 8, gate(CODE64, 0x5678, 0xc, 3));
    put(f, 0x400, 8, (uint64_t)CALL << 32);
    f->regs[REG_RBX] = 0x400;
    assert_int_equal(RUN(f, INSN_MODE_64, 0xff, 0x1b), EMUL_JUMPED); /* call far [rbx] */
    assert_int_equal(f->regs[REG_RSP], INNER + 8 - 32);
    assert_int_equal(f->segs[SEG_SS].selector, 0);
}

/* INTO only with OF; INT1 asks for no rights. */
static void test_short_forms(void **state)
{
    struct fixture *f = fixture_ring(3);

    (void)state;
    assert_int_equal(RUN(f, INSN_MODE_32, 0xce), EMUL_DONE);
    put(f, IDT + 8 * 4, 8, gate(CODE0, 0x444, 0xe, 3));
    put(f, IDT + 8 * 3, 8, gate(CODE0, 0x333, 0xe, 0));
    put(f, IDT + 8 * 1, 8, gate(CODE0, 0x111, 0xe, 0));
    expect_fault(f, RUN(f, INSN_MODE_32, 0xcc), EXC_GP, 3 * 8 + 2);
    f->regs[REG_RFLAGS] |= RFLAGS_OF;
    assert_int_equal(RUN(f, INSN_MODE_32, 0xce), EMUL_JUMPED);
    assert_int_equal(f->regs[REG_RIP], 0x444);
    f = fixture_ring(3);
    put(f, IDT + 8 * 1, 8, gate(CODE0, 0x111, 0xe, 0));
    assert_int_equal(RUN(f, INSN_MODE_32, 0xf1), EMUL_JUMPED);
    assert_int_equal(f->regs[REG_RIP], 0x111);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_level), cmocka_unit_test(test_inner_level), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_real),       cmocka_unit_test(test_long),        cmocka_unit_test(test_vm86),
        cmocka_unit_test(test_iret),       cmocka_unit_test(test_iret_long),   cmocka_unit_test(test_tasks),
        cmocka_unit_test(test_call_gate),  cmocka_unit_test(test_short_forms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
