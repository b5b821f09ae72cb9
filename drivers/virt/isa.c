#include "drivers/virt/isa.h"

enum bus_result isa_split(bus_handler handler, void *dev, struct bus_access *access)
{
    struct bus_access byte = *access;
    uint64_t value = 0;

    byte.size = 1;
    for (uint32_t i = 0; i < access->size; i++) {
        byte.addr = access->addr + i;
        byte.value = access->write ? access->value >> 8 * i & 0xff : 0;
        if (handler(dev, &byte) != BUS_OK)
            byte.value = 0xff;
        value |= (byte.value & 0xff) << 8 * i;
    }
    if (!access->write)
        access->value = value;
    return BUS_OK;
}
