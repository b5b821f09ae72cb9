/* A VM with cores of its own: how late its timers are, one after the other, at intervals that differ; and what is so of IPIs. */
#include "guests/payload/late.h"

#define VECTOR      0x67
#define LATE_MAX    0x10000 /* ticks; more is counted as this */
#define INTERVAL_US 5

/* How many were so late. */
static uint32_t *const histogram = (uint32_t *)ARENA;
static uint64_t worst;
static uint32_t counted, seen, random;
static volatile uint64_t taken;

/* -- what is late ------------------------------------------------------------------------------------------------ */

void late_begin(void)
{
    for (uint32_t i = 0; i < LATE_MAX; i++)
        histogram[i] = 0;
    worst = 0;
    counted = seen = 0;
    random = 1;
}

void late_note(uint64_t ticks)
{
    if (seen++ < LATE_WARM_UP)
        return;
    worst = MAX(worst, ticks);
    histogram[MIN(ticks, (uint64_t)LATE_MAX - 1)]++;
    counted++;
}

uint32_t late_random(uint32_t below)
{
    random = random * 1664525 + 1013904223;
    return (random >> 16) % below;
}

static uint64_t late_median(void)
{
    uint64_t median = 0;

    for (uint32_t sum = histogram[0]; sum < counted / 2; sum += histogram[++median])
        ;
    return median;
}

void late_judge(const char *what)
{
    uint64_t median = late_median();

    print("late what=%s count=%u median=%llu worst=%llu", what, counted, (unsigned long long)median,
          (unsigned long long)worst);
    expect_range("late.worst", worst, median, 2 * median);
}

/* -- timers ------------------------------------------------------------------------------------------------------ */

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

void late_run(uint32_t count)
{
    uint32_t interval = (uint32_t)(INTERVAL_US * tsc_hz / 1000000);

    if (!cpu_has(1, 2, 24)) {
        skip("late", "no TSC deadline");
        return;
    }
    x2apic_enter();
    trap_handlers[VECTOR] = handler;
    lapic_write(LAPIC_TIMER, LVT_DEADLINE | VECTOR);
    late_begin();
    for (uint32_t i = 0; i < count + LATE_WARM_UP; i++)
        late_note(late_once(interval + late_random(4 * interval)));
    late_judge("timers");
}
