/*
 * A VM that tries to keep others from running: by not listening, by exits, by interrupts, by spinning. What it does is
 * counted in rounds, so that shares of time can be compared from outside.
 */
#include "guests/payload/smp.h"

#include "core/lib/format.h"
#include "core/lib/string.h"

#define DIVIDE_BY_1   0xb
#define TIMER_VECTOR  0x64
#define HOG_VECTOR    0x63
#define SPIN_LOOPS    1000
#define UNCLAIMED     0xfd000000ull /* no device is there */
#define PIT_FAST      20            /* PIT ticks: an interrupt every 17 us */
#define TIMER_FAST_US 10

static void hog_spin(void)
{
    for (volatile uint32_t i = 0; i < SPIN_LOOPS; i++)
        ;
}

static void hog_pause(void)
{
    for (uint32_t i = 0; i < SPIN_LOOPS; i++)
        cpu_pause();
}

static void hog_cpuid(void)
{
    cpuid(0, 0);
}

static void hog_port(void)
{
    inb(0x61);
}

static void hog_msr(void)
{
    rdmsr(MSR_APIC_BASE);
}

static void hog_mmio(void)
{
    (void)IOAPIC_MMIO[0];
}

static void hog_nothing_there(void)
{
    (void)*(volatile uint32_t *)UNCLAIMED;
}

static void hog_wbinvd(void)
{
    wbinvd();
}

/* 64 KiB to a port in one instruction. */
static void hog_string(void)
{
    uint64_t count = 0x10000, from = ARENA;

    __asm__ volatile("rep outsb" : "+c"(count), "+S"(from) : "d"(0x80) : "memory");
}

static void hog_take_interrupts(void)
{
    __asm__ volatile("sti; nop; nop; cli" ::: "memory");
}

static void hog_self_ipi(void)
{
    ipi_send(0, ICR_SELF | ICR_ASSERT | HOG_VECTOR);
    hog_take_interrupts();
}

/* Wakes before it sleeps. */
static void hog_halt(void)
{
    ipi_send(0, ICR_SELF | ICR_ASSERT | HOG_VECTOR);
    __asm__ volatile("sti; hlt; cli" ::: "memory");
}

/* On each CPU by itself: the timer's interrupt may have come before HLT. */
static void hog_short_sleep(void)
{
    volatile uint32_t *count = &smp_cpus[smp_id()].irqs[TIMER_VECTOR];
    uint32_t before = *count;

    lapic_write(LAPIC_DIVIDE, DIVIDE_BY_1);
    lapic_write(LAPIC_TIMER, TIMER_VECTOR);
    lapic_write(LAPIC_INITIAL, (uint32_t)(TIMER_FAST_US * lapic_hz / 1000000));
    while (*count == before)
        __asm__ volatile("sti; hlt; cli" ::: "memory");
}

static void hog_broadcast(void)
{
    ipi_send(0, ICR_OTHERS | ICR_ASSERT | HOG_VECTOR);
}

static void hog_nmi(void)
{
    ipi_send(0, ICR_OTHERS | ICR_ASSERT | ICR_NMI);
}

/* Far away, so that none comes. */
static void hog_deadline(void)
{
    wrmsr(MSR_TSC_DEADLINE, rdtsc() + tsc_hz);
}

static void hog_init_deadline(void)
{
    lapic_write(LAPIC_TIMER, LVT_DEADLINE | HOG_VECTOR);
}

static void hog_timer_storm(void)
{
    hog_take_interrupts();
    hog_spin();
}

static void hog_init_timer(void)
{
    lapic_write(LAPIC_TIMER, LVT_PERIODIC | HOG_VECTOR);
    lapic_write(LAPIC_INITIAL, 1);
    pit_write(0, 2, PIT_FAST);
}

static void hog_talk(void)
{
    print("hog talks and talks and talks and talks and talks and talks and talks and talks");
}

/* Lines that can be told apart, written without a look at whether the transmitter is ready. */
static void hog_flood(void)
{
    static uint64_t number;
    char line[64];
    const char *from = line;
    uint64_t count = (uint64_t)fmt_print(
        line, sizeof(line), "flood %llu of lines that nobody waits for\n",
        (unsigned long long)__atomic_fetch_add(&number, 1, __ATOMIC_RELAXED));

    __asm__ volatile("rep outsb" : "+c"(count), "+S"(from) : "d"(0x3f8) : "memory");
}

static const struct hog {
    const char *name;
    void (*round)(void);
    void (*init)(void);
} hogs[] = {
    {"spin", hog_spin, NULL},
    {"pause", hog_pause, NULL},
    {"cpuid", hog_cpuid, NULL},
    {"port", hog_port, NULL},
    {"msr", hog_msr, NULL},
    {"mmio", hog_mmio, NULL},
    {"nothing", hog_nothing_there, NULL},
    {"wbinvd", hog_wbinvd, NULL},
    {"string", hog_string, NULL},
    {"selfipi", hog_self_ipi, NULL},
    {"halt", hog_halt, NULL},
    {"sleep", hog_short_sleep, NULL},
    {"broadcast", hog_broadcast, NULL},
    {"nmi", hog_nmi, NULL},
    {"talk", hog_talk, NULL},
    {"flood", hog_flood, NULL},
    {"deadline", hog_deadline, hog_init_deadline},
    {"timer", hog_timer_storm, hog_init_timer},
};

static const struct hog *hog;
static volatile uint64_t hog_end;

/* Instructions that do nothing, but that an observer finds (tests/lines). */
#define MARK(last) __asm__ volatile("nopl 0x" last "4b454c(%%rax)" : : : "memory")

/* Interrupts stay off, but where the round takes them. */
static void hog_job(uint32_t cpu)
{
    uint64_t rounds = 0;

    MARK("1");
    while (rdtsc() < hog_end) {
        hog->round();
        rounds++;
    }
    MARK("0");
    smp_cpus[cpu].count = rounds;
}

/* All CPUs do it, so that each of them is a hog; those that are bombarded with interrupts have them off. */
static void hog_all_cpus(uint32_t cpus, uint32_t ms)
{
    uint64_t rounds = 0;

    hog_end = rdtsc() + ms * (tsc_hz / 1000);
    if (hog->init)
        hog->init();
    for (uint32_t i = 1; i < cpus; i++)
        smp_begin(i, hog_job);
    hog_job(0);
    for (uint32_t i = 1; i < cpus; i++)
        if (!smp_end(i))
            expect("hog.ends", i, cpus);
    for (uint32_t i = 0; i < cpus; i++)
        rounds += smp_cpus[i].count;
    print("hog kind=%s rounds=%llu", hog->name, (unsigned long long)rounds);
}

void hog_run(const char *kinds, uint32_t cpus, uint32_t ms)
{
    bool any = false;

    expect("hog.cpus", smp_start(cpus), cpus);
    smp_irq_count(HOG_VECTOR);
    smp_irq_count(TIMER_VECTOR);
    smp_irq_count(2);
    for (hog = hogs; hog < hogs + ARRAY_SIZE(hogs); hog++) {
        if (*kinds && !list_has(kinds, hog->name))
            continue;
        hog_all_cpus(cpus, ms);
        any = true;
    }
    check("hog.kind", any);
}
