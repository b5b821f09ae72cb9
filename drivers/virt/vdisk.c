#include "drivers/virt/vdisk.h"

#include "core/lib/string.h"

static const uint8_t zeros[VDISK_CLUSTER];

bool vdisk_holds(const struct vdisk *disk, uint64_t offset, uint64_t len)
{
    return IS_ALIGNED(offset | len, VDISK_SECTOR) && offset <= disk->len && len <= disk->len - offset;
}

/* What an access has in the cluster of its first byte. */
static uint64_t cluster_part(uint64_t offset, uint64_t len)
{
    return MIN(VDISK_CLUSTER - offset % VDISK_CLUSTER, len);
}

/* -- the overlay ------------------------------------------------------------------------------------------------ */

static uint8_t *slot_bytes(const struct vdisk *disk, uint32_t entry)
{
    return disk->overlay + (uint64_t)(entry - 1) * VDISK_CLUSTER;
}

static bool entry_has_slot(uint32_t entry)
{
    return entry != 0 && entry != VDISK_ZEROS;
}

/* A slot's number + 1, or 0 when all are in use. */
static uint32_t slot_take(struct vdisk *disk)
{
    uint32_t entry = disk->spare;

    if (entry) {
        memcpy(&disk->spare, slot_bytes(disk, entry), sizeof(disk->spare));
        disk->spared--;
    } else if (disk->taken < disk->slots) {
        entry = ++disk->taken;
    }
    return entry;
}

static void slot_give(struct vdisk *disk, uint32_t entry)
{
    if (!entry_has_slot(entry))
        return;
    memcpy(slot_bytes(disk, entry), &disk->spare, sizeof(disk->spare));
    disk->spare = entry;
    disk->spared++;
}

/* The bytes of a cluster as they are now. The image may end within it. */
static const uint8_t *cluster_find(const struct vdisk *disk, uint64_t cluster)
{
    uint32_t entry = disk->index ? disk->index[cluster] : 0;

    if (entry == VDISK_ZEROS)
        return zeros;
    return entry ? slot_bytes(disk, entry) : disk->image + cluster * VDISK_CLUSTER;
}

/* The bytes of a cluster of which [offset, offset + len) is about to be written; NULL if there is no place for it. */
static uint8_t *cluster_open(struct vdisk *disk, uint64_t offset, uint64_t len)
{
    uint64_t cluster = offset / VDISK_CLUSTER;
    const uint8_t *before = cluster_find(disk, cluster);
    uint32_t entry;

    if (!disk->index)
        return disk->image + cluster * VDISK_CLUSTER;
    if (entry_has_slot(disk->index[cluster]))
        return slot_bytes(disk, disk->index[cluster]);
    entry = slot_take(disk);
    if (!entry)
        return NULL;
    if (len < VDISK_CLUSTER)
        memcpy(slot_bytes(disk, entry), before,
               MIN((uint64_t)VDISK_CLUSTER, disk->len - cluster * VDISK_CLUSTER));
    disk->index[cluster] = entry;
    return slot_bytes(disk, entry);
}

/* -- accesses --------------------------------------------------------------------------------------------------- */

void vdisk_read(const struct vdisk *disk, uint64_t offset, uint8_t *to, uint64_t len)
{
    if (!disk->index) {
        memcpy(to, disk->image + offset, len);
        return;
    }
    for (uint64_t part; len; offset += part, to += part, len -= part) {
        part = cluster_part(offset, len);
        memcpy(to, cluster_find(disk, offset / VDISK_CLUSTER) + offset % VDISK_CLUSTER, part);
    }
}

bool vdisk_write(struct vdisk *disk, uint64_t offset, const uint8_t *from, uint64_t len)
{
    uint8_t *cluster;

    if (!disk->index) {
        memcpy(disk->image + offset, from, len);
        return true;
    }
    for (uint64_t part; len; offset += part, from += part, len -= part) {
        part = cluster_part(offset, len);
        cluster = cluster_open(disk, offset, part);
        if (!cluster)
            return false;
        memcpy(cluster + offset % VDISK_CLUSTER, from, part);
    }
    return true;
}

/* A whole cluster of zeros needs no slot. */
static bool cluster_zero(struct vdisk *disk, uint64_t offset, uint64_t len)
{
    uint64_t number = offset / VDISK_CLUSTER;
    uint8_t *cluster;

    if (len == VDISK_CLUSTER) {
        slot_give(disk, disk->index[number]);
        disk->index[number] = VDISK_ZEROS;
        return true;
    }
    if (disk->index[number] == VDISK_ZEROS)
        return true;
    cluster = cluster_open(disk, offset, len);
    if (cluster)
        memset(cluster + offset % VDISK_CLUSTER, 0, len);
    return cluster;
}

bool vdisk_zero(struct vdisk *disk, uint64_t offset, uint64_t len)
{
    if (!disk->index) {
        memset(disk->image + offset, 0, len);
        return true;
    }
    for (uint64_t part; len; offset += part, len -= part) {
        part = cluster_part(offset, len);
        if (!cluster_zero(disk, offset, part))
            return false;
    }
    return true;
}

/* Only a cluster that was written costs anything. It reads as zeros from then on, not as what the image has there. */
bool vdisk_discard(struct vdisk *disk, uint64_t offset, uint64_t len)
{
    for (uint64_t part; disk->index && len; offset += part, len -= part) {
        part = cluster_part(offset, len);
        if (part == VDISK_CLUSTER && entry_has_slot(disk->index[offset / VDISK_CLUSTER]))
            cluster_zero(disk, offset, part);
    }
    return true;
}
