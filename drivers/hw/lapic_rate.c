#include "drivers/hw/lapic_rate.h"

#include "core/lib/log.h"
#include "core/x86/asm.h"
#include "core/x86/caps.h"
#include "core/x86/lapic.h"
#include "drivers/hw/calibrate.h"

#define TRIES    8
#define GUESS_HZ 10000000 /* rather too low: the timer comes early then, and is armed again */

static uint64_t read_tsc(void *ctx)
{
    return rdtsc() >> *(const uint32_t *)ctx;
}

static uint64_t read_count(void *ctx)
{
    (void)ctx;
    return lapic_timer_counted();
}

/* The TSC is the timer of known rate, less so many bits that it will do. 0: no two measurements agree. */
static uint64_t rate_by_tsc(uint64_t tsc_hz)
{
    uint32_t shift = 0;
    struct calibrate_timer tsc = {.read = read_tsc, .tsc = read_count, .ctx = &shift};
    uint64_t hz = 0;

    while (tsc_hz >> shift > CALIBRATE_HZ_MAX)
        shift++;
    tsc.hz = tsc_hz >> shift;
    tsc.mask = UINT64_MAX >> shift;
    for (uint32_t i = 0; i < TRIES && !hz; i++) {
        lapic_timer_count();
        hz = calibrate(&tsc);
    }
    return hz;
}

/*
 * What both say at one moment has to be taken with care: on a busy host, a virtual machine's core can stand still for
 * milliseconds between two instructions, and the timer would be late, or come hundreds of times too early, as long as the
 * machine runs.
 */
void lapic_rate_measure(uint64_t tsc_hz)
{
    uint64_t hz;

    if (cap(CAP_TSC_DEADLINE))
        return;
    hz = rate_by_tsc(tsc_hz);
    if (!hz) {
        log_warn("the LAPIC timer's rate can't be measured: taking %u Hz", GUESS_HZ);
        hz = GUESS_HZ;
    }
    lapic_timer_set_rate(tsc_hz, hz);
    log_debug("the LAPIC timer runs at %llu Hz", (unsigned long long)hz);
}
