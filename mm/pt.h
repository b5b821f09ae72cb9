/*
 * The one page-table walker (DESIGN 3) for three formats: the host's own, EPT (SDM 29.3.2) and NPT (APM 15.25). It maps
 * with the largest leaves that alignment and the format's limit allow, splits them when it must, and frees empty tables.
 */
#pragma once

#include "core/lib/types.h"

enum pt_attr {
    PT_READ = BIT(0),
    PT_WRITE = BIT(1),
    PT_EXEC = BIT(2),
    PT_GLOBAL = BIT(3),
    PT_UC = BIT(4), /* uncached; without UC and WC: write-back */
    PT_WC = BIT(5), /* write-combining; in host and NPT entries that is PAT entry 1, see core/x86/pat.h */
};

#define PT_SLOTS  512 /* entries of a table */
#define PT_LEVELS 5   /* at most: 4K, 2M, 1G, 512G, 256T */

/* What differs between host, EPT and NPT, and nothing else. Levels: 0 = 4K, 1 = 2M, 2 = 1G, 3 = 512G. */
struct pt_format {
    const char *name;
    uint32_t levels;    /* 4 */
    bool canonical;     /* addresses are sign-extended from their topmost bit */
    uint64_t addr_mask; /* of an entry */
    bool (*present)(uint64_t entry);
    bool (*is_leaf)(uint64_t entry, uint32_t level);
    uint64_t (*make_leaf)(hpa_t hpa, uint32_t attrs, uint32_t level); /* attrs with PT_READ at least */
    uint64_t (*make_table)(hpa_t hpa);
    uint32_t (*attrs)(uint64_t leaf, uint32_t level); /* the inverse of make_leaf */
};

extern const struct pt_format pt_host;
extern const struct pt_format pt_ept;
extern const struct pt_format pt_npt;

/* Where tables come from; on the host, tests bring their own. */
struct pt_memory {
    void *(*alloc)(void *ctx);            /* one zeroed page, or NULL */
    void (*free)(void *ctx, void *table); /* gives it back */
    hpa_t (*hpa)(const void *table);
    void *(*ptr)(hpa_t hpa);
    void *ctx;
};

struct pt {
    const struct pt_format *format;
    struct pt_memory memory;
    uint64_t *root;
    uint32_t max_leaf;              /* the largest level at which a leaf may stand: 0, 1 or 2 */
    uint32_t tables;                /* pages held, root included, shared ones not */
    uint32_t own_slots;             /* root slots from here on are another's (pt_share) */
    uint64_t pinned[PT_SLOTS / 64]; /* root slots whose table stays (pt_pin) */
};

int pt_init(struct pt *pt, const struct pt_format *format, const struct pt_memory *memory,
            uint32_t max_leaf) MUST_CHECK;
/* Frees all tables (those that pt_share brought in excepted). */
void pt_free(struct pt *pt);
/*
 * Maps [addr, addr + len) to hpa onwards, all page-aligned. What was mapped there is replaced. On ERR_NOMEM nothing is
 * mapped half: the range is unmapped, or as it was if not even the leaves at its ends could be split. ERR_RANGE if an
 * address leaves what the format can say, or if the range belongs to slots that are shared. The caller flushes TLBs,
 * and sees to it that no CPU walks tables that are freed here.
 */
int pt_map(struct pt *pt, uint64_t addr, hpa_t hpa, uint64_t len, uint32_t attrs) MUST_CHECK;
/* Unmaps; splitting a large leaf may need memory, and without it nothing changes. Holes in the range do no harm. */
int pt_unmap(struct pt *pt, uint64_t addr, uint64_t len) MUST_CHECK;

struct pt_leaf {
    uint64_t addr, len; /* the leaf's own range */
    hpa_t hpa;          /* of addr */
    uint32_t attrs;
};

/* Finds the leaf that maps addr; false if there is none, and then addr and len tell how large the hole's slot is. */
bool pt_lookup(const struct pt *pt, uint64_t addr, struct pt_leaf *leaf);
/* Calls visit for each leaf in ascending order, shared ones excepted; a result other than 0 ends the walk and is returned. */
typedef int (*pt_visitor)(void *ctx, const struct pt_leaf *leaf);
int pt_visit(const struct pt *pt, pt_visitor visit, void *ctx);

/* Gives addr's root slot a table that stays even when nothing is mapped there, so that it can be shared. */
int pt_pin(struct pt *pt, uint64_t addr) MUST_CHECK;
/* Makes root slots [first, 512) of pt, so far empty, the same as from's, tables shared. All of from's must be pinned. */
void pt_share(struct pt *pt, const struct pt *from, uint32_t first);
