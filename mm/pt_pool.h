/* Page tables out of the pool. */
#pragma once

#include "mm/pt.h"

/* Tables that are frames of `owner`. */
struct pt_memory pt_pool(uint16_t owner);
