/*
 * A device model driven by a fuzzer: its input is a series of steps - accesses, time, pins - and the harness asserts
 * what must hold after each of them.
 */
#pragma once

#include "core/bus.h"
#include "core/irq.h"
#include "core/lib/panic.h"
#include "core/timer.h"

static const uint8_t *fuzz_data;
static size_t fuzz_size;
static uint64_t fuzz_now;
static struct timer_queue fuzz_timers;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void fuzz_start(const uint8_t *data, size_t size)
{
    fuzz_data = data;
    fuzz_size = size;
    fuzz_now = 0;
    timer_queue_init(&fuzz_timers);
}

static inline bool fuzz_more(void)
{
    return fuzz_size > 0;
}

/* A number of up to 8 bytes; zeros when the input is used up. */
static inline uint64_t fuzz_number(uint32_t bytes)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < bytes && fuzz_size > 0; i++, fuzz_size--)
        value |= (uint64_t)*fuzz_data++ << 8 * i;
    return value;
}

/* A span of time of any magnitude up to hours: a mantissa and a shift. */
static inline uint64_t fuzz_span(void)
{
    uint64_t mantissa = fuzz_number(1);

    return mantissa << fuzz_number(1) % 36;
}

/* Whatever a timer does, it must not leave one behind that is due: the run would never end. */
static inline void fuzz_run_timers(void)
{
    timer_queue_run(&fuzz_timers, fuzz_now);
    assert(timer_queue_next(&fuzz_timers) > fuzz_now);
}

/* Time passes; of the timers, the first few run when they are due, the rest late, all together. */
static inline void fuzz_wait(void)
{
    uint64_t end = fuzz_now + fuzz_span();

    for (int i = 0; i < 8 && timer_queue_next(&fuzz_timers) <= end; i++) {
        fuzz_now = MAX(fuzz_now, timer_queue_next(&fuzz_timers));
        fuzz_run_timers();
    }
    fuzz_now = end;
    fuzz_run_timers();
}

/* Any access to a device of `len` addresses that the bus would let through. */
static inline enum bus_result fuzz_access(bus_handler handler, void *dev, uint64_t len,
                                          struct bus_access *access)
{
    uint64_t command = fuzz_number(1);

    *access = (struct bus_access){.now = fuzz_now, .size = 1u << (command & 3), .write = command & 4};
    access->addr = fuzz_number(len > 256 ? 2 : 1) % len;
    if (access->size > len - access->addr || access->size == 8)
        access->size = 1;
    if (access->write)
        access->value = fuzz_number(access->size);
    return handler(dev, access);
}

/* A pin that knows its level. */
static inline void fuzz_pin_set(void *listener, uint32_t line, bool level)
{
    (void)line;
    *(bool *)listener = level;
}

static inline struct irq_pin fuzz_pin(bool *level)
{
    *level = false;
    return (struct irq_pin){.set = fuzz_pin_set, .listener = level};
}
