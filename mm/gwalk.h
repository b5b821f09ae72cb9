/* The guest's own page walk in software: gva -> gpa in all paging modes (SDM volume 3 chapter 4, APM volume 2 chapter 5). Pure. */
#pragma once

#include "mm/gmem.h"

enum gwalk_access {
    GWALK_READ = 0,
    GWALK_WRITE = BIT(0),
    GWALK_USER = BIT(1),
    GWALK_FETCH = BIT(2),
    GWALK_IMPLICIT = BIT(
        3), /* a supervisor access that EFLAGS.AC doesn't let through SMAP (descriptor tables, TSS) */
    GWALK_SET_AD = BIT(4), /* set accessed and dirty bits, as the CPU would, if the access is allowed */
};

/* Bits of a page fault's error code (SDM volume 3, 4.7). */
#define PF_PRESENT  BIT(0) /* the fault is about rights, not about a missing page */
#define PF_WRITE    BIT(1)
#define PF_USER     BIT(2)
#define PF_RESERVED BIT(3)
#define PF_FETCH    BIT(4)
#define PF_KEY      BIT(5)

#define GWALK_ADDRESS (MASK(52) & ~PAGE_MASK) /* of a table, in CR3 and in an entry */

struct gwalk_state {
    uint64_t cr0, cr3, cr4, efer, rflags;
    uint32_t pkru;
    uint32_t phys_bits; /* the guest's MAXPHYADDR: entry bits from there to 51 are reserved. 0 means 52 */
};

struct gwalk_result {
    gpa_t gpa;
    uint64_t page_size; /* of the leaf that maps it; 0 without paging */
    uint32_t error;     /* on a fault: the #PF error code */
    bool noncanonical;  /* the fault is #GP (or #SS), not #PF */
};

/*
 * Returns true and the gpa, or false and what fault the access takes. A table that isn't in guest memory reads as all ones.
 * Without long mode a linear address has 32 bits; the rest of gva is ignored.
 */
bool gwalk(const struct gmem *mem, const struct gwalk_state *state, gva_t gva, uint32_t access,
           struct gwalk_result *result);

/*
 * The way of a walk through four levels, to find out later in few instructions that it would still lead to the same place: the
 * entries, and what they were. The topmost entry is looked for anew, since address spaces share what is below it. Levels below
 * a large page's entry repeat that.
 */
#define GWALK_LEVELS 4

struct gwalk_path {
    const uint64_t *where[GWALK_LEVELS]; /* where[0] isn't used */
    uint64_t value[GWALK_LEVELS];
};

/* Of `gva`, in 64-bit mode. False: it can't be followed, or isn't all in the main part of memory. Checks no rights. */
bool gwalk_record(const struct gmem *mem, uint64_t cr3, gva_t gva, struct gwalk_path *path,
                  gpa_t *gpa) MUST_CHECK;

static inline bool gwalk_same(const struct gmem *mem, uint64_t cr3, gva_t gva, const struct gwalk_path *path)
{
    const uint64_t *top = gmem_entry(mem, (cr3 & GWALK_ADDRESS) + (gva >> 36 & 0xff8));

    return LIKELY(top) && LIKELY(__atomic_load_n(top, __ATOMIC_RELAXED) == path->value[0]) &&
           LIKELY(__atomic_load_n(path->where[1], __ATOMIC_RELAXED) == path->value[1]) &&
           LIKELY(__atomic_load_n(path->where[2], __ATOMIC_RELAXED) == path->value[2]) &&
           LIKELY(__atomic_load_n(path->where[3], __ATOMIC_RELAXED) == path->value[3]);
}
