#include "drivers/virt/vioapic.h"

#include "core/lib/string.h"

#define OFFSET_SELECT 0x00
#define OFFSET_WINDOW 0x10
#define OFFSET_EOI    0x40

#define REG_ID          0x00
#define REG_VERSION     0x01
#define REG_ARBITRATION 0x02
#define REG_REDIRECTION 0x10 /* two registers a pin: low, high */

#define VERSION (0x20 | (VIOAPIC_PINS - 1) << 16)

/* A redirection entry */
#define ENTRY_VECTOR(e)   ((uint8_t)(e))
#define ENTRY_DELIVERY(e) ((e) >> 8 & 7)
#define ENTRY_LOGICAL     BIT(11)
#define ENTRY_PENDING     BIT(12) /* read-only: never, a message is gone at once */
#define ENTRY_REMOTE_IRR  BIT(14) /* read-only */
#define ENTRY_LEVEL       BIT(15)
#define ENTRY_MASKED      BIT(16)
#define ENTRY_DEST(e)     ((e) >> 56)
#define ENTRY_LOW_KEPT    0x1afff /* what a guest writes: low half */
#define ENTRY_HIGH_KEPT   0xff000000

static void pin_send(struct vioapic *a, uint32_t pin)
{
    uint64_t entry = a->redirection[pin];
    uint32_t dest = ENTRY_DEST(entry);
    struct apic_message message = {
        .dest = dest == 0xff ? APIC_BROADCAST : dest,
        .dest_mode = entry & ENTRY_LOGICAL ? APIC_LOGICAL : APIC_PHYSICAL,
        .delivery = ENTRY_DELIVERY(entry),
        .vector = ENTRY_VECTOR(entry),
        .trigger = entry & ENTRY_LEVEL ? APIC_LEVEL : APIC_EDGE,
        .shorthand = APIC_TO_DEST,
        .level = true,
    };

    /* Only fixed and lowest-priority interrupts are ended by an EOI. */
    if ((entry & ENTRY_LEVEL) && message.delivery <= APIC_LOWEST)
        a->redirection[pin] |= ENTRY_REMOTE_IRR;
    a->config.send(a->config.ctx, &message);
}

/* Delivers a level that is high, unmasked, and not yet waiting for an EOI. */
static void level_check(struct vioapic *a, uint32_t pin)
{
    uint64_t state = a->redirection[pin] & (ENTRY_LEVEL | ENTRY_MASKED | ENTRY_REMOTE_IRR);

    if (state == ENTRY_LEVEL && (a->lines & BIT(pin)))
        pin_send(a, pin);
}

void vioapic_set_pin(void *dev, uint32_t pin, bool level)
{
    struct vioapic *a = dev;
    uint64_t entry;

    if (pin >= VIOAPIC_PINS || !!(a->lines & BIT(pin)) == level)
        return;
    a->lines ^= BIT(pin);
    if (!level)
        return;
    entry = a->redirection[pin];
    if (entry & ENTRY_LEVEL)
        level_check(a, pin);
    else if (!(entry & ENTRY_MASKED))
        pin_send(a, pin);
}

void vioapic_eoi(struct vioapic *a, uint8_t vector)
{
    for (uint32_t pin = 0; pin < VIOAPIC_PINS; pin++) {
        uint64_t entry = a->redirection[pin];

        if (!(entry & ENTRY_REMOTE_IRR) || ENTRY_VECTOR(entry) != vector)
            continue;
        a->redirection[pin] &= ~ENTRY_REMOTE_IRR;
        level_check(a, pin);
    }
}

static void entry_write(struct vioapic *a, uint32_t pin, bool high, uint32_t value)
{
    uint64_t entry = a->redirection[pin];

    if (high) {
        entry = (uint32_t)entry | (uint64_t)(value & ENTRY_HIGH_KEPT) << 32;
    } else {
        entry &= ~(uint64_t)ENTRY_LOW_KEPT;
        entry |= value & ENTRY_LOW_KEPT;
        if (!(entry & ENTRY_LEVEL))
            entry &= ~ENTRY_REMOTE_IRR;
    }
    a->redirection[pin] = entry;
    level_check(a, pin);
}

static uint32_t window_read(const struct vioapic *a)
{
    uint32_t index = a->select - REG_REDIRECTION;

    if (a->select == REG_ID || a->select == REG_ARBITRATION)
        return (uint32_t)a->id << 24;
    if (a->select == REG_VERSION)
        return VERSION;
    if (index / 2 < VIOAPIC_PINS)
        return (uint32_t)(a->redirection[index / 2] >> index % 2 * 32);
    return 0;
}

static void window_write(struct vioapic *a, uint32_t value)
{
    uint32_t index = a->select - REG_REDIRECTION;

    if (a->select == REG_ID)
        a->id = value >> 24 & 0xf;
    else if (index / 2 < VIOAPIC_PINS)
        entry_write(a, index / 2, index % 2, value);
}

static void ioapic_write(struct vioapic *a, uint64_t offset, uint32_t value)
{
    if (offset == OFFSET_SELECT)
        a->select = (uint8_t)value;
    else if (offset == OFFSET_WINDOW)
        window_write(a, value);
    else if (offset == OFFSET_EOI)
        vioapic_eoi(a, (uint8_t)value);
}

/* Registers are dwords; IOREGSEL and EOI use their low byte and may be written as bytes. */
enum bus_result vioapic_mmio(void *dev, struct bus_access *access)
{
    struct vioapic *a = dev;

    if (access->write) {
        if (access->size >= 4 || access->addr != OFFSET_WINDOW)
            ioapic_write(a, access->addr, (uint32_t)access->value);
    } else if (access->addr == OFFSET_SELECT) {
        access->value = a->select;
    } else {
        access->value = access->addr == OFFSET_WINDOW ? window_read(a) : 0;
    }
    return BUS_OK;
}

void vioapic_reset(struct vioapic *a)
{
    for (uint32_t pin = 0; pin < VIOAPIC_PINS; pin++)
        a->redirection[pin] = ENTRY_MASKED;
    a->select = 0;
    a->id = 0;
}

void vioapic_init(struct vioapic *a, const struct vioapic_config *config)
{
    memset(a, 0, sizeof(*a));
    a->config = *config;
    vioapic_reset(a);
}
