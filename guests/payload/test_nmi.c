/* NMIs: one that the CPU sends to itself, blocking until IRET, and waking from HLT with interrupts off. */
#include "guests/payload/payload.h"

#include "core/event.h"

#define SETTLE_US 200

static volatile uint32_t nmis, nmi_depth, nmi_deepest, nmi_resend;

static void nmi_send(void)
{
    lapic_write(LAPIC_ICR_HIGH, lapic_read(LAPIC_ID));
    lapic_write(LAPIC_ICR, ICR_NMI);
}

/* While it runs, a second NMI has to wait, even across an exit (CPUID). */
static void nmi_handler(struct trap_frame *f)
{
    (void)f;
    nmis++;
    nmi_depth++;
    nmi_deepest = MAX(nmi_deepest, nmi_depth);
    if (nmi_resend) {
        nmi_resend--;
        nmi_send();
        (void)cpuid(0, 0);
        delay_us(SETTLE_US);
    }
    nmi_depth--;
}

static void nmi_reset(uint32_t resend)
{
    nmis = nmi_depth = nmi_deepest = 0;
    nmi_resend = resend;
}

void test_nmi(void)
{
    trap_handlers[EXC_NMI] = nmi_handler;
    nmi_reset(0);
    nmi_send();
    delay_us(SETTLE_US);
    expect("nmi.delivered", nmis, 1);

    nmi_reset(1);
    nmi_send();
    delay_us(SETTLE_US * 2);
    expect("nmi.after-iret", nmis, 2);
    expect("nmi.not-nested", nmi_deepest, 1);

    nmi_reset(3);
    nmi_send();
    delay_us(SETTLE_US * 8);
    expect("nmi.chain", nmis, 4);
    expect("nmi.chain-not-nested", nmi_deepest, 1);
    trap_handlers[EXC_NMI] = NULL;
}
