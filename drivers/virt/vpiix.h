/*
 * Two functions of the PIIX (Intel 82371SB and 82371AB) by their ids, for firmware that looks for them: the ISA bridge, and power
 * management, which puts the PM ports where firmware wants them. The bridge's interrupt routing registers keep what is written and
 * route nothing: interrupt pins are wired. There is no IDE and no USB function.
 */
#pragma once

#include "core/bus.h"
#include "drivers/virt/vpcifixed.h"

/* The PM ports, and where they are whatever firmware does: the ACPI tables, which it doesn't write, say so. */
struct vpiix_ports {
    struct bus *bus;
    bus_handler handler;
    void *dev;
    uint32_t len, fixed;
};

struct vpiix {
    struct vpcifixed isa, pm;
    struct vpiix_ports ports;
    uint32_t placed; /* where else they are now; 0: nowhere */
};

/* Puts them at functions 0 and 3 of a slot. */
void vpiix_init(struct vpiix *piix, struct vpciconf *conf, uint32_t slot, const struct vpiix_ports *ports);
void vpiix_reset(struct vpiix *piix);
