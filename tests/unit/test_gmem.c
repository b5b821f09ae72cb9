#include "tests/unit/support.h"

#include <stdlib.h>
#include <string.h>

#include "core/lib/error.h"
#include "mm/gmem.h"

static struct gmem mem;
static uint8_t *window;

/* RAM 0-0x4000, ROM 0x4000-0x6000 beside it, a hole, RAM 0x8000-0xa000. */
static int setup(void **state)
{
    (void)state;
    window = calloc(1, 0xa000);
    gmem_init(&mem, window);
    assert_int_equal(gmem_add(&mem, 0x8000, 0x2000, true), 0);
    assert_int_equal(gmem_add(&mem, 0, 0x4000, true), 0);
    assert_int_equal(gmem_add(&mem, 0x4000, 0x2000, false), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(window);
    return 0;
}

static void test_slots(void **state)
{
    (void)state;
    assert_int_equal(mem.count, 3);
    assert_int_equal(mem.slots[1].base, 0x4000);
    assert_int_equal(gmem_add(&mem, 0x5000, 0x4000, true), ERR_INVALID);
    assert_int_equal(gmem_add(&mem, 0x6000, 0x800, true), ERR_INVALID);
    assert_int_equal(gmem_add(&mem, 0x6000, 0, true), ERR_INVALID);
    assert_int_equal(gmem_add(&mem, UINT64_MAX - PAGE_MASK, 2 * PAGE_SIZE, true), ERR_INVALID);
    assert_int_equal(gmem_ram_bytes(&mem), 0x6000);
    for (uint64_t i = 3; i < GMEM_MAX_SLOTS; i++)
        assert_int_equal(gmem_add(&mem, i * 0x100000, 0x1000, true), 0);
    assert_int_equal(gmem_add(&mem, 0x2000000, 0x1000, true), ERR_NOMEM);
}

static void test_ptr(void **state)
{
    (void)state;
    assert_ptr_equal(gmem_ptr(&mem, 0x3fff, 1), window + 0x3fff);
    assert_null(gmem_ptr(&mem, 0x3fff, 2));
    assert_null(gmem_ptr(&mem, 0x6000, 1));
    assert_null(gmem_ptr(&mem, 0x7fff, 2));
    assert_null(gmem_ptr(&mem, 0x9fff, 2));
    assert_null(gmem_ptr(&mem, 0, UINT64_MAX));
    assert_null(gmem_ptr(&mem, UINT64_MAX, 1));
}

static void test_copies(void **state)
{
    uint8_t buf[8] = {1, 2, 3, 4, 5, 6, 7, 8}, back[8];

    (void)state;
    assert_int_equal(gmem_write(&mem, 0x3ffc, buf, 8), 0); /* across RAM and ROM */
    assert_int_equal(gmem_read(&mem, 0x3ffc, back, 8), 0);
    assert_memory_equal(buf, back, 8);
    assert_int_equal(gmem_write(&mem, 0x5ffc, buf, 8), ERR_RANGE);
    assert_int_equal(window[0x5ffc], 0);
    assert_int_equal(gmem_write(&mem, 0x7ffc, buf, 8), ERR_RANGE);
    assert_int_equal(gmem_read(&mem, 0x9ffc, back, 8), ERR_RANGE);
    assert_int_equal(gmem_read(&mem, UINT64_MAX - 3, back, 8), ERR_RANGE);
    assert_int_equal(gmem_fill(&mem, 0, 0xee, 0x6000), 0);
    assert_int_equal(window[0x5fff], 0xee);
    assert_int_equal(gmem_fill(&mem, 0, 0xee, 0x6001), ERR_RANGE);
    assert_true(gmem_guest_writable(&mem, 0x3fff, 1));
    assert_false(gmem_guest_writable(&mem, 0x3fff, 2));
    assert_false(gmem_guest_writable(&mem, 0x6000, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_slots, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ptr, setup, teardown),
        cmocka_unit_test_setup_teardown(test_copies, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
