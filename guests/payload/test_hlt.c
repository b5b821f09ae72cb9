/* HLT: what wakes it, and the shadow of STI that keeps a wake-up from being lost. */
#include "guests/payload/payload.h"

#include "core/event.h"

#define PIT_VECTOR   PIC_BASE
#define IPI_VECTOR   0x52
#define TIMER_VECTOR 0x53
#define DIVIDE_BY_1  0xb
#define LVT_LINT0    0x35
#define LVT_EXTINT   (7u << 8)

#define DATA_SELECTOR 0x10
#define OFF_SCREEN    0xbff00ull /* memory of the screen's controller that isn't shown */

/* HLTs until the vector has come, at most `limit` times; gives the number of HLTs. */
static uint32_t halt_until(uint8_t vector, uint32_t limit)
{
    uint32_t halts = 0;

    while (!irq_counts[vector] && halts++ < limit)
        __asm__ volatile("sti; hlt; cli" ::: "memory");
    return halts;
}

static void test_pit(void)
{
    uint64_t start;

    lapic_write(LVT_LINT0, LVT_EXTINT);
    irq_count(PIT_VECTOR, true);
    pit_write(0, 0, 1);
    pic_mask(0xfffe);
    (void)irq_wait(PIT_VECTOR, 1, 5); /* with what the loader left pending */
    irq_counts[PIT_VECTOR] = 0;
    pit_write(0, 0, (uint16_t)(PIT_HZ / 100)); /* once, in 10 ms */
    start = rdtsc();
    (void)halt_until(PIT_VECTOR, 5);
    pic_mask(0xffff);
    expect("hlt.pit-woke", irq_counts[PIT_VECTOR], 1);
    expect_range("hlt.pit-slept", (rdtsc() - start) * 1000000 / tsc_hz, 9000, 30000);
    lapic_write(LVT_LINT0, LVT_MASKED);
}

/* An interrupt that is pending already is taken behind the HLT, not between STI and HLT, where it would leave us asleep. */
static void test_shadow(void)
{
    uint64_t behind;

    irq_count(IPI_VECTOR, false);
    lapic_write(LAPIC_ICR, IPI_VECTOR | ICR_SELF);
    delay_us(10);
    __asm__ volatile("lea 1f(%%rip), %0; sti; hlt; 1: cli" : "=r"(behind) : : "memory");
    expect("hlt.shadow-count", irq_counts[IPI_VECTOR], 1);
    expect("hlt.shadow-rip", irq_rip, behind);
}

/* The same without HLT: the instruction behind STI, here CPUID with its exit, runs first. */
static void test_sti_shadow(void)
{
    uint64_t behind;

    irq_count(IPI_VECTOR, false);
    lapic_write(LAPIC_ICR, IPI_VECTOR | ICR_SELF);
    delay_us(10);
    __asm__ volatile("lea 1f(%%rip), %0; sti; cpuid; 1: nop; cli"
                     : "=&r"(behind)
                     :
                     : "memory", "rax", "rbx", "rcx", "rdx");
    expect("hlt.sti-count", irq_counts[IPI_VECTOR], 1);
    expect("hlt.sti-rip", irq_rip, behind);
}

/* Of STI, the instruction in its shadow, and CLI: one byte each. An interrupt that comes anywhere is taken before the CLI. */
#define SHADOWS 500

static volatile uint64_t shadows_at;
static volatile uint32_t taken, taken_early;

static void count_early(struct trap_frame *f)
{
    taken++;
    taken_early += (f->rip - shadows_at) % 3 != 2;
    lapic_write(LAPIC_EOI, 0);
}

/* The timer that ends a guest's run fires at any instruction, so also in a shadow, and then the guest's interrupt is due. */
static void test_shadow_across_exits(void)
{
    taken = taken_early = 0;
    trap_handlers[TIMER_VECTOR] = count_early;
    lapic_write(LAPIC_DIVIDE, DIVIDE_BY_1);
    lapic_write(LAPIC_TIMER, TIMER_VECTOR);
    for (uint32_t i = 0; i < 200; i++) {
        uint32_t seen = taken;

        lapic_write(LAPIC_INITIAL, (uint32_t)(lapic_hz / 1000000 + i)); /* from 1 us on */
        while (taken == seen)
            __asm__ volatile("movq $1f, %0\n\t1:\n\t.rept %c1\n\tsti\n\tnop\n\tcli\n\t.endr"
                             : "=m"(shadows_at)
                             : "i"(SHADOWS)
                             : "memory");
    }
    lapic_write(LAPIC_TIMER, LVT_MASKED);
    trap_handlers[TIMER_VECTOR] = NULL;
    expect("hlt.shadow-kept", taken_early, 0);
}

/* SS from a device, which the hypervisor loads: its shadow begins where STI's ends. */
static void test_mov_ss_shadow(void)
{
    volatile uint16_t *selector = (volatile uint16_t *)OFF_SCREEN;
    uint64_t behind;

    *selector = DATA_SELECTOR;
    irq_count(IPI_VECTOR, false);
    lapic_write(LAPIC_ICR, IPI_VECTOR | ICR_SELF);
    delay_us(10);
    __asm__ volatile("lea 1f(%%rip), %0; sti; mov (%1), %%ss; cpuid; 1: nop; cli"
                     : "=&r"(behind)
                     : "r"(selector)
                     : "memory", "rax", "rbx", "rcx", "rdx");
    expect("hlt.mov-ss-count", irq_counts[IPI_VECTOR], 1);
    expect("hlt.mov-ss-rip", irq_rip, behind);
}

static volatile uint32_t nmi_seen;

static void nmi_handler(struct trap_frame *f)
{
    (void)f;
    nmi_seen++;
}

/* With interrupts off, only an NMI wakes: here the PIT's, whose line comes in at LINT0. */
static void test_wake_by_nmi(void)
{
    uint32_t halts = 0;

    nmi_seen = 0;
    trap_handlers[EXC_NMI] = nmi_handler;
    lapic_write(LVT_LINT0, ICR_NMI); /* an LVT's delivery mode has the same place as the ICR's */
    pit_write(0, 0, (uint16_t)(PIT_HZ / 200));
    pic_mask(0xfffe);
    while (!nmi_seen && halts++ < 2)
        __asm__ volatile("cli; hlt" ::: "memory");
    pic_mask(0xffff);
    lapic_write(LVT_LINT0, LVT_MASKED);
    expect("hlt.nmi-with-if-0", nmi_seen, 1);
    trap_handlers[EXC_NMI] = NULL;
}

void test_hlt(void)
{
    test_pit();
    test_shadow();
    test_shadow_across_exits();
    test_sti_shadow();
    test_mov_ss_shadow();
    test_wake_by_nmi();
}
