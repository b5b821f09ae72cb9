/*
 * The pool: 4 KiB frames that the hypervisor allocates for itself. A frame table knows each frame's owner, so that the
 * audit can prove who has what and a leak has a name. Pool memory is mapped at mm/layout.h's direct map.
 */
#pragma once

#include "core/lib/types.h"

/* Owners below OWNER_VM are the hypervisor's parts; OWNER_VM + id is that VM's share of the pool. */
enum frame_owner {
    OWNER_FREE = 0,
    OWNER_HOST,    /* structures of the hypervisor as a whole */
    OWNER_HOST_PT, /* the hypervisor's page tables */
    OWNER_CPU,     /* per-core data and stacks */
    OWNER_VM = 16,
    OWNER_SHARE = 96, /* from here on: guest memory that several VMs share (core/vmshare.h) */
    OWNER_MAX = 128,  /* owners are below this */
};

#define VMSHARE_MAX (OWNER_MAX - OWNER_SHARE)

/*
 * Starts with an empty pool whose memory is mapped at direct + its physical address. The pool is in that state to begin
 * with, with DIRECT_BASE; host builds call this with the place of their own buffer.
 */
void frame_init(uintptr_t direct);
/*
 * Adds [base, base + len) to the pool; both page-aligned, and mapped already. Takes frames of the range itself for its
 * share of the frame table; a range that is too small for that is left out. ERR_INVALID on misalignment.
 */
int frame_add(hpa_t base, uint64_t len);
/* Zeroed, physically contiguous frames, aligned to their count rounded up to a power of two. NULL when the pool is used up. */
void *frame_alloc(uint32_t count, uint16_t owner) MUST_CHECK;
/* Gives back what frame_alloc returned, with the same count, and scrubs it. NULL is allowed. */
void frame_free(void *frames, uint32_t count);
/* OWNER_FREE also for what isn't in the pool; frame_contains tells the two apart. */
uint16_t frame_owner(hpa_t frame);
bool frame_contains(hpa_t frame);
/* The number of frames that hold so many bytes. */
static inline uint32_t frame_count(uint64_t bytes)
{
    return (uint32_t)(ALIGN_UP(bytes, PAGE_SIZE) >> PAGE_SHIFT);
}

struct frame_stats {
    uint64_t total, free; /* frames */
};
struct frame_stats frame_stats(void);
/* Frames that owner holds now. */
uint64_t frame_used_by(uint16_t owner);
