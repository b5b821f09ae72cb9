#include "drivers/hw/uart.h"

#include "core/lib/error.h"
#include "core/x86/io.h"

/* Registers of a 16550A, by their number; two share one where reading and writing differ. */
#define REG_DATA 0 /* RBR, THR; with LCR.DLAB the divisor's low byte */
#define REG_IER  1 /* with LCR.DLAB the divisor's high byte */
#define REG_IIR  2 /* read */
#define REG_FCR  2 /* written */
#define REG_LCR  3
#define REG_MCR  4
#define REG_LSR  5
#define REG_MSR  6
#define REG_SCR  7

#define IER_RECEIVE   BIT(0)
#define IER_TRANSMIT  BIT(1)
#define IIR_NONE      BIT(0)
#define IIR_FIFO      (BIT(6) | BIT(7)) /* both: a 16550A whose FIFOs work */
#define FCR_ENABLE    BIT(0)
#define FCR_CLEAR     (BIT(1) | BIT(2))
#define FCR_TRIGGER_8 BIT(7)
#define LCR_8N1       0x03
#define LCR_DLAB      BIT(7)
#define MCR_DTR       BIT(0)
#define MCR_RTS       BIT(1)
#define MCR_OUT2      BIT(3) /* on a PC: lets the interrupt through */
#define MCR_LOOP      BIT(4)
#define LSR_DATA      BIT(0)
#define LSR_THRE      BIT(5)
#define LSR_TEMT      BIT(6)

#define FIFO_DEPTH 16
/*
 * How often the line status is read before a transmitter counts as stuck. A read takes about 1 us on a real
 * bus: that is half a second, enough for 16 bytes at 300 baud.
 */
#define READY_TRIES 500000u
/* A byte has come round in loopback long before that: 20 ms, at 1200 baud or more. */
#define LOOP_TRIES 20000u
/*
 * An interrupt handler that finds work again and again, for that many turns, leaves the rest for the next
 * time.
 */
#define POLL_TURNS 64

static uint8_t reg_read(const struct uart *uart, uint32_t reg)
{
    uint32_t offset = reg * uart->config.stride;

    if (!uart->config.regs)
        return inb((uint16_t)(uart->config.port + offset));
    if (uart->config.width == 4)
        return (uint8_t)mmio_read32((volatile uint8_t *)uart->config.regs + offset);
    return *((volatile uint8_t *)uart->config.regs + offset);
}

static void reg_write(const struct uart *uart, uint32_t reg, uint8_t value)
{
    uint32_t offset = reg * uart->config.stride;

    if (!uart->config.regs)
        outb((uint16_t)(uart->config.port + offset), value);
    else if (uart->config.width == 4)
        mmio_write32((volatile uint8_t *)uart->config.regs + offset, value);
    else
        *((volatile uint8_t *)uart->config.regs + offset) = value;
}

static void uart_lock(struct uart *uart)
{
    if (!uart->alone)
        lock_take(&uart->lock);
}

static void uart_unlock(struct uart *uart)
{
    if (!uart->alone)
        lock_drop(&uart->lock);
}

/* Detection ---------------------------------------------------------------------------------------------- */

/* The scratch register holds a byte and does nothing else; an 8250 has none. */
static bool scratch_works(const struct uart *uart)
{
    static const uint8_t pattern[] = {0x5a, 0xa5};

    for (uint32_t i = 0; i < ARRAY_SIZE(pattern); i++) {
        reg_write(uart, REG_SCR, pattern[i]);
        reg_write(uart, REG_IER,
                  0); /* something else on the bus, so that it doesn't just keep the last value */
        if (reg_read(uart, REG_SCR) != pattern[i])
            return false;
    }
    return true;
}

/* In loopback, what is sent comes in again and the modem lines are joined: RTS to CTS, OUT2 to DCD. */
static bool loopback_works(const struct uart *uart)
{
    const uint8_t byte = 0xae;
    bool works = false;

    reg_write(uart, REG_MCR, MCR_LOOP | MCR_RTS | MCR_OUT2);
    if ((reg_read(uart, REG_MSR) & 0xf0) == 0x90) {
        reg_write(uart, REG_DATA, byte);
        for (uint32_t i = 0; i < LOOP_TRIES && !works; i++)
            works = (reg_read(uart, REG_LSR) & LSR_DATA) && reg_read(uart, REG_DATA) == byte;
    }
    reg_write(uart, REG_MCR, MCR_DTR | MCR_RTS);
    return works;
}

/*
 * Where nothing decodes the address, all reads give ones. One of the two tests is enough: clones fail either.
 */
static bool uart_probe(const struct uart *uart)
{
    if (reg_read(uart, REG_LSR) == 0xff && reg_read(uart, REG_IIR) == 0xff)
        return false;
    reg_write(uart, REG_IER, 0);
    return scratch_works(uart) || loopback_works(uart);
}

static void speed_set(const struct uart *uart)
{
    uint32_t divisor;

    if (!uart->config.baud)
        return;
    divisor = (uart->config.clock_hz + 8 * uart->config.baud) / (16 * uart->config.baud);
    divisor = MIN(MAX(divisor, 1u), 0xffffu);
    reg_write(uart, REG_LCR, LCR_8N1 | LCR_DLAB);
    reg_write(uart, REG_DATA, (uint8_t)divisor);
    reg_write(uart, REG_IER, (uint8_t)(divisor >> 8));
}

int uart_init(struct uart *uart, const struct uart_config *config)
{
    *uart = (struct uart){.config = *config, .lock = LOCK_INIT};
    if (!uart->config.stride)
        uart->config.stride = 1;
    if (!uart->config.clock_hz)
        uart->config.clock_hz = UART_CLOCK;
    if (uart->config.baud > uart->config.clock_hz / 16)
        uart->config.baud = uart->config.clock_hz / 16;
    reg_write(uart, REG_LCR, LCR_8N1);
    if (!uart_probe(uart))
        return ERR_NOTFOUND;
    speed_set(uart);
    reg_write(uart, REG_LCR, LCR_8N1);
    reg_write(uart, REG_IER, 0);
    reg_write(uart, REG_FCR, FCR_ENABLE | FCR_CLEAR | FCR_TRIGGER_8);
    reg_write(uart, REG_MCR, MCR_DTR | MCR_RTS);
    uart->fifo = (reg_read(uart, REG_IIR) & IIR_FIFO) == IIR_FIFO ? FIFO_DEPTH : 1;
    uart->present = true;
    return 0;
}

/* Output ------------------------------------------------------------------------------------------------- */

/* THRE: the whole FIFO is empty, so it takes a burst of its size without another look. */
static bool transmitter_ready(const struct uart *uart)
{
    return reg_read(uart, REG_LSR) & LSR_THRE;
}

static bool transmitter_wait(struct uart *uart)
{
    uint32_t tries = uart->stuck ? 1 : READY_TRIES;

    while (tries-- > 0)
        if (transmitter_ready(uart)) {
            uart->stuck = false;
            return true;
        }
    uart->stuck = true;
    return false;
}

static void burst_send(const struct uart *uart, const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        reg_write(uart, REG_DATA, bytes[i]);
}

static uint32_t queue_used(const struct uart *uart)
{
    return uart->out_head - uart->out_tail;
}

/* One burst from the queue to a transmitter that is ready. */
static void queue_send(struct uart *uart)
{
    for (uint32_t i = 0; i < uart->fifo && queue_used(uart); i++)
        reg_write(uart, REG_DATA, uart->out[uart->out_tail++ % UART_OUT_MAX]);
}

/* A transmitter that is stuck loses what waits for it: nobody else must wait, too. */
static void queue_drain(struct uart *uart)
{
    while (queue_used(uart)) {
        if (transmitter_wait(uart))
            queue_send(uart);
        else
            uart->out_tail = uart->out_head;
    }
}

static bool receive_room(const struct uart *uart)
{
    return uart->in_head - uart->in_tail < UART_IN_MAX;
}

/*
 * The transmitter's interrupt is on only while something is queued, the receiver's only while there is room: what is
 * typed faster than it is read waits in the port's FIFO, and then at the sender if that heeds RTS.
 */
static void interrupt_update(struct uart *uart)
{
    uint8_t ier = 0;

    if (uart->driven)
        ier = (receive_room(uart) ? IER_RECEIVE : 0) | (queue_used(uart) ? IER_TRANSMIT : 0);

    if (ier != uart->ier)
        reg_write(uart, REG_IER, uart->ier = ier);
}

static void write_now(struct uart *uart, const uint8_t *bytes, size_t len)
{
    while (len && transmitter_wait(uart)) {
        uint32_t count = (uint32_t)MIN(len, (size_t)uart->fifo);

        burst_send(uart, bytes, count);
        bytes += count;
        len -= count;
    }
}

static void write_queued(struct uart *uart, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (queue_used(uart) == UART_OUT_MAX) {
            if (transmitter_wait(uart))
                queue_send(uart);
            else
                return;
        }
        uart->out[uart->out_head++ % UART_OUT_MAX] = bytes[i];
    }
    while (queue_used(uart) && transmitter_ready(uart))
        queue_send(uart);
    interrupt_update(uart);
}

void uart_write(struct uart *uart, const void *bytes, size_t len)
{
    if (!uart->present)
        return;
    uart_lock(uart);
    if (uart->queued)
        write_queued(uart, bytes, len);
    else
        write_now(uart, bytes, len);
    uart_unlock(uart);
}

/* Read without the lock: a burst more or less does no harm. */
size_t uart_room(const struct uart *uart)
{
    uint32_t used = queue_used(uart);

    if (!uart->present || !uart->queued)
        return SIZE_MAX;
    return used < UART_BULK ? UART_BULK - used : 0;
}

void uart_set_queued(struct uart *uart, bool queued)
{
    if (!uart->present || uart->alone)
        return;
    uart_lock(uart);
    if (!queued)
        queue_drain(uart);
    uart->queued = queued;
    interrupt_update(uart);
    uart_unlock(uart);
}

void uart_flush(struct uart *uart, bool alone)
{
    if (!uart->present)
        return;
    uart->alone |= alone;
    uart_lock(uart);
    queue_drain(uart);
    if (alone) {
        uart->queued = uart->driven = false;
        interrupt_update(uart);
    }
    for (uint32_t i = 0; i < READY_TRIES && !uart->stuck; i++)
        if (reg_read(uart, REG_LSR) & LSR_TEMT)
            break;
    uart_unlock(uart);
}

/* Input -------------------------------------------------------------------------------------------------- */

static void receive(struct uart *uart)
{
    uart->in[uart->in_head++ % UART_IN_MAX] = reg_read(uart, REG_DATA);
}

/* All ones: the port went away (a USB or PCI card, surprise removal). */
static bool turn(struct uart *uart)
{
    uint8_t status = reg_read(uart, REG_LSR);
    bool sent = false, received = (status & LSR_DATA) && receive_room(uart);

    if (status == 0xff)
        return false;
    if (received)
        receive(uart);
    if ((status & LSR_THRE) && queue_used(uart)) {
        queue_send(uart);
        sent = true;
    }
    return received || sent;
}

static void work(struct uart *uart)
{
    for (uint32_t i = 0; i < POLL_TURNS && turn(uart); i++)
        ;
    interrupt_update(uart);
}

int uart_read(struct uart *uart)
{
    int byte = -1;

    if (!uart->present || (uart->driven && uart->in_head == uart->in_tail))
        return -1;
    uart_lock(uart);
    if (uart->in_head == uart->in_tail && !uart->driven)
        work(uart);
    if (uart->in_head != uart->in_tail)
        byte = uart->in[uart->in_tail++ % UART_IN_MAX];
    interrupt_update(uart);
    uart_unlock(uart);
    return byte;
}

bool uart_poll(struct uart *uart)
{
    bool more;

    if (!uart->present)
        return false;
    uart_lock(uart);
    work(uart);
    more = queue_used(uart);
    uart_unlock(uart);
    return more;
}

void uart_enable_interrupt(struct uart *uart)
{
    if (!uart->present)
        return;
    uart_lock(uart);
    uart->driven = true;
    reg_write(uart, REG_MCR, MCR_DTR | MCR_RTS | MCR_OUT2);
    interrupt_update(uart);
    uart_unlock(uart);
}

/*
 * The interrupt is an edge on ISA: it must be seen inactive once, or no other edge comes. So the causes are
 * worked off until the UART says that there is none. Reading the IIR also takes back a transmitter's
 * interrupt.
 */
void uart_interrupt(void *ctx)
{
    struct uart *uart = ctx;

    uart_lock(uart);
    for (uint32_t i = 0; i < POLL_TURNS; i++) {
        if (reg_read(uart, REG_IIR) & IIR_NONE)
            break;
        reg_read(uart, REG_MSR);
        work(uart);
    }
    uart_unlock(uart);
}
