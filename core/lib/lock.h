/* A ticket spinlock: fair, so that no core starves. Interrupts are off in the hypervisor already. */
#pragma once

#include "core/lib/types.h"

struct lock {
    uint32_t next;    /* the ticket that the next comer draws */
    uint32_t serving; /* the ticket that holds the lock */
    /* Counted by who has waited, as soon as it has the lock: */
    uint64_t waits;
    uint64_t spins; /* looks at the lock in all of these */
};

#define LOCK_INIT                                                                                            \
    {                                                                                                        \
        0                                                                                                    \
    }

/* On cores that can be made to stand still, as those of a virtual machine: whoever comes first takes a lock that is free. */
void lock_be_unfair(void);

/* Takes a lock that lock_try has just failed to take; lock_take is both. */
void lock_wait(struct lock *l);

/* Has a lock that stays told of by lock_named. Not by several cores at once. */
void lock_name(const struct lock *l, const char *name);
/* NULL beyond the last. */
const struct lock *lock_named(uint32_t index, const char **name);

/* Takes the lock if nobody holds it or waits for it. */
static inline bool lock_try(struct lock *l)
{
    uint32_t ticket = __atomic_load_n(&l->serving, __ATOMIC_RELAXED);

    return __atomic_compare_exchange_n(&l->next, &ticket, ticket + 1, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static inline void lock_take(struct lock *l)
{
    if (UNLIKELY(!lock_try(l)))
        lock_wait(l);
}

/* Its holder alone writes `serving`, and stores aren't reordered among each other (SDM 9.2.2): one instruction will do. */
static inline void lock_drop(struct lock *l)
{
    __atomic_thread_fence(__ATOMIC_RELEASE);
    l->serving++;
}

static inline bool lock_held(const struct lock *l)
{
    return __atomic_load_n(&l->serving, __ATOMIC_RELAXED) != __atomic_load_n(&l->next, __ATOMIC_RELAXED);
}
