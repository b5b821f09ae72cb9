#include "tests/unit/support.h"

#include <stdlib.h>
#include <string.h>

#include "mm/memmap.h"

static struct memmap map, low, pool, guest;

static void expect_sound(const struct memmap *m)
{
    for (uint32_t i = 0; i < m->count; i++) {
        assert_true(m->ranges[i].len > 0);
        assert_int_equal((m->ranges[i].base | m->ranges[i].len) & PAGE_MASK, 0);
        assert_true(m->ranges[i].base + m->ranges[i].len <= BIT(52));
        if (i)
            assert_true(m->ranges[i - 1].base + m->ranges[i - 1].len < m->ranges[i].base);
    }
}

static void test_unsorted_and_overlapping(void **state)
{
    (void)state;
    memmap_clear(&map);
    memmap_add(&map, 0x9000, 0x1000);
    memmap_add(&map, 0x1000, 0x2000);
    memmap_add(&map, 0x2000, 0x3000);
    memmap_add(&map, 0x5000, 0x1000);
    assert_int_equal(map.count, 2);
    assert_int_equal(map.ranges[0].base, 0x1000);
    assert_int_equal(map.ranges[0].len, 0x5000);
    memmap_add(&map, 0, 0x20000);
    assert_int_equal(map.count, 1);
    assert_int_equal(memmap_bytes(&map), 0x20000);
    assert_true(memmap_contains(&map, 0x1f000, 0x1000));
    assert_false(memmap_contains(&map, 0x1f000, 0x1001));
    assert_false(memmap_contains(&map, 0x20000, 1));
}

static void test_unaligned(void **state)
{
    (void)state;
    memmap_clear(&map);
    memmap_add(&map, 0x1001, 0xffe);
    assert_int_equal(map.count, 0);
    memmap_add(&map, 0x1001, 0x3fff);
    assert_int_equal(map.ranges[0].base, 0x2000);
    assert_int_equal(map.ranges[0].len, 0x3000);
    memmap_remove(&map, 0x3fff, 2);
    assert_int_equal(map.count, 1);
    assert_int_equal(map.ranges[0].len, 0x1000);
    memmap_remove(&map, 0x2800, 0);
    assert_int_equal(map.count, 1);
}

static void test_wrapping(void **state)
{
    (void)state;
    memmap_clear(&map);
    memmap_add(&map, UINT64_MAX - 0x1fff, 0x10000);
    memmap_add(&map, BIT(52), 0x1000);
    assert_int_equal(map.count, 0);
    memmap_add(&map, BIT(52) - 0x2000, UINT64_MAX);
    assert_int_equal(map.ranges[0].base, BIT(52) - 0x2000);
    assert_int_equal(map.ranges[0].len, 0x2000);
    memmap_remove(&map, BIT(52) - 1, UINT64_MAX);
    assert_int_equal(map.ranges[0].len, 0x1000);
}

static void test_overflow(void **state)
{
    uint64_t bytes;

    (void)state;
    memmap_clear(&map);
    for (uint64_t i = 0; i < MEMMAP_MAX; i++)
        memmap_add(&map, i * 0x10000, 0x8000);
    assert_false(map.overflow);
    assert_int_equal(map.count, MEMMAP_MAX);
    bytes = memmap_bytes(&map);
    memmap_add(&map, MEMMAP_MAX * 0x10000ull, 0x1000);
    assert_true(map.overflow);
    assert_int_equal(memmap_bytes(&map), bytes);
    /* The smaller side of the hole goes; the hole itself must never stay in. */
    memmap_remove(&map, 0x2000, 0x1000);
    assert_false(memmap_contains(&map, 0x2000, 1));
    assert_false(memmap_contains(&map, 0, 1));
    assert_true(memmap_contains(&map, 0x3000, 0x5000));
    memmap_add(&map, 0, BIT(40));
    assert_int_equal(map.count, 1);
}

/* Against a plain array of pages. */
static void test_random(void **state)
{
    enum { PAGES = 256 };
    uint64_t seed = 7;

    (void)state;
    for (int round = 0; round < 200; round++) {
        bool model[PAGES] = {false};
        uint64_t bytes = 0;

        memmap_clear(&map);
        for (int step = 0; step < 40; step++) {
            uint64_t base = support_random(&seed) % (PAGES * PAGE_SIZE);
            uint64_t len = support_random(&seed) % (40 * PAGE_SIZE);
            bool add = support_random(&seed) % 3;

            len = MIN(len, PAGES * PAGE_SIZE - base);
            if (add)
                memmap_add(&map, base, len);
            else
                memmap_remove(&map, base, len);
            for (uint64_t p = 0; p < PAGES; p++) {
                uint64_t start = p * PAGE_SIZE, end = start + PAGE_SIZE;

                if (add && start >= base && end <= base + len)
                    model[p] = true;
                if (!add && len && start < base + len && end > base)
                    model[p] = false;
            }
            expect_sound(&map);
        }
        for (uint64_t p = 0; p < PAGES; p++) {
            assert_int_equal(memmap_contains(&map, p * PAGE_SIZE, PAGE_SIZE), model[p]);
            bytes += model[p] ? PAGE_SIZE : 0;
        }
        assert_int_equal(memmap_bytes(&map), bytes);
    }
}

static void test_split(void **state)
{
    (void)state;
    memmap_clear(&map);
    memmap_add(&map, 0, 0x9f000);
    memmap_add(&map, 0x100000, 0x7fe0000 - 0x100000);
    memmap_add(&map, 4 * GiB, GiB);
    memmap_split(&map, 8 * MiB, &low, &pool, &guest);
    assert_int_equal(memmap_bytes(&low), 0x9f000);
    assert_true(memmap_contains(&pool, 0x100000, 0x100000));
    assert_true(memmap_contains(&pool, 0x7fe0000 - 0x1e0000 - 6 * MiB, 6 * MiB + 0x1e0000));
    assert_true(memmap_bytes(&pool) >= 8 * MiB && memmap_bytes(&pool) < 10 * MiB);
    assert_true(memmap_contains(&guest, 4 * GiB, GiB));
    assert_true(memmap_contains(&guest, 2 * MiB, 100 * MiB));
    assert_int_equal(memmap_bytes(&low) + memmap_bytes(&pool) + memmap_bytes(&guest), memmap_bytes(&map));
    /* More than there is below 4 GiB: the rest comes from above. */
    memmap_split(&map, 512 * MiB, &low, &pool, &guest);
    assert_true(memmap_bytes(&pool) >= 512 * MiB);
    assert_true(memmap_contains(&pool, 5 * GiB - SIZE_2M, SIZE_2M));
    memmap_split(&map, 16 * GiB, &low, &pool, &guest);
    assert_int_equal(guest.count, 0);
}

static void test_split_random(void **state)
{
    uint64_t seed = 99;

    (void)state;
    for (int round = 0; round < 100; round++) {
        uint64_t want = support_random(&seed) % (256 * MiB);

        memmap_clear(&map);
        for (int i = 0; i < 20; i++)
            memmap_add(&map, support_random(&seed) % (6 * GiB), support_random(&seed) % (64 * MiB));
        memmap_split(&map, want, &low, &pool, &guest);
        expect_sound(&low);
        expect_sound(&pool);
        expect_sound(&guest);
        assert_int_equal(memmap_bytes(&low) + memmap_bytes(&pool) + memmap_bytes(&guest), memmap_bytes(&map));
        assert_true(memmap_bytes(&pool) >= want || guest.count == 0);
        for (uint32_t i = 0; i < guest.count; i++) {
            assert_int_equal((guest.ranges[i].base | guest.ranges[i].len) & (SIZE_2M - 1), 0);
            assert_true(memmap_contains(&map, guest.ranges[i].base, guest.ranges[i].len));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unsorted_and_overlapping),
        cmocka_unit_test(test_unaligned),
        cmocka_unit_test(test_wrapping),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_split_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
