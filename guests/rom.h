/* The ROM of a VM that is started without firmware: all that is left of a BIOS there. */
#pragma once

#include "mm/gmem.h"

/* Writes the code at the real-mode reset vector, F000:FFF0. ERR_RANGE if the VM has no memory there. */
int rom_build(const struct gmem *mem);
