#include "guests/payload/smp.h"

#include "core/lib/string.h"

#define AP_STACK     4096 /* as in ap.asm */
#define START_VECTOR 0x08
#define STARTUP_US   200
#define WAIT_SECONDS 20

struct smp_cpu smp_cpus[SMP_MAX];
uint32_t smp_count = 1;
uint8_t ap_stacks[SMP_MAX][AP_STACK] __attribute__((aligned(16)));

extern const uint8_t ap_trampoline[], ap_trampoline_end[];
NORETURN void ap_main(uint32_t id);

/* -- a CPU's own ------------------------------------------------------------------------------------------------ */

static void smp_here(uint32_t id)
{
    smp_cpus[id].id = id;
    wrmsr(MSR_GS_BASE, (uint64_t)&smp_cpus[id]);
}

static void smp_irq(struct trap_frame *f)
{
    struct smp_cpu *cpu = &smp_cpus[smp_id()];

    cpu->irq_tsc = rdtsc();
    cpu->irqs[f->vector & 0xff]++;
    if (f->vector != 2)
        lapic_write(LAPIC_EOI, 0);
}

void smp_irq_count(uint8_t vector)
{
    trap_handlers[vector] = smp_irq;
}

void ap_main(uint32_t id)
{
    struct smp_cpu *cpu = &smp_cpus[id];

    trap_load();
    smp_here(id);
    lapic_join();
    cpu->starts++;
    for (;;) {
        smp_job job = cpu->job;

        if (!job) {
            __asm__ volatile("sti; hlt; cli" ::: "memory");
            continue;
        }
        job(id);
        /* What is pending is taken before it is said that the job is done: that may be what the other one waits for. */
        __asm__ volatile("sti; nop; nop; cli" ::: "memory");
        cpu->job = NULL;
    }
}

/* -- starting ---------------------------------------------------------------------------------------------------- */

void ipi_send(uint32_t dest, uint32_t low)
{
    if (lapic_is_x2apic()) {
        wrmsr(MSR_X2APIC_BASE + LAPIC_ICR, (uint64_t)dest << 32 | low);
        return;
    }
    lapic_write(LAPIC_ICR_HIGH, dest << 24);
    lapic_write(LAPIC_ICR, low);
    while (lapic_read(LAPIC_ICR) & ICR_BUSY)
        cpu_pause();
}

void smp_place_trampoline(uint8_t vector)
{
    memcpy((void *)((uint64_t)vector << 12), ap_trampoline, (size_t)(ap_trampoline_end - ap_trampoline));
}

static uint32_t smp_started(void)
{
    uint32_t count = 1;

    while (count < SMP_MAX && smp_cpus[count].starts)
        count++;
    return count;
}

/* SDM volume 3 section 9.4.4: INIT, then the start-up IPI, twice for CPUs that may have missed it. */
uint32_t smp_start(uint32_t want)
{
    uint64_t end = rdtsc() + WAIT_SECONDS * tsc_hz;

    smp_here(0);
    smp_irq_count(SMP_WAKE_VECTOR);
    smp_place_trampoline(START_VECTOR);
    for (uint32_t i = 1; i < SMP_MAX; i++) {
        smp_cpus[i].starts = 0;
        smp_cpus[i].job = NULL;
    }
    ipi_send(0, ICR_OTHERS | ICR_ASSERT | ICR_INIT);
    delay_us(STARTUP_US);
    for (int i = 0; i < 2; i++) {
        ipi_send(0, ICR_OTHERS | ICR_ASSERT | ICR_STARTUP | START_VECTOR);
        delay_us(STARTUP_US);
    }
    while (smp_started() < want && rdtsc() < end)
        cpu_pause();
    smp_count = smp_started();
    return smp_count;
}

/* -- jobs -------------------------------------------------------------------------------------------------------- */

void smp_begin(uint32_t cpu, smp_job job)
{
    smp_cpus[cpu].job = job;
    ipi_send(cpu, ICR_ASSERT | SMP_WAKE_VECTOR);
}

bool smp_end(uint32_t cpu)
{
    uint64_t end = rdtsc() + WAIT_SECONDS * tsc_hz;

    while (smp_cpus[cpu].job && rdtsc() < end)
        cpu_pause();
    return !smp_cpus[cpu].job;
}

void smp_each(smp_job job)
{
    for (uint32_t i = 1; i < smp_count; i++) {
        smp_begin(i, job);
        if (!smp_end(i))
            expect("smp.job-ends", smp_count, i);
    }
    job(0);
}

/* A job that is given before this CPU's LAPIC changes mode, and goes on when it has. */
static volatile uint32_t mode_waiting;
static volatile bool mode_changed;

static void job_change_mode(uint32_t cpu)
{
    (void)cpu;
    __atomic_fetch_add(&mode_waiting, 1, __ATOMIC_SEQ_CST);
    while (!mode_changed)
        cpu_pause();
    lapic_join();
}

void smp_set_x2apic(bool on)
{
    mode_waiting = 0;
    mode_changed = false;
    for (uint32_t i = 1; i < smp_count; i++)
        smp_begin(i, job_change_mode);
    while (mode_waiting < smp_count - 1)
        cpu_pause();
    if (on)
        x2apic_enter();
    else
        x2apic_leave();
    mode_changed = true;
    for (uint32_t i = 1; i < smp_count; i++)
        if (!smp_end(i))
            expect("smp.mode-changes", smp_count, i);
}
