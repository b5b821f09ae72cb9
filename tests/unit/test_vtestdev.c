#include "drivers/virt/vtestdev.h"

#include "tests/unit/device.h"

static struct vtestdev dev;
static uint8_t mmio[VTESTDEV_MMIO_SIZE];
static uint32_t levels, signalled;

static void set_line(void *listener, uint32_t line, bool level)
{
    assert_ptr_equal(listener, &levels);
    levels = level ? levels | (uint32_t)BIT(line) : levels & ~(uint32_t)BIT(line);
}

static void signal_source(void *listener, uint32_t vcpu, uint32_t source)
{
    assert_ptr_equal(listener, &levels);
    signalled = vcpu << 8 | source;
}

static int setup(void **state)
{
    (void)state;
    levels = signalled = 0;
    vtestdev_init(&dev, set_line, signal_source, &levels, mmio);
    return 0;
}

static void test_ports(void **state)
{
    uint64_t value = 1;

    (void)state;
    assert_int_equal(bench_read(vtestdev_ports, &dev, 0, 4), 0);
    bench_write(vtestdev_ports, &dev, 0, 4, 0x12345678);
    bench_write(vtestdev_ports, &dev, 1, 1, 0xab);
    bench_write(vtestdev_ports, &dev, 2, 2, 0xcdef);
    assert_int_equal(bench_read(vtestdev_ports, &dev, 0, 4), 0xcdefab78);
    assert_int_equal(bench_read(vtestdev_ports, &dev, 3, 1), 0xcd);
    bench_write(vtestdev_ports, &dev, VTESTDEV_FLUSH, 4, 0x1000);
    assert_int_equal(bench_read(vtestdev_ports, &dev, VTESTDEV_FLUSH, 4), 0);
    assert_int_equal(bench_access(vtestdev_ports, &dev, true, 2, 4, &value), BUS_UNCLAIMED);
    assert_int_equal(bench_access(vtestdev_ports, &dev, true, 6, 1, &value), BUS_UNCLAIMED);
}

static void test_lines(void **state)
{
    (void)state;
    bench_write(vtestdev_lines, &dev, 5, 1, 1);
    bench_write(vtestdev_lines, &dev, 23, 4, 0x80000000);
    assert_int_equal(levels, BIT(5) | BIT(23));
    bench_write(vtestdev_lines, &dev, 5, 1, 0);
    assert_int_equal(levels, BIT(23));
    assert_int_equal(bench_read(vtestdev_lines, &dev, 23, 1), 0);
}

static void test_sources(void **state)
{
    (void)state;
    bench_write(vtestdev_sints, &dev, 0, 4, 0x11010203); /* a route is made */
    bench_write(vtestdev_sints, &dev, 0, 4, 0x11020203);
    assert_int_equal(signalled, 0);
    bench_write(vtestdev_sints, &dev, 0, 4, 0x11030203);
    assert_int_equal(signalled, 0x203);
    assert_int_equal(bench_read(vtestdev_sints, &dev, 0, 4), 0);
}

static void test_mmio(void **state)
{
    uint64_t value = 0;

    (void)state;
    bench_write(vtestdev_mmio, &dev, 0x100, 8, 0x1122334455667788);
    assert_int_equal(bench_read(vtestdev_mmio, &dev, 0x104, 4), 0x11223344);
    assert_int_equal(bench_read(vtestdev_mmio, &dev, 0x101, 1), 0x77);
    bench_write(vtestdev_mmio, &dev, VTESTDEV_MMIO_SIZE - 1, 1, 0x99);
    assert_int_equal(bench_access(vtestdev_mmio, &dev, true, VTESTDEV_MMIO_SIZE - 1, 2, &value),
                     BUS_UNCLAIMED);
    vtestdev_reset(&dev);
    assert_int_equal(bench_read(vtestdev_mmio, &dev, VTESTDEV_MMIO_SIZE - 1, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_ports, setup),
        cmocka_unit_test_setup(test_lines, setup),
        cmocka_unit_test_setup(test_sources, setup),
        cmocka_unit_test_setup(test_mmio, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
