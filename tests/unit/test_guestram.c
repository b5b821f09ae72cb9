#include "tests/unit/support.h"

#include <stdlib.h>

#include "mm/frame.h"
#include "mm/guestram.h"

static struct memmap map;
static void *table;

static void start(void)
{
    free(table);
    table = malloc(guestram_table_bytes(&map));
    guestram_init(&map, table);
}

static int teardown(void **state)
{
    (void)state;
    free(table);
    table = NULL;
    return 0;
}

static void test_gigabytes(void **state)
{
    hpa_t base = 0, small = 0;

    (void)state;
    memmap_clear(&map);
    memmap_add(&map, SIZE_2M, 2 * GiB);
    memmap_add(&map, 4 * GiB, 3 * GiB + SIZE_2M);
    start();
    assert_int_equal(guestram_alloc(64 * MiB, OWNER_VM, &small), 64 * MiB);
    assert_int_equal(small, SIZE_2M); /* the tighter range, and the end that leaves 1-2 GiB whole */
    assert_int_equal(guestram_alloc(2 * GiB + 5 * MiB, OWNER_VM + 1, &base), 2 * GiB);
    assert_int_equal(base, 4 * GiB);
    assert_int_equal(guestram_owner(base + GiB), OWNER_VM + 1);
    assert_int_equal(guestram_alloc(1 * GiB, OWNER_VM + 2, &base), 1 * GiB);
    assert_int_equal(base & (SIZE_1G - 1), 0);
    guestram_free(small, 64 * MiB);
    assert_int_equal(guestram_owner(small), OWNER_FREE);
    assert_true(guestram_contains(small));
    assert_false(guestram_contains(0));
    assert_false(guestram_contains(3 * GiB));
    assert_int_equal(guestram_owner(3 * GiB), OWNER_FREE);
    assert_int_equal(guestram_total_bytes() - guestram_free_bytes(), 3 * GiB);
}

static void test_used_up(void **state)
{
    hpa_t base;
    uint64_t got = 0, len;

    (void)state;
    memmap_clear(&map);
    for (uint64_t i = 0; i < 10; i++)
        memmap_add(&map, i * 16 * MiB, (i % 3 + 1) * SIZE_2M);
    start();
    while ((len = guestram_alloc(UINT64_MAX, OWNER_VM, &base)) != 0)
        got += len;
    assert_int_equal(got, guestram_total_bytes());
    assert_int_equal(guestram_free_bytes(), 0);
    guestram_free(base, 0);
    EXPECT_PANIC(guestram_free(4 * MiB, SIZE_2M));
}

static void test_empty(void **state)
{
    hpa_t base;

    (void)state;
    memmap_clear(&map);
    start();
    assert_int_equal(guestram_alloc(1, OWNER_VM, &base), 0);
    assert_int_equal(guestram_total_bytes(), 0);
}

static void test_random(void **state)
{
    struct {
        hpa_t base;
        uint64_t len;
    } held[32] = {{0, 0}};
    uint64_t seed = 11, used = 0;

    (void)state;
    memmap_clear(&map);
    memmap_add(&map, SIZE_2M, 3 * GiB);
    memmap_add(&map, 4 * GiB, 6 * GiB);
    start();
    for (int step = 0; step < 1000; step++) {
        unsigned i = support_random(&seed) % 32;

        if (held[i].len) {
            for (uint64_t at = 0; at < held[i].len; at += GUESTRAM_BLOCK)
                assert_int_equal(guestram_owner(held[i].base + at), OWNER_VM + i);
            guestram_free(held[i].base, held[i].len);
            used -= held[i].len;
            held[i].len = 0;
        } else {
            uint64_t want = support_random(&seed) % (2 * GiB);

            held[i].len = guestram_alloc(want, (uint16_t)(OWNER_VM + i), &held[i].base);
            assert_true(held[i].len <= MAX(want, GUESTRAM_BLOCK));
            used += held[i].len;
        }
        assert_int_equal(guestram_free_bytes(), guestram_total_bytes() - used);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_gigabytes, teardown),
        cmocka_unit_test_teardown(test_used_up, teardown),
        cmocka_unit_test_teardown(test_empty, teardown),
        cmocka_unit_test_teardown(test_random, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
