/* Intel 82093AA data sheet; register use as in ACPI 6.5 section 5.2.12.3. */
#include "drivers/hw/ioapic.h"

#include "core/lib/error.h"
#include "core/lib/lock.h"
#include "core/lib/log.h"
#include "core/x86/io.h"
#include "drivers/hw/acpi.h"
#include "mm/hostmap.h"

#define IOREGSEL   0x00
#define IOWIN      0x10
#define WINDOW_LEN 0x20

#define REG_VERSION  0x01
#define REG_RTE(pin) (0x10 + 2 * (pin)) /* low half; the high half is the next register */

#define RTE_ACTIVE_LOW BIT(13)
#define RTE_LEVEL      BIT(15)
#define RTE_MASKED     BIT(16)
#define RTE_DEST_SHIFT 24   /* in the high half */
#define DEST_MAX       0xfe /* eight bits, 0xff is all cores */

struct ioapic {
    volatile uint8_t *regs;
    uint32_t gsi_base, pins;
};

static struct ioapic ioapics[ACPI_MAX_IOAPICS];
static uint32_t ioapic_count;
static const struct acpi_info *tables;
static struct lock lock = LOCK_INIT; /* guards the pair of index and data register, of all of them */

static uint32_t reg_read(const struct ioapic *ioapic, uint32_t reg)
{
    mmio_write32(ioapic->regs + IOREGSEL, reg);
    return mmio_read32(ioapic->regs + IOWIN);
}

static void reg_write(const struct ioapic *ioapic, uint32_t reg, uint32_t value)
{
    mmio_write32(ioapic->regs + IOREGSEL, reg);
    mmio_write32(ioapic->regs + IOWIN, value);
}

static void ioapic_add(const struct acpi_ioapic *entry)
{
    struct ioapic ioapic = {.gsi_base = entry->gsi_base};
    uint32_t version;

    ioapic.regs = hostmap_device(entry->address, WINDOW_LEN, PT_READ | PT_WRITE | PT_UC);
    version = ioapic.regs ? reg_read(&ioapic, REG_VERSION) : 0xffffffff;
    if (version == 0xffffffff) {
        log_warn("ioapic: id %u at 0x%llx does not answer", entry->id, (unsigned long long)entry->address);
        return;
    }
    ioapic.pins = (version >> 16 & 0xff) + 1;
    for (uint32_t pin = 0; pin < ioapic.pins; pin++)
        reg_write(&ioapic, REG_RTE(pin), RTE_MASKED);
    ioapics[ioapic_count++] = ioapic;
}

void ioapic_init(const struct acpi_info *acpi)
{
    tables = acpi;
    ioapic_count = 0;
    for (uint32_t i = 0; i < acpi->ioapic_count; i++)
        ioapic_add(&acpi->ioapics[i]);
}

static const struct ioapic *ioapic_of(uint32_t gsi)
{
    for (uint32_t i = 0; i < ioapic_count; i++)
        if (gsi >= ioapics[i].gsi_base && gsi - ioapics[i].gsi_base < ioapics[i].pins)
            return &ioapics[i];
    return NULL;
}

int ioapic_route(uint32_t gsi, bool active_low, bool level, uint8_t vector, uint32_t apic_id)
{
    const struct ioapic *ioapic = ioapic_of(gsi);
    uint32_t low = vector, reg;

    if (!ioapic)
        return ERR_NOTFOUND;
    if (apic_id > DEST_MAX)
        return ERR_NOTSUP;
    if (active_low)
        low |= (uint32_t)RTE_ACTIVE_LOW;
    if (level)
        low |= (uint32_t)RTE_LEVEL;
    reg = REG_RTE(gsi - ioapic->gsi_base);
    lock_take(&lock);
    /* Masked until the destination is right. */
    reg_write(ioapic, reg, RTE_MASKED);
    reg_write(ioapic, reg + 1, apic_id << RTE_DEST_SHIFT);
    reg_write(ioapic, reg, low);
    lock_drop(&lock);
    return 0;
}

int ioapic_route_isa(uint8_t irq, uint8_t vector, uint32_t apic_id)
{
    for (uint32_t i = 0; tables && i < tables->override_count; i++) {
        const struct acpi_override *o = &tables->overrides[i];

        if (o->irq == irq)
            return ioapic_route(o->gsi, o->active_low, o->level, vector, apic_id);
    }
    return ioapic_route(irq, false, false, vector, apic_id);
}
