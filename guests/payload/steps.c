/* Exits in an order that is known, for who wants to find them again in a trace. */
#include "guests/payload/payload.h"

#define SPEAKER 0x61 /* the PIT's gates and outputs */
#define WAIT_US 50

void steps_run(uint32_t rounds)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);
    bool same = true;

    for (uint32_t i = 0; i < rounds; i++) {
        cpuid(0, 0);
        same &= rdmsr(MSR_APIC_BASE) == base;
        inb(SPEAKER);
        sleep_us(WAIT_US);
    }
    check("steps.same", same);
}
