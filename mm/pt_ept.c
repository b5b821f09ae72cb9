/*
 * Intel's extended page tables (SDM volume 3, 29.3.2). A leaf carries its memory type; the "ignore PAT" bit stays clear, so
 * that the guest's own PAT may make it weaker (29.3.7.2). A write permission without read would be a misconfiguration.
 */
#include "core/lib/panic.h"
#include "mm/pt.h"

#define EPT_R          BIT(0)
#define EPT_W          BIT(1)
#define EPT_X          BIT(2)
#define EPT_TYPE(type) ((uint64_t)(type) << 3)
#define EPT_TYPE_MASK  EPT_TYPE(7)
#define EPT_UC         EPT_TYPE(0)
#define EPT_WC         EPT_TYPE(1)
#define EPT_WB         EPT_TYPE(6)
#define EPT_PS         BIT(7)
#define EPT_ADDR       (MASK(52) & ~PAGE_MASK)

static bool ept_present(uint64_t entry)
{
    return entry & (EPT_R | EPT_W | EPT_X);
}

static bool ept_is_leaf(uint64_t entry, uint32_t level)
{
    return level == 0 || entry & EPT_PS;
}

static uint64_t ept_make_leaf(hpa_t hpa, uint32_t attrs, uint32_t level)
{
    uint64_t entry = hpa | EPT_R;

    assert(attrs & PT_READ);
    entry |= attrs & PT_WRITE ? EPT_W : 0;
    entry |= attrs & PT_EXEC ? EPT_X : 0;
    entry |= attrs & PT_UC ? EPT_UC : attrs & PT_WC ? EPT_WC : EPT_WB;
    entry |= level > 0 ? EPT_PS : 0;
    return entry;
}

static uint64_t ept_make_table(hpa_t hpa)
{
    return hpa | EPT_R | EPT_W | EPT_X;
}

static uint32_t ept_attrs(uint64_t leaf, uint32_t level)
{
    uint64_t type = leaf & EPT_TYPE_MASK;
    uint32_t attrs = PT_READ;

    (void)level;
    attrs |= leaf & EPT_W ? PT_WRITE : 0;
    attrs |= leaf & EPT_X ? PT_EXEC : 0;
    attrs |= type == EPT_UC ? PT_UC : type == EPT_WC ? PT_WC : 0;
    return attrs;
}

const struct pt_format pt_ept = {
    .name = "ept",
    .levels = 4,
    .canonical = false,
    .addr_mask = EPT_ADDR,
    .present = ept_present,
    .is_leaf = ept_is_leaf,
    .make_leaf = ept_make_leaf,
    .make_table = ept_make_table,
    .attrs = ept_attrs,
};
