/* The LAPIC through its page: many instruction forms on its registers, and interrupts with priorities. */
#include "guests/payload/payload.h"

#include "core/lib/string.h"

#define TPR_ADDRESS (0xfee00000ull + 16 * LAPIC_TPR)
#define LOW_VECTOR  0x61
#define HIGH_VECTOR 0x81

static volatile uint32_t *const tpr = (volatile uint32_t *)TPR_ADDRESS;

/* One form: from TPR `before`, an instruction with RBX = its address and RAX = `a` leaves TPR `after`. */
#define FORM(name, insn, before, a, after)                                                                   \
    do {                                                                                                     \
        uint64_t a_ = (a);                                                                                   \
        *tpr = (before);                                                                                     \
        __asm__ volatile(insn : "+a"(a_) : "b"(TPR_ADDRESS) : "memory", "cc");                               \
        expect("lapic.form-" name, *tpr, (after));                                                           \
        form_rax = a_;                                                                                       \
    } while (0)

static uint64_t form_rax;

static void test_forms(void)
{
    FORM("mov-store", "mov %%eax, (%%rbx)", 0, 0x31, 0x31);
    FORM("mov-load", "mov (%%rbx), %%eax", 0x32, ~0ull, 0x32);
    expect("lapic.form-mov-load-rax", form_rax, 0x32);
    FORM("mov-imm", "movl $0x33, (%%rbx)", 0, 0, 0x33);
    FORM("mov-disp", "mov %%eax, 0x100(%%rbx)\n mov %%eax, 0x0(%%rbx)", 0, 0x34, 0x34);
    FORM("mov-index", "xor %%ecx, %%ecx; mov %%eax, (%%rbx,%%rcx,4)", 0, 0x35, 0x35);
    FORM("mov-absolute", "mov %%eax, 0xfee00080", 0, 0x36, 0x36);
    FORM("mov-moffs", "movabs %%eax, 0xfee00080", 0, 0x37, 0x37);
    FORM("xchg", "xchg %%eax, (%%rbx)", 0x41, 0x42, 0x42);
    expect("lapic.form-xchg-rax", form_rax, 0x41);
    FORM("or", "or %%eax, (%%rbx)", 0x41, 0x12, 0x53);
    FORM("and-imm", "andl $0xf0, (%%rbx)", 0x5a, 0, 0x50);
    FORM("add", "addl $1, (%%rbx)", 0x41, 0, 0x42);
    FORM("sub", "sub %%eax, (%%rbx)", 0x41, 1, 0x40);
    FORM("xor", "xor %%eax, (%%rbx)", 0x41, 0x01, 0x40);
    FORM("inc", "incl (%%rbx)", 0x41, 0, 0x42);
    FORM("not", "notl (%%rbx); andl $0xff, (%%rbx)", 0x41, 0, 0xbe);
    FORM("bts", "btsl $3, (%%rbx)", 0x40, 0, 0x48);
    FORM("btr", "btrl $6, (%%rbx)", 0x48, 0, 0x08);
    FORM("cmpxchg", "mov $0x77, %%ecx; lock cmpxchg %%ecx, (%%rbx)", 0x20, 0x20, 0x77);
    FORM("xadd", "lock xadd %%eax, (%%rbx)", 0x20, 3, 0x23);
    expect("lapic.form-xadd-rax", form_rax, 0x20);
    FORM("shl", "shll $1, (%%rbx)", 0x21, 0, 0x42);
    FORM("test", "testl $0x40, (%%rbx); setz %%al", 0x40, 0xff, 0x40);
    expect("lapic.form-test-al", form_rax & 0xff, 0);
    FORM("cmp", "cmpl $0x40, (%%rbx); setz %%al", 0x40, 0, 0x40);
    expect("lapic.form-cmp-al", form_rax & 0xff, 1);
    FORM("movsxd", "movslq (%%rbx), %%rax", 0x45, ~0ull, 0x45);
    expect("lapic.form-movsxd-rax", form_rax, 0x45);
    FORM("stos", "mov %%rbx, %%rdi; stosl", 0, 0x46, 0x46);
    FORM("lods", "mov %%rbx, %%rsi; lodsl", 0x47, 0, 0x47);
    expect("lapic.form-lods-rax", form_rax, 0x47);
    *tpr = 0;
}

/* Strings between memory and the device. */
static void test_strings(void)
{
    volatile uint32_t *words = (volatile uint32_t *)ARENA;
    const volatile void *from = words;
    volatile void *to = (volatile void *)TPR_ADDRESS;
    uint64_t count = 1;

    words[0] = 0x24;
    __asm__ volatile("rep movsl" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
    expect("lapic.movs-to", *tpr, 0x24);
    expect("lapic.movs-rdi", (uint64_t)to, TPR_ADDRESS + 4);
    from = (const volatile void *)TPR_ADDRESS;
    to = words + 4;
    count = 1;
    __asm__ volatile("rep movsl" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
    expect("lapic.movs-from", words[4], 0x24);
    *tpr = 0;
}

/* Accesses that the manual leaves undefined must pass all the same: one byte, and eight. */
static void test_odd_sizes(void)
{
    trap_begin();
    __asm__ volatile(TRAPPING("movzbl (%0), %%eax") : : "r"(TPR_ADDRESS) : "rax", "memory");
    __asm__ volatile(TRAPPING("push (%0); pop %%rax") : : "r"(TPR_ADDRESS) : "rax", "memory");
    __asm__ volatile(TRAPPING("movzwl 2(%0), %%eax") : : "r"(TPR_ADDRESS) : "rax", "memory");
    expect("lapic.odd-sizes", trap_vector(), NO_TRAP);
}

static void test_registers(void)
{
    expect("lapic.svr", lapic_read(LAPIC_SVR), 0x1ff);
    expect_range("lapic.version", lapic_read(LAPIC_VERSION) & 0xff, 0x10, 0x15);
    expect_range("lapic.lvt-count", (lapic_read(LAPIC_VERSION) >> 16 & 0xff) + 1, 4, 8);
    lapic_write(LAPIC_VERSION, 0);
    check("lapic.version-read-only", lapic_read(LAPIC_VERSION) != 0);
    lapic_write(LAPIC_TPR, 0x45);
    expect("lapic.ppr-follows-tpr", lapic_read(LAPIC_PPR), 0x45);
    lapic_write(LAPIC_TPR, 0);
}

static volatile uint32_t order[4], orders;

static void order_handler(struct trap_frame *f)
{
    if (orders < ARRAY_SIZE(order))
        order[orders] = (uint32_t)f->vector;
    orders++;
    lapic_write(LAPIC_EOI, 0);
}

/* Two that wait: the higher vector comes first; both are in IRR before, neither afterwards. */
static void test_priorities(void)
{
    orders = 0;
    trap_handlers[LOW_VECTOR] = trap_handlers[HIGH_VECTOR] = order_handler;
    lapic_write(LAPIC_ICR, LOW_VECTOR | ICR_SELF);
    lapic_write(LAPIC_ICR, HIGH_VECTOR | ICR_SELF);
    expect("lapic.irr-low", lapic_read(LAPIC_IRR + LOW_VECTOR / 32) >> (LOW_VECTOR % 32) & 1, 1);
    expect("lapic.irr-high", lapic_read(LAPIC_IRR + HIGH_VECTOR / 32) >> (HIGH_VECTOR % 32) & 1, 1);
    __asm__ volatile("sti; nop; nop; nop");
    delay_us(100);
    __asm__ volatile("cli");
    expect("lapic.order-count", orders, 2);
    expect("lapic.order-first", order[0], HIGH_VECTOR);
    expect("lapic.order-second", order[1], LOW_VECTOR);
    expect("lapic.irr-after", lapic_read(LAPIC_IRR + HIGH_VECTOR / 32), 0);
    expect("lapic.isr-after", lapic_read(LAPIC_ISR + HIGH_VECTOR / 32), 0);
}

static void isr_handler(struct trap_frame *f)
{
    order[0] = lapic_read(LAPIC_ISR + (uint32_t)f->vector / 32) >> (f->vector % 32) & 1;
    order[1] = lapic_read(LAPIC_PPR);
    lapic_write(LAPIC_EOI, 0);
}

static void test_in_service(void)
{
    trap_handlers[LOW_VECTOR] = isr_handler;
    lapic_write(LAPIC_ICR, LOW_VECTOR | ICR_SELF);
    __asm__ volatile("sti; nop; nop; nop");
    delay_us(100);
    __asm__ volatile("cli");
    expect("lapic.isr-inside", order[0], 1);
    expect("lapic.ppr-inside", order[1] & 0xf0, LOW_VECTOR & 0xf0);
}

#define MOVED 0xfed80000ull /* nothing else is there */

/* APIC_BASE says where the registers are (SDM volume 3, 11.4.5). */
static void test_moved(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);
    uint32_t version = lapic_read(LAPIC_VERSION), there, here;

    if (lapic_is_x2apic() || (on_tcg && !on_keel)) {
        skip("lapic.moved", "it has no page in x2APIC mode, and QEMU's own doesn't move");
        return;
    }
    wrmsr(MSR_APIC_BASE, MOVED | (base & PAGE_MASK));
    there = ((volatile uint32_t *)MOVED)[LAPIC_VERSION * 4];
    here = LAPIC_MMIO[LAPIC_VERSION * 4];
    wrmsr(MSR_APIC_BASE, base);
    expect("lapic.moved", there, version);
    if (on_keel)
        expect("lapic.moved-away", here, UINT32_MAX);
    expect("lapic.moved-back", lapic_read(LAPIC_VERSION), version);
}

/* One that is off isn't there (11.4.3). */
static void test_off(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);
    bool there;

    if (on_tcg && !on_keel) {
        skip("lapic.off", "QEMU's own can't be switched on again");
        return;
    }
    wrmsr(MSR_APIC_BASE, base & ~(APIC_BASE_ENABLE | APIC_BASE_X2APIC));
    there = cpu_has(1, 3, 9);
    wrmsr(MSR_APIC_BASE, (base & ~APIC_BASE_X2APIC) | APIC_BASE_ENABLE);
    wrmsr(MSR_APIC_BASE, base);
    lapic_join();
    check("lapic.off-in-cpuid", !there);
    check("lapic.on-in-cpuid", cpu_has(1, 3, 9));
}

void test_lapic(void)
{
    test_registers();
    test_forms();
    test_strings();
    test_odd_sizes();
    test_priorities();
    test_in_service();
    test_moved();
    test_off();
}
