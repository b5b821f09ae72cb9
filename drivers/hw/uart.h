/*
 * A 16550-compatible serial port of the host, at I/O ports or in memory. Output is polled, in bursts of the
 * FIFO's size, or queued and put out by the interrupt handler and by polling. Input goes through a ring.
 */
#pragma once

#include "core/lib/lock.h"
#include "core/lib/types.h"

#define UART_IN_MAX  4096
#define UART_OUT_MAX 65536 /* the longest answers of the monitor fit */
#define UART_BULK    8192  /* of it for what can wait: guests' output, crash reports */
#define UART_CLOCK   1843200u

struct uart_config {
    uint16_t port;       /* of register 0, if regs is NULL */
    volatile void *regs; /* register 0 in memory */
    uint8_t stride;      /* bytes from one register to the next; 0 is 1 */
    uint8_t width;       /* bytes of an access in memory: 1 or 4; 0 is 1 */
    uint32_t clock_hz;   /* 0 is UART_CLOCK */
    uint32_t baud;       /* 0: as it is */
};

struct uart {
    struct uart_config config;
    struct lock lock; /* guards all below */
    bool present;
    bool alone;          /* only this core runs: no locks, no queue */
    bool queued, driven; /* output goes through the ring; the interrupt is on */
    bool stuck;          /* the transmitter didn't get ready in time: bytes are dropped until it does */
    uint8_t fifo;        /* depth */
    uint8_t ier;
    uint32_t in_head, in_tail, out_head, out_tail;
    uint8_t in[UART_IN_MAX];
    uint8_t out[UART_OUT_MAX];
};

/*
 * Looks whether a port is there, and sets it to 8N1 with FIFOs and interrupts off. ERR_NOTFOUND if there is
 * none.
 */
int uart_init(struct uart *uart, const struct uart_config *config) MUST_CHECK;
/* Sends bytes as they are. On a uart that isn't there this does nothing. */
void uart_write(struct uart *uart, const void *bytes, size_t len);
/* The next byte that came in, or -1. Polls the port unless its interrupt is on. */
int uart_read(struct uart *uart);
/*
 * How many bytes of bulk output it would queue now: that may use a part of the queue, so that there is nearly always
 * room for what matters, and that comes soon. SIZE_MAX if output isn't queued.
 */
size_t uart_room(const struct uart *uart);
/* Turns queued output on or off: with it, uart_write waits only when the queue is full. */
void uart_set_queued(struct uart *uart, bool queued);
/* Turns the port's interrupt on, once uart_interrupt will be called for it. */
void uart_enable_interrupt(struct uart *uart);
/* Sends and receives what goes without waiting. True: there is more to send. For a port that has no interrupt. */
bool uart_poll(struct uart *uart);
/* The handler of the port's interrupt; ctx is the uart. */
void uart_interrupt(void *ctx);
/* Waits until the queue is empty. `alone`: other cores are stopped; from now on no locks and no queue. */
void uart_flush(struct uart *uart, bool alone);
