#include "mm/pt.h"

#include "core/lib/error.h"
#include "core/lib/panic.h"
#include "core/lib/string.h"

/* One change of a range: what is to be there afterwards. Addresses are without sign extension, `last` is inclusive. */
struct edit {
    uint64_t addr, last;
    bool map; /* else unmap */
    hpa_t hpa;
    uint32_t attrs;
};

static uint32_t level_shift(uint32_t level)
{
    assert(level < PT_LEVELS);
    return PAGE_SHIFT + 9 * level;
}

static uint64_t level_size(uint32_t level)
{
    return BIT(level_shift(level));
}

static uint32_t level_slot(uint64_t addr, uint32_t level)
{
    return addr >> level_shift(level) & (PT_SLOTS - 1);
}

static uint32_t root_level(const struct pt *pt)
{
    return pt->format->levels - 1;
}

/* The bits of an address that the tables translate. */
static uint64_t space_mask(const struct pt *pt)
{
    return level_size(pt->format->levels) - 1;
}

static uint64_t addr_extend(const struct pt *pt, uint64_t addr)
{
    uint32_t unused = 64 - level_shift(pt->format->levels);

    return pt->format->canonical ? (uint64_t)((int64_t)(addr << unused) >> unused) : addr;
}

static void entry_set(uint64_t *entry, uint64_t value)
{
    __atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

static uint64_t *entry_table(const struct pt *pt, uint64_t entry)
{
    return pt->memory.ptr(entry & pt->format->addr_mask);
}

static bool entry_present(const struct pt *pt, uint64_t entry)
{
    return pt->format->present(entry);
}

static bool entry_is_leaf(const struct pt *pt, uint64_t entry, uint32_t level)
{
    return level == 0 || pt->format->is_leaf(entry, level);
}

static hpa_t leaf_hpa(const struct pt *pt, uint64_t entry, uint32_t level)
{
    return entry & pt->format->addr_mask & ~(level_size(level) - 1);
}

static bool slot_pinned(const struct pt *pt, uint32_t level, uint32_t slot)
{
    return level == root_level(pt) && pt->pinned[slot / 64] & BIT(slot % 64);
}

static uint64_t *table_alloc(struct pt *pt)
{
    uint64_t *table = pt->memory.alloc(pt->memory.ctx);

    if (table)
        pt->tables++;
    return table;
}

static void table_free(struct pt *pt, uint64_t *table)
{
    pt->memory.free(pt->memory.ctx, table);
    pt->tables--;
}

static bool table_empty(const struct pt *pt, const uint64_t *table)
{
    for (uint32_t i = 0; i < PT_SLOTS; i++)
        if (entry_present(pt, table[i]))
            return false;
    return true;
}

/* Frees whatever tables hang on an entry that stood at `level`. */
static void entry_drop(struct pt *pt, uint64_t entry, uint32_t level)
{
    uint64_t *table;

    if (!entry_present(pt, entry) || entry_is_leaf(pt, entry, level))
        return;
    table = entry_table(pt, entry);
    for (uint32_t i = 0; i < PT_SLOTS; i++)
        entry_drop(pt, table[i], level - 1);
    table_free(pt, table);
}

/* Replaces a leaf by a table of leaves one level down that say the same. */
static int leaf_split(struct pt *pt, uint64_t *entry, uint32_t level)
{
    uint32_t attrs = pt->format->attrs(*entry, level);
    hpa_t hpa = leaf_hpa(pt, *entry, level);
    uint64_t *table = table_alloc(pt);

    if (!table)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < PT_SLOTS; i++)
        table[i] = pt->format->make_leaf(hpa + i * level_size(level - 1), attrs, level - 1);
    entry_set(entry, pt->format->make_table(pt->memory.hpa(table)));
    return 0;
}

/* Splits whatever leaf reaches across addr. */
static int addr_cut(struct pt *pt, uint64_t addr)
{
    uint64_t *table = pt->root;

    for (uint32_t level = root_level(pt); addr & (level_size(level) - 1); level--) {
        uint64_t *entry = &table[level_slot(addr, level)];

        if (!entry_present(pt, *entry))
            return 0;
        if (entry_is_leaf(pt, *entry, level) && leaf_split(pt, entry, level))
            return ERR_NOMEM;
        table = entry_table(pt, *entry);
    }
    return 0;
}

/* True if [addr, addr + level_size) can be one leaf. */
static bool leaf_fits(const struct pt *pt, const struct edit *edit, uint64_t addr, uint32_t level)
{
    return level <= pt->max_leaf && ((edit->hpa + (addr - edit->addr)) & (level_size(level) - 1)) == 0;
}

/* Makes entry point to a table, an empty one if it didn't. The range was cut: a leaf here lies in it as a whole. */
static int entry_descend(struct pt *pt, uint64_t *entry, uint32_t level)
{
    uint64_t *table;

    if (entry_present(pt, *entry) && !entry_is_leaf(pt, *entry, level))
        return 0;
    table = table_alloc(pt);
    if (!table)
        return ERR_NOMEM;
    entry_set(entry, pt->format->make_table(pt->memory.hpa(table)));
    return 0;
}

/* Applies edit to the part of it that `table`, which translates addresses from `base` on, covers. Recurses once a level. */
static int table_edit(struct pt *pt, uint64_t *table, uint32_t level, uint64_t base, const struct edit *edit)
{
    uint64_t size = level_size(level);
    uint32_t first = edit->addr > base ? level_slot(edit->addr, level) : 0;

    for (uint32_t slot = first; slot < PT_SLOTS; slot++) {
        uint64_t addr = base + slot * size, old = table[slot];
        bool whole = edit->addr <= addr && addr + (size - 1) <= edit->last && !slot_pinned(pt, level, slot);

        if (addr > edit->last)
            break;
        if (!edit->map && !entry_present(pt, old))
            continue;
        if (whole && (!edit->map || leaf_fits(pt, edit, addr, level))) {
            hpa_t hpa = edit->hpa + (addr - edit->addr);

            entry_set(&table[slot], edit->map ? pt->format->make_leaf(hpa, edit->attrs, level) : 0);
            entry_drop(pt, old, level);
            continue;
        }
        if (entry_descend(pt, &table[slot], level))
            return ERR_NOMEM;
        uint64_t *child = entry_table(pt, table[slot]);

        if (table_edit(pt, child, level - 1, addr, edit))
            return ERR_NOMEM;
        if (!edit->map && !slot_pinned(pt, level, slot) && table_empty(pt, child)) {
            entry_set(&table[slot], 0);
            table_free(pt, child);
        }
    }
    return 0;
}

/* Makes sure that no leaf reaches across an end of the range. */
static int edit_cut(struct pt *pt, const struct edit *edit)
{
    return addr_cut(pt, edit->addr) || addr_cut(pt, edit->last + 1) ? ERR_NOMEM : 0;
}

static int edit_apply(struct pt *pt, const struct edit *edit)
{
    return table_edit(pt, pt->root, root_level(pt), 0, edit);
}

/* Checks a range and writes it into edit. */
static int edit_init(const struct pt *pt, struct edit *edit, uint64_t addr, uint64_t len)
{
    uint64_t mask = space_mask(pt);

    if (!IS_ALIGNED(addr | len, PAGE_SIZE))
        return ERR_INVALID;
    if (addr_extend(pt, addr & mask) != addr || (addr & mask) + (len - 1) > mask || len - 1 > mask)
        return ERR_RANGE;
    edit->addr = addr & mask;
    edit->last = edit->addr + (len - 1);
    return level_slot(edit->last, root_level(pt)) < pt->own_slots ? 0 : ERR_RANGE;
}

int pt_init(struct pt *pt, const struct pt_format *format, const struct pt_memory *memory, uint32_t max_leaf)
{
    *pt = (struct pt){.format = format, .memory = *memory, .max_leaf = max_leaf, .own_slots = PT_SLOTS};
    pt->root = table_alloc(pt);
    return pt->root ? 0 : ERR_NOMEM;
}

void pt_free(struct pt *pt)
{
    if (!pt->root)
        return;
    for (uint32_t i = 0; i < pt->own_slots; i++)
        entry_drop(pt, pt->root[i], root_level(pt));
    table_free(pt, pt->root);
    pt->root = NULL;
}

int pt_map(struct pt *pt, uint64_t addr, hpa_t hpa, uint64_t len, uint32_t attrs)
{
    struct edit edit = {.map = true, .hpa = hpa, .attrs = attrs};
    int err;

    if (len == 0)
        return 0;
    if (!IS_ALIGNED(hpa, PAGE_SIZE))
        return ERR_INVALID;
    if (hpa > pt->format->addr_mask || len - 1 > (pt->format->addr_mask | PAGE_MASK) - hpa)
        return ERR_RANGE;
    err = edit_init(pt, &edit, addr, len);
    if (err)
        return err;
    err = edit_cut(pt, &edit);
    if (err)
        return err;
    err = edit_apply(pt, &edit);
    if (err) {
        edit.map = false; /* after the cuts, this needs no memory */
        (void)edit_apply(pt, &edit);
    }
    return err;
}

int pt_unmap(struct pt *pt, uint64_t addr, uint64_t len)
{
    struct edit edit = {.map = false};
    int err;

    if (len == 0)
        return 0;
    err = edit_init(pt, &edit, addr, len);
    if (!err)
        err = edit_cut(pt, &edit);
    return err ? err : edit_apply(pt, &edit);
}

bool pt_lookup(const struct pt *pt, uint64_t addr, struct pt_leaf *leaf)
{
    const uint64_t *table = pt->root;
    uint32_t level = root_level(pt);
    uint64_t entry = table[level_slot(addr, level)];

    while (entry_present(pt, entry) && !entry_is_leaf(pt, entry, level)) {
        table = entry_table(pt, entry);
        level--;
        entry = table[level_slot(addr, level)];
    }
    *leaf = (struct pt_leaf){.addr = ALIGN_DOWN(addr, level_size(level)), .len = level_size(level)};
    if (!entry_present(pt, entry))
        return false;
    leaf->hpa = leaf_hpa(pt, entry, level);
    leaf->attrs = pt->format->attrs(entry, level);
    return true;
}

static int table_visit(const struct pt *pt, const uint64_t *table, uint32_t level, uint64_t base,
                       uint32_t slots, pt_visitor visit, void *ctx)
{
    for (uint32_t slot = 0; slot < slots; slot++) {
        uint64_t entry = table[slot], addr = base + slot * level_size(level);
        int result;

        if (!entry_present(pt, entry))
            continue;
        if (entry_is_leaf(pt, entry, level)) {
            struct pt_leaf leaf = {addr_extend(pt, addr), level_size(level), leaf_hpa(pt, entry, level),
                                   pt->format->attrs(entry, level)};
            result = visit(ctx, &leaf);
        } else {
            result = table_visit(pt, entry_table(pt, entry), level - 1, addr, PT_SLOTS, visit, ctx);
        }
        if (result)
            return result;
    }
    return 0;
}

int pt_visit(const struct pt *pt, pt_visitor visit, void *ctx)
{
    return table_visit(pt, pt->root, root_level(pt), 0, pt->own_slots, visit, ctx);
}

int pt_pin(struct pt *pt, uint64_t addr)
{
    uint32_t level = root_level(pt), slot = level_slot(addr, level);

    if (slot >= pt->own_slots)
        return ERR_RANGE;
    if (entry_descend(pt, &pt->root[slot], level))
        return ERR_NOMEM;
    pt->pinned[slot / 64] |= BIT(slot % 64);
    return 0;
}

void pt_share(struct pt *pt, const struct pt *from, uint32_t first)
{
    assert(pt->format == from->format && first <= pt->own_slots);
    for (uint32_t i = first; i < PT_SLOTS; i++) {
        assert(!entry_present(pt, pt->root[i]));
        assert(!entry_present(from, from->root[i]) || slot_pinned(from, root_level(from), i));
        pt->root[i] = from->root[i];
    }
    pt->own_slots = first;
}
