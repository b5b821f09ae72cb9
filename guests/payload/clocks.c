/* The PIT and the TSC; and the test that all clocks agree. */
#include "guests/payload/payload.h"

#define PIT_PORT        0x40
#define PIT_COMMAND     0x43
#define PORT_61         0x61
#define PORT_61_GATE    BIT(0)
#define PORT_61_SPEAKER BIT(1)
#define PORT_61_OUT     BIT(5)
#define RTC_INDEX       0x70
#define RTC_DATA        0x71
#define RTC_UIP         BIT(7)
#define MEASURE_MS      50
#define POLL_TICKS      20000

#define SLEEP_VECTOR 0x72
#define DIVIDE_BY_1  0xb

uint64_t tsc_hz, lapic_hz;

void pit_write(uint32_t channel, uint8_t mode, uint16_t count)
{
    outb(PIT_COMMAND, (uint8_t)(channel << 6 | 0x30 | mode << 1));
    outb((uint16_t)(PIT_PORT + channel), (uint8_t)count);
    outb((uint16_t)(PIT_PORT + channel), (uint8_t)(count >> 8));
}

uint16_t pit_read(uint32_t channel)
{
    uint8_t low;

    outb(PIT_COMMAND, (uint8_t)(channel << 6));
    low = inb((uint16_t)(PIT_PORT + channel));
    return (uint16_t)(low | inb((uint16_t)(PIT_PORT + channel)) << 8);
}

/* Channel 2 counts once, its output is in port 61. */
static void pit_start_once(uint32_t ms)
{
    outb(PORT_61, (uint8_t)((inb(PORT_61) & ~PORT_61_SPEAKER) | PORT_61_GATE));
    pit_write(2, 0, (uint16_t)(PIT_HZ * ms / 1000));
}

/* Not at every moment: under a hypervisor each look costs an exit, and in an emulator those are slow. */
static void poll_pause(void)
{
    uint64_t end = rdtsc() + POLL_TICKS;

    while (rdtsc() < end)
        cpu_pause();
}

static void pit_wait_once(void)
{
    while (!(inb(PORT_61) & PORT_61_OUT))
        poll_pause();
}

/* CPUID leaf 15H: the crystal, which is the LAPIC timer's clock, and the TSC's ratio to it. */
static bool clocks_told(void)
{
    struct cpuid_regs r = cpuid(0x15, 0);

    if (cpuid(0, 0).eax < 0x15 || !r.eax || !r.ecx)
        return false;
    tsc_hz = (uint64_t)r.ecx * r.ebx / r.eax;
    lapic_hz = r.ecx;
    return true;
}

static void clocks_measure(void)
{
    uint64_t start;

    pit_start_once(MEASURE_MS);
    lapic_write(LAPIC_INITIAL, 0xffffffff);
    start = rdtsc();
    pit_wait_once();
    tsc_hz = (rdtsc() - start) * (1000 / MEASURE_MS);
    lapic_hz = (0xffffffff - lapic_read(LAPIC_CURRENT)) * (1000ull / MEASURE_MS);
    lapic_write(LAPIC_INITIAL, 0);
}

void clocks_init(bool measure)
{
    lapic_write(LAPIC_DIVIDE, DIVIDE_BY_1);
    lapic_write(LAPIC_TIMER, LVT_MASKED | SLEEP_VECTOR);
    if (measure || !clocks_told())
        clocks_measure();
}

void sleep_us(uint64_t us)
{
    irq_count(SLEEP_VECTOR, false);
    lapic_write(LAPIC_TIMER, SLEEP_VECTOR);
    lapic_write(LAPIC_INITIAL, (uint32_t)(us * lapic_hz / 1000000));
    while (!irq_counts[SLEEP_VECTOR])
        __asm__ volatile("sti; hlt; cli" ::: "memory");
    lapic_write(LAPIC_TIMER, LVT_MASKED | SLEEP_VECTOR);
}

void delay_us(uint64_t us)
{
    uint64_t end = rdtsc() + us * tsc_hz / 1000000;

    while (rdtsc() < end)
        cpu_pause();
}

static void test_tsc(void)
{
    uint64_t last = rdtsc();
    bool monotonic = true;

    for (int i = 0; i < 1000; i++) {
        uint64_t now = rdtsc();

        monotonic = monotonic && now >= last;
        last = now;
    }
    check("clocks.tsc-monotonic", monotonic);
    print("# tsc %llu Hz", (unsigned long long)tsc_hz);
}

static void test_pit(void)
{
    uint16_t first, second;

    pit_write(0, 2, 0); /* 65536 ticks, over and over */
    first = pit_read(0);
    delay_us(1000);
    second = pit_read(0);
    expect_range("clocks.pit-counts-down", (uint16_t)(first - second), PIT_HZ / 1000 * 95 / 100,
                 PIT_HZ / 1000 * 2);
}

static uint32_t pm_timer_read(void)
{
    return inl((uint16_t)acpi_pm_timer) & 0xffffff;
}

static void test_pm_timer(void)
{
    uint64_t start, ticks, tsc;
    uint32_t first;

    if (!acpi_pm_timer) {
        skip("clocks.pm-timer", "the FADT has none");
        return;
    }
    first = pm_timer_read();
    start = rdtsc();
    sleep_us(MEASURE_MS * 1000);
    ticks = (pm_timer_read() - first) & 0xffffff;
    tsc = rdtsc() - start;
    expect_range("clocks.pm-timer", ticks * 1000 * tsc_hz / tsc / PM_TIMER_HZ, 970, 1030); /* per mille */
}

static uint8_t rtc_read(uint8_t reg)
{
    outb(RTC_INDEX, reg);
    return inb(RTC_DATA);
}

uint32_t rtc_second(void)
{
    while (rtc_read(0x0a) & RTC_UIP)
        sleep_us(100);
    return rtc_read(0);
}

/* Waits for the next second and gives the TSC at its beginning. */
static uint64_t rtc_next(void)
{
    uint64_t end = rdtsc() + 2 * tsc_hz;
    uint8_t now = rtc_second();

    while (rtc_second() == now && rdtsc() < end)
        sleep_us(500);
    return rdtsc();
}

static void test_rtc(void)
{
    uint64_t first = rtc_next();

    expect_range("clocks.rtc-second", (rtc_next() - first) * 1000 / tsc_hz, 970, 1030);
}

void test_clocks(void)
{
    test_tsc();
    test_pit();
    test_pm_timer();
    test_rtc();
}
