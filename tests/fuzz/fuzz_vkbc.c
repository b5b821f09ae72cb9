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
    struct vkbc_config config = {.reset = reset, .ctx = &kbc};
    struct bus_access access;

    fuzz_start(data, size);
    config.pin = fuzz_pin(&irq1);
    vkbc_init(&kbc, &config);
    while (fuzz_more()) {
        bool to_data = fuzz_number(1) & 1;

        assert(fuzz_access(to_data ? vkbc_data_port : vkbc_command_port, &kbc, 1, &access) == BUS_OK);
        assert(irq1 == ((kbc.status & 1) && (kbc.ram[0] & 1)));
        assert(!(kbc.status & 2));
        assert((kbc.outport & 1) == 1);
        assert(!!(kbc.status & 4) == !!(kbc.ram[0] & 4));
        if (to_data && !access.write)
            assert(!(kbc.status & 1));
    }
    return 0;
}
