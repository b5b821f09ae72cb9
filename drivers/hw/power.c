#include "drivers/hw/power.h"

#include "core/lib/log.h"
#include "core/x86/asm.h"
#include "core/x86/io.h"
#include "drivers/hw/acpi.h"
#include "mm/hostmap.h"

#define DELAY_PORT 0x80 /* POST codes; an access takes about 1 us */

/* QEMU's isa-debug-exit: a value v written there ends the process with status 2v + 1. Free on a PC. */
#define DEBUG_EXIT_PORT 0xf4
#define DEBUG_EXIT_GOOD 16u
#define DEBUG_EXIT_BAD  17u

#define BOCHS_PORT 0x8900

/* PM1 control (ACPI 6.5 section 4.8.3.2.1), and the sleep control register of reduced hardware (4.8.3.7). */
#define PM1_SCI_EN     BIT(0)
#define PM1_SLP_TYP(v) ((uint32_t)(v) << 10)
#define PM1_SLP_MASK   (PM1_SLP_TYP(7) | BIT(13))
#define PM1_SLP_EN     BIT(13)
#define SLEEP_TYP(v)   ((uint32_t)(v) << 2)
#define SLEEP_EN       BIT(5)

#define RESET_PORT  0xcf9
#define RESET_HARD  0x02 /* what is to happen, then with bit 2 that it happens */
#define RESET_GO    0x04
#define KBC_COMMAND 0x64
#define KBC_BUSY    BIT(1)
#define KBC_RESET   0xfe

#define PCI_ADDRESS 0xcf8
#define PCI_DATA    0xcfc

/* A register that was found in the tables, ready to be used in any state of the machine. */
struct reg {
    struct acpi_address at;
    volatile void *mapped; /* of one in memory */
};

static const struct acpi_power *power;
static struct reg pm1a, pm1b, sleep_control, reset;

static void delay_us(uint32_t us)
{
    while (us-- > 0)
        outb(DELAY_PORT, 0);
}

/* Registers in any space --------------------------------------------------------------------------------- */

static void reg_init(struct reg *reg, const struct acpi_address *at)
{
    *reg = (struct reg){.at = *at};
    if (at->address && at->space == ACPI_SPACE_MEMORY)
        reg->mapped = hostmap_device(at->address, 4, PT_READ | PT_WRITE | PT_UC);
}

/* Only the reset register may be in configuration space. */
static bool reg_usable(const struct reg *reg)
{
    if (reg->at.space == ACPI_SPACE_MEMORY)
        return reg->mapped;
    return reg->at.address &&
           (reg->at.space == ACPI_SPACE_IO || (reg->at.space == ACPI_SPACE_PCI && reg == &reset));
}

/* PM1 registers are of 16 bits, the others of 8. */
static uint32_t reg_read(const struct reg *reg, bool word)
{
    uint16_t port = (uint16_t)reg->at.address;

    if (reg->at.space == ACPI_SPACE_MEMORY)
        return word ? *(volatile uint16_t *)reg->mapped : *(volatile uint8_t *)reg->mapped;
    return word ? inw(port) : inb(port);
}

/* In configuration space, an address is device, function and offset, 16 bits each, on bus 0 (5.2.3.2). */
static void pci_write8(uint64_t address, uint8_t value)
{
    uint32_t device = address >> 32 & 0x1f, function = address >> 16 & 7, offset = address & 0xff;

    outl(PCI_ADDRESS, (uint32_t)BIT(31) | device << 11 | function << 8 | (offset & ~3u));
    outb((uint16_t)(PCI_DATA + (offset & 3)), value);
}

static void reg_write(const struct reg *reg, bool word, uint32_t value)
{
    uint16_t port = (uint16_t)reg->at.address;

    if (reg->at.space == ACPI_SPACE_PCI)
        pci_write8(reg->at.address, (uint8_t)value);
    else if (reg->at.space == ACPI_SPACE_IO && word)
        outw(port, (uint16_t)value);
    else if (reg->at.space == ACPI_SPACE_IO)
        outb(port, (uint8_t)value);
    else if (word)
        *(volatile uint16_t *)reg->mapped = (uint16_t)value;
    else
        *(volatile uint8_t *)reg->mapped = (uint8_t)value;
}

void power_init(const struct acpi_info *acpi)
{
    reg_init(&pm1a, &acpi->power.pm1a_control);
    reg_init(&pm1b, &acpi->power.pm1b_control);
    reg_init(&sleep_control, &acpi->power.sleep_control);
    reg_init(&reset, &acpi->power.reset);
    power = &acpi->power;
}

/* Off ---------------------------------------------------------------------------------------------------- */

/*
 * As long as the firmware owns the power registers, writes to them do nothing (4.8.2.5). It may take its
 * time.
 */
static void acpi_mode_enter(void)
{
    if ((reg_read(&pm1a, true) & PM1_SCI_EN) || !power->smi_command || !power->acpi_enable)
        return;
    outb((uint16_t)power->smi_command, power->acpi_enable);
    for (uint32_t i = 0; i < 1000 && !(reg_read(&pm1a, true) & PM1_SCI_EN); i++)
        delay_us(1000);
}

static void pm1_sleep(const struct reg *reg, uint8_t type)
{
    uint32_t value = reg_read(reg, true) & ~(uint32_t)PM1_SLP_MASK;

    reg_write(reg, true, value | PM1_SLP_TYP(type));
    reg_write(reg, true, value | PM1_SLP_TYP(type) | (uint32_t)PM1_SLP_EN);
}

static void acpi_off(void)
{
    if (!power || !power->has_s5)
        return;
    if (power->hw_reduced) {
        if (reg_usable(&sleep_control))
            reg_write(&sleep_control, false, SLEEP_TYP(power->slp_typa) | (uint32_t)SLEEP_EN);
    } else if (reg_usable(&pm1a)) {
        acpi_mode_enter();
        pm1_sleep(&pm1a, power->slp_typa);
        if (reg_usable(&pm1b))
            pm1_sleep(&pm1b, power->slp_typb);
    }
    delay_us(500000);
}

static void bochs_off(void)
{
    for (const char *p = "Shutdown"; *p; p++)
        outb(BOCHS_PORT, (uint8_t)*p);
}

void power_off(int status)
{
    interrupts_off();
    outl(DEBUG_EXIT_PORT, status ? DEBUG_EXIT_BAD : DEBUG_EXIT_GOOD);
    acpi_off();
    bochs_off();
    log_error("power: this machine can't be switched off by software; it is safe to do it by hand");
    power_halt();
}

/* Reset -------------------------------------------------------------------------------------------------- */

static void acpi_reset(void)
{
    if (!power || !power->reset_supported || !reg_usable(&reset))
        return;
    reg_write(&reset, false, power->reset_value);
    delay_us(50000);
}

static void chipset_reset(void)
{
    outb(RESET_PORT, RESET_HARD);
    outb(RESET_PORT, RESET_HARD | RESET_GO);
    delay_us(50000);
}

static void keyboard_reset(void)
{
    for (uint32_t i = 0; i < 10000 && (inb(KBC_COMMAND) & KBC_BUSY); i++)
        delay_us(1);
    outb(KBC_COMMAND, KBC_RESET);
    delay_us(50000);
}

void power_reset(void)
{
    interrupts_off();
    acpi_reset();
    chipset_reset();
    keyboard_reset();
    triple_fault();
    power_halt();
}

void power_halt(void)
{
    for (;;)
        cpu_halt();
}
