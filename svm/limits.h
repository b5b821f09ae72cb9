/* Which bits of guest state VMRUN accepts on this machine: those that stand for features that its CPUID shows. Pure. */
#pragma once

#include "core/lib/types.h"

/* The registers of CPUID that the back end asks for; leaves that the CPU doesn't have are 0. */
struct svm_cpuid {
    uint32_t basic1_ecx, basic1_edx; /* 1 */
    uint32_t basic7_ebx, basic7_ecx; /* 7, subleaf 0 */
    uint32_t basicd1_eax;            /* D, subleaf 1 */
    uint32_t ext1_ecx, ext1_edx;     /* 80000001 */
    uint32_t ext8_eax;               /* 80000008 */
    uint32_t svm_ebx, svm_edx;       /* 8000000A */
};

struct svm_limits {
    uint64_t cr3, cr4, efer; /* bits that may be set */
    uint64_t phys;           /* the first physical address that there isn't */
};

struct svm_limits limits_from_cpuid(const struct svm_cpuid *id);
