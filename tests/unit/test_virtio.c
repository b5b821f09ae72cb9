/* The part of virtio that all devices share: registers, features, status, queues, interrupts; with a device that counts. */
#include "tests/unit/virtio_bench.h"

#define FEATURES (VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC)

static struct virtio v;
static uint32_t notified, resets, limit;

/* Gives everything back as it came; with `limit`, puts off what is more than that. */
static void echo_notify(struct virtio *device, uint32_t queue)
{
    uint32_t done = 0;

    notified |= (uint32_t)BIT(queue);
    while ((!limit || done < limit) && virtio_take(device, queue)) {
        virtio_give(device, queue, (uint32_t)device->host.chain->writable_bytes);
        done++;
    }
    virtio_signal(device, queue);
    if (limit && done == limit)
        virtio_defer(device, queue);
}

static void echo_reset(struct virtio *device)
{
    assert_ptr_equal(device, &v);
    resets++;
}

/* Feature 0 needs feature 5. */
static bool echo_accepts(uint64_t features)
{
    return (features & (BIT(0) | BIT(5))) != BIT(0);
}

static const struct virtio_ops ops = {.reset = echo_reset, .notify = echo_notify, .accepts = echo_accepts};

static int start(void **state)
{
    const struct virtio_config config = {.name = "echo",
                                         .id = 4,
                                         .pci_class = 0x00ff,
                                         .features = BIT(0) | BIT(5),
                                         .packed = true,
                                         .queues = 3,
                                         .config_len = 12,
                                         .ops = &ops};
    (void)state;
    virtio_bench();
    virtio_init(&v, &bench_host, SLOT, &config);
    notified = resets = limit = 0;
    memcpy(v.config, "configuration", 12);
    return 0;
}

static const struct buffer buffer = {DATA, 8, WRITE};

static void test_capabilities(void **state)
{
    uint32_t seen = 0;

    (void)state;
    assert_int_equal(pci_in(SLOT, 0, 4), 0x10441af4);
    assert_int_equal(pci_in(SLOT, 8, 4), 0x00ff0001);
    for (uint32_t at = pci_cap(SLOT, PCI_CAP_VENDOR, 0); at; at = pci_cap(SLOT, PCI_CAP_VENDOR, at)) {
        uint32_t type = pci_in(SLOT, at + 3, 1);

        seen |= 1u << type;
        assert_int_equal(pci_in(SLOT, at + 2, 1), type == 2 || type == 5 ? 20 : 16);
        assert_int_equal(pci_in(SLOT, at + 4, 1), 0);
        assert_true(pci_in(SLOT, at + 8, 4) + pci_in(SLOT, at + 12, 4) <= 0x4000);
    }
    assert_int_equal(seen, 0x3e);
    assert_true(pci_cap(SLOT, PCI_CAP_AF, 0) != 0);
}

static void test_features(void **state)
{
    (void)state;
    assert_true(negotiate(FEATURES | BIT(5)));
    for (uint32_t half = 0; half < 3; half++) {
        static const uint32_t offered[] = {0x30000021, 0x00000105, 0};

        set(0, 4, half);
        assert_int_equal(reg(4, 4), offered[half]);
        assert_int_equal(reg(4, 2), offered[half] & 0xffff); /* as iPXE does */
        assert_int_equal(reg(6, 2), offered[half] >> 16);
        assert_int_equal(reg(7, 1), offered[half] >> 24);
    }
    set(8, 4, 0);
    assert_int_equal(reg(12, 4), 0x10000020);
    set(12, 4, 0); /* too late */
    assert_int_equal(reg(12, 4), 0x10000020);
    assert_false(negotiate(FEATURES | BIT(1))); /* not offered */
    assert_false(negotiate(FEATURES | BIT(40) << 1));
    assert_false(negotiate(VIRTIO_F_INDIRECT_DESC)); /* a legacy driver */
    assert_false(negotiate(FEATURES | BIT(0)));      /* without what it needs */
    assert_true(negotiate(FEATURES | BIT(0) | BIT(5)));
}

static void test_status(void **state)
{
    (void)state;
    assert_true(negotiate(FEATURES));
    set(COMMON_STATUS, 1, VIRTIO_DRIVER); /* no bit goes back */
    assert_int_equal(status(), 0x0b);
    set(COMMON_STATUS, 1, 0xc0); /* FAILED; NEEDS_RESET is the device's */
    assert_int_equal(status(), 0x8b);
    resets = 0;
    set(COMMON_STATUS, 1, 0);
    assert_int_equal(status(), 0);
    assert_int_equal(resets, 1);
    set(COMMON_STATUS, 1, 7); /* DRIVER_OK before FEATURES_OK */
    assert_int_equal(status(), 3);
    assert_true(negotiate(FEATURES));
    queue_start(FEATURES, 8);
    driver_add(&buffer, 1);
    pci_store(NOTIFY, 2, 0);
    assert_int_equal(notified, 0); /* not before DRIVER_OK */
    set(COMMON_STATUS, 1, GOOD_STATUS);
    assert_int_equal(notified, 1);
    assert_int_equal(pci_sent_count, 1);
}

static void test_queue_registers(void **state)
{
    (void)state;
    assert_true(negotiate(FEATURES));
    assert_int_equal(reg(0x12, 2), 3);
    set(0x16, 2, 3);
    assert_int_equal(reg(0x18, 2), 0); /* there is no such queue */
    set(0x18, 2, 8);
    assert_int_equal(reg(0x18, 2), 0);
    set(0x16, 2, 2);
    assert_int_equal(reg(0x1e, 2), 2);
    assert_int_equal(reg(0x18, 2), 256);
    set(0x18, 2, 0);
    set(0x18, 2, 512);
    set(0x18, 2, 6);
    assert_int_equal(reg(0x18, 2), 256);
    set(0x1a, 2, 4);
    assert_int_equal(reg(0x1a, 2), 0xffff);
    set(0x1a, 2, 3);
    assert_int_equal(reg(0x1a, 2), 3);
    set(0x20, 8, 0x123456789abcdef0);
    set(0x24, 4, 0x11111111);
    assert_int_equal(reg(0x20, 4), 0x9abcdef0);
    assert_int_equal(pci_load(BAR + 0x20, 8), 0x111111119abcdef0);
    set(0x20, 8, RING_DESC);
    set(0x28, 8, RING_AVAIL);
    set(0x30, 8, RING_USED);
    set(0x1c, 2, 0);
    assert_int_equal(reg(0x1c, 2), 0);
    set(0x1c, 2, 1);
    assert_int_equal(reg(0x1c, 2), 1);
    set(0x18, 2, 16);
    set(0x20, 8, 0);
    assert_int_equal(reg(0x18, 2), 256);
    assert_int_equal(reg(0x20, 4), RING_DESC);
    assert_false(pci_decoded(BAR + 0x3c));
    assert_true(negotiate(FEATURES | VIRTIO_F_RING_PACKED));
    set(0x18, 2, 6); /* a packed ring may have any size */
    assert_int_equal(reg(0x18, 2), 6);
}

static void test_ring_reset(void **state)
{
    uint16_t id;
    uint32_t len;

    (void)state;
    device_start(FEATURES | VIRTIO_F_RING_RESET, 8);
    notified = 0;
    set(0x3a, 2, 1);
    assert_int_equal(reg(0x3a, 2), 0);
    assert_int_equal(reg(0x1c, 2), 0);
    driver_add(&buffer, 1);
    pci_store(NOTIFY, 2, 0);
    assert_int_equal(notified & 1, 0);
    queue_start(FEATURES, 4);
    driver_add(&buffer, 1);
    pci_store(NOTIFY, 2, 0);
    assert_true(driver_collect(&id, &len, 1));
    assert_int_equal(len, 8);
    /* Not unless it was negotiated. */
    device_start(FEATURES, 8);
    set(0x3a, 2, 1);
    assert_int_equal(reg(0x1c, 2), 1);
}

static void test_interrupts(void **state)
{
    (void)state;
    device_start(FEATURES, 8);
    driver_add(&buffer, 1);
    pci_store(NOTIFY, 2, 0);
    assert_int_equal(pci_sent_count, 1);
    assert_int_equal(pci_sent[0].data, VECTOR_DATA + 1);
    assert_int_equal(reg(0x100, 1), 0);
    virtio_config_changed(&v);
    assert_int_equal(pci_sent[1].data, VECTOR_DATA);
    assert_int_equal(reg(0x15, 1), 1);
    assert_int_equal(pci_intx, 0);
    assert_int_equal(reg(0x100, 1), 2); /* of the configuration it is told in any case */
    assert_int_equal(reg(0x100, 1), 0);
    /* By the pin, until the reason is read. */
    pci_out(SLOT, pci_cap(SLOT, PCI_CAP_MSIX, 0) + 2, 2, 0);
    driver_add(&buffer, 1);
    pci_store(NOTIFY, 2, 0);
    virtio_config_changed(&v);
    assert_int_equal(pci_intx, 1 << SLOT);
    assert_int_equal(reg(0x100, 1), 3);
    assert_int_equal(pci_intx, 0);
    assert_int_equal(reg(0x100, 1), 0);
    assert_int_equal(pci_sent_count, 2);
    /* What nobody has read yet, when messages go off. */
    device_start(FEATURES, 8);
    virtio_config_changed(&v);
    assert_int_equal(pci_intx, 0);
    pci_out(SLOT, pci_cap(SLOT, PCI_CAP_MSIX, 0) + 2, 2, 0);
    assert_int_equal(pci_intx, 1 << SLOT);
    set(COMMON_STATUS, 1, 0);
    assert_int_equal(pci_intx, 0);
    pci_sent_count = 2;
    /* No vector, no message. */
    device_start(FEATURES, 8);
    set(0x1a, 2, 0xffff);
    driver_add(&buffer, 1);
    pci_store(NOTIFY, 2, 0);
    assert_int_equal(pci_sent_count, 2);
    assert_int_equal(pci_intx, 0);
}

/* A function that may not write to memory does nothing, and goes on when it may. */
static void test_bus_master(void **state)
{
    (void)state;
    device_start(FEATURES, 8);
    pci_out(SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    notified = 0;
    driver_add(&buffer, 1);
    pci_store(NOTIFY, 2, 0);
    assert_int_equal(notified, 0);
    pci_out(SLOT, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    assert_int_equal(notified, 1);
    assert_int_equal(pci_sent_count, 1);
}

static void test_needs_reset(void **state)
{
    (void)state;
    device_start(FEATURES, 8);
    driver_add((const struct buffer[]){{NOWHERE, 8, WRITE}}, 1);
    pci_store(NOTIFY, 2, 0);
    assert_int_equal(status(), GOOD_STATUS | VIRTIO_NEEDS_RESET);
    assert_int_equal(pci_sent_count, 1);
    assert_int_equal(pci_sent[0].data, VECTOR_DATA);
    notified = 0;
    driver_add(&buffer, 1);
    pci_store(NOTIFY, 2, 0);
    assert_int_equal(notified, 0);
    device_start(FEATURES, 8);
    /* Rings that aren't in memory, before anybody would listen. */
    assert_true(negotiate(FEATURES));
    set(0x20, 8, NOWHERE);
    set(0x1c, 2, 1);
    assert_int_equal(status(), 0x4b);
    assert_int_equal(pci_sent_count, 1);
}

static void test_put_off(void **state)
{
    (void)state;
    device_start(FEATURES, 8);
    limit = 2;
    for (uint32_t i = 0; i < 5; i++)
        driver_add(&buffer, 1);
    pci_store(NOTIFY, 2, 0);
    assert_int_equal(get_le16(ram + RING_USED + 2), 2);
    bench_stall(1); /* one piece more each time that the timers run */
    assert_int_equal(get_le16(ram + RING_USED + 2), 4);
    bench_wait(10);
    assert_int_equal(get_le16(ram + RING_USED + 2), 5);
    /* Not after a reset. */
    pci_store(NOTIFY, 2, 0);
    for (uint32_t i = 0; i < 3; i++)
        driver_add(&buffer, 1);
    pci_store(NOTIFY, 2, 0);
    set(COMMON_STATUS, 1, 0);
    bench_wait(10);
    assert_int_equal(get_le16(ram + RING_USED + 2), 7);
}

static void test_configuration_window(void **state)
{
    uint32_t at = 0;

    (void)state;
    for (uint32_t next = pci_cap(SLOT, PCI_CAP_VENDOR, 0); next; next = pci_cap(SLOT, PCI_CAP_VENDOR, next))
        at = next;
    pci_out(SLOT, at + 8, 4, 0x200);
    pci_out(SLOT, at + 12, 4, 4);
    assert_int_equal(pci_in(SLOT, at + 16, 4), get_le32("conf"));
    pci_out(SLOT, at + 8, 4, COMMON_STATUS);
    pci_out(SLOT, at + 12, 4, 1);
    pci_out(SLOT, at + 16, 1, 3);
    assert_int_equal(v.status, 3);
    assert_int_equal(pci_in(SLOT, at + 16, 1), 3);
    /* Another bar, an odd length, beyond the end: nothing. */
    pci_out(SLOT, at + 4, 1, 1);
    pci_out(SLOT, at + 16, 1, 0);
    assert_int_equal(v.status, 3);
    pci_out(SLOT, at + 4, 1, 0);
    pci_out(SLOT, at + 12, 4, 3);
    pci_out(SLOT, at + 16, 1, 0);
    pci_out(SLOT, at + 12, 4, 4);
    pci_out(SLOT, at + 8, 4, 0x3ffe);
    pci_out(SLOT, at + 16, 4, 0);
    pci_out(SLOT, at + 8, 4, 0xfffffffc);
    pci_out(SLOT, at + 16, 4, 0);
    assert_int_equal(v.status, 3);
}

static void test_device_configuration(void **state)
{
    (void)state;
    assert_true(negotiate(FEATURES));
    assert_int_equal(pci_load(DEVICE + 4, 8), get_le64("iguratio"));
    set(0x200, 4, 0);
    assert_int_equal(reg(0x200, 1), 'c');
    assert_false(pci_decoded(DEVICE + 12));
}

static void test_function_reset(void **state)
{
    (void)state;
    device_start(FEATURES, 8);
    resets = 0;
    pci_out(SLOT, pci_cap(SLOT, PCI_CAP_AF, 0) + PCI_AF_CONTROL, 1, PCI_AF_FLR);
    assert_int_equal(resets, 1);
    assert_int_equal(v.status, 0);
    assert_false(v.queues[0].enabled);
    assert_false(pci_decoded(BAR));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_capabilities, start),
        cmocka_unit_test_setup(test_features, start),
        cmocka_unit_test_setup(test_status, start),
        cmocka_unit_test_setup(test_queue_registers, start),
        cmocka_unit_test_setup(test_ring_reset, start),
        cmocka_unit_test_setup(test_interrupts, start),
        cmocka_unit_test_setup(test_bus_master, start),
        cmocka_unit_test_setup(test_needs_reset, start),
        cmocka_unit_test_setup(test_put_off, start),
        cmocka_unit_test_setup(test_configuration_window, start),
        cmocka_unit_test_setup(test_device_configuration, start),
        cmocka_unit_test_setup(test_function_reset, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
