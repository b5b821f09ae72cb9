/* PCI functions: sizing and moving what they decode, capabilities, interrupts by pin, MSI and MSI-X, resets. */
#include "tests/unit/pci_bench.h"

#include "core/lib/bytes.h"

#define SLOT    3
#define BAR32   0x10
#define BAR64   0x14
#define BARIO   0x1c
#define MESSAGE 0xfee01000u

static struct vpci f, other;
static struct vmsix msix;
static struct vmsi msi;
static uint8_t memory[0x4000];
static int resets, masters;

static enum bus_result memory_access(void *dev, struct bus_access *access)
{
    uint8_t *bytes = dev;

    if (access->write)
        memcpy(bytes + access->addr, &access->value, access->size);
    else
        memcpy(&access->value, bytes + access->addr, access->size);
    return BUS_OK;
}

static enum bus_result wide_access(void *dev, struct bus_access *access)
{
    if (access->addr < 0x1000)
        return vmsix_table(&msix, access);
    access->addr -= 0x1000;
    if (access->addr < 0x1000)
        return vmsix_pending(&msix, access);
    return memory_access(dev, access);
}

static void note_reset(void *dev)
{
    assert_ptr_equal(dev, memory);
    resets++;
}

static void note_master(void *dev)
{
    assert_ptr_equal(dev, memory);
    masters++;
}

static const struct vpci_config desc = {
    .name = "test",
    .vendor = 0x1af4,
    .device = 0x1042,
    .subsystem_vendor = 0x1234,
    .subsystem = 0x5678,
    .revision = 1,
    .class = 0x0100,
    .reset = note_reset,
    .master = note_master,
    .dev = memory,
};

static int start(void **state)
{
    (void)state;
    pci_start();
    resets = masters = 0;
    memset(memory, 0, sizeof(memory));
    vpci_init(&f, &pci, SLOT, &desc);
    vpci_add_bar(&f, 0, VPCI_BAR_MEMORY, 0x1000, memory_access, memory);
    vpci_add_bar(&f, 1, VPCI_BAR_MEMORY64, 0x4000, wide_access, memory);
    vpci_add_bar(&f, 3, VPCI_BAR_IO, 0x20, memory_access, memory);
    vpci_add_msix(&f, &msix, 4, 1, 0, 0x1000);
    vpci_add_msi(&f, &msi, 2);
    vpci_add_flr(&f);
    return 0;
}

static void test_header(void **state)
{
    (void)state;
    assert_int_equal(pci_in(SLOT, 0, 4), 0x10421af4);
    assert_int_equal(pci_in(SLOT, 4, 4), 0x00100000);
    assert_int_equal(pci_in(SLOT, 8, 4), 0x01000001);
    assert_int_equal(pci_in(SLOT, 0x2c, 4), 0x56781234);
    assert_int_equal(pci_in(SLOT, 0x3c, 2), 0x0100);
    for (uint32_t i = 0; i < 256; i += 4)
        if (i != BAR32 && i != BAR64 && i != BAR64 + 4 && i != BARIO)
            pci_out(SLOT, i, 4, 0);
    assert_int_equal(pci_in(SLOT, 0, 4), 0x10421af4);
    assert_int_equal(pci_in(SLOT, 4, 4), 0x00100000);
    /* The same by the ports; nothing else in the slot, and nothing beyond 256 bytes. */
    bench_write(vpciconf_ports, &pci_conf, 0, 4, 0x80000000 | SLOT << 11);
    assert_int_equal(bench_read(vpciconf_ports, &pci_conf, 4, 4), 0x10421af4);
    assert_int_equal(pci_in(SLOT, 0x1000, 4), 0xffffffff);
    assert_int_equal(vpciconf_read(&pci_conf, 1, SLOT << 3, 0, 4), 0xffffffff);
    EXPECT_PANIC(vpci_init(&other, &pci, SLOT, &desc));
}

static void test_ecam_edges(void **state)
{
    uint64_t value = 0;

    (void)state;
    assert_int_equal(bench_access(vpciconf_ecam, &pci_conf, false, SLOT << 15 | 0x100, 4, &value),
                     BUS_UNCLAIMED);
    assert_int_equal(bench_access(vpciconf_ecam, &pci_conf, false, SLOT << 15 | 2, 4, &value), BUS_UNCLAIMED);
    assert_int_equal(bench_access(vpciconf_ecam, &pci_conf, false, SLOT << 15, 8, &value), BUS_UNCLAIMED);
    assert_int_equal(bench_read(vpciconf_ecam, &pci_conf, 0xffff000, 4), 0xffffffff);
}

/* Writing ones and reading back gives the size, with decoding off or on. */
static void test_sizing(void **state)
{
    (void)state;
    for (uint32_t command = 0; command <= 3; command += 3) {
        pci_out(SLOT, PCI_COMMAND, 2, command);
        for (uint32_t at = BAR32; at < 0x28; at += 4)
            pci_out(SLOT, at, 4, 0xffffffff);
        assert_int_equal(pci_in(SLOT, BAR32, 4), 0xfffff000);
        assert_int_equal(pci_in(SLOT, BAR64, 4), 0xffffc004);
        assert_int_equal(pci_in(SLOT, BAR64 + 4, 4), 0xffffffff);
        assert_int_equal(pci_in(SLOT, BARIO, 4), 0xffffffe1);
        assert_int_equal(pci_in(SLOT, BARIO + 4, 4), 0);
    }
}

static void test_moving(void **state)
{
    uint64_t value = 0;

    (void)state;
    pci_out(SLOT, BAR32, 4, 0xc0000000);
    assert_false(pci_decoded(0xc0000000));
    pci_out(SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    assert_true(pci_decoded(0xc0000000));
    assert_true(pci_decoded(0xc0000ffc));
    assert_false(pci_decoded(0xc0001000));
    pci_out(SLOT, BAR32, 4, 0xc0005fff); /* while it decodes; the low bits aren't there */
    assert_false(pci_decoded(0xc0000000));
    assert_true(pci_decoded(0xc0005000));
    pci_out(SLOT, BAR64 + 4, 4, 0x12);
    pci_out(SLOT, BAR64, 4, 0x40000000);
    assert_true(pci_decoded(0x1240000000));
    pci_out(SLOT, BARIO, 4, 0xc000);
    assert_false(pci_dispatch(&pci_pio, false, 0xc000, 1, &value));
    pci_out(SLOT, PCI_COMMAND, 2, PCI_COMMAND_IO);
    assert_true(pci_dispatch(&pci_pio, false, 0xc01f, 1, &value));
    assert_false(pci_decoded(0xc0005000));
    assert_false(pci_decoded(0x1240000000));
    pci_out(SLOT, BARIO, 4, 0xfffffff0); /* the register holds it; there are no such ports */
    assert_int_equal(pci_pio.count, 0);
}

/* Over 4 GiB and back, half by half: with decoding on it is at each place in between, with decoding off at none. */
static void test_moving_above(void **state)
{
    static const struct {
        uint32_t at, value;
        uint64_t base;
    } steps[] = {
        {BAR64, 0xc0000000, 0xc0000000},     {BAR64 + 4, 0x8, 0x8c0000000},
        {BAR64, 0x40000000, 0x840000000},    {BAR64, 0x44003fff, 0x844000000},
        {BAR64 + 4, 0, 0x44000000},          {BAR64 + 4, 0x3fff, 0x3fff44000000},
        {BAR64, 0xfffffff0, 0x3fffffffc000}, {BAR64 + 4, 0, 0xffffc000},
    };

    for (uint32_t on = 0; on <= PCI_COMMAND_MEMORY; on += PCI_COMMAND_MEMORY) {
        start(state);
        pci_out(SLOT, BAR32, 4, 0xd0000000);
        pci_out(SLOT, PCI_COMMAND, 2, on);
        for (uint32_t i = 0; i < ARRAY_SIZE(steps); i++) {
            pci_out(SLOT, steps[i].at, 4, steps[i].value);
            assert_int_equal(pci_decoded(steps[i].base), !!on);
            assert_int_equal(pci_decoded(steps[i].base + 0x3ffc), !!on);
            assert_false(pci_decoded(steps[i].base - 4));
            assert_int_equal(pci_mmio.count, on ? 2 : 0);
            pci_out(SLOT, PCI_COMMAND, 2, on ^ PCI_COMMAND_MEMORY);
            assert_int_equal(pci_decoded(steps[i].base), !on);
            pci_out(SLOT, PCI_COMMAND, 2, on);
        }
    }
}

/* What something else has stays its own; who comes second waits until the place is free. */
static void test_overlap(void **state)
{
    (void)state;
    vpci_init(&other, &pci, 4, &desc);
    vpci_add_bar(&other, 0, VPCI_BAR_MEMORY, 0x2000, memory_access, memory);
    pci_out(SLOT, BAR32, 4, 0xc0001000);
    pci_out(4, BAR32, 4, 0xc0000000);
    pci_out(SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    pci_out(4, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    assert_true(pci_decoded(0xc0001000));
    assert_false(pci_decoded(0xc0000000));
    pci_out(SLOT, BAR32, 4, 0xc0008000);
    assert_true(pci_decoded(0xc0000000));
    assert_true(pci_decoded(0xc0001000));
    assert_true(pci_decoded(0xc0008000));
}

static void test_capabilities(void **state)
{
    uint32_t at;

    (void)state;
    at = pci_cap(SLOT, PCI_CAP_MSIX, 0);
    assert_int_equal(at, 0x40);
    assert_int_equal(pci_in(SLOT, at + 2, 2), 3);
    assert_int_equal(pci_in(SLOT, at + 4, 4), 1);
    assert_int_equal(pci_in(SLOT, at + 8, 4), 0x1001);
    at = pci_cap(SLOT, PCI_CAP_MSI, at);
    assert_int_equal(pci_in(SLOT, at + 2, 2), 0x0184);
    at = pci_cap(SLOT, PCI_CAP_AF, at);
    assert_int_equal(pci_in(SLOT, at + 2, 2), 0x0306);
    assert_int_equal(pci_in(SLOT, at + 4, 2), 0);
    assert_int_equal(pci_in(SLOT, at + 1, 1), 0);
}

static void test_pin(void **state)
{
    (void)state;
    vpci_set_intx(&f, true);
    assert_int_equal(pci_intx, 1 << SLOT);
    assert_int_equal(pci_in(SLOT, PCI_STATUS, 2), PCI_STATUS_INTX | PCI_STATUS_CAPABILITIES);
    pci_out(SLOT, PCI_COMMAND, 2, PCI_COMMAND_INTX_OFF);
    assert_int_equal(pci_intx, 0);
    assert_int_equal(pci_in(SLOT, PCI_STATUS, 2), PCI_STATUS_INTX | PCI_STATUS_CAPABILITIES);
    pci_out(SLOT, PCI_COMMAND, 2, 0);
    assert_int_equal(pci_intx, 1 << SLOT);
    /* Messages take the pin's place. */
    pci_out(SLOT, pci_cap(SLOT, PCI_CAP_MSIX, 0) + 2, 2, 0x8000);
    assert_int_equal(pci_intx, 0);
    pci_out(SLOT, pci_cap(SLOT, PCI_CAP_MSIX, 0) + 2, 2, 0);
    assert_int_equal(pci_intx, 1 << SLOT);
    vpci_set_intx(&f, false);
    assert_int_equal(pci_intx, 0);
    assert_false(vpci_raise(&f, 0));
}

static void msix_on(uint16_t control)
{
    pci_out(SLOT, BAR64, 4, 0xc0000000);
    pci_out(SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    pci_out(SLOT, pci_cap(SLOT, PCI_CAP_MSIX, 0) + 2, 2, control);
    for (uint32_t i = 0; i < 4; i++) {
        pci_store(0xc0000000 + 16 * i, 8, MESSAGE + 16 * i);
        pci_store(0xc0000008 + 16 * i, 8, 0x40 + i);
    }
}

static void test_msix(void **state)
{
    (void)state;
    msix_on(0x8000);
    assert_int_equal(masters, 1);
    assert_int_equal(pci_load(0xc0000010, 4), MESSAGE + 16);
    assert_int_equal(pci_load(0xc0000018, 8), 0x41);
    assert_true(vpci_raise(&f, 2));
    assert_int_equal(pci_sent_count, 1);
    assert_int_equal(pci_sent[0].address, MESSAGE + 32);
    assert_int_equal(pci_sent[0].data, 0x42);
    /* A masked one waits, however often it is raised, and goes once. */
    pci_store(0xc000002c, 4, 0xffffffff);
    assert_int_equal(pci_load(0xc000002c, 4), 1);
    vpci_raise(&f, 2);
    vpci_raise(&f, 2);
    vpci_raise(&f, 3);
    assert_int_equal(pci_sent_count, 2);
    assert_int_equal(pci_load(0xc0001000, 8), 4);
    pci_store(0xc0001000, 8, 0); /* read-only */
    pci_store(0xc000002c, 4, 0);
    assert_int_equal(pci_sent_count, 3);
    assert_int_equal(pci_sent[2].data, 0x42);
    assert_int_equal(pci_load(0xc0001000, 8), 0);
    /* The whole function masked. */
    pci_out(SLOT, 0x42, 2, 0xc000);
    vpci_raise(&f, 0);
    vpci_raise(&f, 3);
    assert_int_equal(pci_load(0xc0001000, 4), 9);
    pci_out(SLOT, 0x42, 2, 0x8000);
    assert_int_equal(pci_sent_count, 5);
    /* Nothing is there: another vector, an odd access, a function that may not write to memory. */
    vpci_raise(&f, 4);
    assert_false(pci_decoded(0xc0000040));
    pci_out(SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    assert_true(vpci_raise(&f, 0));
    assert_int_equal(pci_sent_count, 5);
}

static void test_msi(void **state)
{
    uint32_t at = pci_cap(SLOT, PCI_CAP_MSI, 0);

    (void)state;
    pci_out(SLOT, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    pci_out(SLOT, at + VMSI_ADDRESS, 4, MESSAGE | 3);
    pci_out(SLOT, at + VMSI_DATA, 2, 0x4043);
    assert_int_equal(pci_in(SLOT, at + VMSI_ADDRESS, 4), MESSAGE);
    assert_false(vpci_raise(&f, 0));
    pci_out(SLOT, at + VMSI_CONTROL, 2, 0x21); /* four vectors */
    vpci_raise(&f, 2);
    assert_int_equal(pci_sent_count, 1);
    assert_int_equal(pci_sent[0].address, MESSAGE);
    assert_int_equal(pci_sent[0].data, 0x4042);
    pci_out(SLOT, at + VMSI_MASK, 4, 0xffffffff);
    assert_int_equal(pci_in(SLOT, at + VMSI_MASK, 4), 0xf);
    vpci_raise(&f, 1);
    vpci_raise(&f, 3);
    assert_int_equal(pci_in(SLOT, at + VMSI_PENDING, 4), 0xa);
    pci_out(SLOT, at + VMSI_MASK, 4, 2);
    assert_int_equal(pci_sent_count, 2);
    assert_int_equal(pci_sent[1].data, 0x4043);
    assert_int_equal(pci_in(SLOT, at + VMSI_PENDING, 4), 2);
    pci_out(SLOT, at + VMSI_MASK, 4, 0);
    assert_int_equal(pci_sent[2].data, 0x4041);
    /* One for all. */
    pci_out(SLOT, at + VMSI_CONTROL, 2, 1);
    vpci_raise(&f, 2);
    assert_int_equal(pci_sent[3].data, 0x4043);
}

static void test_function_reset(void **state)
{
    uint32_t at = pci_cap(SLOT, PCI_CAP_AF, 0);

    (void)state;
    msix_on(0xc000);
    pci_out(SLOT, PCI_INTERRUPT_LINE, 1, 10);
    vpci_raise(&f, 1);
    vpci_set_intx(&f, true);
    pci_out(SLOT, at + PCI_AF_CONTROL, 1, 0xfe);
    assert_int_equal(resets, 0);
    pci_out(SLOT, at + PCI_AF_CONTROL, 1, 1);
    assert_int_equal(resets, 1);
    assert_int_equal(pci_in(SLOT, at + PCI_AF_CONTROL, 1), 0);
    assert_int_equal(pci_in(SLOT, PCI_COMMAND, 4), PCI_STATUS_CAPABILITIES << 16);
    assert_int_equal(pci_in(SLOT, BAR64, 4), 4);
    assert_int_equal(pci_in(SLOT, 0x42, 2), 3);
    assert_int_equal(pci_mmio.count, 0);
    assert_int_equal(pci_intx, 0);
    assert_int_equal(msix.pending, 0);
    assert_int_equal(msix.table[1].control, 1);
}

/* As firmware leaves it: each range at a multiple of its size, decoding on. */
static void test_place(void **state)
{
    struct vpci_window window = {0xc0000000, 0xc0008000, 0, 0, 0xc000, 0xffff};

    (void)state;
    assert_true(vpci_place(&f, &window, 11));
    assert_int_equal(pci_in(SLOT, BAR32, 4), 0xc0000000);
    assert_int_equal(pci_in(SLOT, BAR64, 4), 0xc0004004);
    assert_int_equal(pci_in(SLOT, BARIO, 4), 0xc001);
    assert_int_equal(pci_in(SLOT, PCI_INTERRUPT_LINE, 1), 11);
    assert_true(pci_decoded(0xc0000000));
    vpci_init(&other, &pci, 4, &desc);
    vpci_add_bar(&other, 0, VPCI_BAR_MEMORY, 0x1000, memory_access, memory);
    assert_false(vpci_place(&other, &window, 11));
    assert_int_equal(pci_in(4, PCI_COMMAND, 2), 0);
}

/* What has 64 bits, and no room below, goes above; what has 32 doesn't. */
static void test_place_above(void **state)
{
    struct vpci_window window = {0xc0000000, 0xc0003000, 0x180001000, 0x180008000, 0xc000, 0xffff};

    (void)state;
    assert_true(vpci_place(&f, &window, 11));
    assert_int_equal(pci_in(SLOT, BAR32, 4), 0xc0000000);
    assert_int_equal(pci_in(SLOT, BAR64, 4), 0x80004004);
    assert_int_equal(pci_in(SLOT, BAR64 + 4, 4), 1);
    assert_true(pci_decoded(0x180004000));
    vpci_init(&other, &pci, 4, &desc);
    vpci_add_bar(&other, 0, VPCI_BAR_MEMORY64, 0x4000, memory_access, memory);
    assert_false(vpci_place(&other, &window, 11));
    assert_int_equal(pci_in(4, BAR32 + 4, 4), 0);
}

/* Large ones leave what is before them to small ones. */
static void test_place_large(void **state)
{
    static struct vpci large[3];
    static const uint64_t bases[] = {0xd0000000, 0xc8000000, 0x150000000};
    struct vpci_window window = {0xc0000000, 0xe0000000, 0x148000000, 0x160000000, 0xc000, 0xffff};

    (void)state;
    for (uint32_t i = 0; i < ARRAY_SIZE(large); i++) {
        vpci_init(&large[i], &pci, 4 + i, &desc);
        vpci_add_bar(&large[i], 0, VPCI_BAR_MEMORY, 0x4000, memory_access, memory);
        vpci_add_bar(&large[i], 2, VPCI_BAR_PREFETCH64, (i == 1 ? 128 : 256) * MiB, wide_access, memory);
    }
    for (uint32_t i = 0; i < ARRAY_SIZE(large); i++) {
        assert_true(vpci_place(&large[i], &window, 11));
        assert_int_equal(pci_in(4 + i, BAR32, 4), 0xc0000000 + 0x4000 * i);
        assert_int_equal(pci_in(4 + i, BAR32 + 8, 4) & ~0xfu, (uint32_t)bases[i]);
        assert_int_equal(pci_in(4 + i, BAR32 + 12, 4), bases[i] >> 32);
        assert_true(pci_decoded(bases[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_header, start),         cmocka_unit_test_setup(test_ecam_edges, start),
        cmocka_unit_test_setup(test_sizing, start),         cmocka_unit_test_setup(test_moving, start),
        cmocka_unit_test_setup(test_moving_above, start),   cmocka_unit_test_setup(test_place_above, start),
        cmocka_unit_test_setup(test_place_large, start),    cmocka_unit_test_setup(test_overlap, start),
        cmocka_unit_test_setup(test_capabilities, start),   cmocka_unit_test_setup(test_pin, start),
        cmocka_unit_test_setup(test_msix, start),           cmocka_unit_test_setup(test_msi, start),
        cmocka_unit_test_setup(test_function_reset, start), cmocka_unit_test_setup(test_place, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
