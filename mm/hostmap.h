/*
 * The hypervisor's own address spaces (mm/layout.h): W^X and NX everywhere, global, supervisor. The shared upper half is
 * built once; each VM adds a lower half with nothing but its guest window and disks, not global: who goes from one VM to another
 * writes CR3, also where the hardware loads the same value at every exit.
 */
#pragma once

#include "mm/pt.h"

struct hostmap_image {
    hpa_t base;                         /* where the image was loaded */
    uint64_t text_end, rodata_end, end; /* offsets from the image's start, page-aligned */
};

/*
 * Starts the shared half with the image. The pool must have memory that the boot tables map at DIRECT_BASE; panics without.
 * Before hostmap_activate, every pool range that is in use must be added with hostmap_direct.
 */
void hostmap_init(const struct hostmap_image *image, bool use_1g);
/*
 * Adds a pool range (RW) or a boot module (RO) to the direct map, grown outwards to whole pages. Only before the first
 * hostspace_init: afterwards ERR_BUSY, if the shared half hasn't got a table for that part.
 */
int hostmap_direct(hpa_t base, uint64_t len, bool writable) MUST_CHECK;
/* Makes the calling core use the shared space, without a guest window; from here on low memory is unmapped. */
void hostmap_activate(void);
/* Physical address of the shared root, for an AP's CR3. */
hpa_t hostmap_root(void);

/* Maps a device's registers (PT_UC) or a framebuffer (PT_WC), any alignment; NULL without room. Never unmapped. */
void *hostmap_device(hpa_t base, uint64_t len, uint32_t attrs);
/*
 * Maps firmware tables read-only; hostmap_unmap, with the same length, gives the addresses back. Other cores' TLBs aren't
 * flushed: for use before they start.
 */
const void *hostmap_firmware(hpa_t base, uint64_t len);
void hostmap_unmap(const void *ptr, uint64_t len);

/* A stack of `pages` pages with an unmapped page on each side; returns its top. NULL without memory. */
void *hostmap_stack(uint32_t pages);
/* True if addr lies in a guard page of a stack: a page fault there is an overflow. */
bool hostmap_is_guard(uint64_t addr);

/* A VM's address space: the shared half and its own window. */
struct hostspace {
    struct pt pt;
    uint16_t owner;
};
int hostspace_init(struct hostspace *space, uint16_t owner, bool use_1g) MUST_CHECK;
/* Puts memory into the window (RW, also what is ROM for the guest). */
int hostspace_map(struct hostspace *space, gpa_t gpa, hpa_t hpa, uint64_t len) MUST_CHECK;
int hostspace_unmap(struct hostspace *space, gpa_t gpa, uint64_t len) MUST_CHECK;
/* Puts memory of a disk, page-aligned, where mm/layout.h has it. */
int hostspace_map_disk(struct hostspace *space, uint64_t addr, hpa_t hpa, uint64_t len,
                       bool writable) MUST_CHECK;
void hostspace_free(struct hostspace *space);
static inline hpa_t hostspace_root(const struct hostspace *space)
{
    return space->pt.memory.hpa(space->pt.root);
}
/* For the audit: visits each leaf of the shared half. */
int hostmap_visit(pt_visitor visit, void *ctx);
