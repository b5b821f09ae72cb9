#include "drivers/virt/vhostbridge.h"

#define INTEL         0x8086
#define I440FX        0x1237
#define SUBSYSTEM     0x11001af4 /* QEMU's, without which SeaBIOS takes this for no machine that it knows */
#define CLASS_HOST    0x0600
#define COMMAND_FIXED 0x0006 /* memory and bus master: always on */
#define STATUS_MEDIUM 0x0200 /* DEVSEL timing */

#define PAM_FIRST 0x59 /* 82441FX 3.2.19 */
#define PAM_LAST  0x5f
#define SMRAM     0x72

void vhostbridge_init(struct vpcifixed *bridge, struct vpciconf *conf)
{
    static const struct vpcifixed_id id = {
        .vendor = INTEL,
        .device = I440FX,
        .class = CLASS_HOST,
        .revision = 2,
        .command = COMMAND_FIXED,
        .status = STATUS_MEDIUM,
        .subsystem = SUBSYSTEM,
    };

    vpcifixed_init(bridge, conf, VPCI_DEVFN(0, 0), &id);
    vpcifixed_keep(bridge, PAM_FIRST, PAM_LAST, 0);
    vpcifixed_keep(bridge, SMRAM, SMRAM, 0);
}
