/* A VM with a core of its own: how late its timers are, one after the other, at intervals that differ. */
#include "guests/payload/payload.h"

#define VECTOR      0x67
#define LATE_MAX    0x10000 /* ticks; more is counted as this */
#define WARM_UP     20
#define INTERVAL_US 5

/* How many were so late. */
static uint32_t *const histogram = (uint32_t *)ARENA;
static volatile uint64_t taken;

static void handler(struct trap_frame *f)
{
    (void)f;
    taken = rdtsc();
    lapic_write(LAPIC_EOI, 0);
}

static uint64_t late_once(uint64_t interval)
{
    uint64_t deadline = rdtsc() + interval;

    taken = 0;
    wrmsr(MSR_TSC_DEADLINE, deadline);
    while (!taken)
        __asm__ volatile("sti; hlt; cli" ::: "memory");
    return taken - deadline;
}

static uint64_t median_of(uint32_t count)
{
    uint64_t median = 0;

    for (uint32_t sum = histogram[0]; sum < count / 2; sum += histogram[++median])
        ;
    return median;
}

void late_run(uint32_t count)
{
    uint64_t worst = 0, interval = INTERVAL_US * tsc_hz / 1000000, median;
    uint32_t random = 1;

    if (!cpu_has(1, 2, 24)) {
        skip("late", "no TSC deadline");
        return;
    }
    x2apic_enter();
    trap_handlers[VECTOR] = handler;
    lapic_write(LAPIC_TIMER, LVT_DEADLINE | VECTOR);
    for (uint32_t i = 0; i < LATE_MAX; i++)
        histogram[i] = 0;
    for (uint32_t i = 0; i < count + WARM_UP; i++) {
        uint64_t late = late_once(interval + (random >> 16) % (4 * interval));

        random = random * 1664525 + 1013904223;
        if (i < WARM_UP)
            continue;
        worst = MAX(worst, late);
        histogram[MIN(late, (uint64_t)LATE_MAX - 1)]++;
    }
    median = median_of(count);
    print("late count=%u median=%llu worst=%llu", count, (unsigned long long)median,
          (unsigned long long)worst);
    expect_range("late.worst", worst, median, 2 * median);
}
