/* The MADT: cores and interrupt controllers (ACPI 6.5 section 5.2.12). */
#include "drivers/hw/acpi_table.h"

#define MADT_LAPIC_ADDRESS 36
#define MADT_FLAGS         40
#define MADT_ENTRIES       44
#define MADT_PCAT_COMPAT   BIT(0) /* there are 8259s, too */

#define CPU_ENABLED        BIT(0)
#define CPU_ONLINE_CAPABLE BIT(1)

/*
 * MPS INTI flags of an override: polarity in bits 0-1, trigger mode in bits 2-3; 3 is active low, or level.
 */
#define INTI_POLARITY(flags) ((flags)&3)
#define INTI_TRIGGER(flags)  ((flags) >> 2 & 3)

static void cpu_add(struct acpi_info *info, const struct acpi_table *table, uint32_t id, uint32_t flags)
{
    if (!(flags & CPU_ENABLED)) {
        info->cpu_offline += (flags & CPU_ONLINE_CAPABLE) != 0;
        return;
    }
    for (uint32_t i = 0; i < info->cpu_count; i++)
        if (info->cpus[i] == id) {
            acpi_complain(info, table, "APIC id %u is listed twice", id);
            return;
        }
    if (info->cpu_count == ACPI_MAX_CPUS) {
        acpi_complain(info, table, "more than %d cores, APIC id %u is left out", ACPI_MAX_CPUS, id);
        return;
    }
    info->cpus[info->cpu_count++] = id;
}

/* An id of 255 is the broadcast address: as a core it is a place-holder, in either kind of entry. */
static void lapic_read(struct acpi_info *info, const struct acpi_table *table, const uint8_t *entry)
{
    if (entry[3] != 0xff)
        cpu_add(info, table, entry[3], get_le32(entry + 4));
}

static void x2apic_read(struct acpi_info *info, const struct acpi_table *table, const uint8_t *entry)
{
    if (get_le32(entry + 4) != 0xffffffff)
        cpu_add(info, table, get_le32(entry + 4), get_le32(entry + 8));
}

static void ioapic_read(struct acpi_info *info, const struct acpi_table *table, const uint8_t *entry)
{
    struct acpi_ioapic ioapic = {
        .id = entry[2], .address = get_le32(entry + 4), .gsi_base = get_le32(entry + 8)};

    if (info->ioapic_count == ACPI_MAX_IOAPICS)
        acpi_complain(info, table, "more than %d I/O APICs, id %u is left out", ACPI_MAX_IOAPICS, ioapic.id);
    else
        info->ioapics[info->ioapic_count++] = ioapic;
}

/* "As the bus has it" is active high and edge for ISA, which is the only bus that overrides are for. */
static void override_read(struct acpi_info *info, const struct acpi_table *table, const uint8_t *entry)
{
    uint16_t flags = get_le16(entry + 8);
    struct acpi_override o = {.irq = entry[3],
                              .gsi = get_le32(entry + 4),
                              .active_low = INTI_POLARITY(flags) == 3,
                              .level = INTI_TRIGGER(flags) == 3};

    if (entry[2] != 0 || o.irq > 15)
        acpi_complain(info, table, "an override of interrupt %u on bus %u means nothing", o.irq, entry[2]);
    else if (info->override_count == ACPI_MAX_OVERRIDES)
        acpi_complain(info, table, "more than %d overrides", ACPI_MAX_OVERRIDES);
    else
        info->overrides[info->override_count++] = o;
}

static void lapic_address_read(struct acpi_info *info, const struct acpi_table *table, const uint8_t *entry)
{
    (void)table;
    info->lapic_address = get_le64(entry + 4);
}

struct entry_kind {
    uint8_t type, len; /* the least length */
    void (*read)(struct acpi_info *info, const struct acpi_table *table, const uint8_t *entry);
};

static const struct entry_kind kinds[] = {
    {0, 8, lapic_read},          {1, 12, ioapic_read}, {2, 10, override_read},
    {5, 12, lapic_address_read}, {9, 16, x2apic_read},
};

static void entry_read(struct acpi_info *info, const struct acpi_table *table, const uint8_t *entry,
                       uint32_t len)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (kinds[i].type != entry[0])
            continue;
        if (len < kinds[i].len)
            acpi_complain(info, table, "an entry of type %u has a length of %u, left out", entry[0], len);
        else
            kinds[i].read(info, table, entry);
    }
}

void acpi_madt_read(struct acpi_info *info, const struct acpi_table *table)
{
    uint32_t len;

    if (table->len < MADT_ENTRIES) {
        acpi_complain(info, table, "has a length of %u, left out", table->len);
        return;
    }
    info->lapic_address = get_le32(table->data + MADT_LAPIC_ADDRESS);
    info->has_8259 = get_le32(table->data + MADT_FLAGS) & MADT_PCAT_COMPAT;
    for (uint32_t at = MADT_ENTRIES; at < table->len; at += len) {
        const uint8_t *entry = table->data + at;

        len = table->len - at < 2 ? 0 : entry[1];
        if (len < 2 || len > table->len - at) {
            acpi_complain(info, table, "the entry at %u is cut off or has no length, the rest is left out",
                          at);
            return;
        }
        entry_read(info, table, entry, len);
    }
}
