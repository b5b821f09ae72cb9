#include "drivers/hw/firmware.h"

#include "core/boot_info.h"
#include "core/lib/error.h"
#include "core/lib/log.h"
#include "drivers/hw/uart.h"
#include "mm/hostmap.h"

struct acpi_info acpi_host;

static const void *firmware_map(void *ctx, hpa_t addr, uint64_t len)
{
    (void)ctx;
    return hostmap_firmware(addr, len);
}

static void firmware_unmap(void *ctx, const void *ptr, uint64_t len)
{
    (void)ctx;
    hostmap_unmap(ptr, len);
}

void firmware_init(const struct boot_info *boot)
{
    static const struct acpi_memory memory = {firmware_map, firmware_unmap, NULL};
    struct acpi_info *info = &acpi_host;

    /*
     * A UEFI loader always passes the RSDP on; what a BIOS's areas hold on such a machine is anybody's guess.
     */
    if (acpi_read(info, &memory, boot->rsdp, boot->rsdp_len, !boot->efi))
        return;
    log_info("acpi: revision %u, %u tables, %u complaints; %u cores, %u I/O APICs%s%s%s", info->revision,
             info->table_count, info->bad_count, info->cpu_count, info->ioapic_count,
             info->hpet ? ", HPET" : "", info->power.has_s5 ? ", S5" : "",
             info->uart.present ? ", serial console" : "");
}

/* The last register's end, for an access of `width` bytes. */
static uint64_t uart_bytes(const struct uart_config *config)
{
    return 7ull * config->stride + config->width;
}

int firmware_uart(struct uart_config *config)
{
    const struct acpi_uart *uart = &acpi_host.uart;

    if (!uart->present)
        return ERR_NOTFOUND;
    *config = (struct uart_config){.baud = uart->baud, .clock_hz = uart->clock_hz, .stride = 1, .width = 1};
    if (uart->regs.space == ACPI_SPACE_IO) {
        config->port = (uint16_t)uart->regs.address;
        return uart->regs.address < 0xfff8 ? 0 : ERR_RANGE;
    }
    /*
     * The structure's register width is the distance between registers; its access size is how to touch them.
     */
    config->stride = uart->regs.bits == 32 ? 4 : uart->regs.bits == 16 ? 2 : 1;
    config->width = uart->regs.access == 3 ? 4 : 1;
    config->regs = hostmap_device(uart->regs.address, uart_bytes(config), PT_READ | PT_WRITE | PT_UC);
    return config->regs ? 0 : ERR_NOMEM;
}
