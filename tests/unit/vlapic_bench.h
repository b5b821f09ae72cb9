/* One LAPIC on the bench, with callbacks that remember. The guest's TSC runs at 2.5 GHz. */
#pragma once

#include "drivers/virt/vlapic.h"
#include "tests/unit/device.h"

#define TSC_HZ 2500000000ull

static struct vlapic apic;
static struct apic_message message;
static uint32_t messages, kicks, eois, notes;
static uint8_t eoi_vector;
static struct vapic *shared; /* NULL: as on a CPU that delivers nothing itself */

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
        .timers = &bench_timers,
        .tsc_to_ns = scale_make(TSC_HZ, NS_PER_SEC),
        .ns_to_tsc = scale_make(NS_PER_SEC, TSC_HZ),
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
    mmio_write(0xf0, 0x1ff);
    return 0;
}
