#include "drivers/hw/tsc.h"

#include "core/lib/log.h"
#include "core/x86/asm.h"
#include "core/x86/io.h"
#include "drivers/hw/acpi.h"
#include "drivers/hw/calibrate.h"
#include "mm/hostmap.h"

#define LIKELY_MIN_HZ 10000000ull /* Bochs at its slowest settings */
#define LIKELY_MAX_HZ 20000000000ull
#define TRUST_PPM     5000 /* how far CPUID and a timer may be apart */
#define GUESS_HZ      1000000000ull

#define CPUID_HYPERVISOR     BIT(31) /* leaf 1, ECX */
#define LEAF_TSC             0x15
#define LEAF_HYPERVISOR      0x40000000
#define LEAF_HYPERVISOR_RATE 0x40000010

/* IA-PC HPET specification, section 2.3. */
#define HPET_LEN        0x400
#define HPET_PERIOD     0x004 /* high half of the capabilities: femtoseconds */
#define HPET_PERIOD_MAX 100000000u
#define HPET_CONFIG     0x010
#define HPET_ENABLE     BIT(0)
#define HPET_COUNTER    0x0f0
#define FS_PER_SEC      1000000000000000ull

#define PM_TIMER_HZ 3579545 /* ACPI 6.5 section 4.8.3.3 */

/* The 8254's channel 2, and port 61h with its gate. */
#define PIT_HZ         1193182
#define PIT_CHANNEL2   0x42
#define PIT_CONTROL    0x43
#define PIT_SETUP      0xb4 /* channel 2, both bytes, mode 2: counts down by one, and again from the start */
#define PIT_LATCH      0x80
#define PORT_B         0x61
#define PORT_B_GATE    BIT(0)
#define PORT_B_SPEAKER BIT(1)

static uint64_t timer_tsc(void *ctx)
{
    (void)ctx;
    return rdtsc();
}

static bool is_likely(uint64_t hz)
{
    return hz >= LIKELY_MIN_HZ && hz <= LIKELY_MAX_HZ;
}

/* What CPUID tells --------------------------------------------------------------------------------------- */

/* A leaf that VMware and KVM agree on: EAX is the TSC's rate in kHz. */
static uint64_t rate_from_hypervisor(void)
{
    if (!(cpuid(1, 0).ecx & CPUID_HYPERVISOR) || cpuid(LEAF_HYPERVISOR, 0).eax < LEAF_HYPERVISOR_RATE)
        return 0;
    return cpuid(LEAF_HYPERVISOR_RATE, 0).eax * 1000ull;
}

/*
 * SDM volume 2, CPUID: ECX is the crystal's rate, EBX / EAX the TSC's in relation to it. Any of them may be
 * 0: not told.
 */
static uint64_t rate_from_crystal(void)
{
    struct cpuid_regs leaf;

    if (cpuid(0, 0).eax < LEAF_TSC)
        return 0;
    leaf = cpuid(LEAF_TSC, 0);
    return leaf.eax && leaf.ebx ? (uint64_t)leaf.ecx * leaf.ebx / leaf.eax : 0;
}

static uint64_t rate_told(const char **source)
{
    uint64_t hz = rate_from_hypervisor();

    *source = "told by the hypervisor below";
    if (!is_likely(hz)) {
        hz = rate_from_crystal();
        *source = "told by CPUID";
    }
    return is_likely(hz) ? hz : 0;
}

/* Timers ------------------------------------------------------------------------------------------------- */

static uint64_t hpet_read(void *ctx)
{
    return mmio_read32((volatile uint8_t *)ctx + HPET_COUNTER);
}

static uint64_t rate_by_hpet(const struct acpi_info *acpi)
{
    struct calibrate_timer timer = {0, 0xffffffff, hpet_read, timer_tsc, NULL};
    volatile uint8_t *regs;
    uint32_t period, config;
    uint64_t hz;

    regs = acpi->hpet ? hostmap_device(acpi->hpet, HPET_LEN, PT_READ | PT_WRITE | PT_UC) : NULL;
    period = regs ? mmio_read32(regs + HPET_PERIOD) : 0;
    if (!period || period > HPET_PERIOD_MAX)
        return 0;
    config = mmio_read32(regs + HPET_CONFIG);
    mmio_write32(regs + HPET_CONFIG, config | (uint32_t)HPET_ENABLE);
    timer.hz = FS_PER_SEC / period;
    timer.ctx = (void *)regs;
    hz = calibrate(&timer);
    mmio_write32(regs + HPET_CONFIG, config);
    return hz;
}

static uint64_t pm_timer_read(void *ctx)
{
    const struct acpi_address *at = ctx;

    return inl((uint16_t)at->address);
}

/* Its upper eight bits may be missing, and aren't needed here. */
static uint64_t rate_by_pm_timer(const struct acpi_info *acpi)
{
    struct acpi_address at = acpi->power.timer;
    struct calibrate_timer timer = {PM_TIMER_HZ, MASK(24), pm_timer_read, timer_tsc, &at};

    return at.address && at.space == ACPI_SPACE_IO ? calibrate(&timer) : 0;
}

static uint64_t pit_read(void *ctx)
{
    uint32_t low;

    (void)ctx;
    outb(PIT_CONTROL, PIT_LATCH);
    low = inb(PIT_CHANNEL2);
    return 0x10000 - (low | (uint32_t)inb(PIT_CHANNEL2) << 8);
}

static uint64_t rate_by_pit(const struct acpi_info *acpi)
{
    struct calibrate_timer timer = {PIT_HZ, 0xffff, pit_read, timer_tsc, NULL};
    uint8_t port_b = inb(PORT_B);
    uint64_t hz;

    (void)acpi;
    outb(PORT_B, (uint8_t)((port_b & ~PORT_B_SPEAKER) | PORT_B_GATE));
    outb(PIT_CONTROL, PIT_SETUP);
    outb(PIT_CHANNEL2, 0);
    outb(PIT_CHANNEL2, 0);
    hz = calibrate(&timer);
    outb(PORT_B, port_b);
    return hz;
}

/* Finest first: the finer, the shorter the measurement. */
static uint64_t rate_measured(const struct acpi_info *acpi, const char **source)
{
    static const struct {
        uint64_t (*measure)(const struct acpi_info *acpi);
        const char *source;
    } timers[] = {
        {rate_by_hpet, "measured by the HPET"},
        {rate_by_pm_timer, "measured by the PM timer"},
        {rate_by_pit, "measured by the PIT"},
    };

    for (uint32_t i = 0; i < ARRAY_SIZE(timers); i++) {
        uint64_t hz = timers[i].measure(acpi);

        *source = timers[i].source;
        if (is_likely(hz))
            return hz;
    }
    return 0;
}

uint64_t tsc_find(const struct acpi_info *acpi, const char **source)
{
    const char *told_source, *measured_source;
    uint64_t told = rate_told(&told_source), measured = rate_measured(acpi, &measured_source);

    if (!told && !measured) {
        log_error("tsc: neither CPUID nor a timer tells its rate; taking 1 GHz, times will be wrong");
        *source = "guessed";
        return GUESS_HZ;
    }
    if (told && measured && !calibrate_agree(told, measured, TRUST_PPM)) {
        log_warn("tsc: %s as %llu kHz, but %s as %llu kHz, which counts", told_source,
                 (unsigned long long)told / 1000, measured_source, (unsigned long long)measured / 1000);
        told = 0;
    }
    *source = told ? told_source : measured_source;
    return told ? told : measured;
}
