#include "drivers/virt/vtestdev.h"

#include "core/lib/string.h"

#define SIGNAL_SOURCE 3

void vtestdev_init(struct vtestdev *dev, irq_set set, void (*signal)(void *, uint32_t, uint32_t),
                   void *listener, void *mmio)
{
    *dev = (struct vtestdev){.set = set, .signal = signal, .listener = listener, .mmio = mmio};
    vtestdev_reset(dev);
}

void vtestdev_reset(struct vtestdev *dev)
{
    memset(dev->bytes, 0, sizeof(dev->bytes));
    memset(dev->mmio, 0, VTESTDEV_MMIO_SIZE);
}

/* `size` bytes of memory at `at`, little-endian. */
static void memory_access(uint8_t *at, struct bus_access *access)
{
    if (access->write) {
        memcpy(at, &access->value, access->size);
        return;
    }
    access->value = 0;
    memcpy(&access->value, at, access->size);
}

enum bus_result vtestdev_ports(void *device, struct bus_access *access)
{
    struct vtestdev *dev = device;

    if (access->addr + access->size <= VTESTDEV_BYTES)
        memory_access(dev->bytes + access->addr, access);
    else if (access->addr != VTESTDEV_FLUSH)
        return BUS_UNCLAIMED;
    else if (!access->write)
        access->value = 0;
    return BUS_OK;
}

enum bus_result vtestdev_lines(void *device, struct bus_access *access)
{
    struct vtestdev *dev = device;

    if (access->write)
        dev->set(dev->listener, (uint32_t)access->addr, access->value != 0);
    else
        access->value = 0;
    return BUS_OK;
}

/* Routes from the device to a source, which come and go by other commands, are always there. */
enum bus_result vtestdev_sints(void *device, struct bus_access *access)
{
    struct vtestdev *dev = device;

    if (!access->write)
        access->value = 0;
    else if ((uint8_t)(access->value >> 16) == SIGNAL_SOURCE)
        dev->signal(dev->listener, (uint8_t)(access->value >> 8), (uint8_t)access->value);
    return BUS_OK;
}

enum bus_result vtestdev_mmio(void *device, struct bus_access *access)
{
    struct vtestdev *dev = device;

    if (access->size > VTESTDEV_MMIO_SIZE - access->addr)
        return BUS_UNCLAIMED;
    memory_access(dev->mmio + access->addr, access);
    return BUS_OK;
}
