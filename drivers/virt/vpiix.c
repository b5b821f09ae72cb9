#include "drivers/virt/vpiix.h"

#include "core/lib/bytes.h"
#include "drivers/virt/vpci_regs.h"

#define INTEL           0x8086
#define PIIX3_ISA       0x7000
#define PIIX4_PM        0x7113
#define CLASS_ISA       0x0601
#define CLASS_BRIDGE    0x0680 /* "other bridge" */
#define MULTIFUNCTION   0x80
#define STATUS_MEDIUM   0x0200
#define COMMAND_DECODES 0x0007 /* I/O, memory, bus master: always on */
#define COMMAND_IO      0x0001
#define SUBSYSTEM       0x11001af4

#define PIRQ_FIRST 0x60 /* 82371SB 2.2.7: PIRQRC[A:D] */
#define PIRQ_LAST  0x63
#define PIRQ_OFF   0x80
#define PM_BASE    0x40 /* 82371AB 7.1.10; bit 0 says that it is in I/O space */
#define PM_DEVACTB 0x58 /* 7.1.14; bit 25: writes to the APM port make SMIs */
#define PM_REGMISC 0x80 /* 7.1.22; bit 0: the PM ports are decoded */

#define BASE_BITS     0xffc0
#define DEVACTB_APMC  BIT(25)
#define REGMISC_PORTS BIT(0)

static void isa_init(struct vpcifixed *isa, struct vpciconf *conf, uint32_t slot)
{
    static const struct vpcifixed_id id = {
        .vendor = INTEL,
        .device = PIIX3_ISA,
        .class = CLASS_ISA,
        .command = COMMAND_DECODES,
        .status = STATUS_MEDIUM,
        .subsystem = SUBSYSTEM,
    };

    vpcifixed_init(isa, conf, VPCI_DEVFN(slot, 0), &id);
    isa->config[PCI_HEADER_TYPE] = MULTIFUNCTION;
    vpcifixed_keep(isa, PIRQ_FIRST, PIRQ_LAST, PIRQ_OFF);
}

static uint32_t pm_base(const struct vpiix *piix)
{
    return get_le16(&piix->pm.config[PM_BASE]) & BASE_BITS;
}

/* Puts the ports where the registers say. What something else has stays its own. */
static void pm_place(struct vpiix *piix)
{
    const struct vpiix_ports *ports = &piix->ports;
    uint32_t wanted = piix->pm.config[PM_REGMISC] & REGMISC_PORTS ? pm_base(piix) : 0;

    if (wanted == ports->fixed)
        wanted = 0;
    if (wanted == piix->placed)
        return;
    if (piix->placed)
        bus_release(ports->bus, piix->placed);
    if (wanted && bus_claim(ports->bus, wanted, ports->len, ports->handler, ports->dev, "pm"))
        wanted = 0;
    piix->placed = wanted;
}

static void pm_write(void *dev, uint32_t offset, uint32_t size, uint32_t value)
{
    struct vpiix *piix = CONTAINER_OF((struct vpcifixed *)dev, struct vpiix, pm);

    vpcifixed_write(dev, offset, size, value);
    put_le16(&piix->pm.config[PM_BASE], (uint16_t)(pm_base(piix) | 1));
    piix->pm.config[PM_REGMISC] &= REGMISC_PORTS;
    pm_place(piix);
}

void vpiix_init(struct vpiix *piix, struct vpciconf *conf, uint32_t slot, const struct vpiix_ports *ports)
{
    static const struct vpcifixed_id id = {
        .vendor = INTEL,
        .device = PIIX4_PM,
        .class = CLASS_BRIDGE,
        .revision = 3,
        .command = COMMAND_IO,
        .status = STATUS_MEDIUM,
        .subsystem = SUBSYSTEM,
    };

    piix->ports = *ports;
    piix->placed = 0;
    isa_init(&piix->isa, conf, slot);
    vpcifixed_init(&piix->pm, conf, VPCI_DEVFN(slot, 3), &id);
    piix->pm.function.write = pm_write;
    vpcifixed_keep(&piix->pm, PM_BASE, PM_BASE + 1, 0);
    vpcifixed_keep(&piix->pm, PM_REGMISC, PM_REGMISC, 0);
    piix->pm.config[PM_BASE] = piix->pm.initial[PM_BASE] = 1;
    /* There is no SMM. Where this bit is set, SeaBIOS takes that as set up already, and doesn't wait for an SMI. */
    put_le32(&piix->pm.config[PM_DEVACTB], DEVACTB_APMC);
}

void vpiix_reset(struct vpiix *piix)
{
    vpcifixed_reset(&piix->isa);
    vpcifixed_reset(&piix->pm);
    if (piix->ports.bus)
        pm_place(piix);
}
