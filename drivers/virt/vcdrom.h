/*
 * A CD-ROM drive with a disc in it, as the set of SCSI commands that it knows (SPC-3, MMC-4). Each command is carried out at once.
 * The disc has one session with one data track, and stays in.
 */
#pragma once

#include "drivers/virt/vdisk.h"

#define VCDROM_BLOCK 2048
#define VCDROM_CDB   16 /* the longest */
#define VCDROM_SENSE 18

enum vcdrom_status { VCDROM_GOOD = 0x00, VCDROM_CHECK = 0x02 };

/* What a command gives: bytes of the disc, or some of its own. */
struct vcdrom_answer {
    uint8_t status;
    uint8_t sense[VCDROM_SENSE]; /* with VCDROM_CHECK */
    uint64_t offset, disc_bytes; /* whole blocks */
    uint32_t len;                /* of data */
    uint8_t data[64];
};

struct vcdrom {
    struct vdisk disc;
    const char *name;
    uint64_t reads, read_bytes, errors; /* counters */
};

void vcdrom_command(struct vcdrom *cd, const uint8_t cdb[VCDROM_CDB], struct vcdrom_answer *answer);
