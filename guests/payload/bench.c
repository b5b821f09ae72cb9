/*
 * What operations cost, as the guest's TSC sees it: the least and the mean of many single ones, less what an empty one
 * costs. Under instruction counting a tick is an instruction (or a fixed number of them).
 */
#include "guests/payload/payload.h"

#define WARM_UP    32
#define RUNS       1000
#define IPI_VECTOR 0x91

static uint64_t overhead;

struct tally {
    uint64_t least, sum;
};

static void tally_add(struct tally *t, uint64_t ticks)
{
    t->least = MIN(t->least, ticks);
    t->sum += ticks;
}

static void tally_print(const char *name, const struct tally *t)
{
    print("bench %s=%llu mean=%llu", name, (unsigned long long)(t->least - overhead),
          (unsigned long long)(t->sum / RUNS - overhead));
}

/* `code` is measured RUNS times. */
#define MEASURE(t, code)                                                                                     \
    for (int run_ = 0; run_ < WARM_UP + RUNS; run_++) {                                                      \
        uint64_t start_ = rdtsc(), ticks_;                                                                   \
        code;                                                                                                \
        ticks_ = rdtsc() - start_;                                                                           \
        if (run_ >= WARM_UP)                                                                                 \
            tally_add(t, ticks_);                                                                            \
    }

#define BENCH(name, code)                                                                                    \
    do {                                                                                                     \
        struct tally t_ = {UINT64_MAX, 0};                                                                   \
        MEASURE(&t_, code)                                                                                   \
        tally_print(name, &t_);                                                                              \
    } while (0)

static void bench_overhead(void)
{
    struct tally t = {UINT64_MAX, 0};

    MEASURE(&t, __asm__ volatile(""))
    overhead = t.least;
    print("bench empty=%llu", (unsigned long long)overhead);
}

static void bench_instructions(void)
{
    BENCH("cpuid", cpuid(0, 0));
    BENCH("rdmsr-apic-base", rdmsr(MSR_APIC_BASE));
    if (cpu_has(7, 1, 1))
        BENCH("rdmsr-tsc-adjust", rdmsr(MSR_TSC_ADJUST));
    if (on_keel && on_intel)
        BENCH("hypercall", __asm__ volatile("vmcall" : : "a"(0x7fffffff) : "memory"));
    if (on_keel && !on_intel)
        BENCH("hypercall", __asm__ volatile("vmmcall" : : "a"(0x7fffffff) : "memory"));
    BENCH("wbinvd", wbinvd());
    BENCH("cr0-wp", write_cr0(read_cr0() ^ CR0_WP));
    BENCH("cr4-pge", write_cr4(read_cr4() ^ CR4_PGE));
}

static void bench_devices(void)
{
    BENCH("port-pic", inb(0x21));
    BENCH("port-pit", inb(0x61));
    if (acpi_pm_timer)
        BENCH("port-pm-timer", inl((uint16_t)acpi_pm_timer));
    BENCH("port-unclaimed", inb(0x5a0));
    BENCH("mmio-lapic-read", (void)LAPIC_MMIO[LAPIC_VERSION * 4]);
    BENCH("mmio-lapic-write", LAPIC_MMIO[LAPIC_TPR * 4] = 0);
    BENCH("mmio-lapic-eoi", LAPIC_MMIO[LAPIC_EOI * 4] = 0);
    BENCH("mmio-ioapic-read", (void)IOAPIC_MMIO[4]);
}

static volatile uint64_t ipi_taken;

static void ipi_handler(struct trap_frame *f)
{
    (void)f;
    ipi_taken = rdtsc();
    lapic_write(LAPIC_EOI, 0);
}

/* From before the write that sends it to the handler's first look at the TSC. */
static void bench_ipi(const char *name)
{
    struct tally t = {UINT64_MAX, 0};

    trap_handlers[IPI_VECTOR] = ipi_handler;
    __asm__ volatile("sti");
    for (int run = 0; run < WARM_UP + RUNS; run++) {
        uint64_t start;

        ipi_taken = 0;
        start = rdtsc();
        lapic_write(LAPIC_ICR, IPI_VECTOR | ICR_SELF);
        while (!ipi_taken)
            cpu_pause();
        if (run >= WARM_UP)
            tally_add(&t, ipi_taken - start);
    }
    __asm__ volatile("cli");
    tally_print(name, &t);
}

/* How late the handler is, beyond the deadline. */
static void bench_deadline(void)
{
    struct tally t = {UINT64_MAX, 0};

    if (!cpu_has(1, 2, 24))
        return;
    trap_handlers[IPI_VECTOR] = ipi_handler;
    lapic_write(LAPIC_TIMER, LVT_DEADLINE | IPI_VECTOR);
    for (int run = 0; run < WARM_UP + RUNS; run++) {
        uint64_t deadline = rdtsc() + 20000;

        ipi_taken = 0;
        wrmsr(MSR_TSC_DEADLINE, deadline);
        __asm__ volatile("sti");
        while (!ipi_taken)
            cpu_pause();
        __asm__ volatile("cli");
        if (run >= WARM_UP)
            tally_add(&t, ipi_taken - deadline);
    }
    lapic_write(LAPIC_TIMER, LVT_MASKED | IPI_VECTOR);
    tally_print("deadline-to-handler", &t);
}

static void bench_x2apic(void)
{
    if (!cpu_has(1, 2, 21))
        return;
    x2apic_enter();
    BENCH("x2apic-read", rdmsr(MSR_X2APIC_BASE + LAPIC_VERSION));
    BENCH("x2apic-tpr-write", wrmsr(MSR_X2APIC_BASE + LAPIC_TPR, 0));
    BENCH("x2apic-eoi", wrmsr(MSR_X2APIC_BASE + LAPIC_EOI, 0));
    bench_ipi("x2apic-self-ipi");
    x2apic_leave();
}

void bench_run(void)
{
    print("bench tsc-hz=%llu", (unsigned long long)tsc_hz);
    bench_overhead();
    bench_instructions();
    bench_devices();
    bench_ipi("self-ipi");
    bench_deadline();
    bench_x2apic();
}
