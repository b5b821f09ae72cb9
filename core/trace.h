/*
 * The trace: on each core a ring of exits, of what is injected and of who has the core, so that a person can look at it as
 * a timeline. Off, it costs an exit one test of `trace_on`, which is written only to switch it; on, each core writes to memory of
 * its own.
 */
#pragma once

#include "core/trace_ring.h"
#include "core/vcpu.h"
#include "core/x86/asm.h"
#include "core/x86/percpu.h"

#define TRACE_VIRTUAL 1 /* in place of an enum event_type: an interrupt that the CPU delivers itself */

/* Why a vCPU loses its core. */
enum trace_left { TRACE_HALTED, TRACE_PREEMPTED, TRACE_PARKED };

extern bool trace_on;

/*
 * Forgets what there was and begins. The rings, of at most so many bytes for each core, are made the first time and stay; 0: of
 * the usual size.
 */
int trace_start(uint64_t bytes) MUST_CHECK;
void trace_stop(void);
/* NULL: there is none yet. */
const struct trace_ring *trace_ring_of(uint32_t cpu);

/* What the run loop and whoever injects call if `trace_on`, on the vCPU's core. */
void trace_put(uint32_t who, uint32_t code);
void trace_left(const struct vcpu *vcpu, enum trace_left why);
void trace_entered(void); /* from the run loop */

static inline void trace_ran(const struct vcpu *vcpu)
{
    trace_put(vcpu->trace_who | TRACE_RUN, 0);
}

static inline void trace_injected(const struct vcpu *vcpu, uint32_t type, uint8_t vector)
{
    trace_put(vcpu->trace_who | TRACE_INJECT, type << 8 | vector);
}

/* Around what a back end does between an exit and the next entry. */
static inline struct trace_event *trace_exit_begins(const struct vcpu *vcpu)
{
    struct tsc now = rdtsc_parts();

    return trace_ring_next(this_trace(), now.low, now.high, vcpu->trace_who | TRACE_EXIT);
}

static inline void trace_exit_ends(struct trace_event *e, struct vcpu *vcpu)
{
    e->exit = *vcpu_trace_last(vcpu);
    e->ticks = (uint32_t)rdtsc() - e->tsc;
}
