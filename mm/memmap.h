/*
 * Physical memory at boot: the loader's map made sound, and what is left of it split into the pool and guest memory
 * (DESIGN 4). Pure: takes ranges, gives ranges.
 */
#pragma once

#include "core/lib/types.h"

#define MEMMAP_MAX 512

struct memmap_range {
    hpa_t base;
    uint64_t len;
};

/* A sorted set of ranges, none empty, none overlapping, none adjacent. */
struct memmap {
    uint32_t count;
    bool overflow; /* more than MEMMAP_MAX ranges were needed: some memory was left out */
    struct memmap_range ranges[MEMMAP_MAX];
};

void memmap_clear(struct memmap *map);
/* Adds memory; trims it inwards to whole pages. Ranges that wrap or lie above 2^52 are cut. */
void memmap_add(struct memmap *map, hpa_t base, uint64_t len);
/* Takes memory away; grows the hole outwards to whole pages. */
void memmap_remove(struct memmap *map, hpa_t base, uint64_t len);
bool memmap_contains(const struct memmap *map, hpa_t base, uint64_t len);
uint64_t memmap_bytes(const struct memmap *map);
/*
 * Splits usable RAM. Whole 2 MiB blocks go to `guest`, all the rest to `pool`; then blocks are moved from guest to pool,
 * highest below 4 GiB first, until the pool has pool_bytes or nothing is left. RAM below 1 MiB goes to neither, but to
 * `low` (the AP trampoline lives there).
 */
void memmap_split(const struct memmap *ram, uint64_t pool_bytes, struct memmap *low, struct memmap *pool,
                  struct memmap *guest);
