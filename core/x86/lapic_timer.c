#include "core/x86/lapic.h"

#include "core/lib/scale.h"
#include "core/x86/asm.h"
#include "core/x86/caps.h"
#include "core/x86/irq.h"
#include "core/x86/lapic_regs.h"
#include "core/x86/msr.h"

static struct scale count_from_tsc;

void lapic_timer_count(void)
{
    lapic_write(LAPIC_LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
    lapic_write(LAPIC_TIMER_DIVIDE, DIVIDE_BY_1);
    lapic_write(LAPIC_TIMER_INITIAL, UINT32_MAX);
}

uint32_t lapic_timer_counted(void)
{
    return UINT32_MAX - lapic_read(LAPIC_TIMER_CURRENT);
}

void lapic_timer_set_rate(uint64_t tsc_hz, uint64_t hz)
{
    lapic_write(LAPIC_TIMER_INITIAL, 0);
    count_from_tsc = scale_make(tsc_hz, hz);
}

void lapic_timer_enable(void)
{
    lapic_write(LAPIC_TIMER_INITIAL, 0);
    lapic_write(LAPIC_TIMER_DIVIDE, DIVIDE_BY_1);
    lapic_write(LAPIC_LVT_TIMER, VECTOR_TIMER | (cap(CAP_TSC_DEADLINE) ? LVT_TSC_DEADLINE : 0));
    /* the mode must have arrived before a deadline is written (SDM, section "TSC-Deadline Mode") */
    __asm__ volatile("mfence" ::: "memory");
}

static void count_arm(uint64_t tsc)
{
    uint64_t now = rdtsc(), count;

    if (tsc == UINT64_MAX) {
        lapic_write(LAPIC_TIMER_INITIAL, 0);
        return;
    }
    count = tsc > now ? scale_apply(count_from_tsc, tsc - now) : 0;
    count = MIN(count, (uint64_t)UINT32_MAX);
    lapic_write(LAPIC_TIMER_INITIAL, (uint32_t)MAX(count, 1ull));
}

void lapic_timer_arm(uint64_t tsc)
{
    if (!cap(CAP_TSC_DEADLINE))
        count_arm(tsc);
    else
        wrmsr(MSR_TSC_DEADLINE, tsc == UINT64_MAX ? 0 : MAX(tsc, 1ull)); /* 0 disarms */
}
