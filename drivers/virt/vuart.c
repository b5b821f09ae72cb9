#include "drivers/virt/vuart.h"

#include "core/lib/string.h"
#include "drivers/virt/isa.h"

/* Registers, by port; those that depend on DLAB or direction share one. */
#define UART_DATA 0 /* RBR, THR, DLL */
#define UART_IER  1 /* DLM */
#define UART_IIR  2 /* FCR */
#define UART_LCR  3
#define UART_MCR  4
#define UART_LSR  5
#define UART_MSR  6
#define UART_SCR  7

#define IER_RDI  BIT(0) /* received data */
#define IER_THRI BIT(1) /* transmitter empty */
#define IER_RLSI BIT(2) /* line status */
#define IER_MSI  BIT(3) /* modem status */
#define IER_MASK 0x0f

#define IIR_MSI     0x00
#define IIR_NONE    0x01
#define IIR_THRI    0x02
#define IIR_RDI     0x04
#define IIR_RLSI    0x06
#define IIR_TIMEOUT 0x0c
#define IIR_FIFO    0xc0

#define FCR_ENABLE   BIT(0)
#define FCR_CLEAR_RX BIT(1)
#define FCR_KEPT     0xc9 /* enable, DMA mode, trigger level; the others clear themselves */

#define LCR_DLAB BIT(7)

#define MCR_DTR  BIT(0)
#define MCR_RTS  BIT(1)
#define MCR_OUT1 BIT(2)
#define MCR_OUT2 BIT(3)
#define MCR_LOOP BIT(4)
#define MCR_MASK 0x1f

#define LSR_DR   BIT(0)
#define LSR_OE   BIT(1)
#define LSR_THRE BIT(5)
#define LSR_TEMT BIT(6)

#define MSR_CTS BIT(4)
#define MSR_DSR BIT(5)
#define MSR_RI  BIT(6)
#define MSR_DCD BIT(7)

/* A character has ten bits, a bit 16 periods of 1.8432 MHz / divisor; the receive timeout is four characters. */
#define TIMEOUT_CLOCKS (4ull * 10 * 16)
#define BUSY_NS        1400000ull /* 16 characters at 115200 baud */
#define CLOCK_HZ       1843200ull

static uint32_t rx_trigger(const struct vuart *u)
{
    static const uint8_t levels[4] = {1, 4, 8, 14};

    return u->fcr & FCR_ENABLE ? levels[u->fcr >> 6] : 1;
}

/* The interrupt of the highest priority (data sheet table III). */
static uint8_t uart_cause(const struct vuart *u)
{
    if (u->overrun && (u->ier & IER_RLSI))
        return IIR_RLSI;
    if (u->ier & IER_RDI) {
        if (u->fifo_count >= rx_trigger(u))
            return IIR_RDI;
        if (u->timed_out)
            return IIR_TIMEOUT;
    }
    if (u->thre && (u->ier & IER_THRI))
        return IIR_THRI;
    if (u->delta && (u->ier & IER_MSI))
        return IIR_MSI;
    return IIR_NONE;
}

/* On a PC, OUT2 connects INTR to the bus. Loopback holds OUT2 inactive. */
static void pin_update(struct vuart *u)
{
    bool level = (u->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2 && uart_cause(u) != IIR_NONE;

    if (level == u->level)
        return;
    u->level = level;
    irq_pin_set(&u->config.pin, level);
}

static void timeout_fire(struct timer *timer, uint64_t now)
{
    struct vuart *u = CONTAINER_OF(timer, struct vuart, timeout);

    (void)now;
    u->timed_out = true;
    pin_update(u);
}

/* The timeout counts from the last character in or out, while fewer wait than would interrupt by themselves. */
static void timeout_restart(struct vuart *u, uint64_t now)
{
    u->timed_out = false;
    if ((u->ier & IER_RDI) && u->fifo_count > 0 && u->fifo_count < rx_trigger(u))
        timer_arm(&u->timeout, now + TIMEOUT_CLOCKS * MAX(u->divisor, 1) * NS_PER_SEC / CLOCK_HZ);
    else
        timer_disarm(&u->timeout);
}

static uint32_t fifo_size(const struct vuart *u)
{
    return u->fcr & FCR_ENABLE ? VUART_FIFO : 1;
}

static void fifo_push(struct vuart *u, uint8_t byte)
{
    u->fifo[(u->fifo_first + u->fifo_count) % VUART_FIFO] = byte;
    u->fifo_count++;
}

/* Takes from the wire what has room; in loopback the wire isn't connected. */
static void fifo_fill(struct vuart *u)
{
    if (u->mcr & MCR_LOOP)
        return;
    while (u->ring_count > 0 && u->fifo_count < fifo_size(u)) {
        fifo_push(u, u->ring[u->ring_first]);
        u->ring_first = (u->ring_first + 1) % VUART_RING;
        u->ring_count--;
    }
}

/* After anything that concerns received data. */
static void rx_update(struct vuart *u, uint64_t now)
{
    fifo_fill(u);
    timeout_restart(u, now);
    pin_update(u);
}

size_t vuart_room(const struct vuart *u)
{
    return VUART_RING - u->ring_count;
}

size_t vuart_receive(struct vuart *u, const uint8_t *bytes, size_t count, uint64_t now)
{
    size_t taken = MIN(count, vuart_room(u));

    for (size_t i = 0; i < taken; i++)
        u->ring[(u->ring_first + u->ring_count++) % VUART_RING] = bytes[i];
    if (taken > 0)
        rx_update(u, now);
    return taken;
}

static uint8_t data_read(struct vuart *u, uint64_t now)
{
    uint8_t byte;

    if (u->fifo_count == 0)
        return 0;
    byte = u->fifo[u->fifo_first];
    u->fifo_first = (u->fifo_first + 1) % VUART_FIFO;
    u->fifo_count--;
    rx_update(u, now);
    return byte;
}

static void loop_back(struct vuart *u, uint8_t byte, uint64_t now)
{
    if (u->fifo_count == fifo_size(u))
        u->overrun = LSR_OE;
    else
        fifo_push(u, byte);
    rx_update(u, now);
}

static bool tx_ready(const struct vuart *u)
{
    return u->config.ready(u->config.ctx);
}

/* THR is empty, or will be looked at again after the time of a FIFO full of characters. */
static void tx_update(struct vuart *u, uint64_t now)
{
    u->thre = tx_ready(u);
    if (UNLIKELY(!u->thre))
        timer_arm(&u->busy, now + BUSY_NS);
    pin_update(u);
}

static void busy_fire(struct timer *timer, uint64_t now)
{
    tx_update(CONTAINER_OF(timer, struct vuart, busy), now);
}

/* As a rule, THR is filled and empty again at once: the interrupt goes away and comes back, a new edge for an edge-triggered PIC. */
static void data_write(struct vuart *u, uint8_t byte, uint64_t now)
{
    u->thre = false;
    pin_update(u);
    if (u->mcr & MCR_LOOP)
        loop_back(u, byte, now);
    else
        u->config.tx(u->config.ctx, byte);
    tx_update(u, now);
}

/* Enabling THRI with THR empty raises it anew; Linux' test for buggy transmitters depends on that. */
static void ier_write(struct vuart *u, uint8_t value, uint64_t now)
{
    uint8_t rising = value & ~u->ier;

    u->ier = value & IER_MASK;
    if ((rising & IER_THRI) && tx_ready(u))
        u->thre = true;
    if (rising & IER_RDI)
        timeout_restart(u, now);
    pin_update(u);
}

/* Reading IIR takes back the THRE interrupt, if that is what it shows. */
static uint8_t iir_read(struct vuart *u)
{
    uint8_t cause = uart_cause(u);

    if (cause == IIR_THRI) {
        u->thre = false;
        pin_update(u);
    }
    return cause | (u->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

/* Switching the FIFOs on or off clears them. What is still on the wire comes in afterwards. */
static void fcr_write(struct vuart *u, uint8_t value, uint64_t now)
{
    if ((value & FCR_CLEAR_RX) || ((value ^ u->fcr) & FCR_ENABLE))
        u->fifo_count = 0;
    u->fcr = value & FCR_ENABLE ? value & FCR_KEPT : 0;
    rx_update(u, now);
}

/* The inputs: a peer that is always ready, or in loopback our own outputs. */
static uint8_t msr_lines(const struct vuart *u)
{
    if (!(u->mcr & MCR_LOOP))
        return MSR_DCD | MSR_DSR | MSR_CTS;
    return (u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
           (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void mcr_write(struct vuart *u, uint8_t value, uint64_t now)
{
    uint8_t before = msr_lines(u), changed;

    u->mcr = value & MCR_MASK;
    changed = before ^ msr_lines(u);
    /* The ring indicator counts only when it ends. */
    if (!(before & MSR_RI))
        changed &= ~MSR_RI;
    u->delta |= changed >> 4;
    rx_update(u, now);
}

static ALWAYS_INLINE uint8_t lsr_read(struct vuart *u)
{
    uint8_t value = (tx_ready(u) ? LSR_THRE | LSR_TEMT : 0) | u->overrun | (u->fifo_count ? LSR_DR : 0);

    if (UNLIKELY(u->overrun)) {
        u->overrun = 0;
        pin_update(u);
    }
    return value;
}

static uint8_t msr_read(struct vuart *u)
{
    uint8_t value = msr_lines(u) | u->delta;

    u->delta = 0;
    pin_update(u);
    return value;
}

static uint8_t uart_read(struct vuart *u, uint64_t port, uint64_t now)
{
    switch (port) {
    case UART_DATA:
        return u->lcr & LCR_DLAB ? (uint8_t)u->divisor : data_read(u, now);
    case UART_IER:
        return u->lcr & LCR_DLAB ? (uint8_t)(u->divisor >> 8) : u->ier;
    case UART_IIR:
        return iir_read(u);
    case UART_LCR:
        return u->lcr;
    case UART_MCR:
        return u->mcr;
    case UART_LSR:
        return lsr_read(u);
    case UART_MSR:
        return msr_read(u);
    default:
        return u->scr;
    }
}

static void divisor_write(struct vuart *u, uint64_t port, uint8_t value)
{
    if (port == UART_DATA)
        u->divisor = (u->divisor & 0xff00) | value;
    else
        u->divisor = (u->divisor & 0x00ff) | value << 8;
}

static void uart_write(struct vuart *u, uint64_t port, uint8_t value, uint64_t now)
{
    if ((u->lcr & LCR_DLAB) && port <= UART_IER) {
        divisor_write(u, port, value);
        return;
    }
    switch (port) {
    case UART_DATA:
        data_write(u, value, now);
        break;
    case UART_IER:
        ier_write(u, value, now);
        break;
    case UART_IIR:
        fcr_write(u, value, now);
        break;
    case UART_LCR:
        u->lcr = value;
        break;
    case UART_MCR:
        mcr_write(u, value, now);
        break;
    case UART_SCR:
        u->scr = value;
        break;
    default: /* LSR and MSR are for factory tests */
        break;
    }
}

enum bus_result vuart_ports(void *dev, struct bus_access *access)
{
    struct vuart *u = dev;

    if (UNLIKELY(access->size != 1))
        return isa_split(vuart_ports, dev, access);
    if (access->write)
        uart_write(u, access->addr, (uint8_t)access->value, access->now);
    else if (LIKELY(access->addr == UART_LSR)) /* once for each byte that a kernel prints */
        access->value = lsr_read(u);
    else
        access->value = uart_read(u, access->addr, access->now);
    return BUS_OK;
}

void vuart_reset(struct vuart *u)
{
    u->ier = u->fcr = u->lcr = u->mcr = u->scr = 0;
    u->overrun = u->delta = 0;
    u->divisor = 1;
    u->thre = u->timed_out = false;
    u->fifo_count = 0;
    u->ring_count = 0;
    timer_disarm(&u->timeout);
    timer_disarm(&u->busy);
    pin_update(u);
}

static bool always_ready(void *ctx)
{
    (void)ctx;
    return true;
}

void vuart_init(struct vuart *u, const struct vuart_config *config)
{
    memset(u, 0, sizeof(*u));
    u->config = *config;
    if (!u->config.ready)
        u->config.ready = always_ready;
    timer_init(&u->timeout, config->timers, timeout_fire);
    timer_init(&u->busy, config->timers, busy_fire);
    vuart_reset(u);
}
