/* KVM's hypercalls between CPUs, and what their steal time tells the others. */
#include "guests/payload/pv.h"
#include "guests/payload/smp.h"

#define VECTOR    0x65
#define NMI       2
#define SETTLE_US 200
#define OLD       0x01d
#define NEW       0x2ed
#define PREEMPTED 1
#define FLUSH     2

static volatile struct pv_steal steal;
static volatile uint64_t seen;
static volatile uint32_t *const page = (volatile uint32_t *)ARENA;
static volatile bool begun;

static uint64_t take_got(uint8_t vector)
{
    uint64_t who = 0;

    for (uint32_t i = 0; i < smp_count; i++) {
        if (!smp_cpus[i].irqs[vector])
            continue;
        who |= BIT(i);
        smp_cpus[i].irqs[vector] = 0;
    }
    return who;
}

/* Who got one, a bit each: `wanted` have a second for it, as cores may be few and slow, and others a while. */
static uint64_t who_got(uint8_t vector, uint64_t wanted)
{
    uint64_t end = rdtsc() + tsc_hz, who = 0;

    while ((who & wanted) != wanted && rdtsc() < end) {
        who |= take_got(vector);
        cpu_pause();
    }
    delay_us(SETTLE_US);
    return who | take_got(vector);
}

static void test_ipis(void)
{
    uint64_t others = BIT(smp_count) - 2;

    (void)who_got(VECTOR, 0);
    (void)who_got(NMI, 0);
    expect("smp.pv-ipi", pv_call(PV_CALL_IPI, others, 0, 0, VECTOR), smp_count - 1);
    expect("smp.pv-ipi-got", who_got(VECTOR, others), others);
    expect("smp.pv-ipi-first", pv_call(PV_CALL_IPI, 1, UINT64_MAX, 1, VECTOR), 1);
    expect("smp.pv-ipi-first-got", who_got(VECTOR, 2), 2);
    expect("smp.pv-nmi", pv_call(PV_CALL_IPI, 2, 0, 0, ICR_NMI), 1);
    expect("smp.pv-nmi-got", who_got(NMI, 2), 2);
}

/* Deaf, so that only a kick ends it. */
static void job_halt(uint32_t cpu)
{
    (void)cpu;
    wrmsr(MSR_KVM_STEAL_TIME, (uint64_t)&steal | 1);
    seen = *page;
    begun = true;
    __asm__ volatile("cli; hlt" ::: "memory");
    seen = *page;
    begun = false;
    wrmsr(MSR_KVM_STEAL_TIME, 0);
}

static bool preempted_becomes(uint8_t want)
{
    uint64_t end = rdtsc() + tsc_hz;

    while (steal.preempted != want && rdtsc() < end)
        cpu_pause();
    return steal.preempted == want;
}

/* A CPU that doesn't run needs no interrupt to have its TLB flushed: a bit is enough. */
static void test_flush(uint32_t cpu)
{
    uint64_t entry = page_directory[ARENA / SIZE_2M], other = page_directory[ARENA_NEXT / SIZE_2M];

    *page = OLD;
    *(volatile uint32_t *)ARENA_NEXT = NEW;
    begun = false;
    smp_begin(cpu, job_halt);
    while (!begun)
        cpu_pause();
    check("smp.pv-sleeps", preempted_becomes(PREEMPTED));
    expect("smp.pv-page-before", seen, OLD);
    page_set(ARENA, other);
    __atomic_fetch_or(&steal.preempted, (uint8_t)FLUSH, __ATOMIC_SEQ_CST);
    expect("smp.pv-kick", pv_call(PV_CALL_KICK, 0, cpu, 0, 0), 0);
    check("smp.pv-kicked", smp_end(cpu));
    page_set(ARENA, entry);
    expect("smp.pv-flushed", seen, NEW);
    expect("smp.pv-runs", steal.preempted, 0);
}

static void job_yield(uint32_t cpu)
{
    while (!begun)
        smp_cpus[cpu].count += pv_call(PV_CALL_YIELD, 0, 0, 0, 0);
}

/* Each waits for the one that does the work. */
static void test_yield(void)
{
    uint64_t wrong = 0;

    begun = false;
    for (uint32_t i = 1; i < smp_count; i++) {
        smp_cpus[i].count = 0;
        smp_begin(i, job_yield);
    }
    delay_us(SETTLE_US);
    begun = true;
    for (uint32_t i = 1; i < smp_count; i++)
        wrong += !smp_end(i) + smp_cpus[i].count;
    expect("smp.pv-yield", wrong, 0);
}

void test_pv_smp(uint32_t cpu)
{
    if (!(pv_features() & PV_SEND_IPI)) {
        skip("smp.pv", "no paravirtual calls");
        return;
    }
    test_ipis();
    test_flush(cpu);
    test_yield();
}
