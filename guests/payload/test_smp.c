/* CPUs in numbers: starting, interrupts between them in all delivery and destination modes, and their clocks. */
#include "guests/payload/pv.h"
#include "guests/payload/smp.h"

#include "core/lib/format.h"

#define VECTOR       0x65
#define NMI          2
#define SETTLE_US    100
#define RESTART_PAGE 0x09
#define DFR_CLUSTER  0x0fffffffu
#define DFR_FLAT     0xffffffffu
#define TPR_BUSY     0xe0
#define ROUNDS       20
#define ADDS         20000
#define TIMER_VECTOR 0x66
#define TIMER_US     2000
#define OTHER_ID     0x41

static const char *mode; /* "xapic" or "x2apic": the middle of the names */

static void expect_in_mode(const char *name, uint64_t got, uint64_t want)
{
    char text[64];

    fmt_print(text, sizeof(text), "smp.%s.%s", mode, name);
    expect(text, got, want);
}

static uint64_t all_cpus(void)
{
    return smp_count == 64 ? UINT64_MAX : BIT(smp_count) - 1;
}

/* -- who gets an IPI ---------------------------------------------------------------------------------------------- */

static void job_nothing(uint32_t cpu)
{
    (void)cpu;
}

/* A job on all but this one, whose ids may not be theirs now. */
static void others_do(smp_job job)
{
    for (uint32_t i = 1; i < smp_count; i++)
        smp_cpus[i].job = job;
    ipi_send(0, ICR_OTHERS | ICR_ASSERT | SMP_WAKE_VECTOR);
    for (uint32_t i = 1; i < smp_count; i++)
        check("smp.others-end", smp_end(i));
}

/* After this each CPU has taken what was pending. */
static void settle(void)
{
    __asm__ volatile("sti; nop; nop" ::: "memory");
    delay_us(SETTLE_US);
    __asm__ volatile("cli" ::: "memory");
    others_do(job_nothing);
}

/* Sends one and gives the set of CPUs that got it; one that got more than one makes it all ones. */
static uint64_t who_gets(uint32_t dest, uint32_t low, uint8_t vector)
{
    uint64_t who = 0;

    for (uint32_t i = 0; i < smp_count; i++)
        smp_cpus[i].irqs[vector] = 0;
    ipi_send(dest, low | ICR_ASSERT | (vector == NMI ? 0 : vector));
    settle();
    for (uint32_t i = 0; i < smp_count; i++) {
        if (smp_cpus[i].irqs[vector] > 1)
            return UINT64_MAX;
        who |= smp_cpus[i].irqs[vector] ? BIT(i) : 0;
    }
    return who;
}

static uint32_t broadcast(void)
{
    return lapic_is_x2apic() ? 0xffffffff : 0xff;
}

static void test_shorthands(uint32_t delivery, uint8_t vector, const char *self, const char *all,
                            const char *others)
{
    if (self)
        expect_in_mode(self, who_gets(0, delivery | ICR_SELF, vector), 1);
    if (all)
        expect_in_mode(all, who_gets(0, delivery | ICR_ALL, vector), all_cpus());
    expect_in_mode(others, who_gets(0, delivery | ICR_OTHERS, vector), all_cpus() & ~1ull);
}

/* Sends one to each CPU, whose logical or physical destination is given, and counts wrong results. */
static uint64_t each_alone(uint32_t (*dest)(uint32_t cpu), uint32_t low, uint8_t vector)
{
    uint64_t wrong = 0;

    for (uint32_t i = vector == NMI; i < smp_count; i++)
        if (dest(i) && who_gets(dest(i) == UINT32_MAX ? 0 : dest(i), low, vector) != BIT(i))
            wrong++;
    return wrong;
}

/* UINT32_MAX stands for 0 here, which means "none" for logical ones. */
static uint32_t dest_physical(uint32_t cpu)
{
    return cpu ? cpu : UINT32_MAX;
}

static uint32_t dest_flat(uint32_t cpu)
{
    return cpu < 8 ? 1u << cpu : 0;
}

static uint32_t dest_cluster(uint32_t cpu)
{
    return cpu < 60 ? cpu / 4 << 4 | 1u << cpu % 4 : 0;
}

static uint32_t dest_x2apic(uint32_t cpu)
{
    return cpu >> 4 << 16 | 1u << (cpu & 15);
}

static void test_physical(void)
{
    expect_in_mode("physical-wrong", each_alone(dest_physical, 0, VECTOR), 0);
    expect_in_mode("physical-nmi-wrong", each_alone(dest_physical, ICR_NMI, NMI), 0);
    expect_in_mode("physical-broadcast", who_gets(broadcast(), 0, VECTOR), all_cpus());
    expect_in_mode("physical-nobody", who_gets(broadcast() - 1, 0, VECTOR), 0);
}

/* Another id, with which all but the first CPU are found by one message; and back, when what came is counted. */
static void job_rename(uint32_t cpu)
{
    (void)cpu;
    lapic_write(LAPIC_ID, OTHER_ID << 24);
}

static void job_name_back(uint32_t cpu)
{
    lapic_write(LAPIC_ID, cpu << 24);
}

static void test_ids(void)
{
    uint64_t others = all_cpus() & ~1ull;

    others_do(job_rename);
    expect_in_mode("id-written", who_gets(OTHER_ID, 0, VECTOR), others);
    expect_in_mode("id-gone", who_gets(1, 0, VECTOR), 0);
    others_do(job_name_back);
    expect_in_mode("id-back", who_gets(1, 0, VECTOR), others & 2);
}

/* -- logical destinations ----------------------------------------------------------------------------------------- */

static uint32_t (*ldr_of)(uint32_t cpu);
static uint32_t dfr;

static void job_set_logical(uint32_t cpu)
{
    lapic_write(LAPIC_DFR, dfr);
    lapic_write(LAPIC_LDR, ldr_of(cpu) << 24);
}

static void set_logical(uint32_t (*of)(uint32_t cpu), uint32_t format)
{
    ldr_of = of;
    dfr = format;
    smp_each(job_set_logical);
}

static void test_flat(void)
{
    uint64_t first_eight = all_cpus() & 0xff;

    set_logical(dest_flat, DFR_FLAT);
    expect_in_mode("flat-wrong", each_alone(dest_flat, ICR_LOGICAL, VECTOR), 0);
    expect_in_mode("flat-all", who_gets(0xfe, ICR_LOGICAL, VECTOR), first_eight & 0xfe);
    expect_in_mode("flat-two", who_gets(0x3, ICR_LOGICAL, VECTOR), first_eight & 0x3);
    expect_in_mode("flat-broadcast", who_gets(0xff, ICR_LOGICAL, VECTOR), all_cpus());
}

static void test_cluster(void)
{
    set_logical(dest_cluster, DFR_CLUSTER);
    expect_in_mode("cluster-wrong", each_alone(dest_cluster, ICR_LOGICAL, VECTOR), 0);
    expect_in_mode("cluster-first", who_gets(0x0f, ICR_LOGICAL, VECTOR), all_cpus() & 0xf);
    expect_in_mode("cluster-second", who_gets(0x1f, ICR_LOGICAL, VECTOR), all_cpus() & 0xf0);
    expect_in_mode("cluster-none", who_gets(0xef, ICR_LOGICAL, VECTOR),
                   smp_count > 56 ? all_cpus() & 0xfull << 56 : 0);
    expect_in_mode("cluster-broadcast", who_gets(0xff, ICR_LOGICAL, VECTOR), all_cpus());
}

static void test_x2apic_logical(void)
{
    expect_in_mode("logical-wrong", each_alone(dest_x2apic, ICR_LOGICAL, VECTOR), 0);
    expect_in_mode("logical-cluster", who_gets(0xffff, ICR_LOGICAL, VECTOR), all_cpus() & 0xffff);
    expect_in_mode("logical-second", who_gets(0x1ffff, ICR_LOGICAL, VECTOR), all_cpus() & 0xffff0000);
    expect_in_mode("logical-broadcast", who_gets(UINT32_MAX, ICR_LOGICAL, VECTOR), all_cpus());
}

/* -- lowest priority ---------------------------------------------------------------------------------------------- */

static volatile uint32_t idle_cpu, busy_cpus;
static volatile bool priority_over;

/* Keeps TPR high, but on one CPU, until the message has been sent. */
static void job_be_busy(uint32_t cpu)
{
    lapic_write(LAPIC_TPR, cpu == idle_cpu ? 0 : TPR_BUSY);
    __atomic_fetch_add(&busy_cpus, 1, __ATOMIC_SEQ_CST);
    while (!priority_over)
        cpu_pause();
    lapic_write(LAPIC_TPR, 0);
}

/* One of all gets it: the one whose TPR is lowest. */
static void test_lowest(void)
{
    uint64_t who = who_gets(broadcast(), ICR_LOWEST, VECTOR);

    expect_in_mode("lowest-one", who && !(who & (who - 1)), true);
    idle_cpu = smp_count - 1;
    busy_cpus = 0;
    priority_over = false;
    smp_cpus[idle_cpu].irqs[VECTOR] = 0;
    for (uint32_t i = 1; i < smp_count; i++)
        smp_begin(i, job_be_busy);
    while (busy_cpus < smp_count - 1)
        cpu_pause();
    lapic_write(LAPIC_TPR, idle_cpu ? TPR_BUSY : 0);
    ipi_send(broadcast(), ICR_ASSERT | ICR_LOWEST | VECTOR);
    priority_over = true;
    lapic_write(LAPIC_TPR, 0);
    for (uint32_t i = 1; i < smp_count; i++)
        check("smp.lowest-ends", smp_end(i)); /* settle gives them another job */
    settle();
    expect_in_mode("lowest-idle", smp_cpus[idle_cpu].irqs[VECTOR], 1);
}

/* -- CPUs that don't listen --------------------------------------------------------------------------------------- */

static volatile uint64_t spins;
static volatile bool go_on;

static void job_wait_deaf(uint32_t cpu)
{
    smp_cpus[cpu].count = 1;
    while (!go_on)
        cpu_pause();
}

static void job_halt_deaf(uint32_t cpu)
{
    smp_cpus[cpu].count = 1;
    __asm__ volatile("cli; hlt" ::: "memory");
}

static void begin_and_see(uint32_t cpu, smp_job job)
{
    smp_cpus[cpu].count = 0;
    smp_begin(cpu, job);
    while (!smp_cpus[cpu].count)
        cpu_pause();
}

/* With interrupts off only an NMI comes through, also to one in HLT. */
static void test_deaf(uint32_t cpu)
{
    struct smp_cpu *c = &smp_cpus[cpu];

    c->irqs[VECTOR] = c->irqs[NMI] = 0;
    go_on = false;
    begin_and_see(cpu, job_wait_deaf);
    ipi_send(cpu, ICR_ASSERT | VECTOR);
    ipi_send(cpu, ICR_ASSERT | ICR_NMI);
    while (!c->irqs[NMI])
        cpu_pause();
    expect("smp.deaf-interrupt", c->irqs[VECTOR], 0);
    go_on = true;
    check("smp.deaf-ends", smp_end(cpu));
    settle();
    expect("smp.deaf-interrupt-after", c->irqs[VECTOR], 1);
    expect("smp.deaf-nmi", c->irqs[NMI], 1);
    begin_and_see(cpu, job_halt_deaf);
    delay_us(SETTLE_US);
    check("smp.halted-sleeps", c->job);
    ipi_send(cpu, ICR_ASSERT | ICR_NMI);
    check("smp.halted-nmi", smp_end(cpu));
}

/* -- INIT --------------------------------------------------------------------------------------------------------- */

static void job_spin(uint32_t cpu)
{
    for (;;) {
        smp_cpus[cpu].count = 1;
        spins++;
        cpu_pause();
    }
}

static void wait_starts(uint32_t cpu, uint32_t starts)
{
    uint64_t end = rdtsc() + tsc_hz;

    while (smp_cpus[cpu].starts < starts && rdtsc() < end)
        cpu_pause();
}

/* INIT stops a CPU wherever it is; a start-up IPI counts only then, and once. */
static void test_init(uint32_t cpu)
{
    struct smp_cpu *c = &smp_cpus[cpu];
    uint64_t before;

    c->starts = 0;
    smp_place_trampoline(RESTART_PAGE);
    begin_and_see(cpu, job_spin);
    ipi_send(cpu, ICR_ASSERT | ICR_STARTUP | RESTART_PAGE);
    before = spins;
    while (spins == before)
        cpu_pause();
    expect("smp.startup-without-init", c->starts, 0);
    ipi_send(cpu, ICR_ASSERT | ICR_INIT);
    delay_us(20000);
    before = spins;
    delay_us(20000);
    expect("smp.init-stops", spins, before);
    c->job = NULL;
    ipi_send(cpu, ICR_ASSERT | ICR_STARTUP | RESTART_PAGE);
    ipi_send(cpu, ICR_ASSERT | ICR_STARTUP | RESTART_PAGE);
    wait_starts(cpu, 1);
    smp_each(job_nothing);
    expect("smp.init-restart", c->starts, 1);
}

/* -- time --------------------------------------------------------------------------------------------------------- */

/* Another CPU's TSC, read between two reads of ours, lies between them. */
static void test_tsc(void)
{
    uint64_t wrong = 0, ticks = 0;

    for (uint32_t i = 1; i < smp_count; i++) {
        for (int round = 0; round < ROUNDS; round++) {
            uint64_t start = rdtsc(), there, end;

            smp_cpus[i].irq_tsc = 0;
            ipi_send(i, ICR_ASSERT | VECTOR);
            while (!(there = smp_cpus[i].irq_tsc))
                cpu_pause();
            end = rdtsc();
            wrong += there < start || there > end;
            ticks += end - start;
        }
    }
    expect("smp.tsc-disagrees", wrong, 0);
    print("bench ipi-to-other mean=%llu", (unsigned long long)(ticks / ROUNDS / MAX(smp_count - 1, 1)));
}

/* A timer fires on the CPU that armed it; gives how late. */
static void job_timer(uint32_t cpu)
{
    struct smp_cpu *c = &smp_cpus[cpu];
    uint64_t end;

    c->irqs[TIMER_VECTOR] = 0;
    lapic_write(LAPIC_DIVIDE, 0xb);
    lapic_write(LAPIC_TIMER, TIMER_VECTOR);
    end = rdtsc() + TIMER_US * (tsc_hz / 1000000);
    lapic_write(LAPIC_INITIAL, (uint32_t)(TIMER_US * lapic_hz / 1000000));
    while (!c->irqs[TIMER_VECTOR])
        __asm__ volatile("sti; hlt; cli" ::: "memory");
    c->count = c->irq_tsc - MIN(c->irq_tsc, end);
    lapic_write(LAPIC_TIMER, LVT_MASKED | TIMER_VECTOR);
}

static void test_timers(void)
{
    uint64_t fired = 0, worst = 0;

    smp_irq_count(TIMER_VECTOR);
    smp_each(job_timer);
    for (uint32_t i = 0; i < smp_count; i++) {
        fired += smp_cpus[i].irqs[TIMER_VECTOR];
        worst = MAX(worst, smp_cpus[i].count);
    }
    expect("smp.timers", fired, smp_count);
    print("bench timer-late worst=%llu", (unsigned long long)worst);
}

/* -- memory ------------------------------------------------------------------------------------------------------- */

static volatile uint64_t sum;

static void job_add(uint32_t cpu)
{
    (void)cpu;
    for (uint32_t i = 0; i < ADDS; i++)
        __atomic_fetch_add(&sum, 1, __ATOMIC_SEQ_CST);
}

static void test_atomics(void)
{
    for (uint32_t i = 1; i < smp_count; i++)
        smp_begin(i, job_add);
    job_add(0);
    for (uint32_t i = 1; i < smp_count; i++)
        check("smp.adds-end", smp_end(i));
    expect("smp.atomics", sum, (uint64_t)ADDS * smp_count);
}

/* -- all of it ---------------------------------------------------------------------------------------------------- */

static void test_mode(const char *name)
{
    mode = name;
    test_shorthands(0, VECTOR, "self", "all", "others");
    test_shorthands(ICR_NMI, NMI, NULL, NULL, "nmi-others");
    test_physical();
    if (lapic_is_x2apic()) {
        test_x2apic_logical();
    } else {
        test_ids();
        test_flat();
        test_cluster();
    }
    test_lowest();
}

void smp_run_tests(uint32_t cpus)
{
    expect("smp.started", smp_start(cpus), cpus);
    smp_irq_count(VECTOR);
    smp_irq_count(NMI);
    test_mode("xapic");
    if (smp_count > 1) {
        test_deaf(smp_count - 1);
        test_init(smp_count - 1);
        test_pv_smp(smp_count - 1);
    }
    test_tsc();
    test_timers();
    test_atomics();
    if (!cpu_has(1, 2, 21)) {
        skip("smp.x2apic", "not in CPUID");
        return;
    }
    smp_set_x2apic(true);
    test_mode("x2apic");
    smp_set_x2apic(false);
    expect("smp.started-again", smp_start(cpus), cpus);
}
