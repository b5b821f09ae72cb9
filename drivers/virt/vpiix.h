/*
 * Two functions of the PIIX (Intel 82371SB and 82371AB) by their ids, for firmware that looks for them: the ISA bridge, and power
 * management, which says where the PM ports are. The bridge's interrupt routing registers keep what is written and route nothing:
 * interrupt pins are wired. There is no IDE and no USB function.
 */
#pragma once

#include "drivers/virt/vpcifixed.h"

struct vpiix {
    struct vpcifixed isa, pm;
};

/* Puts them at functions 0 and 3 of a slot; the PM ports are at pm_base for good, a multiple of 64. */
void vpiix_init(struct vpiix *piix, struct vpciconf *conf, uint32_t slot, uint16_t pm_base);
void vpiix_reset(struct vpiix *piix);
