/* Bits of a 64-bit page-table entry as host tables and NPT have them (SDM volume 3, 4.5.5; APM volume 2, 5.4). */
#pragma once

#include "core/lib/types.h"

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
