#include "mm/gwalk.h"

#include "core/x86/cr.h"
#include "core/x86/msr.h"
#include "mm/pt_entry.h"

#define LEVELS_MAX   5
#define UPDATE_TRIES 16 /* a guest that keeps changing an entry must not keep us here */

/* The paging modes (SDM volume 3, table 4-1). */
enum mode { MODE_LEGACY, MODE_PAE, MODE_4LEVEL, MODE_5LEVEL };

static const struct {
    uint8_t levels, slot_bits, entry_size;
} layouts[] = {
    [MODE_LEGACY] = {2, 10, 4},
    [MODE_PAE] = {3, 9, 8},
    [MODE_4LEVEL] = {4, 9, 8},
    [MODE_5LEVEL] = {5, 9, 8},
};

struct walk {
    const struct gmem *mem;
    const struct gwalk_state *state;
    enum mode mode;
    uint32_t access;
    uint32_t level;  /* of the last entry read: 0 = 4K */
    uint64_t rights; /* PTE_W and PTE_U if all entries have them; PTE_NX if any has it */
    uint64_t leaf;
    uint32_t key;               /* protection key of the leaf */
    uint64_t value[LEVELS_MAX]; /* the entries, by level, and where they are */
    gpa_t where[LEVELS_MAX];
};

static bool mode_is_long(enum mode mode)
{
    return mode >= MODE_4LEVEL;
}

static enum mode mode_of(const struct gwalk_state *state)
{
    if (!(state->cr4 & CR4_PAE))
        return MODE_LEGACY;
    if (!(state->efer & EFER_LMA))
        return MODE_PAE;
    return state->cr4 & CR4_LA57 ? MODE_5LEVEL : MODE_4LEVEL;
}

static uint32_t level_shift(enum mode mode, uint32_t level)
{
    return PAGE_SHIFT + layouts[mode].slot_bits * level;
}

static bool canonical(gva_t gva, enum mode mode)
{
    uint32_t unused = 64 - level_shift(mode, layouts[mode].levels);

    return (gva_t)((int64_t)(gva << unused) >> unused) == gva;
}

static uint64_t entry_read(const struct walk *walk, gpa_t gpa)
{
    uint32_t size = layouts[walk->mode].entry_size;
    const void *ptr = gmem_ptr(walk->mem, gpa, size);

    if (!ptr)
        return size == 4 ? UINT32_MAX : UINT64_MAX;
    return size == 4 ? __atomic_load_n((const uint32_t *)ptr, __ATOMIC_RELAXED)
                     : __atomic_load_n((const uint64_t *)ptr, __ATOMIC_RELAXED);
}

/* Replaces an entry unless it was changed meanwhile. What isn't RAM doesn't take the write. */
static bool entry_update(const struct walk *walk, gpa_t gpa, uint64_t old, uint64_t new)
{
    uint32_t size = layouts[walk->mode].entry_size, old32 = (uint32_t)old;
    void *ptr = gmem_ptr(walk->mem, gpa, size);

    if (!ptr || !gmem_guest_writable(walk->mem, gpa, size))
        return true;
    if (size == 4)
        return __atomic_compare_exchange_n((uint32_t *)ptr, &old32, (uint32_t) new, false, __ATOMIC_SEQ_CST,
                                           __ATOMIC_RELAXED);
    return __atomic_compare_exchange_n((uint64_t *)ptr, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static bool entry_is_leaf(const struct walk *walk, uint64_t entry, uint32_t level)
{
    if (level == 0)
        return true;
    if (!(entry & PTE_PS))
        return false;
    switch (walk->mode) {
    case MODE_LEGACY:
        return walk->state->cr4 & CR4_PSE; /* the bit is ignored otherwise */
    case MODE_PAE:
        return level == 1;
    default:
        return level <= 2;
    }
}

/* Bits [lo, hi) */
static inline uint64_t bits(uint32_t lo, uint32_t hi)
{
    return hi > lo ? (hi == 64 ? UINT64_MAX : MASK(hi)) & ~MASK(lo) : 0;
}

static uint32_t phys_bits(const struct walk *walk)
{
    uint32_t given = walk->state->phys_bits;

    return given ? MAX(MIN(given, 52u), 32u) : 52;
}

/* The bits that must be 0 (SDM volume 3, tables 4-4 to 4-6, 4-8 to 4-11, 4-15 to 4-20). */
static uint64_t reserved_legacy(const struct walk *walk, bool leaf, uint32_t level)
{
    /* A 4 MiB leaf keeps address bits 32 and up in bits 13 to 20, as many as the CPU has; bit 21 is never one. */
    return leaf && level ? bits(MIN(phys_bits(walk), 40u) - 19, 22) : 0;
}

static uint64_t reserved_pae(const struct walk *walk, bool leaf, uint32_t level)
{
    /* Bit 5 of a PDPTE is reserved, too, but QEMU's TCG sets it as if it were an accessed bit, and ignores it. */
    if (level == 2)
        return bits(phys_bits(walk), 64) | bits(6, 9) | bits(1, 3);
    return bits(phys_bits(walk), 63) | (leaf && level ? bits(13, 21) : 0);
}

static uint64_t reserved_long(const struct walk *walk, bool leaf, uint32_t level)
{
    uint64_t mask = bits(phys_bits(walk), 52);

    if (level > 2)
        mask |= PTE_PS;
    else if (leaf && level)
        mask |= bits(13, level_shift(walk->mode, level));
    return mask;
}

static uint64_t reserved(const struct walk *walk, bool leaf, uint32_t level)
{
    uint64_t nx = walk->state->efer & EFER_NXE ? 0 : PTE_NX;

    switch (walk->mode) {
    case MODE_LEGACY:
        return reserved_legacy(walk, leaf, level);
    case MODE_PAE:
        return reserved_pae(walk, leaf, level) | nx;
    default:
        return reserved_long(walk, leaf, level) | nx;
    }
}

static gpa_t root_gpa(const struct walk *walk)
{
    if (mode_is_long(walk->mode))
        return walk->state->cr3 & PTE_ADDR;
    /* PAE's table of four entries is aligned to 32 bytes. */
    return walk->state->cr3 & (walk->mode == MODE_PAE ? bits(5, 32) : bits(12, 32));
}

/* Reads entries down to the leaf. Returns true with the leaf, or false with the fault's own error bits. */
static bool walk_down(struct walk *walk, gva_t gva, uint32_t *error)
{
    uint32_t slots = 1u << layouts[walk->mode].slot_bits;
    gpa_t table = root_gpa(walk);

    walk->rights = PTE_W | PTE_U;
    for (uint32_t level = layouts[walk->mode].levels - 1u;; level--) {
        uint64_t slot = gva >> level_shift(walk->mode, level) & (slots - 1);
        gpa_t where = table + slot * layouts[walk->mode].entry_size;
        uint64_t entry = entry_read(walk, where);
        bool leaf = entry_is_leaf(walk, entry, level);

        walk->value[level] = entry;
        walk->where[level] = where;
        walk->level = level;
        *error = 0;
        if (!(entry & PTE_P))
            return false;
        *error = PF_PRESENT | PF_RESERVED;
        if (entry & reserved(walk, leaf, level))
            return false;
        if (walk->mode != MODE_PAE || level != 2) { /* a PDPTE has no rights */
            walk->rights &= entry | ~(PTE_W | PTE_U);
            walk->rights |= entry & PTE_NX;
        }
        if (leaf) {
            walk->leaf = entry;
            walk->key = entry >> 59 & 15;
            return true;
        }
        table = entry & PTE_ADDR;
    }
}

static bool rights_allow(const struct walk *walk)
{
    const struct gwalk_state *state = walk->state;
    bool user_page = walk->rights & PTE_U, write = walk->access & GWALK_WRITE,
         fetch = walk->access & GWALK_FETCH;

    if (fetch && walk->rights & PTE_NX)
        return false;
    if (walk->access & GWALK_USER)
        return user_page && (!write || walk->rights & PTE_W);
    if (fetch && user_page && state->cr4 & CR4_SMEP)
        return false;
    /* EFLAGS.AC lets explicit data accesses through SMAP (SDM volume 3, 4.6.1). */
    if (!fetch && user_page && state->cr4 & CR4_SMAP &&
        (walk->access & GWALK_IMPLICIT || !(state->rflags & RFLAGS_AC)))
        return false;
    return !write || walk->rights & PTE_W || !(state->cr0 & CR0_WP);
}

/* Protection keys (SDM volume 3, 4.6.2): of user pages only, for data only; two bits a key, no access and no write. */
static bool key_allows(const struct walk *walk)
{
    const struct gwalk_state *state = walk->state;
    uint32_t key = state->pkru >> (2 * walk->key);

    if (!mode_is_long(walk->mode) || !(state->cr4 & CR4_PKE) || walk->access & GWALK_FETCH ||
        !(walk->rights & PTE_U))
        return true;
    if (key & BIT(0))
        return false;
    return !(key & BIT(1) && walk->access & GWALK_WRITE &&
             (walk->access & GWALK_USER || state->cr0 & CR0_WP));
}

/* The bits of the error code that tell what kind of access it was. */
static uint32_t access_error(const struct walk *walk)
{
    const struct gwalk_state *state = walk->state;
    bool nx = state->cr4 & CR4_PAE && state->efer & EFER_NXE;
    uint32_t error = 0;

    error |= walk->access & GWALK_WRITE ? PF_WRITE : 0;
    error |= walk->access & GWALK_USER ? PF_USER : 0;
    error |= walk->access & GWALK_FETCH && (nx || state->cr4 & CR4_SMEP) ? PF_FETCH : 0;
    return error;
}

/*
 * Sets the accessed bits of all entries used, and the leaf's dirty bit on a write. False if one changed under our hands. Where
 * a table maps itself, one entry serves several levels: a change of ours at one is no surprise at the next.
 */
static bool walk_mark(struct walk *walk)
{
    for (uint32_t level = layouts[walk->mode].levels; level-- > walk->level;) {
        uint64_t old = walk->value[level], new = old | PTE_A;

        if (walk->mode == MODE_PAE && level == 2)
            continue; /* a PDPTE has no accessed bit */
        if (level == walk->level && walk->access & GWALK_WRITE)
            new |= PTE_D;
        if (new == old)
            continue;
        if (!entry_update(walk, walk->where[level], old, new))
            return false;
        for (uint32_t below = walk->level; below < level; below++)
            if (walk->where[below] == walk->where[level])
                walk->value[below] = new;
    }
    return true;
}

static void result_set(const struct walk *walk, gva_t gva, struct gwalk_result *result)
{
    uint64_t size = BIT(level_shift(walk->mode, walk->level)), frame = walk->leaf & PTE_ADDR;

    if (walk->mode == MODE_LEGACY && walk->level)
        frame = (walk->leaf & bits(22, 32)) | (walk->leaf & bits(13, 21)) << 19;
    result->page_size = size;
    result->gpa = (frame & ~(size - 1)) | (gva & (size - 1));
}

/* Does a supervisor's or a user's page need the checks of rights_allow and key_allows in full? */
static bool quick_rights_odd(const struct gwalk_state *state, uint64_t rights, uint32_t access)
{
    uint64_t extra = access & GWALK_USER ? CR4_PKE : CR4_PKE | CR4_SMEP | CR4_SMAP;

    return rights & PTE_U && state->cr4 & extra;
}

/* What all entries of the way must have for the access to be allowed without a further look; PTE_NX stands for its opposite. */
static uint64_t quick_rights_needed(uint32_t access)
{
    uint64_t needed = access & GWALK_SET_AD ? PTE_A : 0;

    needed |= access & GWALK_WRITE ? PTE_W : 0;
    needed |= access & GWALK_USER ? PTE_U : 0;
    return needed | (access & GWALK_FETCH ? PTE_NX : 0);
}

/* Down four levels. Returns the leaf, or 0 if anything isn't as usual; *rights: the bits that all entries have (NX: none). */
static uint64_t quick_leaf(const struct gmem *mem, const struct gwalk_state *state, gva_t gva,
                           uint64_t *rights, uint32_t *shift)
{
    uint64_t bad = state->efer & EFER_NXE ? 0 : PTE_NX, entry = state->cr3, all = UINT64_MAX;
    uint32_t at = PAGE_SHIFT + 3 * 9;

    if (state->phys_bits)
        bad |= bits(state->phys_bits, 52);
    for (;; at -= 9) {
        const uint64_t *where = gmem_entry(mem, (entry & PTE_ADDR) + (gva >> at << 3 & 0xff8));

        if (UNLIKELY(!where))
            return 0;
        entry = __atomic_load_n(where, __ATOMIC_RELAXED);
        if (UNLIKELY((entry & (PTE_P | bad)) != PTE_P))
            return 0;
        all &= entry ^ PTE_NX;
        if (at == PAGE_SHIFT)
            break;
        if (entry & PTE_PS) {
            if (at > PAGE_SHIFT + 2 * 9 || entry & (BIT(at) - 1) & ~MASK(13))
                return 0;
            break;
        }
    }
    *rights = all;
    *shift = at;
    return entry;
}

/*
 * The usual walk in few instructions: four levels, tables in the main part of memory, no reserved bit set, no accessed or dirty bit
 * to set. False for all others, which are for gwalk_any to walk and to judge.
 */
static bool gwalk_quick(const struct gmem *mem, const struct gwalk_state *state, gva_t gva, uint32_t access,
                        struct gwalk_result *result)
{
    uint64_t leaf, rights, needed = quick_rights_needed(access), dirty = PTE_P;
    uint32_t shift;

    if (!(state->cr0 & CR0_PG) || !(state->efer & EFER_LMA) ||
        (state->cr4 & (CR4_PAE | CR4_LA57)) != CR4_PAE || (gva_t)((int64_t)(gva << 16) >> 16) != gva)
        return false;
    leaf = quick_leaf(mem, state, gva, &rights, &shift);
    if (UNLIKELY(!leaf))
        return false;
    if ((access & (GWALK_SET_AD | GWALK_WRITE)) == (GWALK_SET_AD | GWALK_WRITE))
        dirty = PTE_D;
    if (!(leaf & dirty) || (rights & needed) != needed || quick_rights_odd(state, rights, access))
        return false;
    result->gpa = (leaf & PTE_ADDR & ~(BIT(shift) - 1)) | (gva & (BIT(shift) - 1));
    result->page_size = BIT(shift);
    return true;
}

static __attribute__((noinline)) bool gwalk_any(const struct gmem *mem, const struct gwalk_state *state,
                                                gva_t gva, uint32_t access, struct gwalk_result *result)
{
    struct walk walk = {.mem = mem, .state = state, .mode = mode_of(state), .access = access};

    if (!(state->cr0 & CR0_PG)) {
        result->gpa = (uint32_t)gva;
        return true;
    }
    if (!mode_is_long(walk.mode)) {
        gva = (uint32_t)gva;
    } else if (!canonical(gva, walk.mode)) {
        result->noncanonical = true;
        return false;
    }
    for (uint32_t tries = 0; tries < UPDATE_TRIES; tries++) {
        uint32_t error;

        if (!walk_down(&walk, gva, &error)) {
            result->error = error | access_error(&walk);
            return false;
        }
        if (!rights_allow(&walk) || !key_allows(&walk)) {
            result->error = PF_PRESENT | (key_allows(&walk) ? 0 : PF_KEY) | access_error(&walk);
            return false;
        }
        if (!(access & GWALK_SET_AD) || walk_mark(&walk))
            break;
    }
    result_set(&walk, gva, result);
    return true;
}

bool gwalk(const struct gmem *mem, const struct gwalk_state *state, gva_t gva, uint32_t access,
           struct gwalk_result *result)
{
    *result = (struct gwalk_result){0};
    return LIKELY(gwalk_quick(mem, state, gva, access, result)) || gwalk_any(mem, state, gva, access, result);
}

bool gwalk_record(const struct gmem *mem, uint64_t cr3, gva_t gva, struct gwalk_path *path, gpa_t *gpa)
{
    uint64_t entry = cr3;
    uint32_t shift = PAGE_SHIFT + (GWALK_LEVELS - 1) * 9, last = PAGE_SHIFT;

    for (uint32_t i = 0; i < GWALK_LEVELS; i++, shift -= 9) {
        if (shift >= last) {
            path->where[i] = gmem_entry(mem, (entry & GWALK_ADDRESS) + (gva >> shift << 3 & 0xff8));
            if (!path->where[i])
                return false;
            entry = __atomic_load_n(path->where[i], __ATOMIC_RELAXED);
            if (!(entry & PTE_P))
                return false;
            if (entry & PTE_PS && i > 0 && i < GWALK_LEVELS - 1)
                last = shift;
        } else {
            path->where[i] = path->where[i - 1];
        }
        path->value[i] = entry;
    }
    *gpa = (entry & GWALK_ADDRESS & ~(BIT(last) - 1)) | (gva & (BIT(last) - 1));
    return true;
}
