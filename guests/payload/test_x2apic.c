/* The x2APIC: its modes (SDM volume 3 section 11.12.5) and its registers as MSRs. */
#include "guests/payload/payload.h"

#include "core/event.h"

#define TEST_VECTOR 0x51

static void test_modes(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);

    expect("x2apic.to-xapic", wrmsr_trap(MSR_APIC_BASE, base & ~APIC_BASE_X2APIC), EXC_GP);
    expect("x2apic.still", rdmsr(MSR_APIC_BASE), base);
}

static void test_registers(void)
{
    uint64_t value = 0;

    expect("x2apic.id", rdmsr_trap(MSR_X2APIC_BASE + LAPIC_ID, &value), NO_TRAP);
    if (cpuid(0, 0).eax >= 0xb)
        expect("x2apic.id-cpuid", value, cpuid(0xb, 0).edx);
    expect("x2apic.id-write", wrmsr_trap(MSR_X2APIC_BASE + LAPIC_ID, value), EXC_GP);
    expect("x2apic.version-write", wrmsr_trap(MSR_X2APIC_BASE + LAPIC_VERSION, 0), EXC_GP);
    expect("x2apic.reserved-read", rdmsr_trap(MSR_X2APIC_BASE + 4, &value), EXC_GP);
    expect("x2apic.icr-high-read", rdmsr_trap(MSR_X2APIC_BASE + LAPIC_ICR_HIGH, &value), EXC_GP);
    expect("x2apic.eoi-read", rdmsr_trap(MSR_X2APIC_BASE + LAPIC_EOI, &value), EXC_GP);
    expect("x2apic.eoi-not-0", wrmsr_trap(MSR_X2APIC_BASE + LAPIC_EOI, 1), EXC_GP);
    expect("x2apic.tpr-reserved", wrmsr_trap(MSR_X2APIC_BASE + LAPIC_TPR, 0x100), EXC_GP);
    expect("x2apic.svr-upper", wrmsr_trap(MSR_X2APIC_BASE + LAPIC_SVR, 1ull << 32 | 0x1ff), EXC_GP);
    wrmsr(MSR_X2APIC_BASE + LAPIC_TPR, 0x20);
    expect("x2apic.tpr", rdmsr(MSR_X2APIC_BASE + LAPIC_TPR), 0x20);
    wrmsr(MSR_X2APIC_BASE + LAPIC_TPR, 0);
}

static void test_self_ipi(void)
{
    irq_count(TEST_VECTOR, false);
    wrmsr(MSR_X2APIC_BASE + 0x3f, TEST_VECTOR);
    check("x2apic.self-ipi", irq_wait(TEST_VECTOR, 1, 10));
    wrmsr(MSR_X2APIC_BASE + LAPIC_ICR, rdmsr(MSR_X2APIC_BASE + LAPIC_ID) << 32 | TEST_VECTOR);
    check("x2apic.icr", irq_wait(TEST_VECTOR, 2, 10));
    delay_us(100);
    expect("x2apic.once-each", irq_counts[TEST_VECTOR], 2);
}

void test_x2apic(void)
{
    uint64_t value;

    expect("x2apic.msr-in-xapic-mode", rdmsr_trap(MSR_X2APIC_BASE + LAPIC_ID, &value), EXC_GP);
    if (!cpu_has(1, 2, 21)) {
        skip("x2apic", "not in CPUID");
        return;
    }
    x2apic_enter();
    test_modes();
    test_registers();
    test_self_ipi();
    x2apic_leave();
    expect("x2apic.left", rdmsr(MSR_APIC_BASE) & (APIC_BASE_ENABLE | APIC_BASE_X2APIC), APIC_BASE_ENABLE);
    expect("x2apic.msr-after", rdmsr_trap(MSR_X2APIC_BASE + LAPIC_ID, &value), EXC_GP);
}
