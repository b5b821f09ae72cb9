/* Bits of a 64-bit page-table entry as host tables and NPT have them (SDM volume 3, 4.5.5; APM volume 2, 5.4). */
#pragma once

#include "mm/pt.h"

#define PTE_P    BIT(0)
#define PTE_W    BIT(1)
#define PTE_U    BIT(2)
#define PTE_PWT  BIT(3)
#define PTE_PCD  BIT(4)
#define PTE_A    BIT(5)
#define PTE_D    BIT(6)
#define PTE_PS   BIT(7) /* a large leaf; at level 0 this bit is the PAT index's bit 2 instead */
#define PTE_G    BIT(8)
#define PTE_ADDR (MASK(52) & ~PAGE_MASK)
#define PTE_NX   BIT(63)

/*
 * Memory types by PAT index, {PAT, PCD, PWT}. Index 0 is write-back and 3 is uncached after reset; 1 is write-through then,
 * and core/x86/pat.h makes it write-combining.
 */
#define PTE_TYPE_WC PTE_PWT
#define PTE_TYPE_UC (PTE_PCD | PTE_PWT)

static inline bool pte_present(uint64_t entry)
{
    return entry & PTE_P;
}

static inline bool pte_is_leaf(uint64_t entry, uint32_t level)
{
    return level == 0 || entry & PTE_PS;
}

/* What the attributes come to in a leaf, but for those that one of the two formats alone has; reading is in PTE_P. */
static inline uint64_t pte_leaf_bits(uint32_t attrs, uint32_t level)
{
    return (attrs & PT_WRITE ? PTE_W : 0) | (attrs & PT_EXEC ? 0 : PTE_NX) |
           (attrs & PT_UC   ? PTE_TYPE_UC
            : attrs & PT_WC ? PTE_TYPE_WC
                            : 0) |
           (level > 0 ? PTE_PS : 0);
}

static inline uint32_t pte_leaf_attrs(uint64_t leaf)
{
    return PT_READ | (leaf & PTE_W ? PT_WRITE : 0) | (leaf & PTE_NX ? 0 : PT_EXEC) |
           (leaf & PTE_PCD   ? PT_UC
            : leaf & PTE_PWT ? PT_WC
                             : 0);
}
