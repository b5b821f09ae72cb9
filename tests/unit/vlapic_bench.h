/* One LAPIC on the bench, with callbacks that remember. The guest's TSC runs at 2.5 GHz. */
#pragma once

#include "core/lib/scale.h"
#include "drivers/virt/vlapic.h"
#include "tests/unit/device.h"

#define TSC_HZ 2500000000ull

static struct vlapic apic;
static struct apic_message message;
static uint32_t messages, kicks, eois, notes;
static uint8_t eoi_vector;
static struct vapic *shared; /* NULL: as on a CPU that delivers nothing itself */
static uint64_t tsc_adjust, alarm_at;
static bool renamed;

static inline uint64_t bench_tsc(void)
{
    return scale_apply(scale_make(NS_PER_SEC, TSC_HZ), bench_now) + tsc_adjust;
}

static inline uint64_t note_tsc(void *ctx)
{
    assert_ptr_equal(ctx, &apic);
    return bench_tsc();
}

static inline void note_alarm(void *ctx, uint64_t tsc)
{
    assert_ptr_equal(ctx, &apic);
    alarm_at = tsc;
}

/* bench_wait, with the alarm, which comes up to 1 ns late. */
static inline void apic_wait(uint64_t ns)
{
    uint64_t end = bench_now + ns;

    while (alarm_at != TIMER_NEVER) {
        uint64_t left = scale_apply(scale_make(TSC_HZ, NS_PER_SEC), alarm_at - bench_tsc()) + 1;

        if (bench_now + left > end)
            break;
        bench_wait(left);
        assert_true(bench_tsc() >= alarm_at);
        alarm_at = TIMER_NEVER;
        vlapic_deadline_due(&apic);
    }
    bench_wait(end - bench_now);
}

static inline void note_send(void *ctx, const struct apic_message *m)
{
    assert_ptr_equal(ctx, &apic);
    message = *m;
    messages++;
}

static inline void note_eoi(void *ctx, uint8_t vector)
{
    assert_ptr_equal(ctx, &apic);
    eoi_vector = vector;
    eois++;
}

static inline void note_kick(void *ctx)
{
    assert_ptr_equal(ctx, &apic);
    kicks++;
}

static inline void note_notify(void *ctx)
{
    assert_ptr_equal(ctx, &apic);
    notes++;
}

static inline void make_apic(uint32_t id)
{
    struct vlapic_config config = {
        .id = id,
        .x2apic = true,
        .tsc_deadline = true,
        .phys_bits = 40,
        .renamed = &renamed,
        .timers = &bench_timers,
        .tsc = note_tsc,
        .alarm = note_alarm,
        .send = note_send,
        .eoi = note_eoi,
        .kick = note_kick,
        .notify = note_notify,
        .vapic = shared,
        .ctx = &apic,
    };

    vlapic_init(&apic, &config);
}

static inline uint32_t mmio_read(uint32_t offset)
{
    return (uint32_t)bench_read(vlapic_mmio, &apic, offset, 4);
}

static inline void mmio_write(uint32_t offset, uint32_t value)
{
    bench_write(vlapic_mmio, &apic, offset, 4, value);
}

static inline enum bus_result msr_access(bool write, uint32_t reg, uint64_t *value)
{
    return bench_access(vlapic_msr, &apic, write, reg, 8, value);
}

static inline uint64_t msr_read(uint32_t reg)
{
    return bench_read(vlapic_msr, &apic, reg, 8);
}

static inline void msr_write(uint32_t reg, uint64_t value)
{
    bench_write(vlapic_msr, &apic, reg, 8, value);
}

static inline void msr_fault(uint32_t reg, uint64_t value)
{
    assert_int_equal(msr_access(true, reg, &value), BUS_FAULT);
}

static inline void enter_x2apic(void)
{
    assert_true(vlapic_set_base(&apic, apic.base | APIC_BASE_EXTD));
}

/* An enabled LAPIC, id 3. */
static inline int start(void **state)
{
    (void)state;
    bench_start(1000 * NS_PER_SEC);
    make_apic(3);
    messages = kicks = eois = 0;
    renamed = false;
    tsc_adjust = 0;
    alarm_at = TIMER_NEVER;
    mmio_write(0xf0, 0x1ff);
    return 0;
}
