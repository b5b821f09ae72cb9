#include "core/clock.h"

#include "core/lib/panic.h"
#include "core/x86/asm.h"

static uint64_t tsc_hz;
static uint64_t tsc_start;
static struct scale to_tsc;
struct scale clock_ns_scale;

/* scale_apply() drops the high bits of a result that doesn't fit; a time that far away is never. */
static uint64_t scale_saturate(struct scale scale, uint64_t value)
{
    unsigned __int128 result = ((unsigned __int128)value * scale.mult) >> scale.shift;

    return result > UINT64_MAX ? UINT64_MAX : (uint64_t)result;
}

void clock_init(uint64_t hz)
{
    assert(hz > 0 && hz < BIT(40));
    clock_ns_scale = scale_make(hz, NS_PER_SEC);
    to_tsc = scale_make(NS_PER_SEC, hz);
    tsc_start = rdtsc();
    tsc_hz = hz;
}

uint64_t clock_tsc_hz(void)
{
    return tsc_hz;
}

uint64_t clock_now(void)
{
    uint64_t tsc = rdtsc();

    /* Another core's TSC may be a few ticks behind: that is time 0, not the far future. */
    if (UNLIKELY(!tsc_hz || tsc < tsc_start))
        return 0;
    return scale_apply(clock_ns_scale, tsc - tsc_start);
}

uint64_t clock_tsc_from_ns(uint64_t ns)
{
    return scale_saturate(to_tsc, ns);
}

uint64_t clock_tsc_at(uint64_t ns)
{
    uint64_t ticks = clock_tsc_from_ns(ns);

    return ticks > UINT64_MAX - tsc_start ? UINT64_MAX : tsc_start + ticks;
}

uint64_t clock_ns_at(uint64_t tsc)
{
    if (tsc == UINT64_MAX)
        return UINT64_MAX;
    return tsc > tsc_start ? scale_saturate(clock_ns_scale, tsc - tsc_start) + 1 : 0;
}
