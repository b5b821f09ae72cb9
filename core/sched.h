/*
 * Which vCPU runs where. One queue for the machine, sorted by weighted run time: who has had the least, for its weight,
 * runs next on the first core that it may use. Taken on a change of a vCPU's state only, never by an exit. Pure: time in ns
 * is passed in, and who has to be told is given back.
 */
#pragma once

#include "core/lib/list.h"
#include "core/lib/lock.h"
#include "core/lib/types.h"
#include "core/x86/percpu.h"

#define SCHED_WEIGHT 256                  /* the usual one */
#define SCHED_SLICE  (5 * 1000 * 1000ull) /* ns that one runs while another waits */
#define SCHED_GRAIN                                                                                          \
    (1000 * 1000ull) /* who wakes interrupts who runs if it is so far behind, or after a turn of so long */
#define SCHED_TURN                                                                                           \
    (50 * 1000ull) /* who is woken by another's work interrupts no shorter one: there may be more, and more */
#define SCHED_BURST                                                                                          \
    (400 * 1000ull) /* nor that other's own: long enough for some frames of 64 KiB on a slow machine */
#define SCHED_CREDIT                                                                                         \
    (3 * 1000 * 1000ull) /* who wakes starts so far before the others: it runs soon, if not long */
#define SCHED_LAG_MAX (20 * 1000 * 1000ull) /* no credit beyond this for time that one couldn't use */
#define SCHED_PERIOD  (20 * 1000 * 1000ull) /* over which a cap is kept */

struct cpuset {
    uint64_t bits[CPU_MAX / 64];
};

static inline bool cpuset_has(const struct cpuset *set, uint32_t cpu)
{
    return set->bits[cpu / 64] & BIT(cpu % 64);
}

static inline void cpuset_add(struct cpuset *set, uint32_t cpu)
{
    set->bits[cpu / 64] |= BIT(cpu % 64);
}

static inline void cpuset_remove(struct cpuset *set, uint32_t cpu)
{
    set->bits[cpu / 64] &= ~BIT(cpu % 64);
}

enum sched_state {
    SCHED_BLOCKED, /* has nothing to do: halted, stopped, paused */
    SCHED_READY,   /* in the queue, or with those that a cap holds back */
    SCHED_RUNNING, /* on core `cpu` */
};

#define SCHED_NOWHERE UINT32_MAX

/* A vCPU's part. All fields are guarded by the queue's lock; state and cpu may be read without it. */
struct sched_entity {
    struct list node; /* in `ready` or `capped` of struct sched while ready */
    enum sched_state state;
    uint32_t cpu;    /* where it runs, or ran last */
    uint32_t loaded; /* the core that has its registers, or SCHED_NOWHERE: nobody else can run it */
    uint32_t weight;
    uint32_t cap; /* percent of one core, 0: none */
    struct cpuset allowed;
    uint64_t vruntime; /* ns, times SCHED_WEIGHT / weight */
    uint64_t rest;     /* what that division has left over, so that no short run is free */
    uint64_t charged;  /* when its run time was last counted up */
    uint32_t
        sender; /* the core of who gave it the work that it woke for, or SCHED_NOWHERE; while it is ready */
    bool held;  /* its core does something else: that time isn't counted */
    uint64_t started; /* when its present turn began */
    uint64_t ran;     /* ns in all */
    uint64_t ready;   /* when it last became ready */
    uint64_t waited;  /* ns in all that it was ready and didn't run; changes only until it runs */
    uint64_t period;  /* the number of the cap's period that `used` is about */
    uint64_t used;    /* ns in it */
    uint64_t release; /* when its cap lets it run again; 0: nothing holds it back */
};

struct sched {
    struct lock lock;
    uint32_t cores;       /* the highest number of one, plus 1 */
    struct cpuset online; /* cores that ask for work */
    struct cpuset told;   /* idle ones that will look: whoever wakes next tells another */
    uint64_t floor;       /* who wakes starts no further back than SCHED_CREDIT before this */
    struct list ready;    /* by vruntime */
    struct list capped;   /* held back by their caps; by release */
    struct sched_entity *running[CPU_MAX]; /* NULL: the core is idle */
    uint64_t slice_end[CPU_MAX];           /* UINT64_MAX: nobody waits for this core */
};

void sched_init(struct sched *s);
/* A core that asks for work from now on. */
void sched_add_core(struct sched *s, uint32_t cpu);
/* A blocked entity; weight from 1. */
void sched_entity_init(struct sched_entity *e, uint32_t weight, uint32_t cap, const struct cpuset *allowed);

/*
 * Blocked -> ready; nothing if it isn't blocked. One that gives it work, and may give it more by and by, says its core, else
 * SCHED_NOWHERE: it has some time for that. Returns the core that should look at the queue, or SCHED_NOWHERE if no core has to be told.
 */
uint32_t sched_wake(struct sched *s, struct sched_entity *e, uint32_t sender, uint64_t now);
/* The running entity of `cpu` has nothing to do any more. */
void sched_block(struct sched *s, uint32_t cpu, uint64_t now);
/* It goes back to the queue: its slice is over, or another core looked needier. */
void sched_preempt(struct sched *s, uint32_t cpu, uint64_t now);
/*
 * The core does work that isn't its entity's, and goes back to that: the time in between is nobody's, so that a VM doesn't
 * pay for another's end or for the monitor. Nothing if it runs none.
 */
void sched_hold(struct sched *s, uint32_t cpu, uint64_t now);
void sched_go_on(struct sched *s, uint32_t cpu, uint64_t now);
/* It spins: lets who waits longest go first. */
void sched_spin(struct sched *s, uint32_t cpu, uint64_t now);
/*
 * It waits for `to`, which is ready: gives it its place in the queue for the one that it has, so that nobody else pays. False:
 * that one can't run here now.
 */
bool sched_yield_to(struct sched *s, uint32_t cpu, struct sched_entity *to, uint64_t now);
/*
 * Takes the next one for `cpu`, which runs none, or NULL. If that isn't the one whose registers the core has, the caller
 * unloads that one and says so with sched_unloaded(). *retry is when to ask again if a cap holds back the only candidates;
 * *tell is as the result of sched_wake.
 */
struct sched_entity *sched_pick(struct sched *s, uint32_t cpu, uint64_t now, uint64_t *retry, uint32_t *tell);
/* The core has loaded or given up an entity's registers; the result of _unloaded is as that of sched_wake. */
void sched_loaded(struct sched *s, struct sched_entity *e, uint32_t cpu);
uint32_t sched_unloaded(struct sched *s, struct sched_entity *e, uint64_t now);
/* When the running entity of `cpu` has to be preempted, UINT64_MAX if nobody waits and no cap is near. */
uint64_t sched_deadline(struct sched *s, uint32_t cpu, uint64_t now);
/* Run time up to now, of one that may be running. */
uint64_t sched_ran(struct sched *s, struct sched_entity *e, uint64_t now);
