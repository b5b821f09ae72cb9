#include "drivers/virt/vexit.h"

void vexit_init(struct vexit *exit, void (*callback)(void *ctx, uint32_t value), void *ctx)
{
    *exit = (struct vexit){.exit = callback, .ctx = ctx};
}

enum bus_result vexit_ports(void *dev, struct bus_access *access)
{
    struct vexit *exit = dev;

    if (!access->write)
        access->value = 0;
    else if (access->addr == 0)
        exit->exit(exit->ctx, (uint32_t)access->value);
    return BUS_OK;
}
