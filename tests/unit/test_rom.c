#include "guests/rom.h"

#include <stdlib.h>

#include "core/emul/decode.h"
#include "core/lib/bytes.h"
#include "core/lib/error.h"
#include "guests/platform.h"
#include "tests/unit/support.h"

static uint8_t *ram;
static struct gmem mem;

static int setup(void **state)
{
    (void)state;
    ram = calloc(1, PC_HIGH_RAM);
    gmem_init(&mem, ram);
    assert_int_equal(gmem_add(&mem, 0, PC_LOW_RAM_END, true), 0);
    return gmem_add(&mem, PC_ROM, PC_HIGH_RAM - PC_ROM, false);
}

static int teardown(void **state)
{
    (void)state;
    free(ram);
    return 0;
}

/* Where a vector's handler ends: real-mode instructions up to an IRET, within the ROM. */
static gpa_t handler_end(uint32_t vector)
{
    gpa_t at = get_le16(ram + vector * 4 + 2) * 16u + get_le16(ram + vector * 4);
    struct insn insn;

    for (int i = 0; i < 16; i++) {
        assert_in_range(at, PC_ACPI_TABLES + PC_ACPI_SIZE, PC_RESET_VECTOR - 1);
        if (ram[at] == 0xcf)
            return at;
        assert_true(insn_decode(ram + at, 15, INSN_MODE_16, &insn) >= 0);
        at += insn.length;
    }
    fail_msg("vector %u has no IRET", vector);
    return 0;
}

static void test_vectors(void **state)
{
    (void)state;
    assert_int_equal(rom_build(&mem), 0);
    for (uint32_t vector = 0; vector < 256; vector++)
        handler_end(vector);
    /* The PIC's lines end their interrupts there; others do nothing at all. */
    assert_int_equal(handler_end(0x10), 0xfff53);
    assert_int_equal(handler_end(0x07), 0xfff53);
    for (uint32_t line = 0; line < 16; line++)
        assert_int_not_equal(handler_end(line < 8 ? 0x08 + line : 0x70 + line - 8), 0xfff53);
    assert_int_equal(get_le32(ram + 0x08 * 4), 0xf000fea5);
}

static void test_rest(void **state)
{
    static const uint8_t reset[] = {0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, 0xf4, 0xeb, 0xfd};

    (void)state;
    assert_int_equal(rom_build(&mem), 0);
    assert_int_equal(get_le16(ram + 0x40e), 0x9fc0);
    assert_int_equal(get_le16(ram + 0x413), 639);
    assert_memory_equal(ram + PC_RESET_VECTOR, reset, sizeof(reset));
    gmem_init(&mem, ram);
    assert_int_equal(rom_build(&mem), ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_vectors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rest, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
