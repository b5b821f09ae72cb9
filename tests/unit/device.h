/* A device model on the bench: one clock, one timer queue, pins that remember, and accesses as a guest makes them. */
#pragma once

#include "core/bus.h"
#include "core/irq.h"
#include "core/timer.h"
#include "tests/unit/support.h"

#define US 1000ull
#define MS 1000000ull

struct wire {
    bool level;
    uint32_t rises;
};

static uint64_t bench_now;
static struct timer_queue bench_timers;

static inline void wire_set(void *listener, uint32_t line, bool level)
{
    struct wire *wire = listener;

    (void)line;
    wire->rises += level && !wire->level;
    wire->level = level;
}

static inline struct irq_pin wire_pin(struct wire *wire)
{
    *wire = (struct wire){0};
    return (struct irq_pin){.set = wire_set, .listener = wire};
}

static inline void bench_start(uint64_t now)
{
    bench_now = now;
    timer_queue_init(&bench_timers);
}

/* Lets time pass; each timer runs when it is due. */
static inline void bench_wait(uint64_t ns)
{
    uint64_t end = bench_now + ns;

    while (timer_queue_next(&bench_timers) <= end) {
        bench_now = MAX(bench_now, timer_queue_next(&bench_timers));
        timer_queue_run(&bench_timers, bench_now);
    }
    bench_now = end;
}

/* Time passes, but the vCPU doesn't run: timers are late. */
static inline void bench_stall(uint64_t ns)
{
    bench_now += ns;
    timer_queue_run(&bench_timers, bench_now);
}

static inline enum bus_result bench_access(bus_handler handler, void *dev, bool write, uint64_t addr,
                                           uint32_t size, uint64_t *value)
{
    struct bus_access access = {
        .addr = addr, .value = *value, .now = bench_now, .size = size, .write = write};
    enum bus_result result = handler(dev, &access);

    /* The bus cuts what a handler gives. */
    *value = write ? access.value : access.value & UINT64_MAX >> (64 - 8 * size);
    return result;
}

static inline uint64_t bench_read(bus_handler handler, void *dev, uint64_t addr, uint32_t size)
{
    uint64_t value = 0;

    assert_int_equal(bench_access(handler, dev, false, addr, size, &value), BUS_OK);
    return value;
}

static inline void bench_write(bus_handler handler, void *dev, uint64_t addr, uint32_t size, uint64_t value)
{
    assert_int_equal(bench_access(handler, dev, true, addr, size, &value), BUS_OK);
}
