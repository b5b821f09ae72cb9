/*
 * A PCI function without base addresses, interrupts and capabilities: registers that are fixed, and registers that keep what is
 * written to them and do nothing else. Bridges are such, as far as firmware goes.
 */
#pragma once

#include "drivers/virt/vpciconf.h"

struct vpcifixed {
    struct vpci_function function;
    uint8_t config[VPCI_CONFIG_SIZE];
    uint8_t initial[VPCI_CONFIG_SIZE]; /* of the registers that can be written */
    bool writable[VPCI_CONFIG_SIZE];
};

struct vpcifixed_id {
    uint16_t vendor, device, class; /* class, subclass */
    uint8_t revision;
    uint16_t command, status;
    uint32_t subsystem; /* subsystem, its vendor */
};

/* Fills in the header and puts the function at devfn of bus 0. */
void vpcifixed_init(struct vpcifixed *f, struct vpciconf *conf, uint32_t devfn,
                    const struct vpcifixed_id *id);
/* Makes registers writable; each has that value after a reset. */
void vpcifixed_keep(struct vpcifixed *f, uint32_t first, uint32_t last, uint8_t initial);
/* What the function does with a write, for one that does more. */
void vpcifixed_write(void *f, uint32_t offset, uint32_t size, uint32_t value);
void vpcifixed_reset(struct vpcifixed *f);
