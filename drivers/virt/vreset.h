/*
 * The reset switches of a PC that aren't the keyboard controller's: the reset control register at 0xcf9 (PIIX3 2.5.1),
 * where RST_CPU going from 0 to 1 resets, and system control port A at 0x92, whose bit 0 does. Port 0xcf9 lies inside
 * the PCI configuration address register: vpciconf passes its byte accesses on.
 */
#pragma once

#include "core/bus.h"

struct vreset {
    void (*reset)(void *ctx);
    void *ctx;
    uint8_t control; /* 0xcf9 */
    uint8_t port92;
};

void vreset_init(struct vreset *reset, void (*callback)(void *ctx), void *ctx);
/* After the reset, the registers are as at power-on: the next one needs its rising edge, too. */
void vreset_reset(struct vreset *reset);
enum bus_result vreset_control_port(void *reset, struct bus_access *access);
enum bus_result vreset_port92(void *reset, struct bus_access *access);
