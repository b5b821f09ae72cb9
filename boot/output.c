#include "boot/output.h"

#include "core/clock.h"
#include "core/console.h"
#include "core/lib/error.h"
#include "core/run.h"
#include "core/x86/irq.h"
#include "core/x86/percpu.h"
#include "drivers/hw/firmware.h"
#include "drivers/hw/ioapic.h"
#include "drivers/hw/power.h"
#include "drivers/hw/screen.h"
#include "drivers/hw/uart.h"

#define COM1         0x3f8
#define DEFAULT_BAUD 115200

static struct uart serial;
static const struct boot_screen *early_screen; /* the boot page tables reach it, and it isn't a sink yet */

static void serial_write(void *ctx, const char *bytes, size_t len)
{
    uart_write(ctx, bytes, len);
}

static void serial_flush(void *ctx, bool alone)
{
    uart_flush(ctx, alone);
}

static size_t serial_room(void *ctx)
{
    return uart_room(ctx);
}

static int serial_read(void *ctx)
{
    return uart_read(ctx);
}

static void add_sink(const struct console_sink *sink)
{
    if (console_add_sink(sink))
        log_warn("console: too many outputs");
}

/* Another port than before takes over only if it is there. */
static void serial_use(const struct uart_config *config)
{
    const struct console_sink sink = {
        .write = serial_write, .flush = serial_flush, .ctx = &serial, .room = serial_room};
    static struct uart found;
    bool first = !serial.present;

    if (uart_init(&found, config)) {
        log_warn("console: there is no serial port at 0x%x", config->port);
        return;
    }
    if (!first)
        uart_flush(&serial, false);
    serial = found;
    if (first) {
        add_sink(&sink);
        console_set_source(serial_read, &serial);
    }
}

void output_init(const struct options *options, const struct boot_screen *screen)
{
    struct uart_config config = {.port = COM1, .baud = DEFAULT_BAUD};

    console_init();
    early_screen = screen;
    if (options->log_set)
        log_set_level(options->log);
    if (options->serial == SERIAL_PORT)
        config.port = options->serial_port;
    if (options->serial_baud != 0)
        config.baud = options->serial_baud;
    if (options->serial != SERIAL_NONE)
        serial_use(&config);
    log_replay(console_line); /* complaints about the options themselves */
    log_set_sink(console_line);
}

void output_add_screen(const struct boot_screen *screen)
{
    const struct console_sink sink = {.write = screen_write, .flush = screen_flush};

    early_screen = NULL;
    if (screen_init(screen))
        return;
    log_replay(screen_line);
    add_sink(&sink);
    log_info("screen: %s, %u by %u", screen->kind == BOOT_SCREEN_TEXT ? "VGA text" : "framebuffer",
             screen->width, screen->height);
}

static void serial_line(const char *line, size_t len)
{
    uart_write(&serial, line, len);
    uart_write(&serial, "\r\n", 2);
}

void output_add_firmware_port(const struct options *options)
{
    struct uart_config config;

    if (options->serial != SERIAL_UNSET || firmware_uart(&config))
        return;
    if (config.port == COM1 && serial.present)
        return;
    log_info("console: the firmware uses the serial port at %s 0x%llx", config.regs ? "memory" : "port",
             (unsigned long long)acpi_host.uart.regs.address);
    serial_use(&config);
    log_replay(serial_line);
}

/* No interrupt comes for what would be left over. */
static void input_work(void)
{
    while (console_poll(clock_now()))
        ;
}

static void input_interrupt(void *ctx)
{
    uart_interrupt(ctx);
    run_work_pending = true;
}

/* Where no interrupt can be had, a typed byte waits this long at most, and so does the second FIFO full of a line. */
#define POLL_NS 20000000ull
/* A FIFO of 16 bytes is empty after so long at 115200 baud. */
#define BURST_NS 1400000ull

static struct timer poll_timer;

static void input_timer(struct timer *timer, uint64_t now)
{
    bool more;

    console_poll(now);
    more = uart_poll(&serial);
    timer_arm(timer, now + (more ? BURST_NS : POLL_NS));
}

/* The screen is drawn so long after something was written, some cells at a time: a slow screen delays no guest. */
#define SCREEN_NS      20000000ull
#define SCREEN_STEP_NS 1000000ull

static struct timer screen_timer;
static bool screen_waits;

static void screen_arm(uint64_t ns)
{
    if (!__atomic_exchange_n(&screen_waits, true, __ATOMIC_ACQ_REL))
        timer_arm(&screen_timer, clock_now() + ns);
}

static void screen_later(void)
{
    screen_arm(SCREEN_NS);
}

static void screen_step(struct timer *timer, uint64_t now)
{
    (void)timer, (void)now;
    __atomic_store_n(&screen_waits, false, __ATOMIC_RELEASE);
    if (!screen_draw())
        screen_arm(SCREEN_STEP_NS);
}

/* The PC's serial ports share two interrupts by their address; what SPCR names has its own. */
static uint8_t serial_irq(void)
{
    if (serial.config.regs || serial.config.port == acpi_host.uart.regs.address)
        return acpi_host.uart.irq;
    return serial.config.port & 0x100 ? 4 : 3;
}

void output_start(void)
{
    uint8_t irq = serial_irq();
    int vector;

    run_work = input_work;
    timer_init(&screen_timer, run_timers(0), screen_step);
    screen_set_later(screen_later);
    if (!serial.present)
        return;
    vector = irq_alloc(input_interrupt, &serial);
    if (irq != 0 && vector >= 0 && ioapic_route_isa(irq, (uint8_t)vector, this_cpu()->apic_id) == 0) {
        uart_enable_interrupt(&serial);
        uart_set_queued(&serial, true);
        return;
    }
    uart_set_queued(&serial, true);
    log_info("console: the serial port has no interrupt here and is polled");
    timer_init(&poll_timer, run_timers(0), input_timer);
    timer_arm(&poll_timer, clock_now() + POLL_NS);
}

void boot_fail(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    log_vwrite(LOG_ERROR, fmt, ap);
    va_end(ap);
    if (early_screen && screen_init_early(early_screen) == 0)
        log_replay(screen_line);
    console_flush();
    power_off(1);
}
