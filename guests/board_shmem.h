/* The memory that a board's VM shares with others, one device for each. */
#pragma once

#include "core/vm.h"
#include "drivers/virt/vivshmem.h"

struct board;
struct board_devices;

/* What one is made from; the caller's. */
struct board_shmem_from {
    const char *name;
    struct vmshare *share;
    struct vivshmem_group *group;
};

struct board_shmem {
    uint32_t count;
    struct board_shmem_device {
        struct vivshmem s;
        struct board *board;
        struct vmshare *share;
        const char *name;
    } * devices;
};

int board_shmem_init(struct board *board, const struct board_devices *devices) MUST_CHECK;
void board_shmem_reset(struct board *board);
/* Also if it isn't all there. */
void board_shmem_remove(struct board *board);
