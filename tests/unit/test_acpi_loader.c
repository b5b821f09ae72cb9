/* The script is carried out as firmware does it, and the tables are then walked from the RSDP. */
#include "guests/acpi_loader.h"

#include <stdlib.h>
#include <string.h>

#include "core/lib/bytes.h"
#include "core/lib/error.h"
#include "guests/acpi_layout.h"
#include "tests/unit/support.h"

#define AT_RSDP   0x100u
#define AT_TABLES 0x1040u
#define MEMORY    0x4000u

static struct acpi_files files;
static uint8_t memory[MEMORY];
static uint8_t dsdt[100];
static bool
    sum_is_set; /* whether firmware sets the checksum, as OVMF does, or corrects it, as SeaBIOS does */

static struct acpi_guest guest_make(uint32_t vcpus)
{
    memset(dsdt, 0x11, sizeof(dsdt));
    memcpy(dsdt, "DSDT", 4);
    put_le32(dsdt + 4, sizeof(dsdt));
    dsdt[9] = 0;
    for (uint32_t i = 0; i < sizeof(dsdt); i++)
        dsdt[9] -= i != 9 ? dsdt[i] : 0;
    return (struct acpi_guest){.vcpus = vcpus, .ecam = true, .dsdt = dsdt, .dsdt_len = sizeof(dsdt)};
}

static uint32_t place_of(const char *name)
{
    if (strcmp(name, "etc/acpi/rsdp") == 0)
        return AT_RSDP;
    assert_string_equal(name, "etc/acpi/tables");
    return AT_TABLES;
}

static uint8_t sum_of(uint32_t at, uint32_t len)
{
    uint8_t sum = 0;

    assert_true(at + len <= MEMORY);
    for (uint32_t i = 0; i < len; i++)
        sum += memory[at + i];
    return sum;
}

static void run_pointer(const uint8_t *c, uint32_t at)
{
    uint32_t offset = get_le32(c + 116), value = get_le32(memory + at + offset);

    assert_in_range(value, 0, files.tables_len - 1);
    assert_true(c[120] == 4 || (c[120] == 8 && get_le32(memory + at + offset + 4) == 0));
    put_le32(memory + at + offset, value + place_of((const char *)c + 60));
}

static void run_sum(const uint8_t *c, uint32_t place)
{
    uint8_t *at = &memory[place + get_le32(c + 60)], sum = sum_of(place + get_le32(c + 64), get_le32(c + 68));

    *at = (sum_is_set ? 0 : *at) - sum;
}

static void script_run(void)
{
    memset(memory, 0xee, sizeof(memory));
    for (uint32_t at = 0; at < files.script_len; at += 128) {
        const uint8_t *c = files.script + at;
        uint32_t place = place_of((const char *)c + 4);

        switch (get_le32(c)) {
        case 1:
            if (place == AT_RSDP)
                memcpy(memory + place, files.tables, ACPI_FILES_RSDP_LEN);
            else
                memcpy(memory + place, acpi_files_tables(&files), files.tables_len);
            assert_true(IS_ALIGNED(place, get_le32(c + 60)));
            assert_int_equal(c[64], place == AT_RSDP ? 2 : 1);
            break;
        case 2:
            run_pointer(c, place);
            break;
        case 3:
            run_sum(c, place);
            break;
        default:
            fail_msg("command %u", get_le32(c));
        }
    }
}

static uint32_t table_check(uint32_t at, const char *signature)
{
    assert_memory_equal(memory + at, signature, 4);
    assert_int_equal(sum_of(at, get_le32(memory + at + 4)), 0);
    return at;
}

static void script_check(void)
{
    struct acpi_guest guest = guest_make(3);
    const uint8_t *rsdp = memory + AT_RSDP;
    uint32_t rsdt, xsdt, fadt;

    assert_int_equal(acpi_files_build(&files, &guest), 0);
    script_run();
    assert_int_equal(sum_of(AT_RSDP, 20), 0);
    assert_int_equal(sum_of(AT_RSDP, 36), 0);
    rsdt = table_check(get_le32(rsdp + 16), "RSDT");
    xsdt = table_check(get_le32(rsdp + 24), "XSDT");
    fadt = table_check(get_le32(memory + rsdt + 36), "FACP");
    table_check(get_le32(memory + rsdt + 40), "APIC");
    table_check(get_le32(memory + rsdt + 44), "HPET");
    table_check(get_le32(memory + rsdt + 48), "MCFG");
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(get_le64(memory + xsdt + 36 + 8 * i), get_le32(memory + rsdt + 36 + 4 * i));
    assert_memory_equal(memory + get_le32(memory + fadt + offsetof(struct acpi_fadt, firmware_ctrl)), "FACS",
                        4);
    assert_true(IS_ALIGNED(get_le32(memory + fadt + offsetof(struct acpi_fadt, firmware_ctrl)), 64));
    assert_memory_equal(memory + get_le32(memory + fadt + offsetof(struct acpi_fadt, dsdt)), dsdt, 9);
    assert_int_equal(get_le64(memory + fadt + offsetof(struct acpi_fadt, x_dsdt)),
                     get_le32(memory + fadt + offsetof(struct acpi_fadt, dsdt)));
    table_check(get_le32(memory + fadt + offsetof(struct acpi_fadt, dsdt)), "DSDT");
}

static void test_script(void **state)
{
    (void)state;
    sum_is_set = false;
    script_check();
    sum_is_set = true;
    script_check();
}

static void test_errors(void **state)
{
    struct acpi_guest guest = guest_make(5000);

    (void)state;
    assert_int_equal(acpi_files_build(&files, &guest), ERR_NOMEM);
    guest.vcpus = 1;
    guest.dsdt_len = 50;
    assert_int_equal(acpi_files_build(&files, &guest), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_script), cmocka_unit_test(test_errors)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
