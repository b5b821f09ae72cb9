#include "core/x86/percpu.h"

#include "core/lib/string.h"
#include "core/x86/asm.h"
#include "core/x86/cpu_init.h"
#include "core/x86/gdt.h"
#include "core/x86/msr.h"
#include "core/x86/traps.h"

uint32_t cpu_count;
struct cpu *cpus[CPU_MAX];

struct cpu *cpu_setup(struct cpu_memory *memory, uint32_t index, uint32_t apic_id)
{
    struct cpu *cpu = &memory->cpu;

    memset(memory, 0, sizeof(*memory));
    cpu->self = cpu;
    cpu->index = index;
    cpu->apic_id = apic_id;
    cpu->gdt = memory->gdt;
    cpu->tss = &memory->tss;
    return cpu;
}

void cpu_load(struct cpu *cpu)
{
    gdt_load(cpu);
    wrmsr(MSR_GS_BASE, (uint64_t)cpu);
    traps_load();
}
