#include "tests/unit/support.h"

#include <stdlib.h>
#include <string.h>

#include "core/lib/error.h"
#include "mm/frame.h"

#define BASE   0x100000ull
#define FRAMES 256u

static uint8_t *memory;

static int setup(void **state)
{
    (void)state;
    memory = aligned_alloc(SIZE_2M, SIZE_2M);
    memset(memory, 0xa5, SIZE_2M);
    frame_init((uintptr_t)memory);
    frame_add(BASE, FRAMES * PAGE_SIZE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(memory);
    return 0;
}

static hpa_t hpa_of(const void *frame)
{
    return (uint64_t)((const uint8_t *)frame - memory);
}

static bool is_zero(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i])
            return false;
    return true;
}

static void test_owners(void **state)
{
    void *a = frame_alloc(1, OWNER_CPU), *b = frame_alloc(3, OWNER_VM + 5);

    (void)state;
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(frame_owner(hpa_of(a)), OWNER_CPU);
    assert_int_equal(frame_owner(hpa_of(b) + 2 * PAGE_SIZE), OWNER_VM + 5);
    assert_int_equal(frame_owner(0), OWNER_FREE);
    assert_true(frame_contains(BASE));
    assert_false(frame_contains(BASE - 1));
    assert_false(frame_contains(BASE + FRAMES * PAGE_SIZE));
    assert_int_equal(frame_used_by(OWNER_VM + 5), 3);
    assert_int_equal(hpa_of(b) % (4 * PAGE_SIZE), 0);
    frame_free(a, 1);
    frame_free(b, 3);
    frame_free(NULL, 7);
    assert_int_equal(frame_used_by(OWNER_VM + 5), 0);
}

static void test_add(void **state)
{
    struct frame_stats before = frame_stats();

    (void)state;
    assert_int_equal(frame_add(0x1001, PAGE_SIZE), ERR_INVALID);
    assert_int_equal(frame_add(0x1000, PAGE_SIZE), 0);
    assert_int_equal(frame_stats().total, before.total);
    assert_int_equal(frame_add(0x1000, 2 * PAGE_SIZE), 0);
    assert_int_equal(frame_stats().free, before.free + 1);
}

static void test_exhaustion(void **state)
{
    struct frame_stats before = frame_stats();
    void *frames[FRAMES];
    uint64_t n = 0;

    (void)state;
    while ((frames[n] = frame_alloc(1, OWNER_HOST)) != NULL)
        n++;
    assert_int_equal(n, before.free);
    assert_null(frame_alloc(2, OWNER_HOST));
    for (uint64_t i = 0; i < n; i++)
        frame_free(frames[i], 1);
    assert_int_equal(frame_stats().free, before.free);
    assert_null(frame_alloc(FRAMES, OWNER_HOST));
}

static void test_misuse(void **state)
{
    uint8_t *a = frame_alloc(2, OWNER_CPU);

    (void)state;
    EXPECT_PANIC(frame_free(a, 1));
    frame_init((uintptr_t)memory);
    frame_add(BASE, FRAMES * PAGE_SIZE);
    a = frame_alloc(2, OWNER_CPU);
    EXPECT_PANIC(frame_free(a + PAGE_SIZE, 1));
    frame_init((uintptr_t)memory);
    frame_add(BASE, FRAMES * PAGE_SIZE);
    a = frame_alloc(2, OWNER_CPU);
    frame_free(a, 2);
    EXPECT_PANIC(frame_free(a, 2));
}

/* Random work: what is handed out is zero, aligned, disjoint, and comes back. */
static void test_random(void **state)
{
    struct {
        uint8_t *ptr;
        uint32_t count;
    } held[64] = {{NULL, 0}};
    struct frame_stats before = frame_stats();
    uint64_t seed = 3, used = 0;

    (void)state;
    for (int step = 0; step < 20000; step++) {
        unsigned i = support_random(&seed) % 64;

        if (held[i].ptr) {
            for (uint32_t f = 0; f < held[i].count; f++)
                assert_int_equal(held[i].ptr[f * PAGE_SIZE], i + 1);
            frame_free(held[i].ptr, held[i].count);
            assert_true(is_zero(held[i].ptr, 8) && is_zero(held[i].ptr + held[i].count * PAGE_SIZE - 8, 8));
            used -= held[i].count;
            held[i].ptr = NULL;
            continue;
        }
        held[i].count = support_random(&seed) % 4 ? 1 : 1 + support_random(&seed) % 16;
        held[i].ptr = frame_alloc(held[i].count, (uint16_t)(OWNER_VM + i));
        if (!held[i].ptr)
            continue;
        used += held[i].count;
        assert_true(is_zero(held[i].ptr, held[i].count * PAGE_SIZE));
        for (uint32_t align = 1; align < 2 * held[i].count; align *= 2)
            if (align >= held[i].count)
                assert_int_equal(hpa_of(held[i].ptr) % (align * PAGE_SIZE), 0);
        for (uint32_t f = 0; f < held[i].count; f++)
            memset(held[i].ptr + f * PAGE_SIZE, (int)i + 1, PAGE_SIZE);
        assert_int_equal(frame_stats().free, before.free - used);
        assert_int_equal(frame_used_by((uint16_t)(OWNER_VM + i)), held[i].count);
    }
    for (unsigned i = 0; i < 64; i++)
        frame_free(held[i].ptr, held[i].count);
    assert_int_equal(frame_stats().free, before.free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_owners, setup, teardown),
        cmocka_unit_test_setup_teardown(test_add, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exhaustion, setup, teardown),
        cmocka_unit_test_setup_teardown(test_misuse, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
