/*
 * Address space ids, which tag TLB entries (APM volume 2, 15.16). Each core hands out its own, in rising order; when they
 * are used up, a new generation starts with a flush of all of them, and ids of older generations are void. Pure.
 */
#pragma once

#include "core/lib/types.h"

struct asid_pool {
    uint64_t generation; /* 0: nothing handed out yet; ids of generation 0 are always void */
    uint32_t next, max;
};

/* A vCPU's id: valid on the core whose pool it is from, while the generations are the same. */
struct asid {
    uint64_t generation;
    uint32_t id;
};

static inline void asid_pool_init(struct asid_pool *pool, uint32_t max)
{
    *pool = (struct asid_pool){.generation = 0, .next = max + 1, .max = max};
}

static inline bool asid_valid(const struct asid_pool *pool, const struct asid *asid)
{
    return asid->generation == pool->generation && asid->generation != 0;
}

/* Takes a new id. True: the next VMRUN must flush the entries of all ids. */
static inline bool asid_take(struct asid_pool *pool, struct asid *asid)
{
    bool flush = pool->next > pool->max;

    if (flush) {
        pool->generation++;
        pool->next = 1; /* 0 is the host's */
    }
    asid->generation = pool->generation;
    asid->id = pool->next++;
    return flush;
}
