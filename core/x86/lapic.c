#include "core/x86/lapic.h"

#include "core/lib/error.h"
#include "core/lib/panic.h"
#include "core/x86/asm.h"
#include "core/x86/caps.h"
#include "core/x86/io.h"
#include "core/x86/irq.h"
#include "core/x86/lapic_regs.h"
#include "core/x86/msr.h"
#include "core/x86/msr_safe.h"

static volatile uint8_t *regs; /* the xAPIC page */
static bool usable;            /* some core has enabled its LAPIC: IPIs may be sent */

uint32_t lapic_read(uint32_t reg)
{
    if (cap(CAP_X2APIC))
        return (uint32_t)rdmsr(MSR_X2APIC_BASE + (reg >> 4));
    return mmio_read32(regs + reg);
}

void lapic_write(uint32_t reg, uint32_t value)
{
    if (cap(CAP_X2APIC))
        wrmsr(MSR_X2APIC_BASE + (reg >> 4), value);
    else
        mmio_write32(regs + reg, value);
}

hpa_t lapic_base(void)
{
    return ALIGN_DOWN(rdmsr(MSR_APIC_BASE) & MASK(52), PAGE_SIZE);
}

/* True if the firmware has left the calling core's LAPIC in x2APIC mode. */
static bool lapic_in_x2apic(void)
{
    return rdmsr(MSR_APIC_BASE) & APIC_BASE_X2APIC;
}

void lapic_init(volatile void *page)
{
    regs = page;
}

/* SDM, figure "Local APIC x2APIC State Transitions": into x2APIC mode from xAPIC mode alone, and out of it to "disabled". */
static int mode_set(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE) & ~APIC_BASE_X2APIC;

    if (lapic_in_x2apic() && cap(CAP_X2APIC))
        return 0;
    if (lapic_in_x2apic() && !wrmsr_safe(MSR_APIC_BASE, base & ~APIC_BASE_ENABLE))
        return ERR_NOTSUP;
    wrmsr(MSR_APIC_BASE, base | APIC_BASE_ENABLE);
    if (cap(CAP_X2APIC))
        wrmsr(MSR_APIC_BASE, base | APIC_BASE_ENABLE | APIC_BASE_X2APIC);
    return 0;
}

static void lvt_mask_all(void)
{
    uint32_t last = lapic_read(LAPIC_VERSION) >> 16 & 0xff; /* number of the last LVT entry */

    lapic_write(LAPIC_LVT_TIMER, LVT_MASKED);
    lapic_write(LAPIC_LVT_LINT0, LVT_MASKED);
    lapic_write(LAPIC_LVT_LINT1, LVT_MASKED);
    lapic_write(LAPIC_LVT_ERROR, LVT_MASKED);
    if (last >= 4)
        lapic_write(LAPIC_LVT_PERF, LVT_MASKED);
    if (last >= 5)
        lapic_write(LAPIC_LVT_THERMAL, LVT_MASKED);
    if (last >= 6)
        lapic_write(LAPIC_LVT_CMCI, LVT_MASKED);
}

/* The firmware or its boot loader may have left interrupts in service that would block ours for ever. */
static void service_clear(void)
{
    for (uint32_t word = 0; word < 8; word++)
        for (uint32_t in_service = lapic_read(LAPIC_ISR + word * 16); in_service != 0;
             in_service &= in_service - 1)
            lapic_eoi();
}

int lapic_enable(void)
{
    int err = mode_set();

    if (err)
        return err;
    assert(cap(CAP_X2APIC) || regs != NULL);
    lapic_write(LAPIC_SPURIOUS, SPURIOUS_ENABLE | VECTOR_SPURIOUS);
    lvt_mask_all();
    lapic_write(LAPIC_TPR, 0);
    service_clear();
    lapic_write(LAPIC_ESR, 0);
    usable = true;
    return 0;
}

uint32_t lapic_id(void)
{
    uint32_t id = lapic_read(LAPIC_ID);

    return cap(CAP_X2APIC) ? id : id >> 24;
}

void lapic_eoi(void)
{
    lapic_write(LAPIC_EOI, 0);
}

/* An ICR write in xAPIC mode while the last one is still under way would be lost; x2APIC mode has no such state. */
static void icr_send(uint32_t apic_id, uint32_t command)
{
    if (cap(CAP_X2APIC)) {
        /* what was stored before must be seen by whom we interrupt: this MSR write orders nothing by itself */
        __asm__ volatile("mfence; lfence" ::: "memory");
        wrmsr(MSR_X2APIC_BASE + (LAPIC_ICR_LOW >> 4), (uint64_t)apic_id << 32 | command);
        return;
    }
    for (uint32_t spins = 0; (lapic_read(LAPIC_ICR_LOW) & ICR_PENDING) && spins < ICR_SPINS; spins++)
        cpu_pause();
    lapic_write(LAPIC_ICR_HIGH, apic_id << 24);
    lapic_write(LAPIC_ICR_LOW, command);
}

void lapic_ipi(uint32_t apic_id, uint8_t vector)
{
    icr_send(apic_id, ICR_FIXED | ICR_ASSERT | vector);
}

void lapic_nmi(uint32_t apic_id)
{
    icr_send(apic_id, ICR_NMI | ICR_ASSERT);
}

void lapic_nmi_others(void)
{
    if (usable)
        icr_send(0, ICR_NMI | ICR_ASSERT | ICR_ALL_OTHERS);
}

void lapic_send_init(uint32_t apic_id)
{
    icr_send(apic_id, ICR_INIT | ICR_ASSERT);
}

void lapic_send_startup(uint32_t apic_id, uint8_t page)
{
    icr_send(apic_id, ICR_STARTUP | ICR_ASSERT | page);
}
