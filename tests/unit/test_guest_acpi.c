/*
 * The ACPI tables that VMs get: checksums and links followed by hand, then read back by Keel's own reader of host tables, and
 * taken apart by iasl. The DSDT is the one that goes into the image.
 */
#include "tests/unit/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lib/bytes.h"
#include "core/lib/error.h"
#include "drivers/hw/acpi.h"
#include "guests/acpi.h"
#include "guests/platform.h"

#define WINDOW     0x240000000ull
#define WINDOW_END BIT(39)

#define OUT "build/unit/guest-acpi" /* what iasl reads and writes */

static struct gmem mem;
static uint8_t *ram, *dsdt;
static size_t dsdt_len;

static int setup(void **state)
{
    FILE *file = fopen("build/dsdt.aml", "rb");

    (void)state;
    assert_non_null(file);
    dsdt = malloc(PC_ACPI_SIZE);
    dsdt_len = fread(dsdt, 1, PC_ACPI_SIZE, file);
    fclose(file);
    ram = calloc(1, PC_HIGH_RAM);
    gmem_init(&mem, ram);
    return gmem_add(&mem, PC_ACPI_TABLES, PC_HIGH_RAM - PC_ACPI_TABLES, false);
}

static int teardown(void **state)
{
    (void)state;
    free(ram);
    free(dsdt);
    return 0;
}

static gpa_t build(uint32_t vcpus, bool ecam)
{
    struct acpi_guest guest = {.vcpus = vcpus,
                               .ecam = ecam,
                               .window = WINDOW,
                               .window_end = WINDOW_END,
                               .dsdt = dsdt,
                               .dsdt_len = dsdt_len};
    gpa_t rsdp = 0;

    assert_int_equal(acpi_build(&mem, &guest, &rsdp), 0);
    return rsdp;
}

static uint8_t sum(gpa_t at, uint64_t len)
{
    uint8_t s = 0;

    assert_non_null(gmem_ptr(&mem, at, len));
    for (uint64_t i = 0; i < len; i++)
        s += ram[at + i];
    return s;
}

static void expect_table(gpa_t at, const char *signature)
{
    assert_memory_equal(ram + at, signature, 4);
    assert_int_equal(sum(at, get_le32(ram + at + 4)), 0);
}

static void test_links_and_checksums(void **state)
{
    static const char *const names[] = {"FACP", "APIC", "HPET", "MCFG"};
    gpa_t rsdp = build(3, true), rsdt, xsdt, fadt;

    (void)state;
    assert_int_equal(rsdp % 16, 0);
    assert_true(rsdp >= 0xe0000 && rsdp < 0x100000);
    assert_memory_equal(ram + rsdp, "RSD PTR ", 8);
    assert_int_equal(sum(rsdp, 20), 0);
    assert_int_equal(sum(rsdp, 36), 0);
    rsdt = get_le32(ram + rsdp + 16);
    xsdt = get_le64(ram + rsdp + 24);
    expect_table(rsdt, "RSDT");
    expect_table(xsdt, "XSDT");
    assert_int_equal(get_le32(ram + rsdt + 4), 36 + ARRAY_SIZE(names) * 4);
    assert_int_equal(get_le32(ram + xsdt + 4), 36 + ARRAY_SIZE(names) * 8);
    for (uint64_t i = 0; i < ARRAY_SIZE(names); i++) {
        gpa_t table = get_le64(ram + xsdt + 36 + i * 8);

        assert_int_equal(get_le32(ram + rsdt + 36 + i * 4), table);
        expect_table(table, names[i]);
    }
    fadt = get_le64(ram + xsdt + 36);
    expect_table(get_le32(ram + fadt + 40), "DSDT");
    assert_int_equal(get_le64(ram + fadt + 140), get_le32(ram + fadt + 40));
    assert_memory_equal(ram + get_le32(ram + fadt + 36), "FACS", 4);
    assert_int_equal(get_le32(ram + fadt + 36) % 64, 0);
}

static const void *memory_map(void *ctx, hpa_t addr, uint64_t len)
{
    (void)ctx;
    return gmem_ptr(&mem, addr, len);
}

static void memory_unmap(void *ctx, const void *ptr, uint64_t len)
{
    (void)ctx;
    (void)ptr;
    (void)len;
}

static void read_back(struct acpi_info *info)
{
    const struct acpi_memory memory = {memory_map, memory_unmap, NULL};

    /* Found by searching, as by a system that was given no pointer. */
    assert_int_equal(acpi_read(info, &memory, NULL, 0, true), 0);
    assert_int_equal(info->bad_count, 0);
}

static void test_read_back(void **state)
{
    static struct acpi_info info;

    (void)state;
    build(2, true);
    read_back(&info);
    assert_int_equal(info.revision, 2);
    assert_int_equal(info.lapic_address, PC_LAPIC);
    assert_true(info.has_8259);
    assert_int_equal(info.cpu_count, 2);
    assert_int_equal(info.cpus[1], 1);
    assert_int_equal(info.ioapic_count, 1);
    assert_int_equal(info.ioapics[0].address, PC_IOAPIC);
    assert_int_equal(info.ioapics[0].gsi_base, 0);
    assert_int_equal(info.override_count, 2);
    assert_int_equal(info.overrides[0].gsi, PC_GSI_PIT);
    assert_int_equal(info.overrides[1].irq, PC_IRQ_SCI);
    assert_true(info.overrides[1].level && !info.overrides[1].active_low);
    assert_true(info.power.has_s5 && info.power.reset_supported && info.power.timer_32bit);
    assert_int_equal(info.power.slp_typa, PC_S5_TYPE);
    assert_int_equal(info.power.reset.address, PC_PORT_RESET);
    assert_int_equal(info.power.reset_value, PC_RESET_VALUE);
    assert_int_equal(info.power.pm1a_control.address, PC_PORT_PM + 4);
    assert_int_equal(info.power.timer.address, PC_PORT_PM + 8);
    assert_int_equal(info.ecam_count, 1);
    assert_int_equal(info.ecams[0].base, PC_ECAM);
    assert_int_equal(info.ecams[0].last_bus, 0);
    build(1, false);
    read_back(&info);
    assert_int_equal(info.ecam_count, 0);
}

static void test_many_cpus(void **state)
{
    static struct acpi_info info;

    (void)state;
    build(300, false);
    read_back(&info);
    assert_int_equal(info.cpu_count, 300);
    for (uint32_t i = 0; i < 300; i++)
        assert_int_equal(info.cpus[i], i);
}

static void test_refusals(void **state)
{
    struct acpi_guest guest = {.vcpus = 20000, .dsdt = dsdt, .dsdt_len = dsdt_len};
    gpa_t rsdp;

    (void)state;
    assert_int_equal(acpi_build(&mem, &guest, &rsdp), ERR_NOMEM);
    guest.vcpus = 1;
    guest.dsdt_len--;
    assert_int_equal(acpi_build(&mem, &guest, &rsdp), ERR_INVALID);
    guest.dsdt_len = 35;
    assert_int_equal(acpi_build(&mem, &guest, &rsdp), ERR_INVALID);
    guest.dsdt_len = dsdt_len;
    gmem_init(&mem, ram);
    assert_int_equal(acpi_build(&mem, &guest, &rsdp), ERR_RANGE);
}

static void expect_disassembly(gpa_t at, const char *name)
{
    char path[64], command[200];
    FILE *file;

    snprintf(path, sizeof(path), OUT "/%s.aml", name);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(ram + at, get_le32(ram + at + 4), 1, file), 1);
    fclose(file);
    snprintf(command, sizeof(command), "iasl -d %s >" OUT "/%s.log 2>&1", path, name);
    assert_int_equal(system(command), 0);
    /* It comments on bad checksums, lengths and unknown subtables in what it writes. */
    snprintf(command, sizeof(command),
             "! grep -qiE 'invalid|incorrect|unknown|error|warning' " OUT "/%s.dsl " OUT "/%s.log", name,
             name);
    assert_int_equal(system(command), 0);
}

static void test_iasl(void **state)
{
    static const char *const names[] = {"facp", "apic", "hpet", "mcfg"};
    gpa_t rsdp = build(257, true), xsdt = get_le64(ram + rsdp + 24), fadt = get_le64(ram + xsdt + 36);

    (void)state;
    assert_int_equal(system("mkdir -p " OUT), 0);
    for (uint64_t i = 0; i < ARRAY_SIZE(names); i++)
        expect_disassembly(get_le64(ram + xsdt + 36 + i * 8), names[i]);
    expect_disassembly(xsdt, "xsdt");
    expect_disassembly(get_le32(ram + rsdp + 16), "rsdt");
    expect_disassembly(get_le32(ram + fadt + 36), "facs");
    expect_disassembly(get_le64(ram + fadt + 140), "dsdt");
}

/* In iasl's words. */
static void test_window(void **state)
{
    gpa_t rsdp = build(1, true), xsdt = get_le64(ram + rsdp + 24), fadt = get_le64(ram + xsdt + 36);

    (void)state;
    assert_int_equal(system("mkdir -p " OUT), 0);
    expect_disassembly(get_le64(ram + fadt + 140), "window");
    assert_int_equal(
        system("grep -A 6 QWordMemory " OUT "/window.dsl | grep -o '^ *0x[0-9A-F]*' | tr -d ' \n' |"
               " grep -qx "
               "0x00000000000000000x00000002400000000x0000007FFFFFFFFF0x00000000000000000x0000007DC0000000"),
        0);
    assert_int_equal(system("test $(grep -c QWordMemory " OUT "/window.dsl) = 1"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_links_and_checksums, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_cpus, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_iasl, setup, teardown),
        cmocka_unit_test_setup_teardown(test_window, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
