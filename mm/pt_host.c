/* The hypervisor's own tables: 4-level paging (SDM volume 3, 4.5), supervisor only, never writable and executable at once. */
#include "core/lib/panic.h"
#include "mm/pt.h"
#include "mm/pt_entry.h"

static bool host_present(uint64_t entry)
{
    return entry & PTE_P;
}

static bool host_is_leaf(uint64_t entry, uint32_t level)
{
    return level == 0 || entry & PTE_PS;
}

/* Accessed and dirty are set from the start, which saves the CPU from writing to the tables. */
static uint64_t host_make_leaf(hpa_t hpa, uint32_t attrs, uint32_t level)
{
    uint64_t entry = hpa | PTE_P | PTE_A;

    assert(attrs & PT_READ);
    assert((attrs & (PT_WRITE | PT_EXEC)) != (PT_WRITE | PT_EXEC));
    entry |= attrs & PT_WRITE ? PTE_W | PTE_D : 0;
    entry |= attrs & PT_EXEC ? 0 : PTE_NX;
    entry |= attrs & PT_GLOBAL ? PTE_G : 0;
    entry |= attrs & PT_UC ? PTE_TYPE_UC : attrs & PT_WC ? PTE_TYPE_WC : 0;
    entry |= level > 0 ? PTE_PS : 0;
    return entry;
}

static uint64_t host_make_table(hpa_t hpa)
{
    return hpa | PTE_P | PTE_W | PTE_A;
}

static uint32_t host_attrs(uint64_t leaf, uint32_t level)
{
    uint32_t attrs = PT_READ;

    (void)level;
    attrs |= leaf & PTE_W ? PT_WRITE : 0;
    attrs |= leaf & PTE_NX ? 0 : PT_EXEC;
    attrs |= leaf & PTE_G ? PT_GLOBAL : 0;
    attrs |= leaf & PTE_PCD ? PT_UC : leaf & PTE_PWT ? PT_WC : 0;
    return attrs;
}

const struct pt_format pt_host = {
    .name = "host",
    .levels = 4,
    .canonical = true,
    .addr_mask = PTE_ADDR,
    .present = host_present,
    .is_leaf = host_is_leaf,
    .make_leaf = host_make_leaf,
    .make_table = host_make_table,
    .attrs = host_attrs,
};
