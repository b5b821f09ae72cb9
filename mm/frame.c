/*
 * A range of the pool begins with its own description: a header and one owner word a frame. Allocation is first fit,
 * from a hint below which nothing is free; nearly all requests are for single frames.
 */
#include "mm/frame.h"

#include "core/lib/error.h"
#include "core/lib/lock.h"
#include "core/lib/panic.h"
#include "core/lib/string.h"
#include "mm/layout.h"

#define OWNER_HEAD                                                                                           \
    0x8000u /* in an owner word: the first frame of an allocation, so that a wrong count is noticed */

struct frame_range {
    struct frame_range *next; /* by order of frame_add */
    hpa_t base;
    uint64_t count; /* frames, those of this table included */
    uint64_t free;
    uint64_t hint;  /* no frame below this one is free */
    uint64_t clean; /* free frames below this one have been scrubbed; those from here on were never in use */
    uint16_t owner[];
};

static struct {
    struct lock lock; /* guards all below; innermost, nothing else is taken while it is held */
    uintptr_t direct; /* where physical address 0 is mapped */
    struct frame_range *ranges;
    uint64_t used[OWNER_MAX]; /* frames, by owner */
} pool = {.lock = LOCK_INIT, .direct = DIRECT_BASE};

static void *frame_ptr(const struct frame_range *range, uint64_t index)
{
    return (void *)(pool.direct + range->base + (index << PAGE_SHIFT));
}

void frame_init(uintptr_t direct)
{
    pool.lock = (struct lock)LOCK_INIT;
    pool.direct = direct;
    pool.ranges = NULL;
    memset(pool.used, 0, sizeof pool.used);
}

int frame_add(hpa_t base, uint64_t len)
{
    uint64_t count = len >> PAGE_SHIFT;
    uint64_t table = frame_count(sizeof(struct frame_range) + count * sizeof(uint16_t));
    struct frame_range *range = (struct frame_range *)(pool.direct + base), **tail = &pool.ranges;

    if (!IS_ALIGNED(base | len, PAGE_SIZE) || base + len < base)
        return ERR_INVALID;
    if (count <= table)
        return 0; /* all of it would be table */
    lock_name(&pool.lock, "pool");
    memset(range, 0, table << PAGE_SHIFT);
    range->base = base;
    range->count = count;
    range->free = count - table;
    range->hint = range->clean = table;
    for (uint64_t i = 0; i < table; i++)
        range->owner[i] = OWNER_HOST;
    range->owner[0] |= OWNER_HEAD;

    lock_take(&pool.lock);
    while (*tail)
        tail = &(*tail)->next;
    *tail = range;
    pool.used[OWNER_HOST] += table;
    lock_drop(&pool.lock);
    return 0;
}

/* Index of the first run of `count` free frames whose physical address is a multiple of `align` frames, or the range's count. */
static uint64_t run_find(const struct frame_range *range, uint32_t count, uint64_t align)
{
    uint64_t skew = range->base >> PAGE_SHIFT;
    uint64_t i = ALIGN_UP(range->hint + skew, align) - skew;

    while (i < range->count && count <= range->count - i) {
        uint64_t used = 0;

        while (used < count && range->owner[i + used] == OWNER_FREE)
            used++;
        if (used == count)
            return i;
        i = ALIGN_UP(i + used + 1 + skew, align) - skew;
    }
    return range->count;
}

static void *run_take(struct frame_range *range, uint64_t first, uint32_t count, uint16_t owner)
{
    uint64_t end = first + count;

    for (uint64_t i = first; i < end; i++)
        range->owner[i] = owner;
    range->owner[first] |= OWNER_HEAD;
    range->free -= count;
    while (range->hint < range->count && range->owner[range->hint] != OWNER_FREE)
        range->hint++;
    if (end > range->clean) {
        memset(frame_ptr(range, range->clean), 0, (end - range->clean) << PAGE_SHIFT);
        range->clean = end;
    }
    return frame_ptr(range, first);
}

static uint64_t count_alignment(uint32_t count)
{
    return count > 1 ? BIT(64 - __builtin_clzll(count - 1ull)) : 1;
}

void *frame_alloc(uint32_t count, uint16_t owner)
{
    void *frames = NULL;

    assert(count > 0 && owner != OWNER_FREE && owner < OWNER_MAX);
    lock_take(&pool.lock);
    for (struct frame_range *range = pool.ranges; range && !frames; range = range->next) {
        uint64_t first = range->free < count ? range->count : run_find(range, count, count_alignment(count));

        if (first < range->count)
            frames = run_take(range, first, count, owner);
    }
    pool.used[owner] += frames ? count : 0;
    lock_drop(&pool.lock);
    return frames;
}

static struct frame_range *range_of(hpa_t hpa)
{
    struct frame_range *range = pool.ranges;

    while (range && hpa - range->base >= range->count << PAGE_SHIFT)
        range = range->next;
    return range;
}

/* True if [first, first + count) is one whole allocation. */
static bool run_sound(const struct frame_range *range, uint64_t first, uint32_t count)
{
    uint16_t head = range->owner[first];

    if (!(head & OWNER_HEAD) || count > range->count - first)
        return false;
    for (uint64_t i = 1; i < count; i++)
        if ((range->owner[first + i] | OWNER_HEAD) != head || range->owner[first + i] & OWNER_HEAD)
            return false;
    return first + count == range->count || range->owner[first + count] != (head & ~OWNER_HEAD);
}

void frame_free(void *frames, uint32_t count)
{
    hpa_t hpa = (uintptr_t)frames - pool.direct;
    struct frame_range *range;
    uint64_t first;

    if (!frames)
        return;
    assert(count > 0 && IS_ALIGNED(hpa, PAGE_SIZE));
    lock_take(&pool.lock);
    range = range_of(hpa);
    assert(range != NULL);
    first = (hpa - range->base) >> PAGE_SHIFT;
    assert(run_sound(range, first, count));
    pool.used[range->owner[first] & (OWNER_HEAD - 1)] -= count;
    memset(frames, 0, (uint64_t)count << PAGE_SHIFT);
    memset(&range->owner[first], 0, count * sizeof(range->owner[0]));
    range->free += count;
    range->hint = MIN(range->hint, first);
    lock_drop(&pool.lock);
}

uint16_t frame_owner(hpa_t frame)
{
    const struct frame_range *range = range_of(frame);

    return range ? range->owner[(frame - range->base) >> PAGE_SHIFT] & (OWNER_HEAD - 1) : OWNER_FREE;
}

bool frame_contains(hpa_t frame)
{
    return range_of(frame) != NULL;
}

struct frame_stats frame_stats(void)
{
    struct frame_stats stats = {0};

    for (const struct frame_range *range = pool.ranges; range; range = range->next) {
        stats.total += range->count;
        stats.free += range->free;
    }
    return stats;
}

uint64_t frame_used_by(uint16_t owner)
{
    return owner < OWNER_MAX ? __atomic_load_n(&pool.used[owner], __ATOMIC_RELAXED) : 0;
}
