/*
 * What is behind a virtual disk: memory that is mapped wherever its VM runs. Read-write, read-only, or copy-on-write: then
 * clusters that were written are in an overlay of limited size, and the image below stays as it is.
 */
#pragma once

#include "core/lib/types.h"

#define VDISK_SECTOR  512
#define VDISK_CLUSTER 4096

struct vdisk {
    uint8_t *image;
    uint64_t len; /* bytes, whole sectors */
    bool read_only;
    /* Copy-on-write; index is NULL without. All three are zeroed to begin with. */
    uint32_t *index;       /* for each cluster of the image: 0, its slot of the overlay + 1, or VDISK_ZEROS */
    uint8_t *overlay;      /* clusters */
    uint32_t slots, taken; /* how many there are; how many were ever in use */
    uint32_t spare;        /* the first slot that was given back + 1; its first bytes name the next */
    uint32_t spared;       /* how many of those there are */
};

#define VDISK_ZEROS UINT32_MAX

/* Bytes that the index of an image takes. */
static inline uint64_t vdisk_index_bytes(uint64_t len)
{
    return (len + VDISK_CLUSTER - 1) / VDISK_CLUSTER * sizeof(uint32_t);
}

/* Is [offset, offset + len) in whole sectors, and on the disk? */
bool vdisk_holds(const struct vdisk *disk, uint64_t offset, uint64_t len);
/* All of these take what vdisk_holds, at any alignment. The last three return false when the overlay is full. */
void vdisk_read(const struct vdisk *disk, uint64_t offset, uint8_t *to, uint64_t len);
bool vdisk_write(struct vdisk *disk, uint64_t offset, const uint8_t *from, uint64_t len);
bool vdisk_zero(struct vdisk *disk, uint64_t offset, uint64_t len);
/* What is there isn't needed any more; an overlay gets its clusters back. */
bool vdisk_discard(struct vdisk *disk, uint64_t offset, uint64_t len);
/* Clusters of the overlay that hold something; can be asked from any core. */
static inline uint32_t vdisk_overlay_used(const struct vdisk *disk)
{
    return disk->taken - disk->spared;
}
