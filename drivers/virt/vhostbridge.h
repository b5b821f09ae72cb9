/*
 * The host bridge at 0:0.0: an i440FX (Intel 82441FX) by its ids. Its PAM and SMRAM registers keep what is written, as
 * SeaBIOS expects, and change nothing: the ROM area is RAM to begin with.
 */
#pragma once

#include "drivers/virt/vpciconf.h"

struct vhostbridge {
    struct vpci_function function;
    uint8_t config[256];
};

/* Initialises the bridge and puts it at 0:0.0. */
void vhostbridge_init(struct vhostbridge *bridge, struct vpciconf *conf);
void vhostbridge_reset(struct vhostbridge *bridge);
