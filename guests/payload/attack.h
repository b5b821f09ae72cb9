/* Parts of a guest that means harm to its devices (attack.c). */
#pragma once

#include "guests/payload/virtio.h"

uint32_t attack_random(void);
/* Registers of a virtio device in its memory, and by the window in its configuration space (attack_pci.c). */
void attack_registers(struct vdev *d);
void attack_reset(struct vdev *d);
/* Configuration space of all functions; they are as before afterwards. */
void attack_functions(void);
/* Afterwards (attack_works.c). */
void attack_works(void);
