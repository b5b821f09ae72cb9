/*
 * Starting the other cores: INIT, start-up IPI (SDM volume 3, section "MP Initialization"), one at a time, through a page
 * below 1 MiB (boot/trampoline.asm). A core that comes too late finds that it isn't expected and sleeps for good.
 */
#pragma once

#include "core/x86/percpu.h"

struct smp_trampoline {
    void *page; /* where the page is mapped, writable */
    hpa_t hpa;  /* below 1 MiB, page-aligned; nothing else may use it any more */
    hpa_t root; /* page tables with this page at its own address and the hypervisor's half; below 4 GiB */
};

/* Writes the trampoline into its page. */
void smp_init(const struct smp_trampoline *trampoline);
/*
 * Starts the core with cpu->apic_id: on cpu->stack_top it calls entry(cpu), still with the trampoline's page tables. `now`
 * is a clock in ns. ERR_TIMEOUT: the core didn't answer, and never will. ERR_BUSY: it did, but got lost on its way: its
 * stack, *cpu and the page tables may still be used by it, and no other core can be started any more.
 */
int smp_start(struct cpu *cpu, void (*entry)(struct cpu *cpu), uint64_t (*now)(void)) MUST_CHECK;
