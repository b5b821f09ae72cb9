/*
 * What CPUID shows to a guest: what works in it, and no more. A table of allowed feature bits (cpuid_features.c) is folded
 * with what the host has; the rest is made up per VM. Pure: the host's CPUID comes through a pointer.
 */
#pragma once

#include "core/lib/types.h"
#include "core/pv.h"

struct vcpu;

struct cpuid_entry {
    uint32_t leaf, subleaf;
    uint32_t eax, ebx, ecx, edx;
};

#define CPUID_MAX_ENTRIES 80
#define CPUID_SLOTS       64 /* of leaves with an index: see cpuid_slot */

struct cpuid_table {
    uint32_t count;
    uint32_t max_basic, max_extended;
    /* The first entry of a leaf, or CPUID_MAX_ENTRIES if it reads as zeros: an entry of zeros is there. */
    uint8_t first[CPUID_SLOTS];
    struct cpuid_entry entries[CPUID_MAX_ENTRIES + 1]; /* by leaf, then subleaf */
    uint64_t cr4_mask, efer_mask; /* what the features shown allow to set; EFER: but LMA */
    uint32_t linear_bits;         /* 57 with LA57, else 48 */
};

struct cpuid_policy {
    void (*host)(uint32_t leaf, uint32_t subleaf, uint32_t regs[4]); /* eax, ebx, ecx, edx */
    uint32_t vcpus;
    uint64_t tsc_hz;
    uint64_t apic_hz; /* rate of the virtual LAPIC's timer: the crystal of leaf 15H */
    uint64_t xcr0;    /* state components that the guest may use; 0: no XSAVE */
    uint64_t caps;    /* the settled struct caps' bits */
    enum pv_kind pv;
    bool dedicated; /* no vCPU ever waits for a core */
};

#define CPUID_INTEL_ECX       0x6c65746eu /* "ntel": the end of GenuineIntel in leaf 0 */
#define CPUID_HYPERVISOR_BASE 0x40000000u
#define CPUID_KEEL_BASE       0x40000100u

void cpuid_build(struct cpuid_table *table, const struct cpuid_policy *policy);
/* Finds the row for leaf and subleaf; NULL: zeros. */
const struct cpuid_entry *cpuid_find(const struct cpuid_table *table, uint32_t leaf, uint32_t subleaf);
/* The width of physical addresses, as the guest is told. */
uint32_t cpuid_physical_bits(const struct cpuid_table *table);
/* The first leaves of the basic and of the extended range, in turn; others are CPUID_SLOTS and more. */
static inline uint32_t cpuid_slot(uint32_t leaf)
{
    return leaf << 1 | leaf >> 31;
}

/* How many rows, from subleaf 0 on, a leaf has whose ECX means something; 0: none, or it means nothing. */
uint32_t cpuid_subleaves(const struct cpuid_table *table, uint32_t leaf);

/* True if the guest may use the feature at this bit of a leaf's register (0 eax .. 3 edx). */
bool cpuid_has(const struct cpuid_table *table, uint32_t leaf, uint32_t reg, uint32_t bit);
/* A row of the allow-list. */
struct cpuid_feature {
    uint32_t leaf;
    uint8_t subleaf;
    uint8_t reg; /* 0 eax .. 3 edx */
    uint8_t bit;
    uint8_t how; /* enum cpuid_how */
    const char *name;
};
enum cpuid_how {
    CPUID_HOST,   /* shown if the host has it */
    CPUID_ALWAYS, /* provided by Keel itself */
    CPUID_INTEL,  /* the same on Intel's CPUs, else the host's */
    CPUID_XSTATE, /* host's, and its XSAVE components are usable */
};
extern const struct cpuid_feature cpuid_features[];
extern const uint32_t cpuid_feature_count;
/* The row with that name (as Linux spells it in /proc/cpuinfo), or NULL. */
const struct cpuid_feature *cpuid_feature_find(const char *name);
/* Takes a feature, and what depends on it, away from a guest. */
void cpuid_hide(struct cpuid_table *table, const struct cpuid_feature *feature);
