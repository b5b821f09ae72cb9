/*
 * A virtio SCSI host (virtio 1.2, 5.6) with CD-ROM drives: target n has one at LUN 0. A command is carried out at once, by the core
 * whose vCPU told of it, so that there is never one to be aborted; and nothing is ever plugged in or out.
 */
#pragma once

#include "drivers/virt/vcdrom.h"
#include "drivers/virt/virtio.h"

#define VIRTIO_SCSI_TARGETS 4

struct virtio_scsi {
    struct virtio v;
    uint32_t target_count;
    struct vcdrom targets[VIRTIO_SCSI_TARGETS];
};

/* The drives are in `targets`, and target_count says how many. */
void virtio_scsi_init(struct virtio_scsi *scsi, const struct virtio_host *host, uint32_t slot, bool packed);
