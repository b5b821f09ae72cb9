/*
 * The host bridge at 0:0.0: an i440FX (Intel 82441FX) by its ids. Its PAM and SMRAM registers keep what is written, as
 * SeaBIOS expects, and change nothing: the ROM area is RAM to begin with.
 */
#pragma once

#include "drivers/virt/vpcifixed.h"

/* Initialises the bridge and puts it at 0:0.0. */
void vhostbridge_init(struct vpcifixed *bridge, struct vpciconf *conf);
