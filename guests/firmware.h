/* A flat firmware image, which ends at 4G as a PC's ROM does. Pure. */
#pragma once

#include "guests/copies.h"

#define FIRMWARE_MIN (64 * KiB)
#define FIRMWARE_MAX (16 * MiB)

/* Bytes of guest memory that an image of so many takes below 4G; 0: it can't be one. */
uint64_t firmware_size(uint64_t len);
/* Copies it there (`copies`: later), and its end to where it is below 1 MiB. ERR_RANGE if there is no memory for it. */
int firmware_load(const struct gmem *mem, struct copies *copies, const void *image, uint64_t len) MUST_CHECK;
