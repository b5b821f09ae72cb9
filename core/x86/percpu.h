/* What each core has for itself, found through GS.base. */
#pragma once

#include "core/x86/caps.h"
#include "core/lib/types.h"

#define CPU_MAX 256

struct trace_ring;
struct tss;
struct vcpu;

struct cpu {
    struct cpu *self; /* must stay first: this_cpu() reads gs:0 */
    uint32_t index;   /* 0 = the boot core; dense */
    uint32_t apic_id;
    bool online;              /* entered root mode or host mode */
    struct vcpu *vcpu;        /* whose guest state is loaded here (layer 0 never looks inside) */
    struct trace_ring *trace; /* core/trace.h; NULL until the trace is first switched on */
    void *stack_top;
    struct caps caps;
    const char *error; /* why this core can't be used */
    struct tss *tss;
    uint64_t *gdt;
    void *vendor;        /* the back end's per-core data */
    uint64_t cr2;        /* what it was when another VM's window was opened (core/vmmem.h) */
    uint64_t interrupts; /* taken on this core */
    uint32_t stage;      /* how far its start-up is (boot/cores.c) */
};

extern uint32_t cpu_count; /* cores that were found sound; cpus[0 .. cpu_count) */
extern struct cpu *cpus[CPU_MAX];

static inline struct cpu *this_cpu(void)
{
    struct cpu *c;

    __asm__ volatile("mov %%gs:0, %0" : "=r"(c));
    return c;
}

/* this_cpu()->trace by one instruction. */
static inline struct trace_ring *this_trace(void)
{
    struct trace_ring *r;

    __asm__ volatile("mov %%gs:%c1, %0" : "=r"(r) : "i"(offsetof(struct cpu, trace)));
    return r;
}
