/* Random numbers from the CPU: RDSEED, else RDRAND (SDM volume 1, 7.3.17). */
#pragma once

#include "core/lib/types.h"

/* False if it has neither, or gives nothing after many tries. */
bool entropy_read(void *buf, size_t len);
