/*
 * What a core does all day: picks a vCPU, runs it until its slice ends, it halts or it is stopped, picks the next, sleeps
 * when there is none. One stack per core; a switch is "load other state" (DESIGN 3).
 */
#pragma once

#include "core/sched.h"
#include "core/timer.h"
#include "core/vcpu.h"

struct vm;

/* Once, on the boot core, before any core calls run_core(). */
int run_init(void) MUST_CHECK;
/* The life of the calling core from now on. */
NORETURN void run_core(void);

/* Timers of a core, in ns of host time (core/clock.h). */
struct timer_queue *run_timers(uint32_t cpu);
/* Makes a vCPU compete for its cores from now on; it isn't running anywhere. */
void run_start(struct vcpu *vcpu);
/* Up to now, in ns. */
uint64_t run_time(struct vcpu *vcpu);
/* Takes the host interrupts that wait, with a vCPU loaded. True: the run loop has to look for what they have left to do. */
bool run_interrupts(void) MUST_CHECK;
/* timer_queue.changed of a vCPU's own timers, which nobody else arms. */
void run_vcpu_timers_changed(struct timer_queue *queue, bool earlier, void *vcpu);
/* Does no vCPU want this core? Its own work may take as long as it likes then. */
bool run_is_idle(void);
/* The running vCPU of this core spins: others may go first. */
void run_yield(void);
/* It waits for that one, of the same VM. */
void run_yield_to(struct vcpu *vcpu);

/*
 * Work that an interrupt handler leaves for the boot core, to be done outside of the interrupt window, in no lock: `run_work`
 * is called if the handler has set `run_work_pending`.
 */
extern void (*run_work)(void);
extern bool run_work_pending;
