/* Where a kernel and its initrd fit into a VM's memory. */
#pragma once

#include "guests/linux_header.h"
#include "mm/gmem.h"

struct linux_place {
    gpa_t kernel, kernel_end; /* with all that it needs before it reads the memory map */
    gpa_t initrd;             /* 0 without one */
};

/* Returns 0, or ERR_NOMEM with a sentence that has figures in `why`. */
int linux_place_find(const struct gmem *mem, const struct linux_header *header, uint64_t initrd_len,
                     struct linux_place *place, char *why, size_t why_size);
