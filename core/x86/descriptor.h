/* Loading descriptor tables and segments: the inline assembly that gdt.c and traps.c need. */
#pragma once

#include "core/lib/types.h"

struct table_pointer {
    uint16_t limit;
    uint64_t base;
} PACKED;
_Static_assert(sizeof(struct table_pointer) == 10, "operand of LGDT and LIDT");

static inline void load_gdt(const struct table_pointer *p)
{
    __asm__ volatile("lgdt %0" : : "m"(*p));
}

static inline void load_idt(const struct table_pointer *p)
{
    __asm__ volatile("lidt %0" : : "m"(*p));
}

static inline void load_task(uint16_t selector)
{
    __asm__ volatile("ltr %0" : : "r"(selector));
}

/* A far return is the way to load CS in 64-bit mode. */
static inline void load_code_segment(uint64_t selector)
{
    __asm__ volatile("push %0\n\t"
                     "lea 1f(%%rip), %%rax\n\t"
                     "push %%rax\n\t"
                     "lretq\n"
                     "1:"
                     :
                     : "r"(selector)
                     : "rax", "memory");
}

/* FS and GS get the null selector, which also clears their bases. */
static inline void load_data_segments(uint32_t selector)
{
    __asm__ volatile("mov %0, %%ds\n\t"
                     "mov %0, %%es\n\t"
                     "mov %0, %%ss\n\t"
                     "mov %1, %%fs\n\t"
                     "mov %1, %%gs"
                     :
                     : "r"(selector), "r"(0)
                     : "memory");
}
