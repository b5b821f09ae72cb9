/* What guests/launch.c and guests/launch_plan.c share: the list of VMs, whether they are there or not. */
#pragma once

#include "core/lib/lock.h"
#include "core/timer.h"
#include "guests/launch.h"

/*
 * A VM's lock is held while it is made, loaded or looked at: that may take long, and is nobody's business but that VM's. No two are held at once but by launch_audit, in the order of the list. Under it come vm->devices and the
 * locks of the pool, of guest memory and of the console.
 */
struct launch {
    struct machine_spec spec; /* fixed once it is planned, as is `refused` */
    bool refused;             /* what it wants isn't there */
    const char *state;        /* of the last event=vm; read without the lock */
    struct lock lock;         /* guards what follows */
    struct vm *vm;            /* NULL: not made, or gone again */
    bool counted;             /* among the active ones (launch.c) */
    bool start_after;         /* somebody wants it started as soon as it has ended */
    bool ordered_off; /* somebody wants it stopped: no restart, even if it was ending by itself just then */
    uint64_t began;   /* host time of the last start or restart */
    struct timer restart;  /* armed: it has ended, and starts again then */
    struct timer watchdog; /* armed while it runs, if it has one */
    struct timer memory;   /* armed while it stands still, since it needs memory that others have */
    struct timer copying;  /* armed while its kernel is copied: it runs when that is done */
    struct copies copies;  /* what is left of that */
    struct timer clearing; /* armed while its blank disks are cleared: it runs when that is done */
    struct timer ending;   /* armed when it has ended: what is left to do; of the core that noticed */
    launch_look look;      /* waits until the vCPUs are at rest; NULL: nobody does */
    struct launch_args args;
};

extern struct launch launches[VM_MAX];
extern uint32_t launched;
extern bool launch_failed; /* some VM has ended badly, or couldn't start */

void launch_init(struct launch *l);
/* Its memory is ready: it runs. Its lock is held. */
void launch_run(struct launch *l);
/* Its kernel has to be copied first. Its lock is held. */
void launch_copy_begin(struct launch *l);
/* All of what is left, at one go, and it runs. Its lock is held. */
void launch_copy_now(struct launch *l);
/* The callback of `copying`. */
void launch_copy(struct timer *timer, uint64_t now);
/* All vCPUs rest, and there is no memory for the next touch: as if paused, until there is some. Its lock is held. */
void launch_wait_for_memory(struct launch *l);
