/* The HPET (IA-PC HPET specification 1.0a): its counter, and interrupts of each kind by each way. */
#include "guests/payload/payload.h"

#include "core/event.h"

#define HPET_BASE          0xfed00000ull
#define HPET_CAPABILITIES  0x00
#define HPET_ENABLE        0x10
#define HPET_STATUS        0x20
#define HPET_COUNTER       0xf0
#define HPET_CONFIG(n)     (0x100 + 32 * (n))
#define HPET_COMPARATOR(n) (0x108 + 32 * (n))
#define HPET_MESSAGE(n)    (0x110 + 32 * (n))

#define TIMER_LEVEL     BIT(1)
#define TIMER_INTERRUPT BIT(2)
#define TIMER_PERIODIC  BIT(3)
#define TIMER_SET       BIT(6)
#define TIMER_32        BIT(8)
#define TIMER_FSB       BIT(14)
#define TIMER_CAN_FSB   BIT(15)

#define ENTRY_MASKED BIT(16)
#define ENTRY_LEVEL  BIT(15)
#define HPET_VECTOR  0x56
#define PIC_RTC      (PIC_BASE + 8)

static uint64_t ms; /* in ticks */

static uint64_t get(uint32_t reg)
{
    return *(volatile uint64_t *)(HPET_BASE + reg);
}

static void put(uint32_t reg, uint64_t value)
{
    *(volatile uint64_t *)(HPET_BASE + reg) = value;
}

static uint32_t get32(uint32_t reg)
{
    return *(volatile uint32_t *)(HPET_BASE + reg);
}

static void ioapic_entry(uint32_t pin, uint32_t low)
{
    IOAPIC_MMIO[0] = 0x11 + 2 * pin;
    IOAPIC_MMIO[4] = lapic_read(LAPIC_ID) << (lapic_is_x2apic() ? 24 : 0);
    IOAPIC_MMIO[0] = 0x10 + 2 * pin;
    IOAPIC_MMIO[4] = low;
}

static void test_counter(void)
{
    uint64_t first, tsc;

    put(HPET_ENABLE, 0);
    put(HPET_COUNTER, 0x1fffffff0);
    delay_us(1000);
    expect("hpet.halted", get(HPET_COUNTER), 0x1fffffff0);
    put(HPET_ENABLE, 1);
    delay_us(1000);
    expect("hpet.carry", get32(HPET_COUNTER + 4), 2);
    first = get(HPET_COUNTER);
    tsc = rdtsc();
    sleep_us(50000);
    first = get(HPET_COUNTER) - first;
    tsc = rdtsc() - tsc;
    expect_range("hpet.rate", first * tsc_hz / tsc / ms, 970, 1030); /* per mille */
}

static void test_edges(uint32_t pin)
{
    irq_count(HPET_VECTOR, false);
    ioapic_entry(pin, HPET_VECTOR);
    put(HPET_CONFIG(0), TIMER_INTERRUPT | TIMER_32 | (uint64_t)pin << 9);
    put(HPET_COMPARATOR(0), get(HPET_COUNTER) + 5 * ms);
    check("hpet.early", !irq_wait(HPET_VECTOR, 1, 2));
    check("hpet.oneshot", irq_wait(HPET_VECTOR, 1, 50));
    check("hpet.once", !irq_wait(HPET_VECTOR, 2, 10));
    /* From 10 ms on, each ms. */
    put(HPET_CONFIG(0), TIMER_INTERRUPT | TIMER_PERIODIC | TIMER_SET | TIMER_32 | (uint64_t)pin << 9);
    put(HPET_COMPARATOR(0), get(HPET_COUNTER) + 10 * ms);
    put(HPET_COMPARATOR(0), ms);
    check("hpet.accumulator", !irq_wait(HPET_VECTOR, 2, 5));
    check("hpet.periodic", irq_wait(HPET_VECTOR, 10, 100));
    put(HPET_CONFIG(0), TIMER_32);
    irq_counts[HPET_VECTOR] = 0;
    check("hpet.disabled", !irq_wait(HPET_VECTOR, 1, 5));
}

/* A level comes again after each EOI, until the status is cleared. */
static void level_handler(struct trap_frame *f)
{
    (void)f;
    if (++irq_counts[HPET_VECTOR] == 3)
        put(HPET_STATUS, 1);
    lapic_write(LAPIC_EOI, 0);
}

static void test_level(uint32_t pin)
{
    irq_counts[HPET_VECTOR] = 0;
    trap_handlers[HPET_VECTOR] = level_handler;
    ioapic_entry(pin, ENTRY_MASKED | ENTRY_LEVEL | HPET_VECTOR);
    put(HPET_CONFIG(0), TIMER_INTERRUPT | TIMER_LEVEL | TIMER_32 | (uint64_t)pin << 9);
    put(HPET_COMPARATOR(0), get(HPET_COUNTER) + ms);
    delay_us(2000);
    expect("hpet.status", get(HPET_STATUS), 1);
    ioapic_entry(pin, ENTRY_LEVEL | HPET_VECTOR);
    check("hpet.level", irq_wait(HPET_VECTOR, 3, 50));
    check("hpet.level-gone", !irq_wait(HPET_VECTOR, 4, 5));
    expect("hpet.status-cleared", get(HPET_STATUS), 0);
    put(HPET_CONFIG(0), TIMER_32);
    ioapic_entry(pin, ENTRY_MASKED);
}

static volatile uint32_t nmis;

static void nmi_handler(struct trap_frame *f)
{
    (void)f;
    nmis++;
}

/* Two at once: one is taken, the other held back until that ends. */
static void test_nmi_messages(void)
{
    uint64_t when;

    nmis = 0;
    trap_handlers[EXC_NMI] = nmi_handler;
    when = get(HPET_COUNTER) + ms;
    for (uint32_t n = 1; n <= 2; n++) {
        put(HPET_MESSAGE(n), 0xfee0000000000000 | ICR_NMI);
        put(HPET_CONFIG(n), TIMER_INTERRUPT | TIMER_FSB | TIMER_32);
        put(HPET_COMPARATOR(n), when);
    }
    delay_us(3000);
    expect("hpet.two-nmis", nmis, 2);
    put(HPET_CONFIG(1), TIMER_32);
    put(HPET_CONFIG(2), TIMER_32);
    trap_handlers[EXC_NMI] = NULL;
}

static void test_message(void)
{
    if (!(get(HPET_CONFIG(2)) & TIMER_CAN_FSB)) {
        skip("hpet.message", "timer 2 has none");
        return;
    }
    irq_count(HPET_VECTOR, false);
    put(HPET_MESSAGE(2), 0xfee0000000000000 | HPET_VECTOR);
    put(HPET_CONFIG(2), TIMER_INTERRUPT | TIMER_FSB | TIMER_32);
    put(HPET_COMPARATOR(2), get(HPET_COUNTER) + ms);
    check("hpet.message", irq_wait(HPET_VECTOR, 1, 50));
    put(HPET_CONFIG(2), TIMER_32);
    test_nmi_messages();
}

/* Timers 0 and 1 in the place of PIT and RTC, at the PIC. */
static void test_legacy(void)
{
    irq_count(PIC_BASE, true);
    irq_count(PIC_RTC, true);
    lapic_write(0x35, 0x700); /* LINT0: ExtINT */
    pic_mask(0xfefa);
    pit_write(0, 2, (uint16_t)(PIT_HZ / 1000));
    check("hpet.pit", irq_wait(PIC_BASE, 3, 50));
    put(HPET_ENABLE, 3);
    irq_wait(PIC_BASE, ~0u, 2);
    irq_counts[PIC_BASE] = 0;
    check("hpet.pit-replaced", !irq_wait(PIC_BASE, 1, 10));
    put(HPET_CONFIG(0), TIMER_INTERRUPT | TIMER_32);
    put(HPET_CONFIG(1), TIMER_INTERRUPT | TIMER_32);
    put(HPET_COMPARATOR(0), get(HPET_COUNTER) + ms);
    put(HPET_COMPARATOR(1), get(HPET_COUNTER) + 2 * ms);
    check("hpet.legacy-0", irq_wait(PIC_BASE, 1, 50));
    check("hpet.legacy-1", irq_wait(PIC_RTC, 1, 50));
    put(HPET_CONFIG(0), TIMER_32);
    put(HPET_CONFIG(1), TIMER_32);
    put(HPET_ENABLE, 1);
    irq_counts[PIC_BASE] = 0;
    check("hpet.pit-back", irq_wait(PIC_BASE, 3, 50));
    pit_write(0, 0, 1);
    irq_wait(PIC_BASE, ~0u, 1);
    pic_mask(0xffff);
    lapic_write(0x35, LVT_MASKED);
}

void test_hpet(void)
{
    uint64_t capabilities = get(HPET_CAPABILITIES), pins = get(HPET_CONFIG(0)) >> 32;

    if (capabilities == UINT64_MAX || !(capabilities & 0xff)) {
        skip("hpet", "there is none");
        return;
    }
    ms = 1000000000000 / (capabilities >> 32);
    expect_range("hpet.period", capabilities >> 32, 1, 100000000);
    expect_range("hpet.timers", (capabilities >> 8 & 0x1f) + 1, 3, 32);
    test_counter();
    if (pins) {
        test_edges((uint32_t)__builtin_ctzll(pins));
        test_level((uint32_t)__builtin_ctzll(pins));
    }
    test_message();
    if (on_tcg && !on_keel)
        skip("hpet.legacy", "QEMU's own raises the RTC's line too shortly for its PIC");
    else
        test_legacy();
    put(HPET_ENABLE, 0);
}
