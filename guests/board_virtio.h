/* The virtio devices of a board. */
#pragma once

#include "core/lib/drbg.h"
#include "drivers/virt/virtio_blk.h"
#include "drivers/virt/virtio_console.h"
#include "drivers/virt/virtio_net.h"
#include "drivers/virt/virtio_rng.h"
#include "drivers/virt/virtio_scsi.h"

struct board;

#define BOARD_DEVICES 8 /* of each kind */

struct board_disk {
    struct vdisk disk;
    const char *serial;
};

struct board_net {
    struct vswitch *net;
    uint8_t mac[VSWITCH_MAC];
};

/* What a VM is to have; all that it points to is the caller's. */
struct board_devices {
    uint32_t disk_count, cdrom_count, net_count;
    struct board_disk disks[BOARD_DEVICES], cdroms[VIRTIO_SCSI_TARGETS];
    struct board_net nets[BOARD_DEVICES];
    bool rng, console;
    bool split_rings; /* no packed ones are offered */
    /* Random bytes from outside, for the rng; false if there are none. */
    bool (*entropy)(void *buf, size_t len);
};

struct board_virtio {
    struct virtio_host host;
    struct vring_chain chain; /* the devices' in turn */
    uint32_t blk_count, net_count;
    uint32_t blk_room, net_room; /* for so many there is memory */
    struct virtio_blk *blks;
    struct virtio_net *nets;
    struct virtio_scsi *scsi; /* with the CD-ROM drives; NULL: there are none */
    bool has_console, has_rng;
    struct virtio_console console;
    struct virtio_rng rng;
    struct drbg drbg;
    uint32_t drawn; /* bytes since it was seeded */
    bool (*entropy)(void *buf, size_t len);
};

/* Puts them into slots one after another. ERR_NOMEM: what was made goes with board_virtio_remove. */
int board_virtio_init(struct board *board, const struct board_devices *devices) MUST_CHECK;
/* A typed byte; false if no driver of a virtio console listens. */
bool board_virtio_type(struct board *board, uint8_t byte);
void board_virtio_reset(struct board *board);
/* Plugs it out of switches and gives back its memory; also if it isn't all there. */
void board_virtio_remove(struct board *board);
