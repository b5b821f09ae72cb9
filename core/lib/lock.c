#include "core/lib/lock.h"

/*
 * A queue moves no faster than the slowest of those who wait: with 16 cores on two of a host's, each of them stands still
 * most of the time while the lock is its own to take, and for longer than its vCPU's slice lasts.
 */
static bool unfair;

void lock_be_unfair(void)
{
    unfair = true;
}

void lock_wait(struct lock *l)
{
    uint32_t ticket;

    if (unfair) {
        do
            __builtin_ia32_pause();
        while (lock_held(l) || !lock_try(l));
        return;
    }
    ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&l->serving, __ATOMIC_ACQUIRE) != ticket)
        __builtin_ia32_pause();
}
