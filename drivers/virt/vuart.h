/*
 * A 16550A UART (National PC16550D) as a PC's COM port: 16-byte FIFOs, THRE and receive-timeout interrupts, loopback,
 * OUT2 as the gate of the interrupt line. It transmits in no time, so THRE and TEMT always read as set; what it
 * receives waits in a ring, so that input is never lost to a guest that is slow.
 *
 * Linux' 8250 driver finds a 16550A by: IER keeps only its low four bits; MCR 0x1a in loopback shows 0x90 in MSR; IIR
 * has bits 7-6 set with the FIFO on and bit 5 never; enabling THRI raises the THRE interrupt even after IIR was read.
 */
#pragma once

#include "core/bus.h"
#include "core/irq.h"
#include "core/timer.h"

#define VUART_FIFO     16
#define VUART_TIMELESS 0xfefefefe /* for bus_set_timeless: all but received data */
#define VUART_RING     1024

struct vuart_config {
    struct irq_pin pin;
    struct timer_queue *timers;
    void (*tx)(void *ctx, uint8_t byte);
    void *ctx; /* of tx and ready */
    /* Whether what takes the bytes can take more; the transmitter is busy until then. NULL: always. */
    bool (*ready)(void *ctx);
};

struct vuart {
    struct vuart_config config;
    uint8_t ier, fcr, lcr, mcr, scr;
    uint8_t overrun; /* LSR's OE, until LSR is read */
    uint8_t delta;   /* MSR's low half, until MSR is read */
    uint16_t divisor;
    bool thre, timed_out; /* pending interrupts */
    bool level;           /* of the pin */
    uint8_t fifo_first, fifo_count;
    uint8_t fifo[VUART_FIFO];
    struct timer timeout;
    struct timer busy; /* armed while THR waits to be empty */
    uint32_t ring_first, ring_count;
    uint8_t ring[VUART_RING]; /* what is still on the wire */
};

void vuart_init(struct vuart *uart, const struct vuart_config *config);
/* The state after power-on; input that waits is dropped. */
void vuart_reset(struct vuart *uart);
/* Eight ports. */
enum bus_result vuart_ports(void *uart, struct bus_access *access);
/* Puts input on the wire; returns how many bytes found room. */
size_t vuart_receive(struct vuart *uart, const uint8_t *bytes, size_t count, uint64_t now);
/* How many bytes vuart_receive would take now. */
size_t vuart_room(const struct vuart *uart);
