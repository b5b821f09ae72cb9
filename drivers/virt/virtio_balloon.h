/*
 * A virtio memory balloon (virtio 1.2, 5.5): pages that the driver puts into it are others' to use, and it asks before it takes them
 * again. Those that it reports to be free are, too, and it takes them again without a word.
 */
#pragma once

#include "drivers/virt/virtio.h"

struct virtio_balloon_config {
    /* A page of 4 KiB is given up, by its number; one is taken: true, the driver may use it. */
    void (*give)(void *ctx, uint64_t page);
    bool (*take)(void *ctx, uint64_t page);
    /* All that were given up are taken: the driver starts anew. */
    void (*empty)(void *ctx);
    /* What is in there isn't wanted, until it is touched. */
    void (*report)(void *ctx, gpa_t gpa, uint64_t len);
    /* After a series of them: what can't be done at once is done soon. Is there still something? */
    void (*settle)(void *ctx);
    bool (*busy)(void *ctx);
    void *ctx;
    bool packed;
};

struct virtio_balloon {
    struct virtio v;
    struct virtio_balloon_config config;
    uint64_t inflated, deflated; /* pages */
    bool reported; /* what the next buffer of a reporting queue says is seen to: it is to be given back */
};

void virtio_balloon_init(struct virtio_balloon *b, const struct virtio_host *host, uint32_t slot,
                         const struct virtio_balloon_config *config);
/* How many pages the driver should put in; how many it says there are. Under the VM's device lock. */
void virtio_balloon_set_target(struct virtio_balloon *b, uint32_t pages);
uint32_t virtio_balloon_target(const struct virtio_balloon *b);
uint32_t virtio_balloon_actual(const struct virtio_balloon *b);
