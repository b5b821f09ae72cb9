#include "drivers/hw/calibrate.h"

#define RUNS         4
#define AGREE_PPM    500
#define PRECISION    5000 /* a run ends when it is so many times longer than its error may be */
#define SHORTEST     2000 /* of a second: a run's least length */
#define LONGEST      142  /* of a second: 7 ms */
#define STANDS_STILL 5000 /* reads without a change */
#define TRIES        4    /* reads for one good sample */

/* Times CALIBRATE_HZ_MAX, it fits in 64 bits. */
#define TICKS_MAX BIT(34)

/* The counter had this value at some moment in [tsc - slack / 2, tsc + slack / 2]. */
struct sample {
    uint64_t tsc, slack, count;
};

static struct sample sample_take(const struct calibrate_timer *timer)
{
    uint64_t before = timer->tsc(timer->ctx);
    uint64_t count = timer->read(timer->ctx);
    uint64_t after = timer->tsc(timer->ctx);

    return (struct sample){before + (after - before) / 2, after - before, count};
}

/* Of a few samples, the one that was interrupted least: by an SMI, or by the host of a virtual machine. */
static struct sample sample_best(const struct calibrate_timer *timer)
{
    struct sample best = sample_take(timer);

    for (uint32_t i = 1; i < TRIES; i++) {
        struct sample s = sample_take(timer);

        if (s.slack < best.slack)
            best = s;
    }
    return best;
}

/*
 * How far the counter moves at once, in its own units: it may be coarser than its rate says, as in emulators
 * that count whole microseconds. 0 if it stands still.
 */
static uint64_t timer_step(const struct calibrate_timer *timer)
{
    uint64_t least = 0, last = timer->read(timer->ctx);
    uint32_t changes = 0;

    for (uint32_t i = 0; i < STANDS_STILL && changes < 8; i++) {
        uint64_t now = timer->read(timer->ctx), step = (now - last) & timer->mask;

        last = now;
        if (!step)
            continue;
        changes++;
        if (!least || step < least)
            least = step;
    }
    return least;
}

static uint64_t run(const struct calibrate_timer *timer)
{
    uint64_t step = timer_step(timer), counts = 0, ticks = 0, slack, before;
    struct sample start = sample_best(timer), end;

    if (!step || timer->hz > CALIBRATE_HZ_MAX)
        return 0;
    do {
        before = counts;
        end = sample_best(timer);
        counts = (end.count - start.count) & timer->mask;
        ticks = end.tsc - start.tsc;
        slack = (start.slack + end.slack) / 2;
        if (counts < before || ticks > TICKS_MAX) /* a glitch, or a TSC that was set */
            return 0;
        if (counts > timer->hz / LONGEST)
            break;
    } while (counts < timer->hz / SHORTEST || counts < step * PRECISION ||
             ticks < PRECISION * (slack + ticks * step / counts));
    return ticks * timer->hz / counts;
}

bool calibrate_agree(uint64_t a, uint64_t b, uint64_t ppm)
{
    uint64_t difference = a > b ? a - b : b - a;

    return (unsigned __int128)difference * 1000000 <= (unsigned __int128)MAX(a, b) * ppm;
}

uint64_t calibrate(const struct calibrate_timer *timer)
{
    uint64_t rates[RUNS];

    for (uint32_t i = 0; i < RUNS; i++) {
        rates[i] = run(timer);
        if (!rates[i])
            return 0;
        for (uint32_t j = 0; j < i; j++)
            if (calibrate_agree(rates[i], rates[j], AGREE_PPM))
                return rates[i] / 2 + rates[j] / 2;
    }
    return 0;
}
