/* The PM block: SCI says what status and enable say, and no timer runs for a status that is set already. */
#include "drivers/virt/vpm.h"

#include "tests/fuzz/device.h"

static struct vpm pm;
static bool sci;

static void power_off(void *ctx)
{
    assert(ctx == &pm && (pm.control >> 10 & 7) == pm.config.s5_type);
}

static void check(void)
{
    assert(sci == !!(pm.status & pm.enable));
    assert(pm.control & 1 && !(pm.control & ~0x1c03));
    assert(timer_armed(&pm.timer) == ((pm.enable & 1) && !(pm.status & 1)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vpm_config config = {.timers = &fuzz_timers, .s5_type = 5, .power_off = power_off, .ctx = &pm};
    struct bus_access access;

    fuzz_start(data, size);
    config.sci = fuzz_pin(&sci);
    config.timer_bits = fuzz_number(1) & 1 ? 32 : 24;
    vpm_init(&pm, &config);
    while (fuzz_more()) {
        switch (fuzz_number(1) % 4) {
        case 0:
            fuzz_wait();
            break;
        case 1:
            vpm_press_power(&pm);
            break;
        default:
            assert(fuzz_access(vpm_ports, &pm, VPM_PORTS, &access) == BUS_OK);
            break;
        }
        check();
    }
    return 0;
}
