#include "tests/unit/support.h"

#include <string.h>

#include "core/lib/error.h"
#include "guests/copies.h"

#define RAM  (8 * MiB)
#define FILE (3 * MiB + 123)

static uint8_t ram[RAM], file[FILE];
static struct gmem mem;
static struct copies copies;

static int setup(void **state)
{
    (void)state;
    memset(ram, 0xee, sizeof(ram));
    for (uint32_t i = 0; i < FILE; i++)
        file[i] = (uint8_t)(i * 7 + i / 256);
    memset(&copies, 0, sizeof(copies));
    gmem_init(&mem, ram);
    return gmem_add(&mem, 0, RAM, true);
}

/* How many bytes aren't what they were before. */
static uint64_t changed(const uint8_t *before)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < RAM; i++)
        count += ram[i] != before[i];
    return count;
}

static void large_ones_come_in_pieces(void **state)
{
    static uint8_t before[RAM];
    uint32_t steps = 0;

    (void)state;
    assert_int_equal(copies_add(&copies, &mem, 4097, file, FILE), 0);
    assert_int_equal(copies_add(&copies, &mem, 4097 + FILE, NULL, 2 * MiB), 0);
    assert_int_equal(ram[4097], 0xee);
    while (copies.count) {
        memcpy(before, ram, RAM);
        copies_step(&copies, &mem);
        assert_in_range(changed(before), 1, COPIES_PIECE);
        steps++;
    }
    assert_int_equal(steps, 13 + 8);
    assert_memory_equal(ram + 4097, file, FILE);
    for (uint32_t i = 0; i < 2 * MiB; i++)
        assert_int_equal(ram[4097 + FILE + i], 0);
    assert_int_equal(ram[4096], 0xee);
    assert_int_equal(ram[4097 + FILE + 2 * MiB], 0xee);
    copies_step(&copies, &mem);
}

static void small_ones_and_those_without_a_list_are_there_at_once(void **state)
{
    (void)state;
    assert_int_equal(copies_add(&copies, &mem, 0, file, COPIES_PIECE), 0);
    assert_int_equal(copies_add(NULL, &mem, MiB, file, FILE), 0);
    assert_int_equal(copies.count, 0);
    assert_memory_equal(ram, file, COPIES_PIECE);
    assert_memory_equal(ram + MiB, file, FILE);
}

static void what_the_list_has_no_room_for_is_there_at_once(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < COPIES_MAX; i++)
        assert_int_equal(copies_add(&copies, &mem, 0, file, COPIES_PIECE + 1), 0);
    assert_int_equal(copies_add(&copies, &mem, MiB, file, FILE), 0);
    assert_int_equal(copies.count, COPIES_MAX);
    assert_memory_equal(ram + MiB, file, FILE);
}

static void what_is_no_memory_is_refused(void **state)
{
    (void)state;
    assert_int_equal(copies_add(&copies, &mem, RAM - FILE + 1, file, FILE), ERR_RANGE);
    assert_int_equal(copies_add(&copies, &mem, RAM - MiB, NULL, MiB + 1), ERR_RANGE);
    assert_int_equal(copies.count, 0);
    assert_int_equal(ram[RAM - MiB], 0xee);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(large_ones_come_in_pieces, setup),
        cmocka_unit_test_setup(small_ones_and_those_without_a_list_are_there_at_once, setup),
        cmocka_unit_test_setup(what_the_list_has_no_room_for_is_there_at_once, setup),
        cmocka_unit_test_setup(what_is_no_memory_is_refused, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
