/* Tables, descriptors and page tables of the sandbox, and what puts the CPU and the devices back in order behind a step. */
#include "guests/payload/chaos/chaos.h"

#include "core/lib/bytes.h"
#include "core/lib/string.h"
#include "core/x86/descriptor.h"

#define STACK_BYTES 2048
#define TASK_GATE   (0x85ull << 40)
#define GATE_64     (0x8eull << 40)
#define GATE_USER   (0x60ull << 40)
#define PTE_ALL     0x67ull /* present, writable, user's, accessed and dirty */
#define PTE_RUNNER  0x63ull
#define PTE_READ    0x61ull
#define PTE_LARGE   0x80ull
#define FULL_BYTES  (4ull << 30)
#define RAM_BYTES   (16ull << 20)
#define WILD_TABLES 2
#define LDT_BYTES   512
#define CR0_BASE    (CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_PE)
#define CR4_BASE    (CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT)
#define COM1        0x3f8
#define PIT_MODE    0x20 /* counter 0, its upper byte, mode 0; nothing comes before there is a count */
#define WATCHDOG    3    /* counts of 256 until its NMI: 0.6 ms */
#define TSS32_CR3   7    /* numbers of words */
#define TSS32_EIP   8
#define TSS32_FLAGS 9
#define TSS32_ESP   14
#define TSS32_ES    18

/* All that the CPU writes to while it is in the sandbox, by itself. */
struct area {
    uint64_t tf_left, unused; /* both places are known to enter.asm */
    uint64_t gdt[CHAOS_GDT];
    uint8_t stacks[3][STACK_BYTES];
    uint32_t tss64[32], tss32[32], recovery[32];
    uint8_t recovery_stack[STACK_BYTES];
} __attribute__((aligned(PAGE_SIZE)));

struct area chaos_area __attribute__((aligned(PAGE_SIZE)));

struct table_pointer chaos_gdt_pointer = {sizeof chaos_area.gdt - 1, (uint64_t)chaos_area.gdt};
struct table_pointer chaos_idt_pointer, chaos_task_idt_pointer;
uint64_t chaos_runner_cr3;
extern const uint8_t chaos_stubs[], chaos_task_entry[], chaos_nmi[], chaos_low[], chaos_low_end[];
extern const char chaos_low_handler[], chaos_low_registers[]; /* offsets */

typedef uint64_t table[512];

/* All that is there, and with RAM alone: most of what reaches a device by chance ends the VM, as nobody needs that. */
static struct {
    table top, next, dirs[4];
    uint32_t legacy[1024];
    table pae;
} runner, sandbox, ram __attribute__((aligned(PAGE_SIZE)));
static table first __attribute__((aligned(PAGE_SIZE)));
static uint64_t clean_gdt[CHAOS_GDT]; /* what the area's is made from */
static uint64_t idt[512], task_idt[256];

/* -- page tables -------------------------------------------------------------------------------------------------- */

static void identity_map(table top, table next, table *dirs, uint64_t flags, uint64_t bytes)
{
    top[0] = (uint64_t)next | flags;
    for (uint32_t i = 0; i < 4; i++)
        next[i] = (uint64_t)dirs[i] | flags;
    for (uint64_t i = 0; i < bytes / SIZE_2M; i++)
        dirs[i / 512][i % 512] = i * SIZE_2M | flags | PTE_LARGE;
}

static void legacy_map(uint32_t *legacy, table pae, table *dirs, uint64_t bytes)
{
    for (uint64_t i = 0; i < 4; i++)
        pae[i] = (uint64_t)dirs[i] | 1;
    for (uint64_t i = 0; i < bytes >> 22; i++)
        legacy[i] = (uint32_t)(i << 22 | PTE_ALL | PTE_LARGE);
}

/* The image is not the sandbox's to write, nor user code's to read; what the CPU writes itself is in the area. */
static uint64_t first_entry(uint64_t page)
{
    uint64_t at = page * PAGE_SIZE, from = (uint64_t)&chaos_area;

    if (at < 0x100000)
        return at | PTE_ALL;
    return at | (at >= from && at < from + sizeof chaos_area ? PTE_RUNNER : PTE_READ);
}

static void pages_init(void)
{
    for (uint64_t i = 0; i < 512; i++)
        first[i] = first_entry(i);
    identity_map(runner.top, runner.next, runner.dirs, PTE_RUNNER, FULL_BYTES);
    identity_map(sandbox.top, sandbox.next, sandbox.dirs, PTE_ALL, FULL_BYTES);
    identity_map(ram.top, ram.next, ram.dirs, PTE_ALL, RAM_BYTES);
    sandbox.dirs[0][0] = ram.dirs[0][0] = (uint64_t)first | PTE_ALL;
    legacy_map(sandbox.legacy, sandbox.pae, sandbox.dirs, FULL_BYTES);
    legacy_map(ram.legacy, ram.pae, ram.dirs, RAM_BYTES);
    chaos_runner_cr3 = (uint64_t)runner.top;
}

/* Any bits; or such that only one or two are wrong; or what leads to memory, tables or devices. */
static uint64_t wild_entry(void)
{
    uint64_t flags = chaos_any() & 0x1ff;

    if (!chaos_once_in(8))
        flags |= 7;
    switch (chaos_below(8)) {
    case 0:
        return chaos_once_in(1024) ? chaos_any() : CHAOS_DATA | (chaos_any() & ~0xffffff000ull);
    case 1:
        return ((chaos_once_in(256) ? chaos_device() : CHAOS_CODE) & ~PAGE_MASK) | flags;
    case 2:
        return (CHAOS_WILD + chaos_below(WILD_TABLES) * PAGE_SIZE) | flags |
               1ull << (chaos_once_in(2) ? 40 + chaos_below(24) : chaos_below(12));
    case 3:
    case 4:
        return (CHAOS_WILD + chaos_below(WILD_TABLES) * PAGE_SIZE) | (flags & ~PTE_LARGE);
    default:
        return (CHAOS_DATA + chaos_below(16) * PAGE_SIZE) | (flags & ~PTE_LARGE);
    }
}

static void wild_fill(void)
{
    uint64_t *wild = (uint64_t *)CHAOS_WILD;

    for (uint32_t i = 0; i < WILD_TABLES * 512; i++)
        wild[i] = wild_entry();
    for (uint32_t i = 0; i < 64; i++)
        sandbox.dirs[1][i] = ram.dirs[1][i] = i < WILD_TABLES ? (CHAOS_WILD + i * PAGE_SIZE) | PTE_ALL
                                                              : wild_entry();
    for (uint32_t i = 4; i < 16; i++)
        sandbox.next[i] = ram.next[i] = wild_entry();
    for (uint32_t i = 1; i < 16; i++)
        sandbox.top[i] = ram.top[i] = wild_entry();
}

/* -- descriptors -------------------------------------------------------------------------------------------------- */

static void system_segment(uint32_t selector, const void *base, uint64_t bytes, uint64_t type)
{
    uint64_t at = (uint64_t)base;

    clean_gdt[selector / 8] = (bytes - 1) | (at & 0xffffff) << 16 | (0x80 | type) << 40 |
                              (at >> 24 & 0xff) << 56;
}

static void descriptors_init(void)
{
    static const struct {
        uint32_t selector;
        uint64_t value;
    } rows[] = {
        {CODE_SELECTOR, 0x00af9b000000ffff},
        {DATA_SELECTOR, 0x00cf93000000ffff},
        {0x18, 0x00cff3000000ffff},
        {0x20, 0x00affb000000ffff},
        {CHAOS_CODE32, 0x00cf9b000000ffff},
        {CHAOS_CODE16, 0x00009b400000ffff},
        {CHAOS_DATA16, 0x000093400000ffff},
        {CHAOS_USER_CODE32, 0x00cffb000000ffff},
        {CHAOS_USER_CODE16, 0x0000fb400000ffff},
        {CHAOS_LOW_CODE, 0x00009b007000ffff},
        {CHAOS_LOW_DATA, 0x000093000000ffff},
        {CHAOS_NEAR_CODE, 0x00c09b0000000fff},
        {CHAOS_NEAR_DATA, 0x00c0930000000fff},
        {CHAOS_NEAR_USER_CODE, 0x00c0fb0000000fff},
        {CHAOS_NEAR_USER_DATA, 0x00c0f30000000fff},
    };

    for (uint32_t i = 0; i < ARRAY_SIZE(rows); i++)
        clean_gdt[rows[i].selector / 8] = rows[i].value;
    system_segment(CHAOS_TSS64, chaos_area.tss64, 104, 9);
    system_segment(CHAOS_TSS32, chaos_area.tss32, 104, 9);
    system_segment(CHAOS_RECOVERY, chaos_area.recovery, 104, 9);
    system_segment(CHAOS_LDT64, (void *)CHAOS_LDT, LDT_BYTES, 2);
    system_segment(CHAOS_LDT32, (void *)CHAOS_LDT, LDT_BYTES, 2);
}

/* Stacks: IST 1 for all but #DB (3) and NMI (2); RSP0 as IST 1. */
static void gates_init(void)
{
    for (uint64_t i = 0; i < 256; i++) {
        uint64_t stub = (uint64_t)chaos_stubs + 16 * i, ist = i == 1 ? 3 : i == 2 ? 2 : 1;

        idt[2 * i] = (stub & 0xffff) | CODE_SELECTOR << 16 | ist << 32 | GATE_64 |
                     (stub >> 16 & 0xffff) << 48 | (i & 1 ? GATE_USER : 0);
        task_idt[i] = CHAOS_RECOVERY << 16 | TASK_GATE | (i & 1 ? GATE_USER : 0);
    }
    task_idt[2] = ((uint64_t)chaos_nmi & 0xffff) | CHAOS_CODE32 << 16 | GATE_64 |
                  ((uint64_t)chaos_nmi >> 16) << 48;
    chaos_idt_pointer = (struct table_pointer){sizeof idt - 1, (uint64_t)idt};
    chaos_task_idt_pointer = (struct table_pointer){sizeof task_idt - 1, (uint64_t)task_idt};
}

/* Put back before each step: the task of protected mode, and the one that everything ends in. */
static void tasks_reset(uint64_t cr3)
{
    struct area *a = &chaos_area;

    memset(a->recovery, 0, sizeof a->recovery);
    memset(a->tss32, 0, sizeof a->tss32);
    a->tss32[1] = (uint32_t)(uint64_t)a->recovery_stack + STACK_BYTES; /* ESP0 */
    a->tss32[2] = DATA_SELECTOR;
    a->recovery[TSS32_CR3] = (uint32_t)cr3;
    a->recovery[TSS32_EIP] = (uint32_t)(uint64_t)chaos_task_entry;
    a->recovery[TSS32_FLAGS] = RFLAGS_FIXED1;
    a->recovery[TSS32_ESP] = (uint32_t)(uint64_t)a->recovery_stack + STACK_BYTES;
    for (uint32_t i = 0; i < 6; i++)
        a->recovery[TSS32_ES + i] = i == 1 ? CHAOS_CODE32 : DATA_SELECTOR;
}

void chaos_restore(void *to, const void *from, uint64_t len)
{
    uint8_t *at = to;
    const uint8_t *want = from;
    uint64_t i = 0;

    for (; i + 8 <= len; i += 8)
        if (get_le64(at + i) != get_le64(want + i))
            put_le64(at + i, get_le64(want + i));
    for (; i < len; i++)
        at[i] = want[i];
}

/* -- real mode ---------------------------------------------------------------------------------------------------- */

static void low_init(void)
{
    uint32_t vector = (uint32_t)(CHAOS_LOW >> 4 << 16 | (uint64_t)chaos_low_handler), vectors[256];

    for (uint32_t i = 0; i < 256; i++)
        put_le32((uint8_t *)&vectors[i], vector);
    chaos_restore(NULL, vectors, sizeof vectors);
    chaos_restore((void *)CHAOS_LOW, chaos_low, (size_t)(chaos_low_end - chaos_low));
}

static void low_prepare(const struct chaos_step *step)
{
    uint8_t *at = (uint8_t *)CHAOS_LOW + (uint64_t)chaos_low_registers;
    const uint64_t *segments = &step->ds;

    low_init();
    put_le32(at, (uint32_t)step->rsp);
    put_le16(at + 4, (uint16_t)step->ss);
    for (uint32_t i = 0; i < 4; i++)
        put_le16(at + 6 + 2 * i, (uint16_t)segments[i]);
    for (uint32_t i = 0; i < 8; i++)
        put_le32(at + 16 + 4 * i, (uint32_t)step->gpr[i]);
}

/* -- the whole ---------------------------------------------------------------------------------------------------- */

void chaos_init(void)
{
    pages_init();
    descriptors_init();
    gates_init();
}

static void words_fill(uint64_t from, uint32_t bytes)
{
    uint64_t *at = (uint64_t *)from;

    for (uint32_t i = 0; i < bytes / 8; i++)
        at[i] = chaos_once_in(2) ? chaos_any() : chaos_value();
}

void chaos_fill(void)
{
    words_fill(CHAOS_CODE, 0x1000);
    words_fill(CHAOS_STACK - 0x200, 0x600);
    words_fill(CHAOS_DATA, 0x1000);
    words_fill(CHAOS_REAL, 0x200);
    words_fill(CHAOS_REAL + 0x7e00, 0x400);
    for (uint32_t i = 0; i < LDT_BYTES / 8; i++)
        ((uint64_t *)CHAOS_LDT)[i] = chaos_descriptor();
    for (uint32_t i = CHAOS_RANDOM / 8; i < CHAOS_GDT; i++)
        clean_gdt[i] = chaos_descriptor();
    wild_fill();
}

/* What the step may have left in the CPU itself. Reading most of it costs nothing. */
static void cpu_reset(void)
{
    uint64_t apic = 0xfee00000 | APIC_BASE_ENABLE | APIC_BASE_BSP;

    write_cr0(CR0_BASE);
    write_cr4((read_cr4() & CR4_OSXSAVE) | CR4_BASE);
    if (read_cr4() & CR4_OSXSAVE)
        write_cr4(CR4_BASE);
    write_dr7(DR7_INIT);
    if (rdmsr(MSR_EFER) != (EFER_LME | EFER_LMA))
        wrmsr(MSR_EFER, EFER_LME | EFER_LMA);
    if (rdmsr(MSR_APIC_BASE) == apic)
        return;
    wrmsr(MSR_APIC_BASE, apic & ~(uint64_t)APIC_BASE_ENABLE);
    wrmsr(MSR_APIC_BASE, apic);
}

static uint64_t tables_of(const struct chaos_step *step)
{
    if (step->kind == CHAOS_LONG)
        return (uint64_t)(step->devices ? sandbox.top : ram.top);
    if (step->cr4 & CR4_PAE)
        return (uint64_t)(step->devices ? sandbox.pae : ram.pae);
    return (uint64_t)(step->devices ? sandbox.legacy : ram.legacy);
}

/* NMIs have a stack in this task alone. */
static void task_load(void)
{
    struct area *a = &chaos_area;

    memset(a->tss64, 0, sizeof a->tss64);
    put_le64((uint8_t *)a->tss64 + 4, (uint64_t)a->stacks[1]);
    for (uint32_t i = 0; i < 3; i++)
        put_le64((uint8_t *)a->tss64 + 36 + 8 * i, (uint64_t)a->stacks[i] + STACK_BYTES);
    a->tss64[25] = 104u << 16;
    chaos_restore(a->gdt, clean_gdt, sizeof clean_gdt);
    load_gdt(&chaos_gdt_pointer);
    load_task(CHAOS_TSS64);
}

uint64_t chaos_run(struct chaos_step *step)
{
    uint64_t vector;

    step->cr3 = tables_of(step);
    tasks_reset(step->cr3);
    if (step->kind != CHAOS_LONG)
        low_prepare(step);
    task_load();
    __asm__ volatile("lldt %w0" : : "r"(CHAOS_LDT64));
    outb(0x40, WATCHDOG);
    vector = chaos_enter(step);
    task_load();
    outb(0x43, PIT_MODE);
    cpu_reset();
    if (vector >= 32 && vector < 256)
        LAPIC_MMIO[4 * LAPIC_EOI] = 0;
    return vector;
}

void chaos_set_tf(uint32_t count)
{
    chaos_area.tf_left = count;
}

void chaos_devices(void)
{
    LAPIC_MMIO[4 * LAPIC_SVR] = 0x1ff;
    LAPIC_MMIO[4 * LAPIC_TPR] = 0;
    for (uint32_t lvt = 0x32; lvt <= 0x37; lvt++)
        LAPIC_MMIO[4 * lvt] = LVT_MASKED;
    for (uint32_t i = 0; i < 16; i++)
        LAPIC_MMIO[4 * LAPIC_EOI] = 0;
    LAPIC_MMIO[4 * LAPIC_ICR] = 0xc4500; /* INIT to all others */
    for (uint32_t pin = 0; pin < 24; pin++) {
        IOAPIC_MMIO[0] = 0x10 + 2 * pin;
        IOAPIC_MMIO[4] = pin == 2 ? ICR_NMI : LVT_MASKED;
        IOAPIC_MMIO[0] = 0x11 + 2 * pin;
        IOAPIC_MMIO[4] = 0;
    }
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
    outb(0x43, PIT_MODE);
    outb(COM1 + 3, 3);
    outb(COM1 + 1, 0);
    outb(COM1 + 4, 3);
}
