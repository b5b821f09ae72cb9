/*
 * More than one CPU: starting them, having them do something, and counting what each gets. A CPU's number is its APIC id.
 * The first one gives orders and runs with interrupts off; the others sleep in HLT until there is a job for them.
 */
#pragma once

#include "guests/payload/payload.h"

#define SMP_MAX 64
#define SMP_WAKE_VECTOR                                                                                      \
    0x30 /* of the lowest class: whatever else is pending has been taken when a job begins */

#define ICR_LOWEST  (1u << 8)
#define ICR_INIT    (5u << 8)
#define ICR_STARTUP (6u << 8)
#define ICR_LOGICAL BIT(11)
#define ICR_BUSY    BIT(12)
#define ICR_ASSERT  BIT(14)
#define ICR_ALL     (2u << 18)
#define ICR_OTHERS  (3u << 18)
#define LAPIC_LDR   0x0d
#define LAPIC_DFR   0x0e

typedef void (*smp_job)(uint32_t cpu);

struct smp_cpu {
    uint32_t id; /* first: at GS:0 */
    volatile uint32_t starts;
    smp_job volatile job;
    volatile uint32_t irqs[256]; /* by vector, NMIs among them */
    volatile uint64_t irq_tsc;   /* of the last one */
    volatile uint64_t count;     /* for jobs */
};

extern struct smp_cpu smp_cpus[SMP_MAX];
extern uint32_t smp_count; /* CPUs 0 to smp_count - 1 are there */

static inline uint32_t smp_id(void)
{
    uint32_t id;

    __asm__ volatile("movl %%gs:0, %0" : "=r"(id));
    return id;
}

/* Starts all CPUs but this one, or starts them again; `want` in all are waited for. Gives how many there are. */
uint32_t smp_start(uint32_t want);
/* Puts real-mode code for a start-up IPI with this vector into its page. */
void smp_place_trampoline(uint8_t vector);
/* Sends what the low half of ICR says; dest is 8 bits in xAPIC mode. */
void ipi_send(uint32_t dest, uint32_t low);
/* Counts a vector's interrupts by CPU. */
void smp_irq_count(uint8_t vector);
/* Gives a CPU its next job; waits until it has ended, at most about a second: false if it hasn't. */
void smp_begin(uint32_t cpu, smp_job job);
bool smp_end(uint32_t cpu);
/* A job on each CPU, one after the other, this one included. */
void smp_each(smp_job job);
/* Sends so many to the second CPU, which runs or sleeps in HLT. */
void ipi_run(uint32_t count, bool halted);
/* The same, at intervals that differ: how late they are. */
void ipi_late_run(uint32_t count, bool halted);
/* All CPUs' LAPICs change to this mode. */
void smp_set_x2apic(bool on);
