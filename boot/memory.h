/* The machine's memory, from the loader's map to the pool, guest memory and the hypervisor's own page tables (DESIGN 4). */
#pragma once

#include "core/boot_info.h"

/*
 * Splits memory and moves the calling core to the hypervisor's own page tables. `image`: where the loader put us.
 * `pool`: how much the pool should have, 0 for a share of what there is. Ends the machine if there is too little.
 */
void memory_init(const struct boot_info *boot, hpa_t image, uint64_t pool);
/* A page of RAM below 1 MiB that nothing else uses, or 0. */
hpa_t memory_low_page(void);
