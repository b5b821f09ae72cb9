/*
 * A virtio block device (virtio 1.2, 5.2). A request is carried out at once, by the core whose vCPU told of it: when it is
 * given back, its data is on the disk, so that a flush has nothing left to do.
 */
#pragma once

#include "drivers/virt/vdisk.h"
#include "drivers/virt/virtio.h"
#include "drivers/virt/vlimit.h"

#define VIRTIO_BLK_QUEUES 4
#define VIRTIO_BLK_SERIAL 20

struct virtio_blk {
    struct virtio v;
    struct vdisk disk;
    struct vlimit limit; /* a request that is beyond it waits in the driver's queue */
    char serial[VIRTIO_BLK_SERIAL];
    uint64_t reads, writes, read_bytes, written_bytes, errors; /* counters */
};

struct virtio_blk_config {
    struct vdisk disk;
    const char *serial; /* cut to 20 characters */
    uint32_t queues;    /* at most VIRTIO_BLK_QUEUES */
    bool packed;
    struct vlimit_rates rates;
};

void virtio_blk_init(struct virtio_blk *blk, const struct virtio_host *host, uint32_t slot,
                     const struct virtio_blk_config *config);
void virtio_blk_limit(struct virtio_blk *blk, const struct vlimit_rates *rates);
