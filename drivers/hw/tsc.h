/* The rate of the TSC. */
#pragma once

#include "core/lib/types.h"

struct acpi_info;

/*
 * Finds the TSC's rate in Hz, and says in *source, in a few words, how. What CPUID tells is checked against a
 * timer, and a timer alone has to do where CPUID tells nothing. Takes about 2 ms, 30 ms at most.
 */
uint64_t tsc_find(const struct acpi_info *acpi, const char **source);
