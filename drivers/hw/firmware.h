/* The ACPI tables of the machine that we run on. */
#pragma once

#include "drivers/hw/acpi.h"

struct boot_info;
struct uart_config;

/*
 * Reads them into acpi_host and says in one line what was found. The machine works, with less, without any.
 */
void firmware_init(const struct boot_info *boot);

extern struct acpi_info acpi_host;

/*
 * The serial port that the firmware itself uses as its console (SPCR), mapped; ERR_NOTFOUND if it names none.
 */
int firmware_uart(struct uart_config *config) MUST_CHECK;
