/* The FADT: the fixed registers, for switching off, resetting and timing (ACPI 6.5 section 5.2.9). */
#include "drivers/hw/acpi_table.h"

#define FADT_DSDT          40
#define FADT_SMI_CMD       48
#define FADT_ACPI_ENABLE   52
#define FADT_PM1A_CNT      64
#define FADT_PM1B_CNT      68
#define FADT_PM_TMR        76
#define FADT_CENTURY       108
#define FADT_IAPC_ARCH     109
#define FADT_FLAGS         112
#define FADT_V1_LEN        116
#define FADT_RESET_REG     116
#define FADT_RESET_VALUE   128
#define FADT_X_DSDT        140
#define FADT_X_PM1A_CNT    172
#define FADT_X_PM1B_CNT    184
#define FADT_X_PM_TMR      208
#define FADT_SLEEP_CONTROL 244

#define FLAG_TMR_32BIT  BIT(8)
#define FLAG_RESET_REG  BIT(10)
#define FLAG_HW_REDUCED BIT(20)
#define IAPC_8042       BIT(1)

/* A field that a shorter, older table doesn't have is as if it were zero. */
static bool has_field(const struct acpi_table *table, uint32_t offset, uint32_t size)
{
    return offset + size <= table->len;
}

static struct acpi_address address_at(const struct acpi_table *table, uint32_t offset)
{
    if (!has_field(table, offset, 12))
        return (struct acpi_address){0};
    return acpi_get_address(table->data + offset);
}

/* A register block has an old field with a port number and a newer one that counts if it isn't zero. */
static struct acpi_address block_at(const struct acpi_table *table, uint32_t old, uint32_t extended,
                                    uint8_t bits)
{
    struct acpi_address found = address_at(table, extended);

    if (!found.address)
        found = (struct acpi_address){
            .space = ACPI_SPACE_IO, .bits = bits, .address = get_le32(table->data + old)};
    return found;
}

hpa_t acpi_fadt_dsdt(const struct acpi_table *table)
{
    hpa_t addr = has_field(table, FADT_X_DSDT, 8) ? get_le64(table->data + FADT_X_DSDT) : 0;

    if (!addr && has_field(table, FADT_DSDT, 4))
        addr = get_le32(table->data + FADT_DSDT);
    return addr;
}

void acpi_fadt_read(struct acpi_info *info, const struct acpi_table *table)
{
    struct acpi_power *power = &info->power;
    const uint8_t *data = table->data;

    if (table->len < FADT_V1_LEN) {
        acpi_complain(info, table, "has a length of %u, left out", table->len);
        return;
    }
    power->sound = true;
    power->flags = get_le32(data + FADT_FLAGS);
    power->smi_command = get_le32(data + FADT_SMI_CMD);
    power->acpi_enable = data[FADT_ACPI_ENABLE];
    power->century = data[FADT_CENTURY];
    power->has_8042 = get_le16(data + FADT_IAPC_ARCH) & IAPC_8042;
    power->timer_32bit = power->flags & FLAG_TMR_32BIT;
    power->hw_reduced = power->flags & FLAG_HW_REDUCED;
    if (power->hw_reduced) {
        power->sleep_control = address_at(table, FADT_SLEEP_CONTROL);
    } else {
        power->pm1a_control = block_at(table, FADT_PM1A_CNT, FADT_X_PM1A_CNT, 16);
        power->pm1b_control = block_at(table, FADT_PM1B_CNT, FADT_X_PM1B_CNT, 16);
        power->timer = block_at(table, FADT_PM_TMR, FADT_X_PM_TMR, 32);
    }
    power->reset = address_at(table, FADT_RESET_REG);
    power->reset_supported = (power->flags & FLAG_RESET_REG) && power->reset.address;
    if (has_field(table, FADT_RESET_VALUE, 1))
        power->reset_value = data[FADT_RESET_VALUE];
}
