/* PIC, LAPIC in both modes, and counted interrupts. */
#include "guests/payload/payload.h"

#define PIC_MASTER      0x20
#define PIC_SLAVE       0xa0
#define PIC_EOI         0x20
#define SVR_ENABLE      BIT(8)
#define SPURIOUS_VECTOR 0xff

volatile uint32_t irq_counts[256];
volatile uint64_t irq_rip;
static bool x2apic;

uint32_t lapic_read(uint32_t reg)
{
    return x2apic ? (uint32_t)rdmsr(MSR_X2APIC_BASE + reg) : LAPIC_MMIO[reg * 4];
}

void lapic_write(uint32_t reg, uint32_t value)
{
    if (x2apic)
        wrmsr(MSR_X2APIC_BASE + reg, value);
    else
        LAPIC_MMIO[reg * 4] = value;
}

static void lapic_enable(void)
{
    lapic_write(LAPIC_SVR, SVR_ENABLE | SPURIOUS_VECTOR);
    lapic_write(LAPIC_TPR, 0);
}

bool lapic_is_x2apic(void)
{
    return x2apic;
}

void lapic_join(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE), off = base & ~(APIC_BASE_ENABLE | APIC_BASE_X2APIC);

    if (x2apic) {
        wrmsr(MSR_APIC_BASE, base | APIC_BASE_ENABLE | APIC_BASE_X2APIC);
    } else if (base & APIC_BASE_X2APIC) {
        wrmsr(MSR_APIC_BASE, off);
        wrmsr(MSR_APIC_BASE, off | APIC_BASE_ENABLE);
    }
    lapic_enable();
}

void x2apic_enter(void)
{
    x2apic = true;
    lapic_join();
}

void x2apic_leave(void)
{
    x2apic = false;
    lapic_join();
}

static void irq_note(const struct trap_frame *f)
{
    irq_rip = f->rip;
    irq_counts[f->vector & 0xff]++;
}

static void irq_lapic(struct trap_frame *f)
{
    irq_note(f);
    lapic_write(LAPIC_EOI, 0);
}

static void irq_pic(struct trap_frame *f)
{
    irq_note(f);
    if (f->vector >= PIC_BASE + 8)
        outb(PIC_SLAVE, PIC_EOI);
    outb(PIC_MASTER, PIC_EOI);
}

void irq_count(uint8_t vector, bool pic)
{
    irq_counts[vector] = 0;
    trap_handlers[vector] = pic ? irq_pic : irq_lapic;
}

void pic_mask(uint16_t mask)
{
    outb(PIC_MASTER + 1, (uint8_t)mask);
    outb(PIC_SLAVE + 1, (uint8_t)(mask >> 8));
}

static void pic_init(void)
{
    outb(PIC_MASTER, 0x11);
    outb(PIC_SLAVE, 0x11);
    outb(PIC_MASTER + 1, PIC_BASE);
    outb(PIC_SLAVE + 1, PIC_BASE + 8);
    outb(PIC_MASTER + 1, 4);
    outb(PIC_SLAVE + 1, 2);
    outb(PIC_MASTER + 1, 1);
    outb(PIC_SLAVE + 1, 1);
    pic_mask(0xffff);
}

bool irq_wait(uint8_t vector, uint32_t count, uint32_t ms)
{
    uint64_t end = rdtsc() + ms * (tsc_hz / 1000);

    __asm__ volatile("sti");
    while (irq_counts[vector] < count && rdtsc() < end)
        cpu_pause();
    __asm__ volatile("cli");
    return irq_counts[vector] >= count;
}

/* Loaders may leave the LAPIC in x2APIC mode; the tests begin in the older one. */
void interrupts_init(void)
{
    pic_init();
    irq_count(SPURIOUS_VECTOR, false);
    x2apic = rdmsr(MSR_APIC_BASE) & APIC_BASE_X2APIC;
    if (x2apic)
        x2apic_leave();
    lapic_enable();
    lapic_write(0x35, LVT_MASKED); /* LINT0: the PIC's line is opened where it is tested */
}
