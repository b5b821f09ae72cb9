/*
 * The 8042 keyboard controller of a PC/AT (ports 0x60 and 0x64) with a keyboard, and no mouse: the auxiliary port fails its tests, so
 * that Linux goes on with the keyboard port only, and at once: every command that has an answer gets one. Its output port resets the
 * machine and holds the A20 bit (which gates nothing).
 */
#pragma once

#include "core/bus.h"
#include "core/irq.h"
#include "drivers/virt/vkeyboard.h"

struct vkbc_config {
    struct irq_pin pin; /* IRQ 1 */
    struct timer_queue *timers;
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
    struct vkeyboard keyboard;
    bool from_keyboard; /* the byte in the output buffer */
    bool has_held;      /* a byte from the keyboard had to make room for an answer */
    uint8_t held;
    bool released; /* the byte before was the mark of a key's release */
};

void vkbc_init(struct vkbc *kbc, const struct vkbc_config *config);
void vkbc_reset(struct vkbc *kbc);
/* Somebody types a character. */
void vkbc_type(struct vkbc *kbc, uint8_t c, uint64_t now);
/* Handlers of the ports 0x60 and 0x64; `kbc` is the struct for both. */
enum bus_result vkbc_data_port(void *kbc, struct bus_access *access);
enum bus_result vkbc_command_port(void *kbc, struct bus_access *access);
