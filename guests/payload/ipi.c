/*
 * IPIs from the first CPU to the second, one at a time, to a CPU that runs or to one that sleeps in HLT. What each of them
 * costs the host is in the VM's counters; how late the worst of them is, matters to a VM with cores of its own.
 */
#include "guests/payload/late.h"
#include "guests/payload/smp.h"

#define IPI_VECTOR 0x65
#define SETTLE_US  200 /* for the other CPU to get from its handler to HLT */
#define WAIT_MS    1000

#define LATE_SETTLE_US 40

static volatile bool ipi_stop;

static void job_run(uint32_t cpu)
{
    (void)cpu;
    __asm__ volatile("sti");
    while (!ipi_stop)
        ;
    __asm__ volatile("cli");
}

static void job_sleep(uint32_t cpu)
{
    (void)cpu;
    while (!ipi_stop)
        __asm__ volatile("sti; hlt; cli" ::: "memory");
}

/* The ticks from before sending it to its handler; 0: it didn't come. */
static uint64_t ipi_once(void)
{
    volatile struct smp_cpu *to = &smp_cpus[1];
    uint32_t before = to->irqs[IPI_VECTOR];
    uint64_t start = rdtsc(), end = start + WAIT_MS * (tsc_hz / 1000);

    ipi_send(1, ICR_ASSERT | IPI_VECTOR);
    while (to->irqs[IPI_VECTOR] == before)
        if (rdtsc() > end)
            return 0;
    return to->irq_tsc - start;
}

static void ipi_target(bool halted)
{
    expect("ipi.cpus", smp_start(2), 2);
    smp_irq_count(IPI_VECTOR);
    smp_begin(1, halted ? job_sleep : job_run);
}

static void ipi_end(void)
{
    ipi_stop = true;
    ipi_send(1, ICR_ASSERT | SMP_WAKE_VECTOR);
    check("ipi.ends", smp_end(1));
}

void ipi_run(uint32_t count, bool halted)
{
    uint64_t least = UINT64_MAX, sum = 0;
    uint32_t came = 0;

    ipi_target(halted);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t ticks;

        delay_us(SETTLE_US);
        ticks = ipi_once();
        came += ticks != 0;
        least = MIN(least, ticks);
        sum += ticks;
    }
    ipi_end();
    expect("ipi.came", came, count);
    print("ipi halted=%u least=%llu mean=%llu", halted, (unsigned long long)least,
          (unsigned long long)(sum / MAX(count, 1)));
}

void ipi_late_run(uint32_t count, bool halted)
{
    uint32_t lost = 0;

    ipi_target(halted);
    late_begin();
    for (uint32_t i = 0; i < count + LATE_WARM_UP; i++) {
        uint64_t ticks;

        delay_us(LATE_SETTLE_US + late_random(LATE_SETTLE_US));
        ticks = ipi_once();
        lost += ticks == 0;
        late_note(ticks);
    }
    ipi_end();
    expect("ipi.lost", lost, 0);
    late_judge(halted ? "ipis-halted" : "ipis-running");
}
