/* The generic inline assembly, all of it: one instruction a function, named as in the manual. */
#pragma once

#include "core/lib/types.h"

struct cpuid_regs {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid_regs cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_regs r;

    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t lo, hi;

    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return (uint64_t)hi << 32 | lo;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

struct tsc {
    uint32_t low, high;
};

/* In the two parts in which it comes, for who only puts it somewhere. */
static inline struct tsc rdtsc_parts(void)
{
    struct tsc t;

    __asm__ volatile("rdtsc" : "=a"(t.low), "=d"(t.high));
    return t;
}

/* In 64-bit mode it clears the upper halves of both registers. */
static inline uint64_t rdtsc(void)
{
    uint64_t lo, hi;

    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return hi << 32 | lo;
}

#define ASM_CR(n)                                                                                            \
    static inline uint64_t read_cr##n(void)                                                                  \
    {                                                                                                        \
        uint64_t v;                                                                                          \
        __asm__ volatile("mov %%cr" #n ", %0" : "=r"(v)::"memory");                                          \
        return v;                                                                                            \
    }                                                                                                        \
    static inline void write_cr##n(uint64_t v)                                                               \
    {                                                                                                        \
        __asm__ volatile("mov %0, %%cr" #n : : "r"(v) : "memory");                                           \
    }
ASM_CR(0)
ASM_CR(2)
ASM_CR(3)
ASM_CR(4)
#undef ASM_CR

#define ASM_DR(n)                                                                                            \
    static inline uint64_t read_dr##n(void)                                                                  \
    {                                                                                                        \
        uint64_t v;                                                                                          \
        __asm__ volatile("mov %%dr" #n ", %0" : "=r"(v));                                                    \
        return v;                                                                                            \
    }                                                                                                        \
    static inline void write_dr##n(uint64_t v)                                                               \
    {                                                                                                        \
        __asm__ volatile("mov %0, %%dr" #n : : "r"(v));                                                      \
    }
ASM_DR(0)
ASM_DR(1)
ASM_DR(2)
ASM_DR(3)
ASM_DR(6)
ASM_DR(7)
#undef ASM_DR

/* Call the host's own handler for what a back end finds that it took in a guest. */
static inline void raise_nmi(void)
{
    __asm__ volatile("int $2" ::: "memory");
}

static inline void raise_machine_check(void)
{
    __asm__ volatile("int $18" ::: "memory");
}

static inline uint64_t xgetbv(uint32_t reg)
{
    uint32_t lo, hi;

    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(reg));
    return (uint64_t)hi << 32 | lo;
}

static inline void xsetbv(uint32_t reg, uint64_t value)
{
    __asm__ volatile("xsetbv" : : "c"(reg), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

static inline void invlpg(const void *addr)
{
    __asm__ volatile("invlpg (%0)" : : "r"(addr) : "memory");
}

static inline void cpu_pause(void)
{
    __asm__ volatile("pause" ::: "memory");
}

static inline void interrupts_off(void)
{
    __asm__ volatile("cli" ::: "memory");
}

/* The one window in which the hypervisor takes interrupts (DESIGN 3): STI takes effect after the NOP. */
static inline void interrupts_window(void)
{
    __asm__ volatile("sti; nop; cli" ::: "memory");
}

/* Sleeps until an interrupt, takes it, returns with interrupts off. The STI shadow covers HLT: no wake-up is lost. */
static inline void interrupts_wait(void)
{
    __asm__ volatile("sti; hlt; cli" ::: "memory");
}

/* Sleeps with interrupts off: until an NMI, most likely for ever. */
static inline void cpu_halt(void)
{
    __asm__ volatile("cli; hlt" ::: "memory");
}

/* An exception without an IDT to deliver it, nor the #DF that follows, resets the machine (SDM 6.15, interrupt 8). */
static inline void triple_fault(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } PACKED none = {0, 0};

    __asm__ volatile("lidt %0; int3" : : "m"(none) : "memory");
}

static inline void wbinvd(void)
{
    __asm__ volatile("wbinvd" ::: "memory");
}
