#include "guests/firmware.h"

#include <stdlib.h>
#include <string.h>

#include "core/lib/error.h"
#include "guests/platform.h"
#include "tests/unit/support.h"

/* The window reaches to 4G; only what is touched takes memory. */
#include <sys/mman.h>

static uint8_t *window;
static struct gmem mem;
static uint8_t image[512 * KiB];

static int setup(void **state)
{
    (void)state;
    window = mmap(NULL, 4 * GiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(window, MAP_FAILED);
    for (size_t i = 0; i < sizeof(image); i++)
        image[i] = (uint8_t)(i * 13 + i / 256 + 1);
    gmem_init(&mem, window);
    assert_int_equal(gmem_add(&mem, PC_ROM, PC_HIGH_RAM - PC_ROM, true), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    munmap(window, 4 * GiB);
    return 0;
}

static void test_sizes(void **state)
{
    (void)state;
    assert_int_equal(firmware_size(0), 0);
    assert_int_equal(firmware_size(64 * KiB - 1), 0);
    assert_int_equal(firmware_size(64 * KiB), 64 * KiB);
    assert_int_equal(firmware_size(100001), 102400);
    assert_int_equal(firmware_size(16 * MiB), 16 * MiB);
    assert_int_equal(firmware_size(16 * MiB + 1), 0);
}

static void test_places(void **state)
{
    static const uint64_t sizes[] = {64 * KiB, 128 * KiB, 512 * KiB};

    (void)state;
    assert_int_equal(firmware_load(&mem, NULL, image, sizes[0]), ERR_RANGE);
    assert_int_equal(gmem_add(&mem, 4 * GiB - sizeof(image), sizeof(image), false), 0);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        uint64_t low = MIN(sizes[i], 128 * KiB);

        memset(window + PC_ROM, 0xee, PC_HIGH_RAM - PC_ROM);
        assert_int_equal(firmware_load(&mem, NULL, image, sizes[i]), 0);
        assert_memory_equal(window + 4 * GiB - sizes[i], image, sizes[i]);
        assert_memory_equal(window + PC_HIGH_RAM - low, image + sizes[i] - low, low);
        assert_int_equal(window[PC_ROM], 0);
        assert_int_equal(window[PC_HIGH_RAM - low - 1], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_places, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
