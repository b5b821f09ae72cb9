/*
 * Guest memory: whole 2 MiB blocks that are mapped in no address space but their VM's. A table with one entry a block
 * knows the owner. Pure but for its lock; scrubbing goes through the owner's window and is the caller's (core/vmmem.c).
 */
#pragma once

#include "mm/memmap.h"

#define GUESTRAM_BLOCK SIZE_2M

/* Takes over the split's guest ranges (2 MiB-aligned); needs `memory` for its table: guestram_table_bytes() of it. */
uint64_t guestram_table_bytes(const struct memmap *guest);
void guestram_init(const struct memmap *guest, void *memory);
/*
 * Allocates one contiguous run: at most `bytes`, at least one block, as long as it can find; a multiple of 1 GiB is
 * aligned to 1 GiB when one is free. Returns its length, 0 when nothing is left. The caller calls again for the rest.
 */
uint64_t guestram_alloc(uint64_t bytes, uint16_t owner, hpa_t *base);
void guestram_free(hpa_t base, uint64_t len);
uint16_t guestram_owner(hpa_t hpa); /* OWNER_FREE also for what isn't guest memory */
bool guestram_contains(hpa_t hpa);
uint64_t guestram_free_bytes(void);
uint64_t guestram_total_bytes(void);
