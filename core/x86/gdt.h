/* The segments of 64-bit mode, and the task state segment with its stacks for what must not trust the current one. */
#pragma once

#include "core/x86/percpu.h"

#define SEL_CODE 0x08
#define SEL_DATA 0x10
#define SEL_TSS  0x18

#define GDT_ENTRIES 5 /* null, code, data, and two for the TSS */

/* Interrupt stack table entries; the numbers are those in the IDT. */
enum ist { IST_NONE, IST_DOUBLE_FAULT, IST_NMI, IST_MACHINE_CHECK, IST_COUNT };

/* SDM volume 3 section "Task Management in 64-bit Mode". */
struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7]; /* ist[n - 1] is IST entry n */
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t io_map;
} PACKED;
_Static_assert(offsetof(struct tss, ist) == 36, "TSS layout");
_Static_assert(sizeof(struct tss) == 104, "TSS layout");

/* Fills in cpu->gdt and cpu->tss; stacks[n] is the top of IST stack n (stacks[IST_NONE] isn't used). */
void gdt_init(struct cpu *cpu, void *const stacks[IST_COUNT]);
/* Makes them the calling core's. */
void gdt_load(struct cpu *cpu);
