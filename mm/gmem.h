/*
 * A VM's memory as the hypervisor sees it while it runs that VM: gpa X of a RAM slot is at window + X. An access is one
 * bounds check and one load. Pure: on the host `window` is a plain buffer.
 */
#pragma once

#include "core/lib/types.h"

#define GMEM_MAX_SLOTS 8

struct gmem_slot {
    gpa_t base;
    uint64_t len;
    bool writable; /* for the guest; the hypervisor may write to ROM when it loads it */
};

struct gmem {
    uint8_t *window;
    uint32_t count;
    struct gmem_slot slots[GMEM_MAX_SLOTS]; /* sorted by base */
    struct gmem_slot largest;               /* one of them: where most accesses go */
};

void gmem_init(struct gmem *mem, void *window);
/* Declares [base, base + len) as RAM or ROM; page-aligned. ERR_INVALID on overlap or misalignment, ERR_NOMEM when full. */
int gmem_add(struct gmem *mem, gpa_t base, uint64_t len, bool writable) MUST_CHECK;
void *gmem_ptr_any(const struct gmem *mem, gpa_t gpa, uint64_t len);
/* The address of [gpa, gpa + len), all within one slot, or NULL. */
static inline void *gmem_ptr(const struct gmem *mem, gpa_t gpa, uint64_t len)
{
    uint64_t offset = gpa - mem->largest.base;

    if (LIKELY(offset < mem->largest.len && len <= mem->largest.len - offset))
        return mem->window + gpa;
    return gmem_ptr_any(mem, gpa, len);
}
/* The aligned 8 bytes at gpa if they are in the largest slot, as most page tables are; NULL says nothing. */
static inline uint64_t *gmem_entry(const struct gmem *mem, gpa_t gpa)
{
    return LIKELY(gpa - mem->largest.base < mem->largest.len) ? (uint64_t *)(mem->window + gpa) : NULL;
}
/* Copies between the hypervisor and guest memory; ERR_RANGE, and nothing copied, if any byte isn't RAM or ROM. */
int gmem_read(const struct gmem *mem, gpa_t gpa, void *buf, uint64_t len) MUST_CHECK;
int gmem_write(const struct gmem *mem, gpa_t gpa, const void *buf, uint64_t len) MUST_CHECK;
int gmem_fill(const struct gmem *mem, gpa_t gpa, uint8_t byte, uint64_t len) MUST_CHECK;
/* True if the guest itself may write there. */
bool gmem_guest_writable_any(const struct gmem *mem, gpa_t gpa, uint64_t len);
static inline bool gmem_guest_writable(const struct gmem *mem, gpa_t gpa, uint64_t len)
{
    uint64_t offset = gpa - mem->largest.base;

    if (LIKELY(offset < mem->largest.len && len <= mem->largest.len - offset && mem->largest.writable))
        return true;
    return gmem_guest_writable_any(mem, gpa, len);
}
uint64_t gmem_ram_bytes(const struct gmem *mem);
