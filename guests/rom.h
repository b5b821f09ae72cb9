/* What is where a PC's BIOS would be, and what it would leave in low memory, for a kernel that is started without one. Pure. */
#pragma once

#include "mm/gmem.h"

/*
 * Writes the reset code, the interrupt handlers and the vectors that lead there, and the BIOS data area. ERR_RANGE if there is no
 * memory for them.
 */
int rom_build(const struct gmem *mem) MUST_CHECK;
