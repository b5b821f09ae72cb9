#include "drivers/virt/vfwcfg.h"

#include <string.h>

#include "core/lib/bytes.h"
#include "tests/unit/device.h"

#define RAM (4 * PAGE_SIZE)

static struct vfwcfg fw;
static struct gmem mem;
static uint8_t ram[2 * RAM];
static const char text[] = "contents of a file";

static int setup(void **state)
{
    (void)state;
    memset(ram, 0xee, sizeof(ram));
    gmem_init(&mem, ram);
    assert_int_equal(gmem_add(&mem, 0, RAM, true), 0);
    assert_int_equal(gmem_add(&mem, RAM, RAM, false), 0);
    vfwcfg_init(&fw, &mem);
    vfwcfg_add_number(&fw, VFWCFG_RAM_SIZE, 0x123456789a, 8);
    vfwcfg_add_number(&fw, VFWCFG_NB_CPUS, 3, 2);
    vfwcfg_add_file(&fw, "etc/e820", text, sizeof(text));
    vfwcfg_add_file(&fw, "etc/other", text, 4);
    return 0;
}

static void select_key(uint16_t key)
{
    bench_write(vfwcfg_ports, &fw, 0, 2, key);
}

static uint64_t next_number(uint32_t bytes)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < bytes; i++)
        value |= bench_read(vfwcfg_ports, &fw, 1, 1) << 8 * i;
    return value;
}

static void test_numbers(void **state)
{
    (void)state;
    assert_int_equal(next_number(4), 0x554d4551); /* "QEMU", selected after a reset */
    select_key(VFWCFG_ID);
    assert_int_equal(next_number(4), 3);
    select_key(VFWCFG_RAM_SIZE);
    assert_int_equal(next_number(8), 0x123456789a);
    assert_int_equal(next_number(8), 0); /* beyond the end */
    select_key(VFWCFG_NB_CPUS);
    assert_int_equal(next_number(2), 3);
    select_key(0x7777);
    assert_int_equal(next_number(8), 0);
    select_key(VFWCFG_RAM_SIZE);
    vfwcfg_reset(&fw);
    assert_int_equal(next_number(4), 0x554d4551);
}

/* Big-endian size and number, and a name, 64 bytes each. */
static void test_directory(void **state)
{
    (void)state;
    select_key(VFWCFG_DIRECTORY);
    assert_int_equal(next_number(4), 2 << 24);
    assert_int_equal(next_number(4), sizeof(text) << 24);
    assert_int_equal(next_number(4), 0x2000);
    assert_int_equal(next_number(8), get_le64("etc/e820"));
    for (uint32_t i = 0; i < 48 / 8; i++)
        assert_int_equal(next_number(8), 0);
    assert_int_equal(next_number(4), 4 << 24);
    assert_int_equal(next_number(4), 0x2100);
    select_key(0x20);
    for (size_t i = 0; i < sizeof(text); i++)
        assert_int_equal(next_number(1), (uint8_t)text[i]);
}

/* A command at 0x100, started by its address. */
static uint32_t dma(uint32_t control, uint32_t len, uint64_t address)
{
    put_le32(ram + 0x100, __builtin_bswap32(control));
    put_le32(ram + 0x104, __builtin_bswap32(len));
    put_le64(ram + 0x108, __builtin_bswap64(address));
    bench_write(vfwcfg_ports, &fw, 4, 4, 0);
    bench_write(vfwcfg_ports, &fw, 8, 4, __builtin_bswap32(0x100));
    return __builtin_bswap32(get_le32(ram + 0x100));
}

#define SELECT(key) ((uint32_t)(key) << 16 | 8)
#define READ        2u
#define SKIP        4u
#define WRITE       16u

static void test_dma(void **state)
{
    (void)state;
    assert_int_equal(bench_read(vfwcfg_ports, &fw, 4, 4), get_le32("QEMU"));
    assert_int_equal(bench_read(vfwcfg_ports, &fw, 8, 4), get_le32(" CFG"));
    assert_int_equal(dma(SELECT(0x20) | READ, 8, 0x200), 0);
    assert_memory_equal(ram + 0x200, text, 8);
    assert_int_equal(ram[0x208], 0xee);
    /* Goes on where it was; zeros behind the end. */
    assert_int_equal(dma(SKIP, 4, 0), 0);
    assert_int_equal(dma(READ, 10, 0x200), 0);
    assert_memory_equal(ram + 0x200, text + 12, 7);
    assert_memory_equal(ram + 0x207, "\0\0\0\xee", 4);
    assert_int_equal(dma(SELECT(0x7777) | READ, 2, 0x200), 0);
    assert_memory_equal(ram + 0x200, "\0\0\x66", 3);
    assert_int_equal(dma(SELECT(0x20) | SKIP, 0xffffffff, 0), 0);
    assert_int_equal(dma(SKIP, 0xffffffff, 0), 0);
    assert_int_equal(next_number(1), 0);
}

static void test_dma_errors(void **state)
{
    (void)state;
    assert_int_equal(dma(SELECT(0x20) | WRITE, 1, 0x200), 1);
    assert_int_equal(dma(SELECT(0x20) | READ, 8, RAM - 4), 1); /* its end is ROM */
    assert_int_equal(ram[RAM - 4], 0xee);
    assert_int_equal(dma(SELECT(0x20) | READ, 8, UINT64_MAX - 3), 1);
    assert_int_equal(dma(SELECT(0x20) | READ, 0xffffffff, 0x200), 1);
    assert_int_equal(next_number(1), 'c'); /* nothing was taken */
    /* The command itself where the guest can't write: nothing is done. */
    put_le32(ram + RAM, __builtin_bswap32(SELECT(VFWCFG_ID)));
    bench_write(vfwcfg_ports, &fw, 8, 4, __builtin_bswap32(RAM));
    assert_int_equal(next_number(1), 'o');
    bench_write(vfwcfg_ports, &fw, 4, 4, 0xffffffff);
    bench_write(vfwcfg_ports, &fw, 8, 4, 0xffffffff);
    assert_int_equal(next_number(1), 'n');
}

static void test_odd_accesses(void **state)
{
    uint64_t value = 7;

    (void)state;
    assert_int_equal(bench_access(vfwcfg_ports, &fw, false, 0, 2, &value), BUS_UNCLAIMED);
    assert_int_equal(bench_access(vfwcfg_ports, &fw, true, 0, 1, &value), BUS_UNCLAIMED);
    assert_int_equal(bench_access(vfwcfg_ports, &fw, false, 1, 2, &value), BUS_UNCLAIMED);
    assert_int_equal(bench_access(vfwcfg_ports, &fw, true, 4, 2, &value), BUS_UNCLAIMED);
    bench_write(vfwcfg_ports, &fw, 1, 1, 7); /* items are read-only */
    assert_int_equal(next_number(4), 0x554d4551);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_numbers, setup),      cmocka_unit_test_setup(test_directory, setup),
        cmocka_unit_test_setup(test_dma, setup),          cmocka_unit_test_setup(test_dma_errors, setup),
        cmocka_unit_test_setup(test_odd_accesses, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
