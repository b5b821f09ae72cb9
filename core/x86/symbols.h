/* Names of the hypervisor's functions, for stack traces; the table is written by boot/symbols at link time. */
#pragma once

#include "core/lib/types.h"

/* The function that holds addr and how far into it that is, or NULL if addr isn't in the image's code. */
const char *symbol_find(uint64_t addr, uint64_t *offset);
