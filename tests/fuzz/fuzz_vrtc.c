/* The clock: it never stands still or jumps unless it was told to, and no timer runs without an enabled interrupt. */
#include "drivers/virt/vrtc.h"

#include "core/lib/calendar.h"
#include "tests/fuzz/device.h"

static struct vrtc rtc;
static bool irq8;

static uint8_t reg(uint8_t index)
{
    struct bus_access access = {.now = fuzz_now, .size = 1, .write = true, .value = index};
    uint8_t before = rtc.index;

    vrtc_ports(&rtc, &access);
    access = (struct bus_access){.addr = 1, .now = fuzz_now, .size = 1};
    assert(vrtc_ports(&rtc, &access) == BUS_OK);
    rtc.index = before;
    return (uint8_t)access.value;
}

static void check(void)
{
    bool running = (rtc.ram[10] & 0x70) == 0x20 && !(rtc.ram[11] & 0x80);
    struct calendar date;

    assert(rtc.index < VRTC_RAM);
    assert(irq8 == !!(rtc.ram[11] & rtc.ram[12] & 0x70));
    if (!(rtc.ram[11] & 0x70))
        assert(!timer_armed(&rtc.timer));
    if (timer_armed(&rtc.timer))
        assert(rtc.timer.deadline > fuzz_now);
    assert(fuzz_now - rtc.seen < BIT(63));
    if (!running || !(rtc.ram[11] & 4) || !(rtc.ram[11] & 2))
        return;
    calendar_from_seconds(&date, rtc.seconds + (fuzz_now - rtc.origin) / NS_PER_SEC);
    assert(reg(0) == date.second && reg(2) == date.minute && reg(4) == date.hour);
    assert(reg(7) == date.day && reg(8) == date.month && reg(9) == date.year % 100);
    assert(reg(6) >= 1 && reg(6) <= 7);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct irq_pin pin = fuzz_pin(&irq8);
    struct bus_access access;

    fuzz_start(data, size);
    vrtc_init(&rtc, &pin, &fuzz_timers, fuzz_number(4));
    while (fuzz_more()) {
        uint64_t step = fuzz_number(1);

        if (step % 4 == 0)
            fuzz_wait();
        else if (step % 4 == 1)
            rtc.index = step >> 2 & 15; /* the interesting ones */
        else
            fuzz_access(vrtc_ports, &rtc, 2, &access);
        check();
    }
    return 0;
}
