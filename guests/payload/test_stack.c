/*
 * Descriptor tables, task state and stack on the text screen's memory, where the hypervisor's emulator does what the CPU does in RAM: what
 * interrupts, exceptions, NMIs, IRET, gates and single steps leave is the same on both.
 */
#include "guests/payload/payload.h"

#include "core/event.h"
#include "core/lib/bytes.h"
#include "core/lib/format.h"
#include "core/lib/string.h"
#include "core/x86/descriptor.h"

#define DEVICE 0xba000ull /* behind what is on the screen */
#define RAM    ARENA

/* From either of them. */
#define GDT_AT  0x0000u
#define OPERAND 0x0800u
#define IDT_AT  0x1000u
#define TSS_AT  0x2000u
#define STACK   0x4000u /* the tops */
#define RING0   0x4800u
#define IST     0x5008u

#define TSS_SELECTOR 0x30
#define CALL_GATE    0x40
#define GDT_LIMIT    0x4f
#define IDT_LIMIT    0xfff
#define TSS_LIMIT    103
#define SOFTWARE     0x41
#define ON_IST       0x42
#define IPI_VECTOR   0x57
#define FLAGS_SEEN   (RFLAGS_IF | RFLAGS_TF | RFLAGS_RF | RFLAGS_IOPL | RFLAGS_NT | RFLAGS_CF | RFLAGS_DF)
#define DR6_FIXED    0xffff0ff0ull
#define SETTLE_US    200

static uint64_t base;
static volatile uint64_t seen[96];
static volatile uint32_t seen_count, nmis, steps;

static void note(uint64_t value)
{
    if (seen_count < ARRAY_SIZE(seen))
        seen[seen_count++] = value;
}

/* QEMU's own CPU sets no RF in a fault's frame. */
static void note_frame(const struct trap_frame *f)
{
    note(f->vector << 32 | f->cs << 16 | f->ss);
    note(f->rflags & FLAGS_SEEN & ~(on_tcg ? RFLAGS_RF : 0));
    note(f->error);
    note(f->cs & 3 ? 0 : f->rsp - base);
    note((uint64_t)f - base);
}

static void note_interrupt(struct trap_frame *f)
{
    note_frame(f);
    if (f->vector == IPI_VECTOR)
        lapic_write(LAPIC_EOI, 0);
}

/* RSP depends on where it comes: not noted. */
static void count_nmi(struct trap_frame *f)
{
    note(f->cs << 16 | f->ss);
    nmis++;
}

static void count_step(struct trap_frame *f)
{
    note(f->rip);
    note(read_dr6() & DR6_BS);
    write_dr6(DR6_FIXED);
    if (--steps == 0)
        f->rflags &= ~RFLAGS_TF;
}

/* What is compared ------------------------------------------------------------------------------------------------ */

static void run_interrupts(void)
{
    __asm__ volatile("std; stc; int $0x41; cld");
    __asm__ volatile("int $0x42");
    note(TRAP_OF("ud2"));
    note(TRAP_OF("mov $0x2b, %%eax; mov %%eax, %%ds")); /* #NP: the descriptor is on the device */
    note(trap.error);
    if (!on_intel) { /* Bochs doesn't say which virtual interrupt was cut short (IDT-vectoring information) */
        lapic_write(LAPIC_ICR_HIGH, 0);
        lapic_write(LAPIC_ICR, ICR_SELF | IPI_VECTOR);
        __asm__ volatile("sti; nop; nop; cli");
    }
    for (uint32_t i = 0; i < 2; i++) { /* the second comes only if the first one's IRET was seen */
        lapic_write(LAPIC_ICR_HIGH, lapic_read(LAPIC_ID));
        lapic_write(LAPIC_ICR, ICR_NMI);
        delay_us(SETTLE_US);
    }
    note(nmis);
}

/* To ring 3 and back by way of the TSS. */
static void run_levels(void)
{
    note(USER_TRAP_OF("ud2"));
    note(USER_TRAP_OF("int $0x41"));
    note(on_tcg ? 0 : trap.error); /* QEMU's own CPU says 16 * 41H + 2 in 64-bit mode */
    note(USER_TRAP_OF("cli"));
}

static void run_gate(void)
{
    uint64_t result = 0;

    put_le32((uint8_t *)base + OPERAND, 0);
    put_le16((uint8_t *)base + OPERAND + 4, CALL_GATE);
    __asm__ volatile("xor %%eax, %%eax; lcall *(%1)\n\tjmp 2f\n"
                     ".global stack_gate_target\nstack_gate_target: mov 8(%%rsp), %%rax; lretq\n2:"
                     : "=&a"(result)
                     : "r"(base + OPERAND)
                     : "memory");
    note(result); /* CS, as it was pushed */
    trap_begin();
    __asm__ volatile("mov %%rsp, %%rbx; pushq $0x18; pushq $0\n\t" TRAPPING("lretq") "mov %%rbx, %%rsp" ::
                         : "memory", "rbx");
    note(trap_vector()); /* no code: #GP */
    note(trap.error);
}

static void run_rights(void)
{
    static const uint16_t selectors[] = {0,    CODE_SELECTOR, DATA_SELECTOR, 0x1b,
                                         0x23, 0x28,          TSS_SELECTOR,  0x7f0};
    volatile uint16_t *operand = (volatile uint16_t *)(base + OPERAND);
    uint64_t cr0 = read_cr0();

    for (uint32_t i = 0; i < ARRAY_SIZE(selectors); i++) {
        uint32_t rights = 0, limit = 0;
        uint64_t flags;

        *operand = selectors[i];
        __asm__ volatile("lar %3, %0; pushfq; lsl %3, %1; pushfq; verr %3; pushfq; verw %3; pushfq\n\t"
                         "pop %2; shl $8, %2; xor (%%rsp), %2; shl $8, %2; xor 8(%%rsp), %2; shl $8, %2\n\t"
                         "xor 16(%%rsp), %2; add $24, %%rsp"
                         : "+&r"(rights), "+&r"(limit), "=&r"(flags)
                         : "m"(*operand)
                         : "memory", "cc");
        note(rights & 0xf0ff00); /* the bits between are undefined */
        note(limit);
        note(flags & 0x40404040);
    }
    *operand = (uint16_t)((cr0 & 0xf) | CR0_TS);
    __asm__ volatile("lmsw %0" : : "m"(*operand));
    note(read_cr0() & 0xf);
    __asm__ volatile("smsw %0" : "=m"(*operand));
    note(*operand);
    write_cr0(cr0);
}

/*
 * Under TF, what it is set by isn't stepped, and each instruction behind it is, wherever it leads to, and each part of a REP. QEMU's
 * own CPU steps once more behind the last part.
 */
static void run_steps(void)
{
    uint64_t count = on_tcg ? 0 : 2;

    steps = on_tcg ? 4 : 6;
    write_dr6(DR6_FIXED);
    *(volatile uint64_t *)(base + OPERAND) = 3;
    __asm__ volatile("lea 2f(%%rip), %%rax; mov %%rax, 8(%1); mov %1, %%rsi; lea 16(%1), %%rdi\n\t"
                     "pushfq; orl $0x100, (%%rsp); popfq\n\t"
                     "addq $1, (%1)\n\t"
                     "jmp *8(%1)\n\tud2\n"
                     "2: jrcxz 3f; rep movsb\n"
                     "3: nop; nop"
                     : "+c"(count)
                     : "r"(base + OPERAND)
                     : "memory", "rax", "rsi", "rdi");
    note(steps);
}

static void run_all(void)
{
    run_interrupts();
    run_levels();
    run_gate();
    run_rights();
    run_steps();
}

/* The places -------------------------------------------------------------------------------------------------------- */

extern const uint8_t stack_gate_target[];

static void words_copy(uint64_t to, const void *from, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes / 8; i++)
        ((volatile uint64_t *)to)[i] = ((const uint64_t *)from)[i];
}

static void task_describe(uint64_t at)
{
    volatile uint64_t *entry = (volatile uint64_t *)(base + GDT_AT + TSS_SELECTOR);

    entry[0] = TSS_LIMIT | (at & 0xffffff) << 16 | 0x89ull << 40 | (at >> 24 & 0xff) << 56;
    entry[1] = at >> 32;
}

static void tables_make(const struct table_pointer *idt)
{
    uint64_t target = (uint64_t)stack_gate_target;
    volatile uint64_t *gate = (volatile uint64_t *)(base + GDT_AT + CALL_GATE);

    words_copy(base + GDT_AT, gdt, CALL_GATE);
    gate[0] = (target & 0xffff) | CODE_SELECTOR << 16 | 0xecull << 40 | (target & 0xffff0000) << 32;
    gate[1] = target >> 32;
    words_copy(base + IDT_AT, (const void *)idt->base, IDT_LIMIT + 1);
    *(volatile uint8_t *)(base + IDT_AT + 16 * ON_IST + 4) = 1;
    words_copy(base + TSS_AT, tss, 104);
    *(volatile uint32_t *)(base + TSS_AT + 4) = (uint32_t)base + RING0;
    *(volatile uint32_t *)(base + TSS_AT + 36) = (uint32_t)base + IST;
    task_describe(base + TSS_AT);
}

static void run_at(uint64_t where)
{
    struct table_pointer old_gdt, old_idt;

    base = where;
    seen_count = nmis = 0;
    __asm__ volatile("sgdt %0; sidt %1" : "=m"(old_gdt), "=m"(old_idt));
    tables_make(&old_idt);
    load_gdt(&(struct table_pointer){GDT_LIMIT, base + GDT_AT});
    load_idt(&(struct table_pointer){IDT_LIMIT, base + IDT_AT});
    load_task(TSS_SELECTOR);
    __asm__ volatile("mov %%rsp, %%rbx; mov %0, %%rsp; call *%1; mov %%rbx, %%rsp"
                     :
                     : "r"(base + STACK), "r"(run_all)
                     : "rbx", "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
    load_gdt(&old_gdt);
    load_idt(&old_idt);
    gdt[TSS_SELECTOR / 8] &= ~(2ull << 40); /* not busy */
    load_task(TSS_SELECTOR);
}

void test_stack(void)
{
    static const uint8_t vectors[] = {SOFTWARE, ON_IST, IPI_VECTOR};
    uint64_t wanted[ARRAY_SIZE(seen)];
    uint32_t count;
    char name[32];

    if (!on_keel) {
        skip("stack.all", "the screen's memory is a device on Keel alone");
        return;
    }
    for (uint32_t i = 0; i < ARRAY_SIZE(vectors); i++)
        trap_handlers[vectors[i]] = note_interrupt;
    trap_handlers[EXC_NMI] = count_nmi;
    trap_handlers[EXC_DB] = count_step;
    run_at(RAM);
    count = seen_count;
    for (uint32_t i = 0; i < count; i++)
        wanted[i] = seen[i];
    run_at(DEVICE);
    expect("stack.count", seen_count, count);
    for (uint32_t i = 0; i < count; i++) {
        fmt_print(name, sizeof name, "stack.%u", i);
        expect(name, seen[i], wanted[i]);
    }
    expect("stack.nmis", nmis, 2);
    for (uint32_t i = 0; i < ARRAY_SIZE(vectors); i++)
        trap_handlers[vectors[i]] = NULL;
    trap_handlers[EXC_NMI] = trap_handlers[EXC_DB] = NULL;
}
