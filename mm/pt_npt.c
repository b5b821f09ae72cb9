/*
 * AMD's nested tables: long-mode entries (APM volume 2, 15.25). The CPU treats each of a guest's accesses as a user
 * access, so the U/S bit must be set at every level (15.25.5). Reading can't be forbidden alone.
 */
#include "core/lib/panic.h"
#include "mm/pt.h"
#include "mm/pt_entry.h"

static bool npt_present(uint64_t entry)
{
    return entry & PTE_P;
}

static bool npt_is_leaf(uint64_t entry, uint32_t level)
{
    return level == 0 || entry & PTE_PS;
}

/* PT_GLOBAL means nothing here: the CPU ignores G in nested tables. */
static uint64_t npt_make_leaf(hpa_t hpa, uint32_t attrs, uint32_t level)
{
    uint64_t entry = hpa | PTE_P | PTE_U;

    assert(attrs & PT_READ);
    entry |= attrs & PT_WRITE ? PTE_W : 0;
    entry |= attrs & PT_EXEC ? 0 : PTE_NX;
    entry |= attrs & PT_UC ? PTE_TYPE_UC : attrs & PT_WC ? PTE_TYPE_WC : 0;
    entry |= level > 0 ? PTE_PS : 0;
    return entry;
}

static uint64_t npt_make_table(hpa_t hpa)
{
    return hpa | PTE_P | PTE_W | PTE_U;
}

static uint32_t npt_attrs(uint64_t leaf, uint32_t level)
{
    uint32_t attrs = PT_READ;

    (void)level;
    attrs |= leaf & PTE_W ? PT_WRITE : 0;
    attrs |= leaf & PTE_NX ? 0 : PT_EXEC;
    attrs |= leaf & PTE_PCD ? PT_UC : leaf & PTE_PWT ? PT_WC : 0;
    return attrs;
}

const struct pt_format pt_npt = {
    .name = "npt",
    .levels = 4,
    .canonical = false,
    .addr_mask = PTE_ADDR,
    .present = npt_present,
    .is_leaf = npt_is_leaf,
    .make_leaf = npt_make_leaf,
    .make_table = npt_make_table,
    .attrs = npt_attrs,
};
