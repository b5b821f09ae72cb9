/*
 * The 8042 keyboard controller of a PC/AT (ports 0x60 and 0x64) with nothing plugged in. It passes its self-test and
 * its keyboard interface test; the auxiliary port fails its tests, so that Linux goes on with the keyboard port
 * only, and at once: every command that has an answer gets one, and a byte for the absent keyboard comes back as 0xfe
 * with the timeout bit set. Its output port resets the machine and holds the A20 bit (which gates nothing).
 */
#pragma once

#include "core/bus.h"
#include "core/irq.h"

struct vkbc_config {
    struct irq_pin pin; /* IRQ 1 */
    void (*reset)(void *ctx);
    void *ctx;
};

struct vkbc {
    struct vkbc_config config;
    uint8_t status;
    uint8_t output; /* the byte in the output buffer */
    uint8_t outport;
    uint8_t pending; /* the command that waits for its data byte, 0 if none */
    uint8_t ram[32]; /* byte 0 is the command byte */
};

void vkbc_init(struct vkbc *kbc, const struct vkbc_config *config);
void vkbc_reset(struct vkbc *kbc);
/* Handlers of the ports 0x60 and 0x64; `kbc` is the struct for both. */
enum bus_result vkbc_data_port(void *kbc, struct bus_access *access);
enum bus_result vkbc_command_port(void *kbc, struct bus_access *access);
