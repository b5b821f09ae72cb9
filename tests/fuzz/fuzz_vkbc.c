/* The keyboard controller: a full output buffer interrupts if the guest asked for it, and reading empties it. */
#include "drivers/virt/vkbc.h"

#include "tests/fuzz/device.h"

static struct vkbc kbc;
static bool irq1;

static void reset(void *ctx)
{
    assert(ctx == &kbc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vkbc_config config = {.timers = &fuzz_timers, .reset = reset, .ctx = &kbc};
    struct bus_access access;

    fuzz_start(data, size);
    config.pin = fuzz_pin(&irq1);
    vkbc_init(&kbc, &config);
    while (fuzz_more()) {
        uint32_t step = (uint32_t)fuzz_number(1);
        bool to_data = step & 1;

        if (step >= 0xc0) {
            vkbc_type(&kbc, (uint8_t)fuzz_number(1), fuzz_now);
            continue;
        }
        if (step >= 0xb0) {
            fuzz_wait();
            continue;
        }
        assert(fuzz_access(to_data ? vkbc_data_port : vkbc_command_port, &kbc, 1, &access) == BUS_OK);
        assert(irq1 == ((kbc.status & 1) && (kbc.ram[0] & 1)));
        assert(!(kbc.status & 2));
        assert((kbc.outport & 1) == 1);
        assert(!!(kbc.status & 4) == !!(kbc.ram[0] & 4));
        if (to_data && !access.write) /* what is there then, the keyboard has just sent */
            assert(!(kbc.status & 1) || kbc.from_keyboard);
        assert(kbc.keyboard.count <= VKEYBOARD_FIFO && kbc.keyboard.typed_count <= VKEYBOARD_TYPED);
    }
    return 0;
}
