#include "guests/payload/virtq.h"

#include "guests/payload/pci.h"

#define PCI_COMMAND 0x04
#define PCI_BAR0    0x10
#define PCI_CAPS    0x34
#define CAP_VENDOR  0x09
#define CAP_MSIX    0x11
#define COMMAND_ON  0x06 /* memory, bus master */
#define MSIX_ENABLE BIT(31)

#define WINDOW       0xc0000000u /* where base addresses go that nobody has set */
#define WINDOW_SLOT  0x100000u
#define SLOTS        32
#define MSIX_ENTRY   16
#define MSIX_ADDRESS 0xfee00000u

/* Registers: 4.1.4.3 */
#define DRIVER_SELECT  0x08
#define DRIVER_FEATURE 0x0c
#define DEVICE_STATUS  0x14
#define QUEUE_SELECT   0x16
#define QUEUE_SIZE     0x18
#define QUEUE_VECTOR   0x1a
#define QUEUE_ENABLE   0x1c
#define QUEUE_OFFSET   0x1e
#define QUEUE_DESC     0x20
#define QUEUE_DRIVER   0x28
#define QUEUE_DEVICE   0x30

static volatile uint32_t *msix_table;

static uint8_t pci_byte(uint32_t slot, uint32_t offset)
{
    return (uint8_t)(pci_read(slot, offset & ~3u) >> 8 * (offset & 3));
}

static volatile void *common_at(const struct virtio_dev *dev, uint32_t offset)
{
    return dev->common + offset;
}

static void write8(const struct virtio_dev *dev, uint32_t offset, uint8_t value)
{
    *(volatile uint8_t *)common_at(dev, offset) = value;
}

static void write16(const struct virtio_dev *dev, uint32_t offset, uint16_t value)
{
    *(volatile uint16_t *)common_at(dev, offset) = value;
}

static void write32(const struct virtio_dev *dev, uint32_t offset, uint32_t value)
{
    *(volatile uint32_t *)common_at(dev, offset) = value;
}

static void write64(const struct virtio_dev *dev, uint32_t offset, const volatile void *value)
{
    write32(dev, offset, (uint32_t)(uintptr_t)value);
    write32(dev, offset + 4, (uint32_t)((uintptr_t)value >> 32));
}

/* The base address of that number, set if nobody has done that yet. */
static volatile uint8_t *bar(uint32_t slot, uint32_t number)
{
    uint32_t at = PCI_BAR0 + 4 * number, value = pci_read(slot, at) & ~0xfu;

    if (!value) {
        value = WINDOW + slot * WINDOW_SLOT;
        pci_write(slot, at, value);
    }
    return (volatile uint8_t *)(uintptr_t)value;
}

/* 4.1.4 */
static void capability(struct virtio_dev *dev, uint32_t at)
{
    volatile uint8_t *place;
    uint32_t type = pci_byte(dev->slot, at + 3);

    if (type < 1 || type > 4)
        return;
    place = bar(dev->slot, pci_byte(dev->slot, at + 4)) + pci_read(dev->slot, at + 8);
    if (type == 1)
        dev->common = place;
    if (type == 2) {
        dev->notify = place;
        dev->multiplier = pci_read(dev->slot, at + 16);
    }
    if (type == 4)
        dev->device = place;
}

static void capabilities(struct virtio_dev *dev)
{
    for (uint32_t at = pci_byte(dev->slot, PCI_CAPS); at; at = pci_byte(dev->slot, at + 1)) {
        uint8_t id = pci_byte(dev->slot, at);

        if (id == CAP_VENDOR)
            capability(dev, at);
        if (id == CAP_MSIX) {
            uint32_t table = pci_read(dev->slot, at + 4);

            msix_table = (volatile uint32_t *)(bar(dev->slot, table & 7) + (table & ~7u));
            pci_write(dev->slot, at, pci_read(dev->slot, at) | MSIX_ENABLE);
        }
    }
}

bool virtio_find(struct virtio_dev *dev, uint16_t id, uint64_t features)
{
    dev->slot = 0;
    while (dev->slot < SLOTS && pci_read(dev->slot, 0) != (0x10401af4u + ((uint32_t)id << 16)))
        dev->slot++;
    if (dev->slot == SLOTS)
        return false;
    capabilities(dev);
    pci_write(dev->slot, PCI_COMMAND, COMMAND_ON);
    write8(dev, DEVICE_STATUS, 0);
    write8(dev, DEVICE_STATUS, 3);
    for (uint32_t i = 0; i < 2; i++) {
        write32(dev, DRIVER_SELECT, i);
        write32(dev, DRIVER_FEATURE, (uint32_t)((features | VIRTIO_VERSION_1) >> 32 * i));
    }
    write8(dev, DEVICE_STATUS, 11);
    return *(volatile uint8_t *)common_at(dev, DEVICE_STATUS) == 11;
}

void virtio_queue(struct virtio_dev *dev, struct virtq *q, uint16_t number, uint8_t vector)
{
    volatile uint32_t *entry = msix_table + number * MSIX_ENTRY / 4;

    write16(dev, QUEUE_SELECT, number);
    write16(dev, QUEUE_SIZE, VIRTQ_SIZE);
    q->number = number;
    q->bell = (volatile uint16_t *)(dev->notify +
                                    *(volatile uint16_t *)common_at(dev, QUEUE_OFFSET) * dev->multiplier);
    entry[0] = MSIX_ADDRESS;
    entry[1] = 0;
    entry[2] = vector;
    entry[3] = !vector;
    write16(dev, QUEUE_VECTOR, number);
    write64(dev, QUEUE_DESC, q->desc);
    write64(dev, QUEUE_DRIVER, &q->avail);
    write64(dev, QUEUE_DEVICE, &q->used);
    write16(dev, QUEUE_ENABLE, 1);
}

void virtio_ready(struct virtio_dev *dev)
{
    write8(dev, DEVICE_STATUS, 15);
}
