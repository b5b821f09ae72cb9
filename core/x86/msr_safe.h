/* MSRs and memory that may not be there: a fault makes these return false instead. */
#pragma once

#include "core/lib/types.h"

bool rdmsr_safe(uint32_t msr, uint64_t *value);
bool wrmsr_safe(uint32_t msr, uint64_t value);
/* Reads the word at any address, for a stack trace that may have gone astray. */
bool read_safe(uint64_t addr, uint64_t *value);
