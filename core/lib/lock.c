#include "core/lib/lock.h"

#define NAMED_MAX 16

static struct {
    const struct lock *lock;
    const char *name;
} named[NAMED_MAX];

/*
 * A queue moves no faster than the slowest of those who wait: with 16 cores on two of a host's, each of them stands still
 * most of the time while the lock is its own to take, and for longer than its vCPU's slice lasts.
 */
static bool unfair;

void lock_be_unfair(void)
{
    unfair = true;
}

/* Both give the number of looks that it took. */
static uint64_t wait_unfairly(struct lock *l)
{
    uint64_t spins = 0;

    do {
        __builtin_ia32_pause();
        spins++;
    } while (lock_held(l) || !lock_try(l));
    return spins;
}

static uint64_t wait_in_turn(struct lock *l)
{
    uint32_t ticket = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);
    uint64_t spins = 0;

    for (; __atomic_load_n(&l->serving, __ATOMIC_ACQUIRE) != ticket; spins++)
        __builtin_ia32_pause();
    return spins;
}

void lock_wait(struct lock *l)
{
    uint64_t spins = unfair ? wait_unfairly(l) : wait_in_turn(l);

    l->waits++;
    l->spins += spins;
}

void lock_name(const struct lock *l, const char *name)
{
    for (uint32_t i = 0; i < NAMED_MAX; i++) {
        if (named[i].lock && named[i].lock != l)
            continue;
        named[i].lock = l;
        named[i].name = name;
        return;
    }
}

const struct lock *lock_named(uint32_t index, const char **name)
{
    if (index >= NAMED_MAX || !named[index].lock)
        return NULL;
    *name = named[index].name;
    return named[index].lock;
}
