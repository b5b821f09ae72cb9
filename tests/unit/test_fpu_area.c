/* Single registers in a save area of the FPU, whichever components are in their initial state. */
#include "core/x86/fpu_area.h"

#include <string.h>

#include "tests/unit/support.h"

#define UPPER 576
#define ZMM   1152
#define SIZE  2048

static const struct fpu_layout plain, avx512 = {.xsave = true, .upper = UPPER, .zmm = ZMM};

static void fill(uint8_t *area, uint64_t states)
{
    memset(area, 0xcc, SIZE);
    memcpy(area + FPU_AREA_HEADER, &states, sizeof(states));
    memset(area + FPU_AREA_HEADER + 8, 0, 56);
}

static void test_fxsave(void **state)
{
    static const uint64_t value[4] = {1, 2, 3, 4};
    uint8_t area[SIZE], before[SIZE];
    uint64_t got[4];

    (void)state;
    fill(area, 0);
    memcpy(before, area, SIZE);
    fpu_area_set_ymm(area, &plain, 15, value, true);
    memcpy(before + FPU_AREA_XMM + 16 * 15, value, 16);
    assert_memory_equal(area, before, SIZE);
    fpu_area_get_ymm(area, &plain, 15, got);
    assert_memory_equal(got, ((uint64_t[4]){1, 2, 0, 0}), 32);
}

/* What is in its initial state reads as 0, whatever the bytes are, and the rest of it stays 0 when a part is set. */
static void test_initial(void **state)
{
    static const uint64_t value[4] = {1, 2, 3, 4};
    uint8_t area[SIZE];
    uint64_t got[4], states;

    (void)state;
    fill(area, 0);
    fpu_area_get_ymm(area, &avx512, 3, got);
    assert_memory_equal(got, ((uint64_t[4]){0}), 32);
    fpu_area_set_ymm(area, &avx512, 3, value, false);
    memcpy(&states, area + FPU_AREA_HEADER, sizeof(states));
    assert_int_equal(states, 2);
    fpu_area_set_ymm(area, &avx512, 3, value, true);
    memcpy(&states, area + FPU_AREA_HEADER, sizeof(states));
    assert_int_equal(states, 6);
    fpu_area_get_ymm(area, &avx512, 3, got);
    assert_memory_equal(got, value, 32);
    fpu_area_get_ymm(area, &avx512, 4, got);
    assert_memory_equal(got, ((uint64_t[4]){0}), 32);
}

/* Without `whole` what is beyond XMM stays; with it, what is beyond YMM goes. */
static void test_beyond(void **state)
{
    static const uint64_t value[4] = {1, 2, 3, 4};
    uint8_t area[SIZE];

    (void)state;
    fill(area, 0xe7);
    fpu_area_set_ymm(area, &avx512, 1, value, false);
    assert_int_equal(area[UPPER + 16], 0xcc);
    assert_int_equal(area[ZMM + 32], 0xcc);
    fpu_area_set_ymm(area, &avx512, 1, value, true);
    assert_int_equal(area[UPPER + 16], 3);
    assert_int_equal(area[UPPER + 15], 0xcc);
    for (int i = 0; i < 32; i++)
        assert_int_equal(area[ZMM + 32 + i], 0);
    assert_int_equal(area[ZMM + 64], 0xcc);
}

/* The area begins at the top of the x87 stack: with TOP = 6, ST(2) is register 0. */
static void test_mmx(void **state)
{
    uint8_t area[SIZE];
    uint16_t fsw = 6 << 11 | 0x41;

    (void)state;
    fill(area, 0xe7);
    for (int i = 0; i < 8; i++)
        memset(area + FPU_AREA_ST + 16 * i, 0x10 + i, 16);
    memcpy(area + FPU_AREA_FSW, &fsw, sizeof(fsw));
    assert_int_equal(fpu_area_get_mmx(area, &avx512, 0), 0x1212121212121212);
    memcpy(&fsw, area + FPU_AREA_FSW, sizeof(fsw));
    assert_int_equal(fsw, 0x41);
    assert_int_equal(area[FPU_AREA_FTW], 0xff);
    assert_int_equal(fpu_area_get_mmx(area, &avx512, 7), 0x1111111111111111); /* was ST(1) */
    fpu_area_set_mmx(area, &avx512, 7, 5);
    assert_int_equal(fpu_area_get_mmx(area, &avx512, 7), 5);
    assert_int_equal(area[FPU_AREA_ST + 7 * 16 + 9], 0xff);
}

static void test_mmx_initial(void **state)
{
    uint8_t area[SIZE];

    (void)state;
    fill(area, 0);
    fpu_area_set_mmx(area, &avx512, 2, 5);
    assert_int_equal(fpu_area_get_mmx(area, &avx512, 2), 5);
    assert_int_equal(fpu_area_get_mmx(area, &avx512, 3), 0);
    assert_int_equal(area[FPU_AREA_FCW] | area[FPU_AREA_FCW + 1] << 8, FPU_FCW_RESET);
    assert_int_equal(area[FPU_AREA_MXCSR], 0xcc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fxsave), cmocka_unit_test(test_initial),     cmocka_unit_test(test_beyond),
        cmocka_unit_test(test_mmx),    cmocka_unit_test(test_mmx_initial),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
