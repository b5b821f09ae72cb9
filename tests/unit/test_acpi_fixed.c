/* The FADT with S5, SPCR, HPET and MCFG. */
#include "tests/unit/acpi_machine.h"

/* FADT and S5 -------------------------------------------------------------------------------------------- */

static const uint8_t s5_code[] = {0x10, 0x05, 0x08, 'A',  '_',  'S',  '5',  '_',  0x08, '_', 'S',
                                  '5',  '_',  0x12, 0x07, 0x04, 0x0a, 0x05, 0x01, 0x00, 0x00};

static void address_put(uint8_t *p, uint8_t space, uint64_t address)
{
    p[0] = space;
    p[1] = 8;
    put_le64(p + 4, address);
}

static void fadt_put(uint8_t *body, uint32_t dsdt)
{
    body -= 36;
    put_le32(body + 40, dsdt);
    put_le32(body + 48, 0xb2);
    body[52] = 0xf1;
    put_le32(body + 64, 0x604);
    put_le32(body + 76, 0x608);
    body[108] = 0x32;
    body[109] = 2;
    put_le32(body + 112, BIT(8) | BIT(10));
}

static uint32_t dsdt_put(const char *name, const uint8_t *code, uint32_t len)
{
    uint32_t addr = next_free;

    memcpy(memory + addr + 36, code, len);
    table_finish(addr, name, 36 + len);
    next_free += 0x100;
    return addr;
}

static void test_fadt(void **state)
{
    uint8_t body[276 - 36] = {0};

    (void)state;
    fadt_put(body, dsdt_put("DSDT", s5_code, sizeof(s5_code)));
    address_put(body + 116 - 36, ACPI_SPACE_IO, 0xcf9);
    body[128 - 36] = 6;
    address_put(body + 172 - 36, ACPI_SPACE_IO, 0x1804);
    table_add("FACP", body, sizeof(body));
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.bad_count, 0);
    assert_true(info.power.sound && info.power.has_8042 && info.power.timer_32bit);
    assert_int_equal(info.power.pm1a_control.address, 0x1804);
    assert_int_equal(info.power.pm1b_control.address, 0);
    assert_int_equal(info.power.timer.address, 0x608);
    assert_int_equal(info.power.timer.space, ACPI_SPACE_IO);
    assert_int_equal(info.power.smi_command, 0xb2);
    assert_int_equal(info.power.acpi_enable, 0xf1);
    assert_int_equal(info.power.century, 0x32);
    assert_true(info.power.reset_supported);
    assert_int_equal(info.power.reset.address, 0xcf9);
    assert_int_equal(info.power.reset_value, 6);
    assert_true(info.power.has_s5);
    assert_int_equal(info.power.slp_typa, 5);
    assert_int_equal(info.power.slp_typb, 1);
}

static void test_fadt_v1(void **state)
{
    uint8_t body[116 - 36] = {0};

    (void)state;
    fadt_put(body, dsdt_put("DSDT", s5_code, sizeof(s5_code)));
    table_add("FACP", body, sizeof(body));
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.power.pm1a_control.address, 0x604);
    assert_false(info.power.reset_supported);
    assert_true(info.power.has_s5);
}

static void test_fadt_hw_reduced(void **state)
{
    uint8_t body[276 - 36] = {0};

    (void)state;
    fadt_put(body, 0);
    put_le32(body + 112 - 36, BIT(20));
    address_put(body + 244 - 36, ACPI_SPACE_MEMORY, 0xfed00000);
    table_add("FACP", body, sizeof(body));
    assert_int_equal(read_all(), 0);
    assert_true(info.power.hw_reduced);
    assert_int_equal(info.power.pm1a_control.address, 0);
    assert_int_equal(info.power.sleep_control.address, 0xfed00000);
    assert_false(info.power.has_s5);
}

static void test_fadt_corrupt(void **state)
{
    uint8_t body[116 - 36] = {0};

    (void)state;
    table_add("FACP", body, 40);
    assert_int_equal(read_all(), 0);
    assert_false(info.power.sound);
    assert_said("table FACP at 0x20000: has a length of 76");
    /* The DSDT is the FADT itself, or a table of another name. */
    set_up(NULL);
    fadt_put(body, FIRST_TABLE);
    table_add("FACP", body, sizeof(body));
    assert_int_equal(read_all(), 0);
    assert_said("is pointed to twice");
    set_up(NULL);
    fadt_put(body, dsdt_put("ABCD", s5_code, sizeof(s5_code)));
    table_add("FACP", body, sizeof(body));
    assert_int_equal(read_all(), 0);
    assert_said("is named as the DSDT but isn't one");
    assert_false(info.power.has_s5);
}

/* All ends of the code at which it can be cut: found or not, but never beyond. */
static void test_s5_cut(void **state)
{
    (void)state;
    for (uint32_t len = 0; len <= sizeof(s5_code); len++) {
        set_up(NULL);
        table_add("SSDT", s5_code, len);
        assert_int_equal(read_all(), 0);
        assert_int_equal(info.power.has_s5, len >= 19);
    }
}

static void test_s5_forms(void **state)
{
    static const uint8_t rooted[] = {0x08, '\\', '_', 'S', '5',  '_', 0x12, 0x40, 0x01,
                                     0x02, 0x0b, 7,   0,   0x0c, 6,   0,    0,    0};
    static const uint8_t single[] = {0x08, '_', 'S', '5', '_', 0x12, 0x04, 0x01, 0x0a, 0x03};
    static const uint8_t method[] = {0x08, '_', 'S', '5', '_', 0x14, 0x04, 0x01, 0x0a, 0x03};

    (void)state;
    table_add("SSDT", rooted, sizeof(rooted));
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.power.slp_typa, 7);
    assert_int_equal(info.power.slp_typb, 6);
    set_up(NULL);
    table_add("SSDT", single, sizeof(single));
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.power.slp_typa, 3);
    assert_int_equal(info.power.slp_typb, 0);
    set_up(NULL);
    table_add("SSDT", method, sizeof(method));
    assert_int_equal(read_all(), 0);
    assert_false(info.power.has_s5);
}

/* The small ones ----------------------------------------------------------------------------------------- */

static void test_spcr(void **state)
{
    uint8_t body[88 - 36] = {0};
    uint32_t addr;

    (void)state;
    address_put(body + 4, ACPI_SPACE_IO, 0x2f8);
    body[52 - 36] = 3;
    body[53 - 36] = 3;
    put_le32(body + 54 - 36, 3);
    body[58 - 36] = 7;
    addr = table_add("SPCR", body, sizeof(body));
    assert_int_equal(read_all(), 0);
    assert_true(info.uart.present);
    assert_int_equal(info.uart.regs.address, 0x2f8);
    assert_int_equal(info.uart.irq, 3);
    assert_int_equal(info.uart.baud, 115200);
    assert_int_equal(info.uart.clock_hz, 0);
    /* Revision 4: the precise rate and the clock. */
    memory[addr + 8] = 4;
    put_le32(memory + addr + 76, 48000000);
    put_le32(memory + addr + 80, 921600);
    set_checksum(memory + addr, 88, 9);
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.uart.baud, 921600);
    assert_int_equal(info.uart.clock_hz, 48000000);
    /* A PL011. */
    memory[addr + 36] = 3;
    set_checksum(memory + addr, 88, 9);
    assert_int_equal(read_all(), 0);
    assert_false(info.uart.present);
    assert_said("a serial port of type 0x3 is not supported");
}

static void test_hpet_and_mcfg(void **state)
{
    uint8_t hpet[56 - 36] = {0};
    static const uint8_t mcfg[] = {0, 0, 0, 0, 0, 0,    0, 0, 0, 0, 0, 0xe0, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0,
                                   0, 0, 0, 0, 0, 0xd0, 0, 0, 0, 0, 1, 0,    9, 8, 0, 0, 0, 0, 1, 2,   3};

    (void)state;
    hpet[52 - 36] = 1;
    address_put(hpet + 4, ACPI_SPACE_MEMORY, 0xfed01000);
    table_add("HPET", hpet, sizeof(hpet));
    hpet[52 - 36] = 0;
    address_put(hpet + 4, ACPI_SPACE_MEMORY, 0xfed00000);
    table_add("HPET", hpet, sizeof(hpet));
    table_add("MCFG", mcfg, sizeof(mcfg));
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.hpet, 0xfed00000);
    assert_int_equal(info.ecam_count, 1);
    assert_int_equal(info.ecams[0].base, 0xe0000000);
    assert_int_equal(info.ecams[0].last_bus, 255);
    assert_said("the entry for segment 1 makes no sense");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_fadt),         TEST(test_fadt_v1),       TEST(test_fadt_hw_reduced),
        TEST(test_fadt_corrupt), TEST(test_s5_cut),        TEST(test_s5_forms),
        TEST(test_spcr),         TEST(test_hpet_and_mcfg),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
