/*
 * Boot modules that are disk images. Their frames belong neither to the pool nor to guest memory and are mapped only for
 * VMs whose disks they are: for one that may write, or for any number that only read. The table is for the audit. Pure.
 */
#pragma once

#include "core/lib/types.h"

#define IMAGE_MAX 128

/* Declares an image; writer is OWNER_FREE if it is only read. ERR_BUSY if it was declared otherwise before, ERR_NOMEM. */
int image_declare(hpa_t base, uint64_t len, uint16_t writer) MUST_CHECK;
/* May these frames be mapped for that VM, to be written or only read? */
bool image_allows(hpa_t hpa, uint64_t len, uint16_t owner, bool write);
/* Is any of these frames part of an image that somebody may write? */
bool image_is_private(hpa_t hpa, uint64_t len);
/* For tests. */
void image_forget_all(void);
