#include "mm/memmap.h"

#include "core/lib/string.h"

#define ADDRESS_END BIT(52) /* architectural limit of physical addresses (SDM volume 3, 4.1.4) */
#define LOW_END     (1 * MiB)
#define FOUR_GIB    (4 * GiB)

static uint64_t range_end(const struct memmap_range *range)
{
    return range->base + range->len;
}

/* The end of [base, base + len), cut to the address space. */
static uint64_t end_clamp(uint64_t base, uint64_t len)
{
    return base >= ADDRESS_END ? base : len > ADDRESS_END - base ? ADDRESS_END : base + len;
}

/* Index of the first range that ends above addr. */
static uint32_t range_find(const struct memmap *map, uint64_t addr)
{
    uint32_t lo = 0, hi = map->count;

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;

        if (range_end(&map->ranges[mid]) > addr)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

/* Replaces ranges [from, to) by `count` new ones. The caller has made sure that they fit. */
static void ranges_replace(struct memmap *map, uint32_t from, uint32_t to, const struct memmap_range *with,
                           uint32_t count)
{
    memmove(&map->ranges[from + count], &map->ranges[to], (map->count - to) * sizeof(*with));
    memcpy(&map->ranges[from], with, count * sizeof(*with));
    map->count = map->count - (to - from) + count;
}

void memmap_clear(struct memmap *map)
{
    map->count = 0;
    map->overflow = false;
}

void memmap_add(struct memmap *map, hpa_t base, uint64_t len)
{
    uint64_t end = ALIGN_DOWN(end_clamp(base, len), PAGE_SIZE);
    struct memmap_range merged;
    uint32_t from, to;

    if (base >= ADDRESS_END)
        return;
    base = ALIGN_UP(base, PAGE_SIZE);
    if (base >= end)
        return;
    /* What overlaps or touches the new range becomes one range with it. */
    from = to = base ? range_find(map, base - 1) : 0;
    while (to < map->count && map->ranges[to].base <= end)
        to++;
    if (from < to) {
        base = MIN(base, map->ranges[from].base);
        end = MAX(end, range_end(&map->ranges[to - 1]));
    } else if (map->count == MEMMAP_MAX) {
        map->overflow = true;
        return;
    }
    merged = (struct memmap_range){base, end - base};
    ranges_replace(map, from, to, &merged, 1);
}

void memmap_remove(struct memmap *map, hpa_t base, uint64_t len)
{
    uint64_t end = end_clamp(base, len);
    struct memmap_range left[2];
    uint32_t from, to, count = 0;

    if (len == 0 || base >= ADDRESS_END)
        return;
    base = ALIGN_DOWN(base, PAGE_SIZE);
    end = ALIGN_UP(end, PAGE_SIZE);
    from = to = range_find(map, base);
    while (to < map->count && map->ranges[to].base < end)
        to++;
    if (from == to)
        return;
    if (map->ranges[from].base < base)
        left[count++] = (struct memmap_range){map->ranges[from].base, base - map->ranges[from].base};
    if (range_end(&map->ranges[to - 1]) > end)
        left[count++] = (struct memmap_range){end, range_end(&map->ranges[to - 1]) - end};
    /* A hole in the middle of one range makes two of it. Without room for both, the smaller is left out. */
    if (count > to - from && map->count == MEMMAP_MAX) {
        map->overflow = true;
        if (left[0].len < left[1].len)
            left[0] = left[1];
        count = 1;
    }
    ranges_replace(map, from, to, left, count);
}

bool memmap_contains(const struct memmap *map, hpa_t base, uint64_t len)
{
    uint32_t i = range_find(map, base);

    return i < map->count && map->ranges[i].base <= base && len <= range_end(&map->ranges[i]) - base;
}

uint64_t memmap_bytes(const struct memmap *map)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < map->count; i++)
        sum += map->ranges[i].len;
    return sum;
}

/* Gives the part of [base, end) that is above LOW_END to guest and pool: whole 2 MiB blocks, and what is around them. */
static void range_split(uint64_t base, uint64_t end, struct memmap *pool, struct memmap *guest)
{
    uint64_t first = ALIGN_UP(base, SIZE_2M), last = ALIGN_DOWN(end, SIZE_2M);

    if (first >= last) {
        memmap_add(pool, base, end - base);
        return;
    }
    memmap_add(pool, base, first - base);
    memmap_add(guest, first, last - first);
    memmap_add(pool, last, end - last);
}

/* Moves up to `bytes`, rounded up to blocks, of guest memory below `limit` to the pool, highest first. */
static void blocks_move(struct memmap *guest, struct memmap *pool, uint64_t limit, uint64_t bytes)
{
    uint64_t left = ALIGN_UP(bytes, SIZE_2M);

    while (left) {
        uint32_t i = range_find(guest, limit);
        struct memmap_range *range;
        uint64_t end, base;

        /* The range that holds the last byte below the limit, or else the one before it. */
        if (i == guest->count || guest->ranges[i].base >= limit) {
            if (i == 0)
                return;
            i--;
        }
        range = &guest->ranges[i];
        end = MIN(range_end(range), limit);
        base = end - MIN(end - range->base, left);
        left -= end - base;
        memmap_remove(guest, base, end - base);
        memmap_add(pool, base, end - base);
    }
}

void memmap_split(const struct memmap *ram, uint64_t pool_bytes, struct memmap *low, struct memmap *pool,
                  struct memmap *guest)
{
    uint64_t have;

    memmap_clear(low);
    memmap_clear(pool);
    memmap_clear(guest);
    for (uint32_t i = 0; i < ram->count; i++) {
        uint64_t base = ram->ranges[i].base, end = range_end(&ram->ranges[i]);

        if (base < LOW_END)
            memmap_add(low, base, MIN(end, LOW_END) - base);
        if (end > LOW_END)
            range_split(MAX(base, LOW_END), end, pool, guest);
    }
    have = memmap_bytes(pool);
    if (have < pool_bytes)
        blocks_move(guest, pool, FOUR_GIB, pool_bytes - have);
    have = memmap_bytes(pool);
    if (have < pool_bytes)
        blocks_move(guest, pool, ADDRESS_END, pool_bytes - have);
    low->overflow |= ram->overflow;
    pool->overflow |= ram->overflow;
    guest->overflow |= ram->overflow;
}
