/* Finding the tables, and the MADT. */
#include "tests/unit/acpi_machine.h"

/* RSDP and root ------------------------------------------------------------------------------------------ */

static void test_rsdp(void **state)
{
    (void)state;
    assert_int_equal(read_all(), 0);
    assert_true(info.present);
    assert_int_equal(info.revision, 2);
    assert_int_equal(info.bad_count, 0);
    /* The loader's copy, without the areas of a BIOS. */
    assert_int_equal(acpi_read(&info, &accessor, memory + RSDP_AT, 36, false), 0);
    assert_int_equal(acpi_read(&info, &accessor, NULL, 0, false), ERR_NOTFOUND);
    assert_false(info.present);
}

static void test_rsdp_in_ebda(void **state)
{
    (void)state;
    memcpy(memory + 0x9fc10, memory + RSDP_AT, 36);
    memset(memory + RSDP_AT, 0, 36);
    assert_int_equal(read_all(), ERR_NOTFOUND);
    put_le16(memory + 0x40e, 0x9fc0);
    assert_int_equal(read_all(), 0);
}

static void test_rsdp_at_the_end(void **state)
{
    (void)state;
    memory[RSDP_AT + 15] = 0;
    rsdp_finish();
    memcpy(memory + 0xfffe0, memory + RSDP_AT, 20);
    memset(memory + RSDP_AT, 0, 36);
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.revision, 0);
}

static void test_rsdp_corrupt(void **state)
{
    uint8_t copy[36];

    (void)state;
    memcpy(copy, memory + RSDP_AT, 36);
    copy[9]++;
    assert_int_equal(acpi_read(&info, &accessor, copy, 36, false), ERR_NOTFOUND);
    assert_said("boot loader's RSDP is corrupt");
    /* The one in memory counts then, where it may be looked for. */
    assert_int_equal(acpi_read(&info, &accessor, copy, 36, true), 0);
    memory[RSDP_AT]++;
    assert_int_equal(read_all(), ERR_NOTFOUND);
    assert_said("no RSDP");
}

static void test_rsdp_second_half_corrupt(void **state)
{
    (void)state;
    memory[RSDP_AT + 33]++;
    assert_int_equal(read_all(), 0);
    assert_said("using the RSDT");
    assert_true(info.present);
}

static void test_xsdt_corrupt(void **state)
{
    (void)state;
    memory[XSDT_AT + 10]++;
    assert_int_equal(read_all(), 0);
    assert_said("table XSDT at 0x11000: the checksum is off by 0x01, left out");
    memory[RSDT_AT + 10]++;
    assert_int_equal(read_all(), ERR_NOTFOUND);
    assert_said("neither XSDT nor RSDT is sound");
}

static void test_root_is_something_else(void **state)
{
    (void)state;
    put_le64(memory + RSDP_AT + 24, RSDT_AT);
    rsdp_finish();
    assert_int_equal(read_all(), ERR_NOTFOUND);
    assert_said("table RSDT at 0x10000: is named as the XSDT but isn't one");
}

static void test_loops(void **state)
{
    (void)state;
    root_add(XSDT_AT, 8, "XSDT", XSDT_AT);
    root_add(XSDT_AT, 8, "XSDT", RSDT_AT);
    root_add(XSDT_AT, 8, "XSDT", RSDT_AT);
    assert_int_equal(read_all(), 0);
    assert_said("is pointed to twice");
    assert_int_equal(info.bad_count, 2);
}

static void test_bad_tables(void **state)
{
    uint8_t body[8] = {0};
    uint32_t a;

    (void)state;
    a = table_add("AAAA", body, sizeof(body));
    put_le32(memory + a + 4, 35);
    a = table_add("BBBB", body, sizeof(body));
    put_le32(memory + a + 4, 0xffffffff);
    a = table_add("CCCC", body, sizeof(body));
    memory[a + 40]++;
    a = table_add("D\nD\x80", body, sizeof(body));
    put_le32(memory + a + 4, 0x00f00000);
    root_add(XSDT_AT, 8, "XSDT", 0);
    root_add(XSDT_AT, 8, "XSDT", 0xfffffffffffffff0ull);
    root_add(XSDT_AT, 8, "XSDT", 0x123456789000ull);
    table_add("EEEE", body, sizeof(body));
    assert_int_equal(read_all(), 0);
    assert_said("table AAAA at 0x20000: has a length of 35, left out");
    assert_said("table BBBB at 0x20030: has a length of 4294967295, left out");
    assert_said("table CCCC at 0x20060: the checksum is off by 0x01, left out");
    assert_said("table D?D? at 0x20090: with a length of 15728640 is not in memory, left out");
    assert_said("0xfffffffffffffff0: is not in memory");
    assert_int_equal(info.bad_count, 6);
    assert_int_equal(info.table_count, 2);
}

/* The XSDT says it goes on beyond what it holds: its checksum can't be right then, and RSDT has the same. */
static void test_xsdt_too_long(void **state)
{
    uint8_t body[8] = {0};

    (void)state;
    table_add("AAAA", body, sizeof(body));
    put_le32(memory + XSDT_AT + 4, 36 + 8 * 300);
    set_checksum(memory + XSDT_AT, 36 + 8 * 300, 9);
    assert_int_equal(read_all(), 0);
    assert_said("has 300 entries, the first 256 count");
    assert_int_equal(info.table_count, 2);
}

/* MADT --------------------------------------------------------------------------------------------------- */

static const uint8_t madt_head[8] = {0, 0, 0xe0, 0xfe, 1, 0, 0, 0};

static void test_madt(void **state)
{
    static const uint8_t body[] = {
        0,    0,  0xe0, 0xfe, 1,    0,    0,    0, /* LAPICs at 0xfee00000, 8259s */
        0,    8,  0,    0,    1,    0,    0,    0, /* APIC id 0 */
        0,    8,  1,    4,    1,    0,    0,    0, /* 4 */
        0,    8,  2,    6,    0,    0,    0,    0, /* 6: disabled */
        0,    8,  3,    8,    2,    0,    0,    0, /* 8: could be plugged in */
        0,    8,  4,    4,    1,    0,    0,    0, /* 4 again */
        0,    8,  5,    255,  1,    0,    0,    0, /* a place-holder */
        9,    16, 0,    0,    0,    4,    0,    0,    1,    0, 0, 0, 6, 0, 0, 0, /* x2APIC id 1024 */
        9,    16, 0,    0,    0xff, 0xff, 0xff, 0xff, 1,    0, 0, 0, 7, 0, 0, 0,
        1,    12, 2,    0,    0,    0,    0xc0, 0xfe, 24,   0, 0, 0, /* I/O APIC 2 for GSI 24 on */
        2,    10, 0,    0,    2,    0,    0,    0,    0,    0,       /* interrupt 0 is GSI 2 */
        2,    10, 0,    9,    20,   0,    0,    0,    0x0f, 0,       /* 9 is GSI 20, low, level */
        2,    10, 0,    77,   0,    0,    0,    0,    0,    0,       /* no such interrupt */
        4,    6,  255,  0,    0,    1,                               /* an NMI */
        5,    12, 0,    0,    0,    0,    0,    0,    1,    0, 0, 0, /* LAPICs at 4 GiB */
        0x80, 5,  1,    2,    3,                                     /* the vendor's own */
    };

    (void)state;
    table_add("APIC", body, sizeof(body));
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.cpu_count, 3);
    assert_int_equal(info.cpus[0], 0);
    assert_int_equal(info.cpus[1], 4);
    assert_int_equal(info.cpus[2], 1024);
    assert_int_equal(info.cpu_offline, 1);
    assert_said("APIC id 4 is listed twice");
    assert_true(info.has_8259);
    assert_true(info.lapic_address == 0x100000000ull);
    assert_int_equal(info.ioapic_count, 1);
    assert_int_equal(info.ioapics[0].address, 0xfec00000);
    assert_int_equal(info.ioapics[0].gsi_base, 24);
    assert_int_equal(info.override_count, 2);
    assert_int_equal(info.overrides[0].gsi, 2);
    assert_false(info.overrides[0].active_low || info.overrides[0].level);
    assert_int_equal(info.overrides[1].irq, 9);
    assert_true(info.overrides[1].active_low && info.overrides[1].level);
    assert_said("an override of interrupt 77");
}

static void madt_with(const uint8_t *entries, uint32_t len)
{
    uint8_t body[128];

    set_up(NULL);
    memcpy(body, madt_head, 8);
    memcpy(body + 8, entries, len);
    table_add("APIC", body, 8 + len);
    assert_int_equal(read_all(), 0);
}

static void test_madt_corrupt(void **state)
{
    static const uint8_t zero[] = {0, 8, 0, 3, 1, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t cut[] = {0, 8, 0, 3, 1, 0, 0, 0, 0, 8, 1, 4};
    static const uint8_t one[] = {0, 8, 0, 3, 1, 0, 0, 0, 0};
    static const uint8_t small[] = {0, 7, 0, 3, 1, 0, 0, 9, 16, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0};

    (void)state;
    madt_with(zero, sizeof(zero));
    assert_said("the entry at 52 is cut off or has no length");
    assert_int_equal(info.cpu_count, 1);
    madt_with(cut, sizeof(cut));
    assert_said("the entry at 52 is cut off");
    assert_int_equal(info.cpu_count, 1);
    madt_with(one, sizeof(one));
    assert_said("the entry at 52 is cut off");
    assert_int_equal(info.cpu_count, 1);
    madt_with(small, sizeof(small));
    assert_said("an entry of type 0 has a length of 7");
    assert_int_equal(info.cpu_count, 1);
    assert_int_equal(info.cpus[0], 5);
    set_up(NULL);
    table_add("APIC", madt_head, 4);
    assert_int_equal(read_all(), 0);
    assert_said("table APIC at 0x20000: has a length of 40");
}

static void test_madt_twice(void **state)
{
    static const uint8_t body[] = {0, 0, 0xe0, 0xfe, 0, 0, 0, 0, 0, 8, 0, 3, 1, 0, 0, 0};

    (void)state;
    table_add("APIC", body, sizeof(body));
    table_add("APIC", madt_head, sizeof(madt_head));
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.cpu_count, 1);
    assert_said("is there twice, the first counts");
}

static void test_madt_too_many(void **state)
{
    static uint8_t body[8 + 600 * 16];

    (void)state;
    for (uint32_t i = 0; i < 600; i++) {
        uint8_t *entry = body + 8 + i * 16;

        entry[0] = 9;
        entry[1] = 16;
        put_le32(entry + 4, i * 3);
        put_le32(entry + 8, 1);
    }
    table_add("APIC", body, sizeof(body));
    assert_int_equal(read_all(), 0);
    assert_int_equal(info.cpu_count, ACPI_MAX_CPUS);
    assert_int_equal(info.bad_count, 600 - ACPI_MAX_CPUS);
}

/* Whatever single byte is wrong: no crash, no leak, and a complaint unless it is outside all tables. */
static void test_each_byte_wrong(void **state)
{
    static const uint8_t madt[] = {0, 0, 0xe0, 0xfe, 0, 0, 0, 0, 0, 8, 0, 3, 1, 0, 0, 0};
    uint32_t addr = table_add("APIC", madt, sizeof(madt));

    (void)state;
    for (uint32_t i = 0; i < 36 + sizeof(madt); i++) {
        memory[addr + i] ^= 0x10;
        assert_int_equal(read_all(), 0);
        assert_int_equal(info.bad_count, 1);
        assert_int_equal(info.cpu_count, 0);
        memory[addr + i] ^= 0x10;
    }
    assert_int_equal(mapped, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rsdp),
        TEST(test_rsdp_in_ebda),
        TEST(test_rsdp_at_the_end),
        TEST(test_rsdp_corrupt),
        TEST(test_rsdp_second_half_corrupt),
        TEST(test_xsdt_corrupt),
        TEST(test_root_is_something_else),
        TEST(test_loops),
        TEST(test_bad_tables),
        TEST(test_xsdt_too_long),
        TEST(test_madt),
        TEST(test_madt_corrupt),
        TEST(test_madt_twice),
        TEST(test_madt_too_many),
        TEST(test_each_byte_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
