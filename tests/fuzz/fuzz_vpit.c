/* The PIT: channels stay sound, and the timer is armed for the edge that is due next. */
#include "drivers/virt/vpit.h"

#include "drivers/virt/ticks.h"
#include "tests/fuzz/device.h"

static struct vpit pit;
static bool irq0;

static void check(void)
{
    for (uint32_t i = 0; i < 3; i++) {
        const struct vpit_channel *c = &pit.channels[i];

        assert(c->mode <= 5 && c->access >= 1 && c->access <= 3);
        assert(c->count <= 65536 && c->next <= 65536);
        assert(c->state == VPIT_IDLE || c->count > 0);
        assert(c->state != VPIT_PAUSED || !c->gate);
        assert(c->access == 3 || (!c->write_high && !c->read_high));
    }
    assert((pit.edge == UINT64_MAX) == !timer_armed(&pit.timer));
    if (timer_armed(&pit.timer))
        assert(pit.channels[0].state == VPIT_RUNNING && pit.timer.deadline >= ticks_ns(pit.edge, VPIT_HZ));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct irq_pin pin = fuzz_pin(&irq0);
    struct bus_access access;

    fuzz_start(data, size);
    vpit_init(&pit, &pin, &fuzz_timers);
    while (fuzz_more()) {
        switch (fuzz_number(1) % 4) {
        case 0:
            fuzz_wait();
            break;
        case 1:
            assert(fuzz_access(vpit_port61, &pit, 1, &access) == BUS_OK);
            break;
        default:
            fuzz_access(vpit_ports, &pit, 4, &access);
            break;
        }
        check();
    }
    return 0;
}
