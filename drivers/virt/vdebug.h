/*
 * The debug consoles of Bochs and QEMU (ports 0xe9 and 0x402): each byte written goes to a sink. Both read as 0xe9,
 * by which SeaBIOS, OVMF and test programs find them.
 */
#pragma once

#include "core/bus.h"

struct vdebug {
    void (*sink)(void *ctx, uint8_t byte);
    void *ctx;
};

void vdebug_init(struct vdebug *debug, void (*sink)(void *ctx, uint8_t byte), void *ctx);
/* One port. */
enum bus_result vdebug_port(void *debug, struct bus_access *access);
