/*
 * What CPUID shows to one vCPU, without a search, for the way of an exit that ends before all registers are saved: rows of the
 * leaves that it has asked for, kept by whoever answered (core/exit_cpu.c), until anything that a leaf follows changes. A leaf that
 * isn't here goes the long way; with `disable=quick` all do. Pure.
 */
#pragma once

#include "core/cpuid.h"
#include "core/x86/cr.h"

#define READY_ROWS 56
#define READY_CR4  (CR4_OSXSAVE | CR4_PKE) /* what CPUID shows of it */

struct cpuid_row {
    uint32_t eax, ebx, ecx, edx;
};

struct cpuid_ready {
    struct {
        uint32_t ecx_mask; /* 0 where ECX means nothing */
        uint8_t first, count;
    } leaves[CPUID_SLOTS]; /* by cpuid_slot; count 0: not here */
    struct cpuid_row rows[READY_ROWS];
    uint32_t used;
    uint64_t cr4; /* READY_CR4 as it was then: for a back end whose guest changes it without an exit */
};

static inline const struct cpuid_row *cpuid_ready_find(const struct cpuid_ready *ready, uint32_t leaf,
                                                       uint32_t subleaf)
{
    uint32_t slot = cpuid_slot(leaf);

    if (UNLIKELY(slot >= CPUID_SLOTS))
        return NULL;
    subleaf &= ready->leaves[slot].ecx_mask;
    if (UNLIKELY(subleaf >= ready->leaves[slot].count))
        return NULL;
    return &ready->rows[ready->leaves[slot].first + subleaf];
}

/* How many rows the leaf would take: 0, it is here, or there is no room for it, or it isn't one to be kept. */
uint32_t cpuid_ready_room(const struct cpuid_ready *ready, const struct cpuid_table *table, uint32_t leaf);
/* Keeps one of them: the answers to subleaves from 0 on, in turn, as many as there is room for. */
void cpuid_ready_add(struct cpuid_ready *ready, const struct cpuid_table *table,
                     const struct cpuid_entry *answer);
/* READY_CR4 or whether the LAPIC is enabled has changed, or the vCPU was reset. */
void cpuid_ready_forget(struct cpuid_ready *ready);
