#include "drivers/virt/vreset.h"

#include "drivers/virt/isa.h"

#define CONTROL_KEPT 0x0e /* SYS_RST, RST_CPU, FULL_RST */
#define CONTROL_CPU  BIT(2)

#define PORT92_RESET BIT(0)
#define PORT92_A20   BIT(1)

void vreset_init(struct vreset *r, void (*callback)(void *ctx), void *ctx)
{
    *r = (struct vreset){.reset = callback, .ctx = ctx};
    vreset_reset(r);
}

void vreset_reset(struct vreset *r)
{
    r->control = 0;
    r->port92 = PORT92_A20;
}

/* What kind of reset doesn't matter: the VM gets them all as one. */
enum bus_result vreset_control_port(void *dev, struct bus_access *access)
{
    struct vreset *r = dev;
    bool rising;

    if (access->size != 1)
        return isa_split(vreset_control_port, dev, access);
    if (!access->write) {
        access->value = r->control;
        return BUS_OK;
    }
    rising = access->value & ~r->control & CONTROL_CPU;
    r->control = access->value & CONTROL_KEPT;
    if (rising)
        r->reset(r->ctx);
    return BUS_OK;
}

enum bus_result vreset_port92(void *dev, struct bus_access *access)
{
    struct vreset *r = dev;
    bool rising;

    if (access->size != 1)
        return isa_split(vreset_port92, dev, access);
    if (!access->write) {
        access->value = r->port92;
        return BUS_OK;
    }
    rising = access->value & ~r->port92 & PORT92_RESET;
    r->port92 = access->value & (PORT92_RESET | PORT92_A20);
    if (rising)
        r->reset(r->ctx);
    return BUS_OK;
}
