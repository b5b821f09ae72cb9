#include "drivers/virt/vdebug.h"

#include "drivers/virt/isa.h"

#define SIGNATURE 0xe9

void vdebug_init(struct vdebug *debug, void (*sink)(void *ctx, uint8_t byte), void *ctx)
{
    *debug = (struct vdebug){.sink = sink, .ctx = ctx};
}

enum bus_result vdebug_port(void *dev, struct bus_access *access)
{
    struct vdebug *debug = dev;

    if (access->size != 1)
        return isa_split(vdebug_port, dev, access);
    if (access->write)
        debug->sink(debug->ctx, (uint8_t)access->value);
    else
        access->value = SIGNATURE;
    return BUS_OK;
}
