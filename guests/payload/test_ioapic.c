/* The IOAPIC's registers, and the PIT through its pin 2. */
#include "guests/payload/payload.h"

#define IOAPIC_ID         0
#define IOAPIC_VERSION    1
#define IOAPIC_ENTRY(pin) (0x10 + 2 * (pin))
#define ENTRY_MASKED      BIT(16)
#define PIT_PIN           2
#define PIT_VECTOR        0x55
#define HIGH_VECTOR       0xe1
#define LOW_VECTOR        0x41
#define DIVIDE_BY_1       0xb
#define PAIR_US           20

static uint32_t ioapic_read(uint32_t reg)
{
    IOAPIC_MMIO[0] = reg;
    return IOAPIC_MMIO[4];
}

static void ioapic_write(uint32_t reg, uint32_t value)
{
    IOAPIC_MMIO[0] = reg;
    IOAPIC_MMIO[4] = value;
}

static void test_registers(void)
{
    uint32_t pins = (ioapic_read(IOAPIC_VERSION) >> 16 & 0xff) + 1;

    expect_range("ioapic.version", ioapic_read(IOAPIC_VERSION) & 0xff, 0x11, 0x20);
    expect_range("ioapic.pins", pins, 16, 240);
    ioapic_write(IOAPIC_ID, 5u << 24);
    expect("ioapic.id", ioapic_read(IOAPIC_ID) >> 24 & 0xf, 5);
    ioapic_write(IOAPIC_ID, 0);
    ioapic_write(IOAPIC_ENTRY(5), ENTRY_MASKED | 0x44);
    expect("ioapic.entry-low", ioapic_read(IOAPIC_ENTRY(5)), ENTRY_MASKED | 0x44);
    ioapic_write(IOAPIC_ENTRY(5) + 1, 0x03000000);
    expect("ioapic.entry-high", ioapic_read(IOAPIC_ENTRY(5) + 1), 0x03000000);
    ioapic_write(IOAPIC_ENTRY(5) + 1, 0);
    IOAPIC_MMIO[0] = 0x12;
    expect("ioapic.index", IOAPIC_MMIO[0], 0x12);
}

static void test_pit(void)
{
    irq_count(PIT_VECTOR, false);
    ioapic_write(IOAPIC_ENTRY(PIT_PIN) + 1, lapic_read(LAPIC_ID));
    ioapic_write(IOAPIC_ENTRY(PIT_PIN), PIT_VECTOR);
    pit_write(0, 2, (uint16_t)(PIT_HZ / 1000));
    check("ioapic.pit", irq_wait(PIT_VECTOR, 5, 50));
    ioapic_write(IOAPIC_ENTRY(PIT_PIN), ENTRY_MASKED | PIT_VECTOR);
    irq_wait(PIT_VECTOR, ~0u, 2);
    irq_counts[PIT_VECTOR] = 0;
    check("ioapic.pit-masked", !irq_wait(PIT_VECTOR, 1, 5));
    pit_write(0, 0, 1);
}

static volatile uint32_t highs, taken_while_off;

/* The one of low priority takes long, so that the host's timer ends its run, too. */
static void pair_irq(struct trap_frame *f)
{
    uint64_t end = rdtsc() + tsc_hz / 1000000 * PAIR_US * 2;

    taken_while_off += !(f->rflags & RFLAGS_IF);
    highs += f->vector == HIGH_VECTOR;
    while (f->vector == LOW_VECTOR && rdtsc() < end)
        ;
    lapic_write(LAPIC_EOI, 0);
}

/* Of two timers that come at almost the same time, one while the other one's interrupt is about to be delivered. */
static void test_pair(void)
{
    uint32_t base = (uint32_t)(lapic_hz / 1000000 * PAIR_US), step = (uint32_t)(lapic_hz / 25000000);

    highs = taken_while_off = 0;
    trap_handlers[HIGH_VECTOR] = trap_handlers[LOW_VECTOR] = pair_irq;
    ioapic_write(IOAPIC_ENTRY(PIT_PIN), HIGH_VECTOR);
    lapic_write(LAPIC_DIVIDE, DIVIDE_BY_1);
    lapic_write(LAPIC_TIMER, LVT_PERIODIC | LOW_VECTOR);
    for (uint32_t i = 0; i < 120; i++) {
        uint32_t seen = highs;

        pit_write(0, 0, (uint16_t)(PIT_HZ * PAIR_US / 1000000 + 2));
        lapic_write(LAPIC_INITIAL, base - i % 60 * step); /* from 2.4 us before up to the same time */
        __asm__ volatile("sti");
        while (highs == seen)
            ;
        __asm__ volatile("cli");
    }
    lapic_write(LAPIC_TIMER, LVT_MASKED);
    ioapic_write(IOAPIC_ENTRY(PIT_PIN), ENTRY_MASKED);
    pit_write(0, 0, 1);
    trap_handlers[HIGH_VECTOR] = trap_handlers[LOW_VECTOR] = NULL;
    expect("ioapic.pair-while-off", taken_while_off, 0);
}

void test_ioapic(void)
{
    test_registers();
    test_pit();
    test_pair();
}
