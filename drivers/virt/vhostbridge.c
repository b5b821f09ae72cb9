#include "drivers/virt/vhostbridge.h"

#include "core/lib/bytes.h"
#include "core/lib/string.h"
#include "drivers/virt/vpci_regs.h"

#define INTEL         0x8086
#define I440FX        0x1237
#define SUBSYSTEM     0x11001af4 /* QEMU's, without which SeaBIOS takes this for no machine that it knows */
#define CLASS_HOST    0x0600
#define COMMAND_FIXED 0x0006 /* memory and bus master: always on */
#define STATUS_MEDIUM 0x0200 /* DEVSEL timing */

#define PAM_FIRST 0x59 /* 82441FX 3.2.19 */
#define PAM_LAST  0x5f
#define SMRAM     0x72

static bool byte_writable(uint32_t offset)
{
    return (offset >= PAM_FIRST && offset <= PAM_LAST) || offset == SMRAM;
}

static uint32_t bridge_read(void *dev, uint32_t offset, uint32_t size)
{
    const struct vhostbridge *bridge = dev;
    uint32_t value = 0;

    for (uint32_t i = 0; i < size; i++)
        value |= (uint32_t)bridge->config[offset + i] << 8 * i;
    return value;
}

static void bridge_write(void *dev, uint32_t offset, uint32_t size, uint32_t value)
{
    struct vhostbridge *bridge = dev;

    for (uint32_t i = 0; i < size; i++) {
        if (byte_writable(offset + i))
            bridge->config[offset + i] = (uint8_t)(value >> 8 * i);
    }
}

void vhostbridge_init(struct vhostbridge *bridge, struct vpciconf *conf)
{
    memset(bridge, 0, sizeof(*bridge));
    bridge->function = (struct vpci_function){.read = bridge_read, .write = bridge_write, .dev = bridge};
    put_le16(&bridge->config[PCI_VENDOR], INTEL);
    put_le16(&bridge->config[PCI_DEVICE], I440FX);
    put_le16(&bridge->config[PCI_COMMAND], COMMAND_FIXED);
    put_le16(&bridge->config[PCI_STATUS], STATUS_MEDIUM);
    bridge->config[PCI_REVISION] = 2;
    put_le16(&bridge->config[PCI_CLASS], CLASS_HOST);
    put_le32(&bridge->config[PCI_SUBSYSTEM_VENDOR], SUBSYSTEM);
    vpciconf_add(conf, VPCI_DEVFN(0, 0), &bridge->function);
}

void vhostbridge_reset(struct vhostbridge *bridge)
{
    for (uint32_t i = 0; i < sizeof(bridge->config); i++)
        if (byte_writable(i))
            bridge->config[i] = 0;
}
