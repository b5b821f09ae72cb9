/* Hardware task switches on a GDT with two tasks of either size. */
#include "core/emul/task.h"

#include "core/x86/msr.h"
#include "tests/unit/exec_bench.h"

#define GDT 0x1000
#define OLD 0x1100
#define NEW 0x1200

enum { SEL_CODE = 0x08, SEL_DATA = 0x10, SEL_OLD = 0x18, SEL_NEW = 0x20, SEL_LDT = 0x28, SEL_ABSENT = 0x30 };

static uint64_t tss_descriptor(uint32_t base, uint32_t type, uint32_t limit)
{
    return (uint64_t)(base & 0xffffff) << 16 | limit | (uint64_t)(0x80 | type) << 40;
}

static uint32_t word(const struct fixture *f, uint32_t at, uint32_t width)
{
    uint32_t value = 0;

    memcpy(&value, f->memory + at, width);
    return value;
}

static void put(struct fixture *f, uint32_t at, uint32_t width, uint32_t value)
{
    memcpy(f->memory + at, &value, width);
}

static uint8_t type_of(const struct fixture *f, uint16_t selector)
{
    return f->memory[GDT + selector + 5] & 0xf;
}

/* A new task of 32 bits that runs at 1234h with a stack at 900h. */
static void task_fill_32(struct fixture *f)
{
    memset(f->memory + NEW, 0, 0x68);
    put(f, NEW + 0x1c, 4, 0x7000);
    put(f, NEW + 0x20, 4, 0x1234);
    put(f, NEW + 0x24, 4, RFLAGS_FIXED1 | RFLAGS_CF);
    for (uint32_t i = 0; i < 8; i++)
        put(f, NEW + 0x28 + 4 * i, 4, i == REG_RSP ? 0x900 : 0xa0000000 + i);
    for (uint32_t i = 0; i < 6; i++)
        put(f, NEW + 0x48 + 4 * i, 2, i == SEG_CS ? SEL_CODE : SEL_DATA);
}

static void task_fill_16(struct fixture *f)
{
    memset(f->memory + NEW, 0, 0x2c);
    put(f, NEW + 0x0e, 2, 0x1234);
    put(f, NEW + 0x10, 2, RFLAGS_FIXED1 | RFLAGS_CF);
    for (uint32_t i = 0; i < 8; i++)
        put(f, NEW + 0x12 + 2 * i, 2, i == REG_RSP ? 0x900 : 0xa000 + i);
    for (uint32_t i = 0; i < 4; i++)
        put(f, NEW + 0x22 + 2 * i, 2, i == SEG_CS ? SEL_CODE : SEL_DATA);
}

/* `old` and `new` are types: 3 or BH, 1 or 9, or a busy one. */
static struct fixture *fixture_tasks(uint32_t old, uint32_t new)
{
    uint64_t gdt[] = {0,
                      0x00cf9b000000ffff,
                      0x00cf93000000ffff,
                      tss_descriptor(OLD, old, 0x67),
                      tss_descriptor(NEW, new, new & 8 ? 0x67 : 0x2b),
                      0x0000820060000027,
                      0x00cf13000000ffff};
    struct fixture *f = fixture_new();

    memset(f->memory + OLD, 0, 0x68);
    memcpy(f->memory + GDT, gdt, sizeof(gdt));
    f->segs[SEG_GDTR] = (struct vcpu_segment){.base = GDT, .limit = sizeof(gdt) - 1};
    f->segs[SEG_TR] = (struct vcpu_segment){
        .base = OLD, .limit = 0x67, .selector = SEL_OLD, .attr = (uint16_t)(SEG_ATTR_P | old)};
    f->segs[SEG_LDTR] = (struct vcpu_segment){0};
    for (int i = 0; i < REG_R8; i++)
        f->regs[i] = 0xb0000000 + (uint32_t)i;
    for (int i = 0; i <= SEG_GS; i++)
        f->segs[i].selector = i == SEG_CS ? SEL_CODE : SEL_DATA;
    f->regs[REG_RFLAGS] = RFLAGS_FIXED1 | RFLAGS_IF;
    f->regs[REG_DR7] = 0x7ff;
    f->regs[REG_CR3] = 0x3000;
    if (new & 8)
        task_fill_32(f);
    else
        task_fill_16(f);
    return f;
}

static int change(struct fixture *f, const struct emul_task *task)
{
    return emul_task_switch(&io, f, task, &f->fault);
}

static int change_by(struct fixture *f, enum task_source source)
{
    struct emul_task task = {.selector = SEL_NEW, .source = source, .rip = 0x155};

    return change(f, &task);
}

static void test_jump(void **state)
{
    struct fixture *f = fixture_tasks(0xb, 9);

    (void)state;
    assert_int_equal(change_by(f, TASK_JMP), EMUL_JUMPED);
    assert_int_equal(word(f, OLD + 0x20, 4), 0x155);
    assert_int_equal(word(f, OLD + 0x24, 4), RFLAGS_FIXED1 | RFLAGS_IF);
    assert_int_equal(word(f, OLD + 0x28 + 4 * REG_RDI, 4), 0xb0000000 + REG_RDI);
    assert_int_equal(word(f, OLD + 0x48 + 4 * SEG_CS, 4), SEL_CODE);
    assert_int_equal(word(f, OLD + 0x1c, 4), 0); /* CR3 isn't saved */
    assert_int_equal(type_of(f, SEL_OLD), 9);
    assert_int_equal(type_of(f, SEL_NEW), 0xb);
    assert_int_equal(f->segs[SEG_TR].selector, SEL_NEW);
    assert_int_equal(f->segs[SEG_TR].base, NEW);
    assert_int_equal(f->segs[SEG_TR].attr & 0xf, 0xb);
    assert_int_equal(f->regs[REG_RIP], 0x1234);
    assert_int_equal(f->regs[REG_RFLAGS], RFLAGS_FIXED1 | RFLAGS_CF);
    assert_int_equal(f->regs[REG_RSP], 0x900);
    assert_int_equal(f->regs[REG_RDI], 0xa0000000 + REG_RDI);
    assert_int_equal(f->regs[REG_CR3], 0x7000);
    assert_int_equal(f->regs[REG_CR0], CR0_PE | CR0_PG | CR0_TS);
    assert_int_equal(f->regs[REG_DR7], 0x6aa); /* local breakpoints are off */
    assert_int_equal(f->segs[SEG_GS].selector, SEL_DATA);
}

static void test_call_and_return(void **state)
{
    struct fixture *f = fixture_tasks(0xb, 9);

    (void)state;
    assert_int_equal(change_by(f, TASK_CALL), EMUL_JUMPED);
    assert_int_equal(type_of(f, SEL_OLD), 0xb);
    assert_int_equal(type_of(f, SEL_NEW), 0xb);
    assert_int_equal(word(f, NEW, 2), SEL_OLD);
    assert_int_equal(f->regs[REG_RFLAGS], RFLAGS_FIXED1 | RFLAGS_CF | RFLAGS_NT);

    assert_int_equal(
        emul_task_switch(&io, f, &(struct emul_task){.selector = SEL_OLD, .source = TASK_IRET, .rip = 0x1240},
                         &f->fault),
        EMUL_JUMPED);
    assert_int_equal(type_of(f, SEL_OLD), 0xb);
    assert_int_equal(type_of(f, SEL_NEW), 9);
    assert_int_equal(word(f, NEW + 0x20, 4), 0x1240);
    assert_int_equal(word(f, NEW + 0x24, 4), RFLAGS_FIXED1 | RFLAGS_CF); /* NT is off in what is saved */
    assert_int_equal(f->regs[REG_RIP], 0x155);
    assert_int_equal(f->regs[REG_RDX], 0xb0000000 + REG_RDX);
}

static void test_16_bits(void **state)
{
    struct fixture *f = fixture_tasks(3, 1);

    (void)state;
    assert_int_equal(change_by(f, TASK_CALL), EMUL_JUMPED);
    assert_int_equal(word(f, OLD + 0x0e, 2), 0x155);
    assert_int_equal(word(f, OLD + 0x12 + 2 * REG_RDI, 2), REG_RDI);
    assert_int_equal(word(f, OLD + 0x22 + 2 * SEG_CS, 2), SEL_CODE);
    assert_int_equal(word(f, OLD + 0x2a, 2), 0);
    assert_int_equal(f->regs[REG_RIP], 0x1234);
    assert_int_equal(f->regs[REG_RAX], 0xa000);
    assert_int_equal(f->regs[REG_CR3], 0x3000); /* it has none */
    assert_false(f->segs[SEG_FS].attr & SEG_ATTR_P);
    assert_int_equal(type_of(f, SEL_NEW), 3);
}

/* The event's error code goes onto the new stack, in the new task's width; the old flags get RF. */
static void test_event(void **state)
{
    struct fixture *f = fixture_tasks(0xb, 9);
    struct emul_task task = {.selector = SEL_NEW,
                             .source = TASK_GATE,
                             .external = true,
                             .has_error = true,
                             .error = 0x12,
                             .rip = 0x155,
                             .resumes = RFLAGS_RF};

    (void)state;
    put(f, NEW + 0x64, 1, 1); /* T */
    assert_int_equal(change(f, &task), EMUL_TRAPPED);
    assert_int_equal(f->regs[REG_RSP], 0x8fc);
    assert_int_equal(word(f, 0x8fc, 4), 0x12);
    assert_int_equal(word(f, OLD + 0x24, 4), RFLAGS_FIXED1 | RFLAGS_IF | RFLAGS_RF);
    assert_int_equal(word(f, NEW, 2), SEL_OLD);

    f = fixture_tasks(0xb, 1);
    assert_int_equal(change(f, &task), EMUL_JUMPED);
    assert_int_equal(f->regs[REG_RSP], 0x8fe);
    assert_int_equal(word(f, 0x8fe, 2), 0x12);
}

/* What is wrong with the new TSS is found before anything changes. */
static void refused(struct fixture *f, enum task_source source, uint8_t vector, uint32_t error)
{
    struct fixture before = *f;
    int result = change_by(f, source);

    expect_fault(f, result, vector, error);
    assert_memory_equal(before.regs, f->regs, sizeof(f->regs));
    assert_memory_equal(before.segs, f->segs, sizeof(f->segs));
    assert_memory_equal(before.memory, f->memory, sizeof(f->memory));
}

static void test_refused_before(void **state)
{
    struct fixture *f;

    (void)state;
    refused(fixture_tasks(0xb, 0xb), TASK_JMP, EXC_GP, SEL_NEW);
    refused(fixture_tasks(0xb, 0xb), TASK_CALL, EXC_GP, SEL_NEW);
    refused(fixture_tasks(0xb, 9), TASK_IRET, EXC_TS, SEL_NEW);
    refused(fixture_tasks(0xb, 0xc), TASK_JMP, EXC_GP, SEL_NEW); /* a gate */
    f = fixture_tasks(0xb, 9);
    f->memory[GDT + SEL_NEW + 5] &= 0x7f;
    refused(f, TASK_JMP, EXC_NP, SEL_NEW);
    f = fixture_tasks(0xb, 9);
    f->memory[GDT + SEL_NEW] = 0x66;
    refused(f, TASK_JMP, EXC_TS, SEL_NEW);
    f = fixture_tasks(0xb, 9);
    f->segs[SEG_GDTR].limit = SEL_NEW + 6;
    refused(f, TASK_JMP, EXC_GP, SEL_NEW);
    f = fixture_tasks(0xb, 9);
    f->read_only = OLD + 0x60; /* the old TSS can't be written */
    refused(f, TASK_JMP, EXC_PF, 2);
}

/* What is wrong with the new task's segments is a fault in the new task. */
static void test_refused_within(void **state)
{
    static const struct {
        uint32_t at;
        uint16_t selector;
        uint8_t vector;
        uint32_t error;
    } rows[] = {
        {0x48 + 4 * SEG_CS, SEL_DATA, EXC_TS, SEL_DATA},
        {0x48 + 4 * SEG_CS, 0, EXC_TS, 0},
        {0x48 + 4 * SEG_CS, SEL_CODE | 3, EXC_TS, SEL_CODE},
        {0x48 + 4 * SEG_SS, 0, EXC_TS, 0},
        {0x48 + 4 * SEG_SS, SEL_CODE, EXC_TS, SEL_CODE},
        {0x48 + 4 * SEG_DS, SEL_ABSENT, EXC_NP, SEL_ABSENT},
        {0x48 + 4 * SEG_FS, 0x123, EXC_TS, 0x120},
        {0x60, SEL_DATA, EXC_TS, SEL_DATA},
        {0x60, SEL_LDT | 4, EXC_TS, SEL_LDT | 4},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fixture *f = fixture_tasks(0xb, 9);
        int result;

        put(f, NEW + rows[i].at, 2, rows[i].selector);
        result = change_by(f, TASK_JMP);
        expect_fault(f, result, rows[i].vector, rows[i].error);
        assert_int_equal(f->regs[REG_RIP], 0x1234);
        assert_int_equal(f->segs[SEG_TR].selector, SEL_NEW);
        assert_int_equal(word(f, OLD + 0x20, 4), 0x155);
    }
}

static void test_ldt(void **state)
{
    struct fixture *f = fixture_tasks(0xb, 9);

    (void)state;
    put(f, NEW + 0x60, 2, SEL_LDT);
    assert_int_equal(change_by(f, TASK_JMP), EMUL_JUMPED);
    assert_int_equal(f->segs[SEG_LDTR].base, 0x6000);
    assert_true(f->segs[SEG_LDTR].attr & SEG_ATTR_P);
}

static void test_vm86(void **state)
{
    struct fixture *f = fixture_tasks(0xb, 9);

    (void)state;
    put(f, NEW + 0x24, 4, RFLAGS_FIXED1 | RFLAGS_VM);
    put(f, NEW + 0x48 + 4 * SEG_CS, 2, 0x4200);
    put(f, NEW + 0x48 + 4 * SEG_SS, 2, 0x100);
    assert_int_equal(change_by(f, TASK_JMP), EMUL_JUMPED);
    assert_int_equal(f->segs[SEG_CS].base, 0x42000);
    assert_int_equal(f->segs[SEG_CS].attr, 0xf3);
    assert_int_equal(f->segs[SEG_SS].base, 0x1000);
    assert_int_equal(f->segs[SEG_SS].limit, 0xffff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jump),
        cmocka_unit_test(test_call_and_return),
        cmocka_unit_test(test_16_bits),
        cmocka_unit_test(test_event),
        cmocka_unit_test(test_refused_before),
        cmocka_unit_test(test_refused_within),
        cmocka_unit_test(test_ldt),
        cmocka_unit_test(test_vm86),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
