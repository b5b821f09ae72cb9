/* Random bytes: the cipher against RFC 8439, 2.3.2; and a state that forgets what it gave. */
#define _GNU_SOURCE
#include "core/lib/drbg.h"

#include <string.h>

#include "tests/unit/support.h"

static void test_cipher(void **state)
{
    static const uint8_t expected[64] = {
        0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15, 0x50, 0x0f, 0xdd, 0x1f, 0xa3, 0x20, 0x71, 0xc4,
        0xc7, 0xd1, 0xf4, 0xc7, 0x33, 0xc0, 0x68, 0x03, 0x04, 0x22, 0xaa, 0x9a, 0xc3, 0xd4, 0x6c, 0x4e,
        0xd2, 0x82, 0x64, 0x46, 0x07, 0x9f, 0xaa, 0x09, 0x14, 0xc2, 0xd7, 0x05, 0xd9, 0x8b, 0x02, 0xa2,
        0xb5, 0x12, 0x9c, 0xd1, 0xde, 0x16, 0x4e, 0xb9, 0xcb, 0xd0, 0x83, 0xe8, 0xa2, 0x50, 0x3c, 0x4e};
    static const uint32_t nonce[3] = {0x09000000, 0x4a000000, 0};
    uint32_t key[8];
    uint8_t out[64];

    (void)state;
    for (uint32_t i = 0; i < 8; i++)
        key[i] = 0x03020100 + 0x04040404 * i;
    chacha20_block(key, 1, nonce, out);
    assert_memory_equal(out, expected, 64);
}

static void test_generator(void **state)
{
    uint8_t seed[DRBG_SEED] = {1}, a[100], b[100];
    struct drbg first = {0}, second = {0};
    uint32_t ones = 0;

    (void)state;
    drbg_seed(&first, seed);
    drbg_seed(&second, seed);
    drbg_fill(&first, a, 100);
    drbg_fill(&second, b, 100);
    assert_memory_equal(a, b, 100);
    assert_memory_not_equal(a, a + 32, 32);
    for (uint32_t i = 0; i < 8; i++)
        assert_null(memmem(a, sizeof(a), &first.key[i], 4));
    drbg_fill(&first, b, 100);
    assert_memory_not_equal(a, b, 100);
    drbg_seed(&second, seed);
    drbg_fill(&second, a, 100);
    assert_memory_not_equal(a, b, 100);
    for (uint32_t i = 0; i < 100; i++)
        ones += (uint32_t)__builtin_popcount(a[i]);
    assert_in_range(ones, 320, 480);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cipher), cmocka_unit_test(test_generator)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
