/*
 * The HPET: whatever is written, a wire is held only by a timer that may, the PIT and the RTC get through unless they are
 * replaced, and a timer that waits for an interrupt is armed for it.
 */
#include "drivers/virt/vhpet.h"

#include "tests/fuzz/device.h"

static struct vhpet hpet;
static bool legacy[VHPET_LEGACY_COUNT];
static uint32_t pins;

static void pin_set(void *listener, uint32_t line, bool level)
{
    assert(listener == &pins && line < 32 && (VHPET_PINS & BIT(line)));
    pins = (pins & ~(1u << line)) | (uint32_t)level << line;
}

static void send(void *ctx, uint64_t address, uint32_t data)
{
    (void)data;
    assert(ctx == &hpet && address <= UINT32_MAX);
}

static void check(void)
{
    assert((hpet.enable & ~3ull) == 0 && (hpet.status & ~7ull) == 0);
    for (uint32_t i = 0; i < VHPET_LEGACY_COUNT; i++)
        assert(vhpet_replaces(&hpet) || legacy[i] == hpet.inputs[i]);
    for (uint32_t i = 0; i < VHPET_TIMERS; i++) {
        const struct vhpet_timer *t = &hpet.timers[i];
        bool level = t->config & 2, works = vhpet_running(&hpet) && (t->config & 4);

        assert((t->config & ~0x7f4eull) == 0);
        assert(!(t->config & 0x100) || (t->comparator <= UINT32_MAX && t->period <= UINT32_MAX));
        assert(level || !(hpet.status & BIT(i)));
        assert(t->wire == UINT8_MAX || works);
        if (t->wire < 32)
            assert(pins & BIT(t->wire));
        if (!works || (level && (hpet.status & BIT(i))))
            assert(!timer_armed(&t->timer));
        else if (t->config & 0x100)
            assert(timer_armed(&t->timer));
    }
    if (!vhpet_running(&hpet))
        assert(pins == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vhpet_config config = {
        .timers = &fuzz_timers,
        .legacy = {fuzz_pin(&legacy[0]), fuzz_pin(&legacy[1])},
        .set = pin_set,
        .listener = &pins,
        .fsb = {send, &hpet},
    };
    static const uint16_t registers[] = {0x10, 0x20, 0xf0, 0x100, 0x108, 0x120, 0x128, 0x148};
    struct bus_access access;

    fuzz_start(data, size);
    pins = 0;
    vhpet_init(&hpet, &config);
    while (fuzz_more()) {
        uint64_t step = fuzz_number(1);

        if (step % 4 == 0) {
            fuzz_wait();
        } else if (step % 4 == 1) {
            vhpet_set_legacy(&hpet, step >> 2 & 1, step & 8);
        } else {
            access = (struct bus_access){.now = fuzz_now, .size = step & 4 ? 8 : 4, .write = step & 8};
            access.addr = step & 0x80 ? fuzz_number(2) % (VHPET_SIZE - 7) : registers[step >> 4 & 7];
            access.value = access.write ? fuzz_number(access.size) : 0;
            vhpet_mmio(&hpet, &access);
        }
        check();
    }
    return 0;
}
