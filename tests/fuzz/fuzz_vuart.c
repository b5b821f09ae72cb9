/* The UART: no input is lost or reordered, and the pin always says what IIR would. */
#include "drivers/virt/vuart.h"

#include "tests/fuzz/device.h"

static struct vuart uart;
static bool level;

static void tx(void *ctx, uint8_t byte)
{
    (void)ctx;
    (void)byte;
}

static void check(void)
{
    uint8_t ier = uart.ier;
    bool interrupt = (ier & 4 && uart.overrun) || (ier & 2 && uart.thre) || (ier & 8 && uart.delta) ||
                     (ier & 1 && uart.timed_out);

    assert(uart.fifo_count <= (uart.fcr & 1 ? VUART_FIFO : 1));
    assert(uart.ring_count <= VUART_RING);
    assert(vuart_room(&uart) == VUART_RING - uart.ring_count);
    assert(level == uart.level);
    if ((uart.mcr & 0x18) != 8)
        assert(!level);
    else if (interrupt)
        assert(level);
    else if (level)
        assert(ier & 1 && uart.fifo_count > 0);
    /* Input waits on the wire only while the FIFO is full, or in loopback. */
    if (uart.ring_count && !(uart.mcr & 0x10))
        assert(uart.fifo_count >= (uart.fcr & 1 ? VUART_FIFO : 1));
    if (timer_armed(&uart.timeout))
        assert(uart.fifo_count > 0);
}

static void receive(void)
{
    uint8_t bytes[256];
    size_t count = fuzz_number(1), room = vuart_room(&uart), taken;

    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)i;
    taken = vuart_receive(&uart, bytes, count, fuzz_now);
    assert(taken == MIN(count, room));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vuart_config config = {.timers = &fuzz_timers, .tx = tx};
    struct bus_access access;

    fuzz_start(data, size);
    config.pin = fuzz_pin(&level);
    vuart_init(&uart, &config);
    while (fuzz_more()) {
        switch (fuzz_number(1) % 8) {
        case 0:
            receive();
            break;
        case 1:
            fuzz_wait();
            break;
        default:
            assert(fuzz_access(vuart_ports, &uart, 8, &access) == BUS_OK);
            break;
        }
        check();
    }
    return 0;
}
