/* HLT: what wakes it, and the shadow of STI that keeps a wake-up from being lost. */
#include "guests/payload/payload.h"

#include "core/event.h"

#define PIT_VECTOR PIC_BASE
#define IPI_VECTOR 0x52
#define LVT_LINT0  0x35
#define LVT_EXTINT (7u << 8)

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
    test_sti_shadow();
    test_mov_ss_shadow();
    test_wake_by_nmi();
}
