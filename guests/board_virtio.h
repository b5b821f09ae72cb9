/* The virtio devices of a board. */
#pragma once

#include "core/console.h"
#include "core/lib/drbg.h"
#include "drivers/virt/virtio_balloon.h"
#include "drivers/virt/virtio_blk.h"
#include "drivers/virt/virtio_console.h"
#include "drivers/virt/virtio_net.h"
#include "drivers/virt/virtio_rng.h"
#include "drivers/virt/virtio_scsi.h"
#include "drivers/virt/virtio_vsock.h"
#include "guests/board_shmem.h"

struct board;

#define BOARD_DEVICES 8 /* of each kind */

struct board_disk {
    struct vdisk disk;
    const char *serial;
    struct vlimit_rates rates;
};

struct board_net {
    struct vswitch *net;
    uint8_t mac[VSWITCH_MAC];
    struct vlimit_rates rates;
};

/* What a VM is to have; all that it points to is the caller's. */
struct board_devices {
    uint32_t disk_count, cdrom_count, net_count;
    struct board_disk disks[BOARD_DEVICES], cdroms[VIRTIO_SCSI_TARGETS];
    struct board_net nets[BOARD_DEVICES];
    uint32_t shmem_count;
    struct board_shmem_from shmems[VM_SHARES_MAX];
    bool rng, console, balloon;
    uint32_t port_count;
    const char *ports[VIRTIO_CONSOLE_PORTS - 1]; /* names of further ports of the console */
    uint32_t cid;                                /* of a socket device; 0: there is none */
    bool split_rings;                            /* no packed ones are offered */
    /* Random bytes from outside, for the rng; false if there are none. */
    bool (*entropy)(void *buf, size_t len);
};

/* A port of the console, beside the VM's own console. */
struct board_port {
    struct board *board;
    uint32_t number;
    struct console_vm console;
};

struct board_virtio {
    struct virtio_host host;
    struct vring_chain chain; /* the devices' in turn */
    uint32_t blk_count, net_count;
    uint32_t blk_room, net_room; /* for so many there is memory */
    struct virtio_blk *blks;
    struct virtio_net *nets;
    struct virtio_scsi *scsi; /* with the CD-ROM drives; NULL: there are none */
    bool has_console, has_rng, has_balloon;
    struct virtio_balloon balloon;
    struct virtio_console console;
    uint32_t port_count;
    struct board_port *ports;
    struct virtio_vsock *vsock; /* NULL: there is none */
    struct virtio_rng rng;
    struct drbg drbg;
    uint32_t drawn; /* bytes since it was seeded */
    bool (*entropy)(void *buf, size_t len);
};

/* Puts them into slots one after another. ERR_NOMEM: what was made goes with board_virtio_remove. */
int board_virtio_init(struct board *board, const struct board_devices *devices) MUST_CHECK;
/* The console's part of it (board_console.c). */
int board_console_init(struct board *board, const struct board_devices *devices, uint32_t *slot) MUST_CHECK;
/* What ports hold back; the VM ends. */
void board_console_flush(struct board *board);
void board_console_remove(struct board *board);
/* The socket device's part (board_vsock.c). */
int board_vsock_init(struct board *board, const struct board_devices *devices) MUST_CHECK;
void board_vsock_remove(struct board *board);
/* A typed byte; false if no driver of a virtio console listens. */
bool board_virtio_type(struct board *board, uint8_t byte);
void board_virtio_reset(struct board *board);
/* Plugs it out of switches and gives back its memory; also if it isn't all there. */
void board_virtio_remove(struct board *board);
