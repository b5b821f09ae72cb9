/* Setting up what percpu.h shows. Used once per core, by boot/. */
#pragma once

#include "core/x86/gdt.h"
#include "core/x86/percpu.h"

/* A core's own memory; the caller finds room for it. */
struct cpu_memory {
    struct cpu cpu;
    struct tss tss;
    uint64_t gdt[GDT_ENTRIES];
};

/* Fills in the memory of a core; its stacks come from gdt_init(). It isn't in cpus[] yet. */
struct cpu *cpu_setup(struct cpu_memory *memory, uint32_t index, uint32_t apic_id);
/* Makes the calling core `cpu`: GDT, TSS, GS base, IDT. From here on this_cpu() works and exceptions are told. */
void cpu_load(struct cpu *cpu);
/* Goes on in next(arg) on another stack, for good. */
NORETURN void cpu_switch_stack(void *top, void (*next)(void *arg), void *arg);
