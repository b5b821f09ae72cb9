#include "mm/guestram.h"

#include "core/lib/lock.h"
#include "core/lib/panic.h"
#include "core/lib/string.h"
#include "mm/frame.h"

#define BLOCKS_PER_GIB (SIZE_1G / GUESTRAM_BLOCK)

/* One contiguous range of guest memory. */
struct region {
    hpa_t base;
    uint64_t blocks;
    uint16_t *owner; /* one word a block */
};

static struct {
    struct lock lock; /* guards the owner words */
    uint32_t count;
    struct region *regions;
} ram = {.lock = LOCK_INIT};

/* A run of free blocks. */
struct run {
    struct region *region;
    uint64_t first, blocks;
};

uint64_t guestram_table_bytes(const struct memmap *guest)
{
    uint64_t words = 0;

    for (uint32_t i = 0; i < guest->count; i++)
        words += guest->ranges[i].len / GUESTRAM_BLOCK;
    return guest->count * sizeof(struct region) + words * sizeof(uint16_t);
}

void guestram_init(const struct memmap *guest, void *memory)
{
    uint16_t *words;

    memset(memory, 0, guestram_table_bytes(guest));
    ram.lock = (struct lock)LOCK_INIT;
    lock_name(&ram.lock, "guest-memory");
    ram.count = guest->count;
    ram.regions = memory;
    words = (uint16_t *)(ram.regions + ram.count);
    for (uint32_t i = 0; i < ram.count; i++) {
        const struct memmap_range *range = &guest->ranges[i];

        assert(IS_ALIGNED(range->base | range->len, GUESTRAM_BLOCK));
        ram.regions[i] = (struct region){range->base, range->len / GUESTRAM_BLOCK, words};
        words += ram.regions[i].blocks;
    }
}

static uint64_t region_block(const struct region *region, hpa_t hpa)
{
    return (hpa - region->base) / GUESTRAM_BLOCK;
}

static hpa_t region_hpa(const struct region *region, uint64_t block)
{
    return region->base + block * GUESTRAM_BLOCK;
}

static struct region *region_of(hpa_t hpa)
{
    for (uint32_t i = 0; i < ram.count; i++)
        if (hpa >= ram.regions[i].base && region_block(&ram.regions[i], hpa) < ram.regions[i].blocks)
            return &ram.regions[i];
    return NULL;
}

/* The part of a run that consists of whole, aligned gigabytes; its length may be 0. */
static struct run run_gigabytes(struct run run)
{
    hpa_t start = region_hpa(run.region, run.first), end = region_hpa(run.region, run.first + run.blocks);
    hpa_t first = ALIGN_UP(start, SIZE_1G), last = ALIGN_DOWN(end, SIZE_1G);

    if (first >= last)
        return (struct run){run.region, run.first, 0};
    return (struct run){run.region, region_block(run.region, first), (last - first) / GUESTRAM_BLOCK};
}

/* The better of two runs for `want` blocks: the shortest that is long enough, else the longest. */
static struct run run_better(struct run a, struct run b, uint64_t want)
{
    if (a.blocks >= want && b.blocks >= want)
        return b.blocks < a.blocks ? b : a;
    return b.blocks > a.blocks ? b : a;
}

static struct run run_best(uint64_t want, bool gigabytes)
{
    struct run best = {0};

    for (uint32_t i = 0; i < ram.count; i++) {
        struct run run = {&ram.regions[i], 0, 0};

        for (uint64_t b = 0; b <= run.region->blocks; b++) {
            if (b < run.region->blocks && run.region->owner[b] == OWNER_FREE)
                continue;
            run.blocks = b - run.first;
            best = run_better(best, gigabytes ? run_gigabytes(run) : run, want);
            run.first = b + 1;
        }
    }
    return best;
}

/* Cuts a run to `want` blocks, at the end that doesn't break a whole gigabyte. */
static struct run run_cut(struct run run, uint64_t want)
{
    bool low_end = !IS_ALIGNED(region_hpa(run.region, run.first), SIZE_1G);
    bool high_end = !IS_ALIGNED(region_hpa(run.region, run.first + run.blocks), SIZE_1G);

    if (want >= run.blocks)
        return run;
    if (high_end && !low_end)
        run.first += run.blocks - want;
    run.blocks = want;
    return run;
}

uint64_t guestram_alloc(uint64_t bytes, uint16_t owner, hpa_t *base)
{
    uint64_t want = MAX(bytes / GUESTRAM_BLOCK, 1u);
    struct run run = {0};

    assert(owner >= OWNER_VM);
    lock_take(&ram.lock);
    if (want >= BLOCKS_PER_GIB) {
        uint64_t whole = ALIGN_DOWN(want, BLOCKS_PER_GIB);

        run = run_best(whole, true);
        if (run.blocks)
            run = run_cut(run, whole);
    }
    if (!run.blocks) {
        run = run_best(want, false);
        if (run.blocks)
            run = run_cut(run, want);
    }
    for (uint64_t i = 0; i < run.blocks; i++)
        run.region->owner[run.first + i] = owner;
    lock_drop(&ram.lock);
    if (run.blocks)
        *base = region_hpa(run.region, run.first);
    return run.blocks * GUESTRAM_BLOCK;
}

void guestram_free(hpa_t base, uint64_t len)
{
    struct region *region = region_of(base);
    uint64_t first, blocks = len / GUESTRAM_BLOCK;

    if (len == 0)
        return;
    assert(region && IS_ALIGNED(base | len, GUESTRAM_BLOCK));
    first = region_block(region, base);
    assert(blocks <= region->blocks - first);
    lock_take(&ram.lock);
    for (uint64_t i = first; i < first + blocks; i++) {
        assert(region->owner[i] != OWNER_FREE);
        region->owner[i] = OWNER_FREE;
    }
    lock_drop(&ram.lock);
}

uint16_t guestram_owner(hpa_t hpa)
{
    const struct region *region = region_of(hpa);

    return region ? region->owner[region_block(region, hpa)] : OWNER_FREE;
}

bool guestram_contains(hpa_t hpa)
{
    return region_of(hpa) != NULL;
}

uint64_t guestram_free_bytes(void)
{
    uint64_t blocks = 0;

    for (uint32_t i = 0; i < ram.count; i++)
        for (uint64_t b = 0; b < ram.regions[i].blocks; b++)
            blocks += ram.regions[i].owner[b] == OWNER_FREE;
    return blocks * GUESTRAM_BLOCK;
}

uint64_t guestram_total_bytes(void)
{
    uint64_t blocks = 0;

    for (uint32_t i = 0; i < ram.count; i++)
        blocks += ram.regions[i].blocks;
    return blocks * GUESTRAM_BLOCK;
}
