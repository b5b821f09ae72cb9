/* The IOAPIC's registers, and the PIT through its pin 2. */
#include "guests/payload/payload.h"

#define IOAPIC_ID         0
#define IOAPIC_VERSION    1
#define IOAPIC_ENTRY(pin) (0x10 + 2 * (pin))
#define ENTRY_MASKED      BIT(16)
#define PIT_PIN           2
#define PIT_VECTOR        0x55

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

void test_ioapic(void)
{
    test_registers();
    test_pit();
}
