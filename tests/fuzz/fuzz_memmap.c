/* Random ranges through add, remove and split: the result must be sound whatever came in. */
#include <stdlib.h>

#include "core/lib/bytes.h"
#include "core/lib/panic.h"
#include "mm/memmap.h"

static struct memmap map, low, pool, guest;

static void check(const struct memmap *m)
{
    assert(m->count <= MEMMAP_MAX);
    for (uint32_t i = 0; i < m->count; i++) {
        const struct memmap_range *r = &m->ranges[i];

        assert(r->len > 0 && IS_ALIGNED(r->base | r->len, PAGE_SIZE));
        assert(r->base + r->len > r->base && r->base + r->len <= BIT(52));
        assert(i == 0 || r[-1].base + r[-1].len < r->base);
        assert(memmap_contains(m, r->base, r->len));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t want;

    memmap_clear(&map);
    for (; size >= 16; data += 16, size -= 16) {
        uint64_t base = get_le64(data), len = get_le64(data + 8);

        if (base & BIT(63)) {
            base &= ~BIT(63);
            memmap_remove(&map, base, len);
            assert(len == 0 || base >= BIT(52) || !memmap_contains(&map, base, 1));
        } else {
            memmap_add(&map, base, len);
        }
        check(&map);
    }
    want = size >= 4 ? (uint64_t)get_le32(data) * 16 : 0;
    memmap_split(&map, want, &low, &pool, &guest);
    check(&low);
    check(&pool);
    check(&guest);
    if (!low.overflow && !pool.overflow && !guest.overflow)
        assert(memmap_bytes(&low) + memmap_bytes(&pool) + memmap_bytes(&guest) == memmap_bytes(&map));
    return 0;
}
