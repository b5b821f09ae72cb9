/* A VM that shows by its own clock that it gets what it needs: a line every period, and how late each was. */
#include "guests/payload/payload.h"

static uint64_t beat_us(uint64_t since)
{
    return (rdtsc() - since) / (tsc_hz / 1000000);
}

/* Sleeps up to a point of time; gives by how much that was missed. */
static uint64_t beat_wait(uint64_t start, uint64_t until_us)
{
    uint64_t now = beat_us(start);

    if (now < until_us)
        sleep_us(until_us - now);
    return beat_us(start) - until_us;
}

void beat_run(uint32_t period_ms, uint32_t ms)
{
    uint64_t start = rdtsc(), worst = 0;
    uint32_t beats = ms / period_ms;

    for (uint32_t i = 1; i <= beats; i++) {
        uint64_t late = beat_wait(start, 1000ull * period_ms * i);

        worst = MAX(worst, late);
        print("beat n=%u late_us=%llu", i, (unsigned long long)late);
    }
    print("beats=%u worst_us=%llu", beats, (unsigned long long)worst);
    check("beat.all", beats > 0);
}
