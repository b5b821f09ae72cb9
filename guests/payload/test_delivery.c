/* What comes while an event is delivered (SDM 6.15): gates that aren't present turn it into #NP, or two faults into #DF. */
#include "guests/payload/payload.h"

#include "core/event.h"

#define IPI_VECTOR     0x57
#define GATE_ERROR(v)  ((v) << 3 | 3) /* of the IDT, while an event from outside or a fault was delivered */
#define SETTLE_US      200
#define NOT_PRESENT_AT ARENA_NEXT

static void expect_event(const char *vector_name, const char *error_name, uint64_t vector, uint64_t error)
{
    expect(vector_name, trap_vector(), vector);
    expect(error_name, trap.error, error);
}

/* A fault of the CPU's own, and one that a hypervisor raises; a contributory one each. */
static void test_double_faults(void)
{
    uint64_t entry = page_set(NOT_PRESENT_AT, 0);

    trap_gate(EXC_GP, false);
    (void)TRAP_OF("mov $1, %%eax; shl $47, %%rax; mov (%%rax), %%rax");
    expect_event("delivery.gp-np", "delivery.gp-np-error", EXC_DF, 0);
    (void)TRAP_OF("mov $0x4b4c0000, %%ecx; rdmsr");
    expect_event("delivery.msr-gp-np", "delivery.msr-gp-np-error", EXC_DF, 0);
    trap_gate(EXC_GP, true);
    trap_gate(EXC_PF, false);
    (void)TRAP_OF("movb 0x600000, %%al");
    expect_event("delivery.pf-np", "delivery.pf-np-error", EXC_DF, 0);
    trap_gate(EXC_PF, true);
    page_set(NOT_PRESENT_AT, entry);
    /* Afterwards all is as it was. */
    expect("delivery.gp-again", TRAP_OF("mov $0x4b4c0000, %%ecx; rdmsr"), EXC_GP);
}

/* A benign one comes first: the second is delivered as it is. */
static void test_benign(void)
{
    trap_gate(EXC_UD, false);
    (void)TRAP_OF("ud2");
    expect_event("delivery.ud-np", "delivery.ud-np-error", EXC_NP, GATE_ERROR(EXC_UD));
    (void)TRAP_OF("lea -8(%%rsp), %%rax; vmxon (%%rax)");
    expect_event("delivery.vmxon-ud-np", "delivery.vmxon-ud-np-error", EXC_NP, GATE_ERROR(EXC_UD));
    trap_gate(EXC_UD, true);
}

/* An interrupt whose gate isn't there has been accepted: it is in service. */
static void test_interrupt(void)
{
    if (on_tcg && on_keel) {
        skip("delivery.interrupt-np", "QEMU delivers such a virtual interrupt over and over");
        return;
    }
    trap_gate(IPI_VECTOR, false);
    lapic_write(LAPIC_ICR_HIGH, 0);
    lapic_write(LAPIC_ICR, ICR_SELF | IPI_VECTOR);
    (void)TRAP_OF("sti; nop; nop; cli");
    __asm__ volatile("cli");
    expect_event("delivery.interrupt-np", "delivery.interrupt-np-error", EXC_NP, GATE_ERROR(IPI_VECTOR));
    expect("delivery.interrupt-in-service", lapic_read(LAPIC_ISR + IPI_VECTOR / 32), 1u << IPI_VECTOR % 32);
    lapic_write(LAPIC_EOI, 0);
    trap_gate(IPI_VECTOR, true);
}

static volatile uint32_t nmis;

static void nmi_handler(struct trap_frame *f)
{
    (void)f;
    nmis++;
}

/* The IRET of the #NP's handler ends the blocking of NMIs. */
static void test_nmi_gate(void)
{
    trap_gate(EXC_NMI, false);
    lapic_write(LAPIC_ICR_HIGH, lapic_read(LAPIC_ID));
    trap_begin();
    __asm__ volatile(TRAPPING("movl %1, (%0); mov $10000, %%ecx; 2: pause; dec %%ecx; jnz 2b")
                     :
                     : "r"(&LAPIC_MMIO[LAPIC_ICR * 4]), "r"(ICR_NMI)
                     : "memory", "rcx");
    expect_event("delivery.nmi-np", "delivery.nmi-np-error", EXC_NP, GATE_ERROR(EXC_NMI));
    trap_gate(EXC_NMI, true);
    nmis = 0;
    trap_handlers[EXC_NMI] = nmi_handler;
    lapic_write(LAPIC_ICR, ICR_NMI);
    delay_us(SETTLE_US);
    expect("delivery.nmi-again", nmis, 1);
    trap_handlers[EXC_NMI] = NULL;
}

void test_delivery(void)
{
    test_double_faults();
    test_benign();
    test_interrupt();
    test_nmi_gate();
}
