/* Shared memory devices of two VMs: registers, doorbells from one to the other, and where the memory is to be seen. */
#include "drivers/virt/vivshmem.h"

#include "tests/unit/pci_bench.h"

#define LEN       0x2000
#define REGISTERS 0xc0000000ull
#define MSIX      0xc0001000ull
#define MEMORY    0x100000000ull
#define NOWHERE   UINT64_MAX

static struct vivshmem_group group;
static struct vivshmem s[3];
static uint8_t memory[LEN];
static uint64_t place;

static void placed(void *ctx, bool there, uint64_t addr)
{
    assert_ptr_equal(ctx, &place);
    place = there ? addr : NOWHERE;
}

static void begin(void)
{
    const struct vivshmem_config config = {&group, &bench_timers, memory, LEN, placed, &place};

    pci_start();
    memset(&group, 0, sizeof(group));
    memset(memory, 0, sizeof(memory));
    place = NOWHERE;
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(vivshmem_init(&s[i], &pci, 2 + i, &config));
        pci_out(2 + i, PCI_BAR(0), 4, (uint32_t)(REGISTERS + i * 0x100));
        pci_out(2 + i, PCI_BAR(1), 4, (uint32_t)(MSIX + i * 0x1000));
        pci_out(2 + i, PCI_BAR(3), 4, 1 + i);
        pci_out(2 + i, pci_cap(2 + i, PCI_CAP_MSIX, 0) + 2, 2, 0x8000);
        pci_out(2 + i, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
        pci_store(MSIX + i * 0x1000 + 16, 8, 0xfee00000);
        pci_store(MSIX + i * 0x1000 + 24, 8, 0x70 + i);
    }
}

static void test_what_it_is(void **state)
{
    (void)state;
    begin();
    assert_int_equal(pci_in(2, 0, 4), 0x11101af4);
    assert_int_equal(pci_in(2, PCI_REVISION, 4), 0x05000001);
    assert_int_equal(pci_in(2, PCI_BAR(2), 4) & 0xf, PCI_BAR_64 | PCI_BAR_PREFETCH);
    pci_out(2, PCI_BAR(2), 4, UINT32_MAX);
    assert_int_equal(pci_in(2, PCI_BAR(2), 4), (uint32_t) ~(LEN - 1) | 0xc);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(pci_load(REGISTERS + i * 0x100 + 8, 4), i);
    assert_int_equal(pci_load(REGISTERS, 4) | pci_load(REGISTERS + 4, 4) | pci_load(REGISTERS + 12, 4), 0);
    pci_store(REGISTERS + 8, 4, 99);
    assert_int_equal(pci_load(REGISTERS + 8, 4), 0);
}

static void test_doorbells(void **state)
{
    (void)state;
    begin();
    pci_store(REGISTERS + 12, 4, 2 << 16 | 1);
    assert_int_equal(pci_sent_count, 0); /* it is the peer's own timer that raises it */
    bench_wait(1);
    assert_int_equal(pci_sent_count, 1);
    assert_int_equal(pci_sent[0].data, 0x72);
    /* Two rings before it looks are one interrupt; what is masked waits. */
    pci_store(REGISTERS + 0x100 + 12, 4, 0 << 16 | 1);
    pci_store(REGISTERS + 0x200 + 12, 4, 0 << 16 | 1);
    pci_store(REGISTERS + 0x200 + 12, 4, 1 << 16 | 3);
    bench_wait(1);
    assert_int_equal(pci_sent_count, 2);
    assert_int_equal(pci_sent[1].data, 0x70);
    assert_int_equal(pci_load(MSIX + 0x1000 + 0x800, 8), BIT(3));
    /* Nobody, and no such vector. */
    pci_store(REGISTERS + 12, 4, 3 << 16 | 1);
    pci_store(REGISTERS + 12, 4, 0xffff0001);
    pci_store(REGISTERS + 12, 4, 2 << 16 | VIVSHMEM_VECTORS);
    vivshmem_remove(&s[2]);
    pci_store(REGISTERS + 12, 4, 2 << 16 | 1);
    bench_wait(1);
    assert_int_equal(pci_sent_count, 2);
    /* What was rung before a reset isn't heard after it. */
    pci_store(REGISTERS + 12, 4, 1 << 16 | 1);
    vivshmem_reset(&s[1]);
    bench_wait(1);
    assert_int_equal(pci_sent_count, 2);
}

static void test_memory(void **state)
{
    (void)state;
    begin();
    assert_int_equal(place, 3 * MEMORY);
    pci_store(MEMORY + 8, 4, 0x12345678);
    assert_int_equal(pci_load(2 * MEMORY + 8, 2), 0x5678);
    assert_int_equal(memory[11], 0x12);
    pci_out(4, PCI_BAR(3), 4, 7);
    assert_int_equal(place, 7 * MEMORY);
    assert_int_equal(pci_load(7 * MEMORY + 8, 4), 0x12345678);
    pci_out(4, PCI_COMMAND, 2, 0);
    assert_int_equal(place, NOWHERE);
    assert_false(pci_decoded(7 * MEMORY));
}

static void test_full(void **state)
{
    const struct vivshmem_config config = {&group, &bench_timers, memory, LEN, placed, &place};
    static struct vivshmem more[2];

    (void)state;
    begin();
    for (uint32_t i = 3; i < VIVSHMEM_PEERS - 1; i++)
        group.peers[i] = &s[0];
    assert_true(vivshmem_init(&more[0], &pci, 10, &config));
    assert_int_equal(more[0].id, VIVSHMEM_PEERS - 1);
    assert_false(vivshmem_init(&more[1], &pci, 11, &config));
    vivshmem_remove(&more[1]); /* does no harm to whoever has that number */
    assert_ptr_equal(group.peers[0], &s[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_it_is),
        cmocka_unit_test(test_doorbells),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
