/* From an exit through the executor to a device, and to another task: flat 32-bit code without paging. */
#include "tests/unit/support.h"

#include "tests/unit/fake_vendor.h"

#include "core/emulate.h"

#define RAM_BYTES (16 * PAGE_SIZE)
#define CODE      0x1000u
#define DEVICE    0x100000u
#define GDT       0x2000u
#define OLD       0x3000u
#define NEW       0x4000u
#define PAGES     0x6000u
#define IDT       0x7000u
#define SEL_OLD   0x18
#define SEL_NEW   0x20

static uint8_t ram[RAM_BYTES] __attribute__((aligned(4096)));
static struct bus_access seen[8];
static uint32_t accesses;

static enum bus_result device_access(void *dev, struct bus_access *access)
{
    (void)dev;
    assert_true(accesses < ARRAY_SIZE(seen));
    seen[accesses++] = *access;
    access->value = 0x1111111111111111 * accesses;
    return BUS_OK;
}

static int set_up(void **state)
{
    const struct vcpu_segment data = {.limit = 0xffffffff, .selector = 0x10, .attr = 0xc093};

    (void)state;
    memset(ram, 0, sizeof ram);
    accesses = 0;
    fake_reset();
    gmem_init(&fake.vm.mem, ram);
    assert_int_equal(gmem_add(&fake.vm.mem, 0, RAM_BYTES, true), 0);
    assert_int_equal(bus_claim(&fake.vm.mmio, DEVICE, 2 * PAGE_SIZE, device_access, NULL, "device"), 0);
    fake.regs[REG_CR0] = CR0_PE;
    fake.regs[REG_EFER] = 0;
    for (int i = 0; i <= SEG_GS; i++)
        fake.segs[i] = data;
    fake.segs[SEG_CS] = (struct vcpu_segment){.limit = 0xffffffff, .selector = 0x08, .attr = 0xc09b};
    fake.vcpu.rip = CODE;
    fake.vcpu.gpr[REG_RBX] = DEVICE;
    return 0;
}

static void run(const uint8_t *code, size_t len, bool write)
{
    struct exit_memory access = {.gpa = DEVICE, .write = write};

    memcpy(ram + CODE, code, len);
    emulate_mmio(&fake.vcpu, &access);
}

#define RUN(write, ...) run((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), write)

static void vectors_go_in_words(void **state)
{
    (void)state;
    fake.ymm[2][0] = 0x1122334455667788;
    fake.ymm[2][1] = 0x99aabbccddeeff00;
    RUN(true, 0x0f, 0x11, 0x13); /* movups [ebx], xmm2 */
    assert_int_equal(accesses, 2);
    assert_int_equal(seen[0].size, 8);
    assert_int_equal(seen[0].value, fake.ymm[2][0]);
    assert_int_equal(seen[1].addr, 8);
    assert_int_equal(seen[1].value, fake.ymm[2][1]);
    assert_int_equal(fake.vcpu.rip, CODE + 3);
}

static void vectors_are_loaded(void **state)
{
    (void)state;
    fake.ymm[5][2] = 7;
    RUN(false, 0xc5, 0xf8, 0x10, 0x2b); /* vmovups xmm5, [ebx] */
    assert_int_equal(fake.ymm[5][0], 0x1111111111111111);
    assert_int_equal(fake.ymm[5][1], 0x2222222222222222);
    assert_int_equal(fake.ymm[5][2], 0);
    fake.vcpu.rip = CODE;
    RUN(false, 0x0f, 0x6f, 0x0b); /* movq mm1, [ebx] */
    assert_int_equal(fake.mm[1], 0x3333333333333333);
}

/* What the end of a page cuts off goes in accesses of 1, 2 and 4 bytes. */
static void crossing_is_split(void **state)
{
    static const struct {
        uint64_t addr;
        uint32_t size;
    } want[] = {{0xffd, 2}, {0xfff, 1}, {0x1000, 4}, {0x1004, 1}};

    (void)state;
    fake.vcpu.gpr[REG_RBX] = DEVICE + 0xffd;
    RUN(true, 0x0f, 0x7f, 0x03); /* movq [ebx], mm0 */
    assert_int_equal(accesses, ARRAY_SIZE(want));
    for (uint32_t i = 0; i < ARRAY_SIZE(want); i++) {
        assert_int_equal(seen[i].addr, want[i].addr);
        assert_int_equal(seen[i].size, want[i].size);
    }
}

static void unknown_is_named(void **state)
{
    (void)state;
    RUN(false, 0x0f, 0x58, 0x03); /* addps xmm0, [ebx] */
    assert_string_equal(
        fake.failed, "an SSE or MMX instruction that the emulator doesn't know touched a device: 0f 58 03");
}

/* Memory that a balloon has comes, and the guest tries again; a device's access goes on to the device. */
static void gone_is_touched(void **state)
{
    struct exit_memory odd[] = {
        {.gpa = CODE, .fetch = true}, {.gpa = CODE, .table_walk = true}, {.gpa = CODE}};

    (void)state;
    fake.vm.end = RAM_BYTES;
    fake.vm.balloon = (void *)&fake;
    for (uint32_t i = 0; i < ARRAY_SIZE(odd); i++) {
        exit_memory(&fake.vcpu, &odd[i]);
        assert_int_equal(fake.touched, i + 1);
        assert_int_equal(fake.vcpu.rip, CODE);
        assert_null(fake.failed);
    }
    RUN(false, 0x0f, 0x6f, 0x0b);
    assert_int_equal(accesses, 1);
    assert_int_equal(fake.vcpu.rip, CODE + 3);
    odd[0].gpa = RAM_BYTES;
    exit_memory(&fake.vcpu, &odd[0]);
    assert_non_null(fake.failed);
}

static void put64(uint32_t at, uint64_t value)
{
    memcpy(ram + at, &value, sizeof value);
}

static void tasks_make(void)
{
    put64(GDT + 0x08, 0x00cf9b000000ffff);
    put64(GDT + 0x10, 0x00cf93000000ffff);
    put64(GDT + SEL_OLD, 0x00008b0030000067);
    put64(GDT + SEL_NEW, 0x0000890040000067);
    put64(NEW + 0x20, RFLAGS_FIXED1 << 32 | 0x1234);
    put64(NEW + 0x38, 0x5000); /* ESP */
    for (uint32_t i = 0; i < 6; i++)
        put64(NEW + 0x48 + 4 * i, i == SEG_CS ? 0x08 : 0x10);
    put64(NEW + 0x60, 0);
    fake.segs[SEG_GDTR] = (struct vcpu_segment){.base = GDT, .limit = 0x27};
    fake.segs[SEG_LDTR] = (struct vcpu_segment){0};
    fake.segs[SEG_TR] = (struct vcpu_segment){
        .base = OLD, .limit = 0x67, .selector = SEL_OLD, .attr = SEG_ATTR_P | 0xb};
    fake.vcpu.insn_len = 2;
}

static uint32_t saved_rip(void)
{
    uint32_t rip;

    memcpy(&rip, ram + OLD + 0x20, sizeof rip);
    return rip;
}

/* One page of 4 MiB, in this task and in the new one. */
static void paging_make(void)
{
    put64(PAGES, 0xe7);
    put64(NEW + 0x1c, PAGES);
    put64(NEW + 0x20, RFLAGS_FIXED1 << 32 | 0x1234);
    fake.regs[REG_CR0] |= CR0_PG;
    fake.regs[REG_CR3] = PAGES;
    fake.regs[REG_CR4] = CR4_PSE;
}

static void task_by_call(void **state)
{
    (void)state;
    tasks_make();
    paging_make();
    exit_task_switch(&fake.vcpu, SEL_NEW, TASK_CALL);
    assert_null(fake.failed);
    assert_int_equal(saved_rip(), CODE + 2);
    assert_int_equal(fake.vcpu.rip, 0x1234);
    assert_true(fake.flushes > 0);
}

/* INT n goes on behind it; an interrupt and a fault where they came, a fault with RF; neither is delivered once more. */
static void task_by_event(void **state)
{
    static const struct {
        struct event event;
        uint32_t rip;
        bool resumes;
    } rows[] = {
        {{.valid = true, .vector = 0x80, .type = EVENT_SOFT_INT, .insn_len = 2}, CODE + 2, false},
        {{.valid = true, .vector = 0x30, .type = EVENT_INTERRUPT}, CODE, false},
        {{.valid = true, .vector = EXC_PF, .type = EVENT_EXCEPTION, .has_error = true, .error = 2},
         CODE,
         true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        set_up(NULL);
        tasks_make();
        fake.vcpu.events.reinject = rows[i].event;
        exit_task_switch(&fake.vcpu, SEL_NEW, TASK_GATE);
        assert_int_equal(saved_rip(), rows[i].rip);
        assert_int_equal(!!(ram[OLD + 0x26] & 1), rows[i].resumes);
        assert_false(fake.vcpu.events.reinject.valid);
        assert_false(fake.vcpu.events.exception.valid);
        assert_int_equal(fake.regs[REG_RSP], rows[i].event.has_error ? 0x4ffc : 0x5000);
    }
}

/* A task that isn't there, for a page fault: a double fault. For an interrupt, which is gone then: #NP. */
static void task_refused(void **state)
{
    (void)state;
    tasks_make();
    ram[GDT + SEL_NEW + 5] = 9;
    fake.vcpu.events.reinject = (struct event){
        .valid = true, .vector = EXC_PF, .type = EVENT_EXCEPTION, .has_error = true};
    exit_task_switch(&fake.vcpu, SEL_NEW, TASK_GATE);
    assert_int_equal(fake.vcpu.events.exception.vector, EXC_DF);
    set_up(NULL);
    tasks_make();
    ram[GDT + SEL_NEW + 5] = 9;
    fake.vcpu.events.reinject = (struct event){.valid = true, .vector = 0x30, .type = EVENT_INTERRUPT};
    exit_task_switch(&fake.vcpu, SEL_NEW, TASK_GATE);
    assert_int_equal(fake.vcpu.events.exception.vector, EXC_NP);
    assert_int_equal(fake.vcpu.events.exception.error, SEL_NEW | 1);
    assert_false(fake.vcpu.events.reinject.valid);
    assert_int_equal(fake.vcpu.rip, CODE);
}

static void idt_make(uint8_t vector)
{
    tasks_make();
    put64(IDT + 8u * vector, 0x00008e0000081234);
    fake.segs[SEG_IDTR] = (struct vcpu_segment){.base = IDT, .limit = 0x7ff};
    fake.segs[SEG_SS].base = DEVICE - 0x800;
    fake.regs[REG_RSP] = 0x1000;
}

static void deliver(const struct event *event)
{
    struct exit_memory access = {.gpa = DEVICE + 0x7fc, .write = true, .event = true};

    fake.vcpu.events.reinject = *event;
    exit_memory(&fake.vcpu, &access);
    assert_false(fake.vcpu.events.reinject.valid);
    assert_null(fake.failed);
}

/* An event whose frame goes to a device isn't the access of the instruction that it has interrupted. */
static void event_is_delivered(void **state)
{
    static const struct event interrupt = {.valid = true, .vector = 0x30, .type = EVENT_INTERRUPT};
    static const struct event nmi = {.valid = true, .vector = EXC_NMI, .type = EVENT_NMI};
    static const struct event page_fault = {
        .valid = true, .vector = EXC_PF, .type = EVENT_EXCEPTION, .has_error = true, .error = 6};
    static const struct event software = {
        .valid = true, .vector = 0x80, .type = EVENT_SOFT_INT, .insn_len = 2};

    (void)state;
    idt_make(0x30);
    deliver(&interrupt);
    assert_int_equal(fake.vcpu.rip, 0x1234);
    assert_int_equal(accesses, 3);
    assert_int_equal(seen[0].addr, 0x7fc);
    assert_int_equal(seen[0].value, RFLAGS_IF | RFLAGS_FIXED1);
    assert_int_equal(seen[2].value, CODE);
    assert_false(fake.regs[REG_RFLAGS] & RFLAGS_IF);
    set_up(NULL);
    idt_make(EXC_PF);
    deliver(&page_fault);
    assert_int_equal(accesses, 4);
    assert_int_equal(seen[0].value, RFLAGS_IF | RFLAGS_FIXED1 | RFLAGS_RF);
    assert_int_equal(seen[3].value, 6);
    set_up(NULL);
    idt_make(0x80);
    deliver(&software); /* of ring 0; goes on behind the instruction */
    assert_int_equal(seen[2].value, CODE + 2);
    set_up(NULL);
    idt_make(EXC_NMI);
    deliver(&nmi);
    assert_true(fake.nmi_blocked);
    ram[0x1234] = 0xcf;
    fake.regs[REG_RSP] = 0x1000;
    fake.segs[SEG_SS].base = 0;
    put64(0x1000, 0x0800000555);
    put64(0x1008, RFLAGS_FIXED1);
    emulate_mmio(&fake.vcpu, &(struct exit_memory){.gpa = DEVICE});
    assert_int_equal(fake.vcpu.rip, 0x555);
    assert_false(fake.nmi_blocked); /* IRET */
}

/* A page fault whose delivery takes another fault is a double fault; an interrupt is lost by it, as it has been taken. */
static void event_faults(void **state)
{
    static const struct event interrupt = {.valid = true, .vector = 0x31, .type = EVENT_INTERRUPT};
    static const struct event page_fault = {
        .valid = true, .vector = EXC_PF, .type = EVENT_EXCEPTION, .has_error = true, .error = 6};

    (void)state;
    idt_make(0x30);
    deliver(&interrupt);
    assert_int_equal(fake.vcpu.events.exception.vector, EXC_GP);
    assert_int_equal(fake.vcpu.events.exception.error, 0x31 * 8 + 3);
    set_up(NULL);
    idt_make(0x30);
    deliver(&page_fault);
    assert_int_equal(fake.vcpu.events.exception.vector, EXC_DF);
}

/* A step ends behind what it has stepped over, jumps and parts of a REP included; not behind a POPF that sets TF. */
static void steps_end(void **state)
{
    static const struct {
        uint8_t code[4];
        uint64_t before, after; /* TF, and whether #DB comes */
    } rows[] = {
        {{0x8b, 0x03}, RFLAGS_TF, 1}, /* mov eax, [ebx] */
        {{0xff, 0x23}, RFLAGS_TF, 1}, /* jmp [ebx] */
        {{0xff, 0x23}, 0, 0},         /* the same */
        {{0xf3, 0xa4}, RFLAGS_TF, 1}, /* rep movsb */
        {{0x9d}, 0, 0},               /* popf, which sets it */
        {{0x9d}, RFLAGS_TF, 1},       /* popf under it */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        set_up(NULL);
        fake.regs[REG_RFLAGS] = RFLAGS_FIXED1 | rows[i].before;
        fake.vcpu.gpr[REG_RCX] = 3;
        fake.vcpu.gpr[REG_RSI] = DEVICE;
        fake.vcpu.gpr[REG_RDI] = 0x3000;
        fake.regs[REG_RSP] = 0x3000;
        put64(0x3000, RFLAGS_TF | RFLAGS_FIXED1);
        run(rows[i].code, sizeof rows[i].code, false);
        assert_null(fake.failed);
        assert_int_equal(fake.vcpu.events.exception.valid, rows[i].after);
        if (rows[i].code[0] == 0xf3)
            assert_int_equal(fake.vcpu.gpr[REG_RCX], 2); /* one step, one byte */
    }
}

static void task_trap(void **state)
{
    (void)state;
    tasks_make();
    ram[NEW + 0x64] = 1;
    exit_task_switch(&fake.vcpu, SEL_NEW, TASK_JMP);
    assert_int_equal(fake.vcpu.events.exception.vector, EXC_DB);
    assert_true(fake.regs[REG_DR6] & DR6_BT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(vectors_go_in_words, set_up),
        cmocka_unit_test_setup(vectors_are_loaded, set_up),
        cmocka_unit_test_setup(crossing_is_split, set_up),
        cmocka_unit_test_setup(unknown_is_named, set_up),
        cmocka_unit_test_setup(gone_is_touched, set_up),
        cmocka_unit_test_setup(task_by_call, set_up),
        cmocka_unit_test_setup(task_by_event, set_up),
        cmocka_unit_test_setup(task_refused, set_up),
        cmocka_unit_test_setup(task_trap, set_up),
        cmocka_unit_test_setup(event_is_delivered, set_up),
        cmocka_unit_test_setup(event_faults, set_up),
        cmocka_unit_test_setup(steps_end, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
