#include "drivers/virt/vpciconf.h"

#include "core/lib/panic.h"

#define PORT_RESET 1 /* 0xcf9 */
#define PORT_DATA  4 /* 0xcfc */

#define ADDRESS_ENABLE BIT(31)
#define ADDRESS_KEPT   0x80fffffc

void vpciconf_init(struct vpciconf *conf, bus_handler reset, void *reset_dev)
{
    *conf = (struct vpciconf){.reset = reset, .reset_dev = reset_dev};
}

void vpciconf_reset(struct vpciconf *conf)
{
    conf->address = 0;
}

void vpciconf_add(struct vpciconf *conf, uint32_t devfn, const struct vpci_function *function)
{
    assert(devfn < VPCI_FUNCTIONS && !conf->functions[devfn]);
    conf->functions[devfn] = function;
}

static const struct vpci_function *function_find(const struct vpciconf *conf, uint32_t bus, uint32_t devfn)
{
    return bus == 0 ? conf->functions[devfn % VPCI_FUNCTIONS] : NULL;
}

uint32_t vpciconf_read(const struct vpciconf *conf, uint32_t bus, uint32_t devfn, uint32_t offset,
                       uint32_t size)
{
    const struct vpci_function *function = function_find(conf, bus, devfn);

    return function ? function->read(function->dev, offset, size) : UINT32_MAX;
}

void vpciconf_write(struct vpciconf *conf, uint32_t bus, uint32_t devfn, uint32_t offset, uint32_t size,
                    uint32_t value)
{
    const struct vpci_function *function = function_find(conf, bus, devfn);

    if (function)
        function->write(function->dev, offset, size, value);
}

static enum bus_result data_access(struct vpciconf *conf, struct bus_access *access)
{
    uint32_t bus = conf->address >> 16 & 0xff, devfn = conf->address >> 8 & 0xff;
    uint32_t offset = (conf->address & 0xfc) | (uint32_t)(access->addr - PORT_DATA);

    /* Each byte of the window is a byte lane: an access that isn't aligned has no configuration cycle. */
    if (!(conf->address & ADDRESS_ENABLE) || !IS_ALIGNED(offset, access->size))
        return BUS_UNCLAIMED;
    if (access->write)
        vpciconf_write(conf, bus, devfn, offset, access->size, (uint32_t)access->value);
    else
        access->value = vpciconf_read(conf, bus, devfn, offset, access->size);
    return BUS_OK;
}

enum bus_result vpciconf_ecam(void *dev, struct bus_access *access)
{
    struct vpciconf *conf = dev;
    uint32_t bus = (uint32_t)(access->addr >> 20), devfn = access->addr >> 12 & 0xff;
    uint32_t offset = access->addr & 0xfff;

    if (access->size > 4 || !IS_ALIGNED(offset, access->size) || offset >= VPCI_CONFIG_SIZE)
        return BUS_UNCLAIMED;
    if (access->write)
        vpciconf_write(conf, bus, devfn, offset, access->size, (uint32_t)access->value);
    else
        access->value = vpciconf_read(conf, bus, devfn, offset, access->size);
    return BUS_OK;
}

static enum bus_result reset_access(struct vpciconf *conf, struct bus_access *access)
{
    enum bus_result result;

    access->addr -= PORT_RESET;
    result = conf->reset(conf->reset_dev, access);
    access->addr += PORT_RESET;
    return result;
}

enum bus_result vpciconf_ports(void *dev, struct bus_access *access)
{
    struct vpciconf *conf = dev;

    if (access->addr >= PORT_DATA)
        return data_access(conf, access);
    if (access->addr == PORT_RESET && access->size == 1 && conf->reset)
        return reset_access(conf, access);
    if (access->addr != 0 || access->size != 4)
        return BUS_UNCLAIMED;
    if (access->write)
        conf->address = (uint32_t)access->value & ADDRESS_KEPT;
    else
        access->value = conf->address;
    return BUS_OK;
}
