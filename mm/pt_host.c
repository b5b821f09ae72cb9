/* The hypervisor's own tables: 4-level paging (SDM volume 3, 4.5), supervisor only, never writable and executable at once. */
#include "core/lib/panic.h"
#include "mm/pt_entry.h"

/* Accessed and dirty are set from the start, which saves the CPU from writing to the tables. */
static uint64_t host_make_leaf(hpa_t hpa, uint32_t attrs, uint32_t level)
{
    assert(attrs & PT_READ);
    assert((attrs & (PT_WRITE | PT_EXEC)) != (PT_WRITE | PT_EXEC));
    return hpa | PTE_P | PTE_A | (attrs & PT_WRITE ? PTE_D : 0) | (attrs & PT_GLOBAL ? PTE_G : 0) |
           pte_leaf_bits(attrs, level);
}

static uint64_t host_make_table(hpa_t hpa)
{
    return hpa | PTE_P | PTE_W | PTE_A;
}

static uint32_t host_attrs(uint64_t leaf, uint32_t level)
{
    (void)level;
    return pte_leaf_attrs(leaf) | (leaf & PTE_G ? PT_GLOBAL : 0);
}

const struct pt_format pt_host = {
    .name = "host",
    .levels = 4,
    .canonical = true,
    .addr_mask = PTE_ADDR,
    .present = pte_present,
    .is_leaf = pte_is_leaf,
    .make_leaf = host_make_leaf,
    .make_table = host_make_table,
    .attrs = host_attrs,
};
