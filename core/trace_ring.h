/*
 * A ring of what happened on one core, in the form in which it goes to a program (tests/tracing/dump.py). Pure. An exit writes
 * here twice: where instructions could be saved, they were.
 */
#pragma once

#include "core/lib/types.h"

/* A ring's size. */
#define TRACE_BYTES     (128 * KiB) /* the usual one */
#define TRACE_BYTES_MIN (4 * KiB)
#define TRACE_BYTES_MAX (16 * MiB)

enum trace_kind {
    TRACE_EXIT,   /* from the exit to the next entry, or until the vCPU loses the core */
    TRACE_INJECT, /* an event goes in with the next entry */
    TRACE_RUN,    /* a vCPU gets the core */
    TRACE_LEAVE,  /* and loses it */
};

/* Of an exit that the vCPU's own trace and a crash report show. */
struct trace_exit {
    uint32_t reason; /* the vendor's exit reason or code */
    uint32_t info;   /* the low half of its qualification or EXITINFO1 */
    uint64_t rip;
};

struct trace_event {
    uint32_t tsc;   /* the host's, when it began; in two parts, as RDTSC gives it */
    uint32_t ticks; /* an exit: how long it took */
    uint32_t tsc_high;
    uint32_t who; /* the vCPU: its VM's id, its index in 8 bits; enum trace_kind in another 8 */
    union {
        uint32_t code; /* TRACE_INJECT: vector and enum event_type << 8; TRACE_LEAVE: enum trace_left */
        struct trace_exit exit;
    };
};
_Static_assert(sizeof(struct trace_event) == 32, "tests/tracing/dump.py");

static inline uint32_t trace_who(uint32_t vm, uint32_t index)
{
    return vm << 16 | index << 8;
}

struct trace_ring {
    uint64_t at;   /* bytes that were written since the trace was switched on */
    uint64_t mask; /* the bytes that it holds, a power of two, - 1 */
    uint8_t *memory;
} __attribute__((aligned(64)));

static inline void trace_ring_init(struct trace_ring *r, void *memory, uint64_t bytes)
{
    *r = (struct trace_ring){.mask = bytes - 1, .memory = memory};
}

/* Event `number`, if it is there still. */
static inline struct trace_event *trace_ring_at(const struct trace_ring *r, uint64_t number)
{
    return (struct trace_event *)(r->memory + (number * sizeof(struct trace_event) & r->mask));
}

static inline uint64_t trace_ring_count(const struct trace_ring *r)
{
    return r->at / sizeof(struct trace_event);
}

/* The number of the oldest event that is there; that of the newest is the count - 1. */
static inline uint64_t trace_ring_oldest(const struct trace_ring *r)
{
    return r->at > r->mask ? (r->at - r->mask - 1) / sizeof(struct trace_event) : 0;
}

/* A new event, in the place of the oldest. */
static inline struct trace_event *trace_ring_next(struct trace_ring *r, uint32_t tsc, uint32_t tsc_high,
                                                  uint32_t who)
{
    struct trace_event *e = (struct trace_event *)(r->memory + (r->at & r->mask));

    r->at += sizeof(*e);
    /* Compilers would make one word of them first. */
    __atomic_store_n(&e->tsc, tsc, __ATOMIC_RELAXED);
    __atomic_store_n(&e->tsc_high, tsc_high, __ATOMIC_RELAXED);
    e->who = who;
    return e;
}

static inline uint64_t trace_event_tsc(const struct trace_event *e)
{
    return (uint64_t)e->tsc_high << 32 | e->tsc;
}

/* The newest exit lasts until now, if its vCPU has been in the run loop since: then nothing but injections came behind it. */
void trace_ring_close(struct trace_ring *r, uint64_t now);
