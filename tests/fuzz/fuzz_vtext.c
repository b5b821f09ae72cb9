/* Any accesses to the text screen, and time: what it says are lines that fit, and it leaves no timer running when all is said. */
#include "tests/fuzz/device.h"

#include "drivers/virt/vtext.h"

static uint32_t column;

static void say(void *ctx, uint8_t byte)
{
    (void)ctx;
    assert((byte >= 0x20 && byte < 0x7f) || byte == '\r' || byte == '\n');
    column = byte == '\n' ? 0 : column + 1;
    assert(column <= VTEXT_COLUMNS + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vtext text;

    fuzz_start(data, size);
    column = 0;
    vtext_init(&text, &fuzz_timers, say, NULL);
    while (fuzz_more()) {
        struct bus_access access;

        switch (fuzz_number(1) % 4) {
        case 0:
            fuzz_access(vtext_ports, &text, VTEXT_PORTS, &access);
            break;
        case 1:
            fuzz_wait();
            break;
        default:
            fuzz_access(vtext_mmio, &text, VTEXT_SIZE, &access);
        }
        assert(text.changed == (timer_queue_next(&fuzz_timers) != TIMER_NEVER));
    }
    return 0;
}
