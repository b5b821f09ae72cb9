/*
 * Files that go to guest memory in pieces, so that other VMs of the core don't wait for the whole: a loader says what goes where,
 * and who called the loader moves it afterwards. Pure.
 */
#pragma once

#include "mm/gmem.h"

#define COPIES_MAX   16
#define COPIES_PIECE (256 * KiB)

struct copies {
    uint32_t count; /* parts that are left */
    struct copies_part {
        gpa_t to;
        const uint8_t *from; /* NULL: zeros */
        uint64_t len;
    } parts[COPIES_MAX];
};

/*
 * Copies `len` bytes to guest memory, or clears it if `from` is NULL: at once if that is no more than a piece, or `copies` is NULL or
 * full, else by copies_step. `from` stays the caller's, and must stay till then. ERR_RANGE, and nothing done, if any byte isn't RAM or ROM.
 */
int copies_add(struct copies *copies, const struct gmem *mem, gpa_t to, const void *from,
               uint64_t len) MUST_CHECK;
/* Moves the next piece, if there is one. The window of `mem` must be open. */
void copies_step(struct copies *copies, const struct gmem *mem);
