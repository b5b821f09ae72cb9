/*
 * AMD's nested tables: long-mode entries (APM volume 2, 15.25). The CPU treats each of a guest's accesses as a user
 * access, so the U/S bit must be set at every level (15.25.5). Reading can't be forbidden alone.
 */
#include "core/lib/panic.h"
#include "mm/pt_entry.h"

/* PT_GLOBAL means nothing here: the CPU ignores G in nested tables. */
static uint64_t npt_make_leaf(hpa_t hpa, uint32_t attrs, uint32_t level)
{
    assert(attrs & PT_READ);
    return hpa | PTE_P | PTE_U | pte_leaf_bits(attrs, level);
}

static uint64_t npt_make_table(hpa_t hpa)
{
    return hpa | PTE_P | PTE_W | PTE_U;
}

static uint32_t npt_attrs(uint64_t leaf, uint32_t level)
{
    (void)level;
    return pte_leaf_attrs(leaf);
}

const struct pt_format pt_npt = {
    .name = "npt",
    .levels = 4,
    .canonical = false,
    .addr_mask = PTE_ADDR,
    .present = pte_present,
    .is_leaf = pte_is_leaf,
    .make_leaf = npt_make_leaf,
    .make_table = npt_make_table,
    .attrs = npt_attrs,
};
