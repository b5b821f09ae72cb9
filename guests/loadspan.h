/* An image whose Multiboot header (1: the a.out kludge; 2: the address tag) says which part of the file goes where. Pure. */
#pragma once

#include "guests/loader.h"

#define LOADSPAN_FROM_START UINT32_MAX /* load_addr: the file is loaded from its first byte (Multiboot 2) */

struct loadspan {
    const uint8_t *file;
    uint64_t file_len, header_offset;
    uint32_t header_addr; /* where the header's first byte comes to lie */
    uint32_t load_addr;   /* of the first byte that is loaded */
    uint32_t load_end;    /* 0: all of the file */
    uint32_t bss_end;     /* 0: no zeros behind it */
};

int loadspan_load(struct loader *l, const struct loadspan *span) MUST_CHECK;
