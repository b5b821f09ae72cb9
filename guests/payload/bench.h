/* How a cost is measured: the least and the mean of many single runs, less what an empty one costs. */
#pragma once

#include "guests/payload/payload.h"

#define BENCH_WARM_UP 32
#define BENCH_RUNS    1000
#define BENCH_VECTOR  0x91

struct tally {
    uint64_t least, sum;
};

#define TALLY_NONE                                                                                           \
    (struct tally)                                                                                           \
    {                                                                                                        \
        UINT64_MAX, 0                                                                                        \
    }

static inline void tally_add(struct tally *t, uint64_t ticks)
{
    t->least = MIN(t->least, ticks);
    t->sum += ticks;
}

/* Of BENCH_RUNS runs. */
void tally_print(const char *name, const struct tally *t);

/* `code` is measured BENCH_RUNS times. */
#define MEASURE(t, code)                                                                                     \
    for (int run_ = 0; run_ < BENCH_WARM_UP + BENCH_RUNS; run_++) {                                          \
        uint64_t start_ = rdtsc(), ticks_;                                                                   \
        code;                                                                                                \
        ticks_ = rdtsc() - start_;                                                                           \
        if (run_ >= BENCH_WARM_UP)                                                                           \
            tally_add(t, ticks_);                                                                            \
    }

#define BENCH(name, code)                                                                                    \
    do {                                                                                                     \
        struct tally t_ = TALLY_NONE;                                                                        \
        MEASURE(&t_, code)                                                                                   \
        tally_print(name, &t_);                                                                              \
    } while (0)

/* What an empty run costs: to be called before anything is printed. */
void bench_overhead(void);
/* What one CPU does by itself. */
void bench_run(void);
/* Some of it, for many that do it at once. */
void bench_common(void);
/*
 * What two CPUs do with each other. "pair": each runs on a core of its own; "switch": both share one, so that they take
 * turns.
 */
void bench_pair_run(const char *kind);
/* A disk: measured, or just read `count` times. Two VMs on a switch: one measures, the other one answers. */
void bench_disk(uint32_t count, uint32_t depth, bool poll);
void bench_net(void);
void bench_echo(void);
NORETURN void bench_flood(void);
void disk_life(uint32_t flushes);
