/* The small tables: serial console, HPET, PCI Express configuration space. */
#include "drivers/hw/acpi_table.h"

/* Microsoft's Serial Port Console Redirection table. */
#define SPCR_TYPE         36
#define SPCR_ADDRESS      40
#define SPCR_IRQ_TYPE     52
#define SPCR_IRQ          53
#define SPCR_GSI          54
#define SPCR_BAUD         58
#define SPCR_CLOCK        76 /* from revision 3 on */
#define SPCR_PRECISE_BAUD 80 /* from revision 4 on */
#define SPCR_LEN          80

#define SPCR_TYPE_16550 0x00
#define SPCR_TYPE_16450 0x01
#define SPCR_TYPE_GAS   0x12 /* 16550 with its registers as the address structure says */
#define SPCR_IRQ_8259   BIT(0)
#define SPCR_IRQ_IOAPIC BIT(1)

static uint32_t spcr_baud(const struct acpi_table *table)
{
    uint32_t precise = table->data[8] >= 4 && table->len >= SPCR_PRECISE_BAUD + 4
                           ? get_le32(table->data + SPCR_PRECISE_BAUD)
                           : 0;

    if (precise)
        return precise;
    switch (table->data[SPCR_BAUD]) {
    case 3:
        return 9600;
    case 4:
        return 19200;
    case 6:
        return 57600;
    case 7:
        return 115200;
    default:
        return 0;
    }
}

void acpi_spcr_read(struct acpi_info *info, const struct acpi_table *table)
{
    const uint8_t *data = table->data;
    struct acpi_uart uart = {.present = true};

    if (table->len < SPCR_LEN - 4) {
        acpi_complain(info, table, "has a length of %u, left out", table->len);
        return;
    }
    uart.regs = acpi_get_address(data + SPCR_ADDRESS);
    if (!uart.regs.address) /* redirection is off */
        return;
    if ((data[SPCR_TYPE] != SPCR_TYPE_16550 && data[SPCR_TYPE] != SPCR_TYPE_16450 &&
         data[SPCR_TYPE] != SPCR_TYPE_GAS) ||
        uart.regs.space > ACPI_SPACE_IO) {
        acpi_complain(info, table, "a serial port of type 0x%x is not supported", data[SPCR_TYPE]);
        return;
    }
    uart.irq = data[SPCR_IRQ_TYPE] & SPCR_IRQ_8259 ? data[SPCR_IRQ] : 0;
    uart.gsi = data[SPCR_IRQ_TYPE] & SPCR_IRQ_IOAPIC ? get_le32(data + SPCR_GSI) : 0;
    uart.baud = spcr_baud(table);
    if (data[8] >= 3 && table->len >= SPCR_CLOCK + 4)
        uart.clock_hz = get_le32(data + SPCR_CLOCK);
    info->uart = uart;
}

/* The IA-PC HPET specification, section 3.2.4. Of several blocks, number 0 is the one for the system. */
#define HPET_ADDRESS 40
#define HPET_NUMBER  52
#define HPET_LEN     56

void acpi_hpet_read(struct acpi_info *info, const struct acpi_table *table)
{
    struct acpi_address regs;

    if (table->len < HPET_LEN) {
        acpi_complain(info, table, "has a length of %u, left out", table->len);
        return;
    }
    regs = acpi_get_address(table->data + HPET_ADDRESS);
    if (regs.space != ACPI_SPACE_MEMORY || !regs.address || (regs.address & 7))
        acpi_complain(info, table, "its registers can't be at 0x%llx", (unsigned long long)regs.address);
    else if (!info->hpet || table->data[HPET_NUMBER] == 0)
        info->hpet = regs.address;
}

/* PCI Firmware Specification, section 4.1.2. */
#define MCFG_ENTRIES   44
#define MCFG_ENTRY_LEN 16

void acpi_mcfg_read(struct acpi_info *info, const struct acpi_table *table)
{
    for (uint32_t at = MCFG_ENTRIES; at + MCFG_ENTRY_LEN <= table->len; at += MCFG_ENTRY_LEN) {
        const uint8_t *entry = table->data + at;
        struct acpi_ecam ecam = {.base = get_le64(entry),
                                 .segment = get_le16(entry + 8),
                                 .first_bus = entry[10],
                                 .last_bus = entry[11]};

        if (ecam.last_bus < ecam.first_bus || !ecam.base)
            acpi_complain(info, table, "the entry for segment %u makes no sense, left out", ecam.segment);
        else if (info->ecam_count == ACPI_MAX_ECAMS)
            acpi_complain(info, table, "more than %d entries", ACPI_MAX_ECAMS);
        else
            info->ecams[info->ecam_count++] = ecam;
    }
}
