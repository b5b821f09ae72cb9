#include "drivers/virt/vpcifixed.h"

#include "core/lib/bytes.h"
#include "core/lib/string.h"
#include "drivers/virt/vpci_regs.h"

static uint32_t fixed_read(void *dev, uint32_t offset, uint32_t size)
{
    const struct vpcifixed *f = dev;
    uint32_t value = 0;

    for (uint32_t i = 0; i < size; i++)
        value |= (uint32_t)f->config[offset + i] << 8 * i;
    return value;
}

void vpcifixed_write(void *dev, uint32_t offset, uint32_t size, uint32_t value)
{
    struct vpcifixed *f = dev;

    for (uint32_t i = 0; i < size; i++) {
        if (f->writable[offset + i])
            f->config[offset + i] = (uint8_t)(value >> 8 * i);
    }
}

void vpcifixed_init(struct vpcifixed *f, struct vpciconf *conf, uint32_t devfn, const struct vpcifixed_id *id)
{
    memset(f, 0, sizeof(*f));
    f->function = (struct vpci_function){.read = fixed_read, .write = vpcifixed_write, .dev = f};
    put_le16(&f->config[PCI_VENDOR], id->vendor);
    put_le16(&f->config[PCI_DEVICE], id->device);
    put_le16(&f->config[PCI_COMMAND], id->command);
    put_le16(&f->config[PCI_STATUS], id->status);
    f->config[PCI_REVISION] = id->revision;
    put_le16(&f->config[PCI_CLASS], id->class);
    put_le32(&f->config[PCI_SUBSYSTEM_VENDOR], id->subsystem);
    vpciconf_add(conf, devfn, &f->function);
}

void vpcifixed_keep(struct vpcifixed *f, uint32_t first, uint32_t last, uint8_t initial)
{
    for (uint32_t i = first; i <= last; i++) {
        f->writable[i] = true;
        f->initial[i] = f->config[i] = initial;
    }
}

void vpcifixed_reset(struct vpcifixed *f)
{
    for (uint32_t i = 0; i < VPCI_CONFIG_SIZE; i++)
        if (f->writable[i])
            f->config[i] = f->initial[i];
}
