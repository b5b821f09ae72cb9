/* The LAPIC's timer in its three modes. */
#include "guests/payload/payload.h"

#define TIMER_VECTOR 0x71
#define DIVIDE_BY_1  0xb
#define DIVIDE_BY_16 0x3

/* Starts the timer and gives the microseconds until its interrupt has come `count` times; 0: it hasn't. */
static uint64_t timer_run(uint32_t mode, uint32_t initial, uint32_t count)
{
    uint64_t start = rdtsc();
    bool came;

    irq_count(TIMER_VECTOR, false);
    lapic_write(LAPIC_TIMER, mode | TIMER_VECTOR);
    lapic_write(LAPIC_INITIAL, initial);
    came = irq_wait(TIMER_VECTOR, count, 200);
    return came ? (rdtsc() - start) * 1000000 / tsc_hz : 0;
}

static void test_once(void)
{
    expect_range("timer.once", timer_run(0, (uint32_t)(lapic_hz / 100), 1), 9900, 12000);
    check("timer.only-once", !irq_wait(TIMER_VECTOR, 2, 20));
    expect("timer.current-at-end", lapic_read(LAPIC_CURRENT), 0);
}

static void test_divider(void)
{
    lapic_write(LAPIC_DIVIDE, DIVIDE_BY_16);
    expect_range("timer.divided", timer_run(0, (uint32_t)(lapic_hz / 1600), 1), 9900, 12000);
    lapic_write(LAPIC_DIVIDE, DIVIDE_BY_1);
}

static void test_periodic(void)
{
    expect_range("timer.periodic", timer_run(LVT_PERIODIC, (uint32_t)(lapic_hz / 500), 10), 19800, 23000);
    lapic_write(LAPIC_INITIAL, 0);
    irq_wait(TIMER_VECTOR, ~0u, 3); /* one may have been on its way */
    irq_counts[TIMER_VECTOR] = 0;
    check("timer.stopped", !irq_wait(TIMER_VECTOR, 1, 10));
}

/* A count that has ended isn't begun again by another mode; one that runs goes on. */
static void test_mode_change(void)
{
    uint32_t count = (uint32_t)(lapic_hz / 500);

    lapic_write(LAPIC_TIMER, LVT_MASKED | TIMER_VECTOR);
    lapic_write(LAPIC_INITIAL, count);
    delay_us(3000);
    lapic_write(LAPIC_TIMER, LVT_MASKED | LVT_PERIODIC | TIMER_VECTOR);
    expect("timer.ended-in-new-mode", lapic_read(LAPIC_CURRENT), 0);
    lapic_write(LAPIC_INITIAL, count);
    delay_us(3000);
    lapic_write(LAPIC_TIMER, LVT_MASKED | TIMER_VECTOR);
    expect_range("timer.goes-on-in-new-mode", lapic_read(LAPIC_CURRENT), 1, count * 7 / 10);
    delay_us(2000);
    expect("timer.ends-in-new-mode", lapic_read(LAPIC_CURRENT), 0);
    lapic_write(LAPIC_INITIAL, 0);
}

/* It is a value of the TSC, wherever that is moved to. */
static void test_deadline_moves(void)
{
    uint64_t old;

    if (!cpu_has(7, 1, 1)) {
        skip("timer.deadline-moves", "no TSC_ADJUST in CPUID");
        return;
    }
    irq_counts[TIMER_VECTOR] = 0;
    old = rdmsr(MSR_TSC_ADJUST);
    wrmsr(MSR_TSC_DEADLINE, rdtsc() + tsc_hz);
    wrmsr(MSR_TSC_ADJUST, old + tsc_hz - tsc_hz / 200);
    check("timer.deadline-sooner", irq_wait(TIMER_VECTOR, 1, 10));
    wrmsr(MSR_TSC_DEADLINE, rdtsc() + tsc_hz / 200);
    wrmsr(MSR_TSC_ADJUST, old);
    check("timer.deadline-later", !irq_wait(TIMER_VECTOR, 2, 10));
    wrmsr(MSR_TSC_DEADLINE, 0);
}

static void test_deadline(void)
{
    uint64_t start, woke;

    if (!cpu_has(1, 2, 24)) {
        skip("timer.deadline", "not in CPUID");
        return;
    }
    irq_count(TIMER_VECTOR, false);
    lapic_write(LAPIC_TIMER, LVT_DEADLINE | TIMER_VECTOR);
    start = rdtsc();
    wrmsr(MSR_TSC_DEADLINE, start + tsc_hz / 100);
    expect("timer.deadline-read", rdmsr(MSR_TSC_DEADLINE), start + tsc_hz / 100);
    for (int i = 0; i < 5 && !irq_counts[TIMER_VECTOR]; i++)
        __asm__ volatile("sti; hlt; cli" ::: "memory");
    woke = rdtsc();
    expect("timer.deadline", irq_counts[TIMER_VECTOR], 1);
    expect_range("timer.deadline-time", (woke - start) * 1000000 / tsc_hz, 10000, 12000);
    expect("timer.deadline-after", rdmsr(MSR_TSC_DEADLINE), 0);

    wrmsr(MSR_TSC_DEADLINE, rdtsc() + tsc_hz / 200);
    wrmsr(MSR_TSC_DEADLINE, 0);
    check("timer.deadline-disarmed", !irq_wait(TIMER_VECTOR, 2, 10));
    wrmsr(MSR_TSC_DEADLINE, 1); /* long past */
    check("timer.deadline-past", irq_wait(TIMER_VECTOR, 2, 10));
    test_deadline_moves();
    lapic_write(LAPIC_TIMER, LVT_MASKED | TIMER_VECTOR);
}

void test_lapic_timer(void)
{
    print("# LAPIC timer %llu Hz", (unsigned long long)lapic_hz);
    check("timer.counts", lapic_hz > 1000000);
    lapic_write(LAPIC_DIVIDE, DIVIDE_BY_1);
    test_once();
    test_divider();
    test_periodic();
    test_mode_change();
    test_deadline();
    lapic_write(LAPIC_TIMER, LVT_MASKED | TIMER_VECTOR);
}
