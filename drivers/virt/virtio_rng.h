/* A virtio entropy device (virtio 1.2, 5.4). */
#pragma once

#include "drivers/virt/virtio.h"

struct virtio_rng {
    struct virtio v;
    void (*random)(void *ctx, void *buf, uint32_t len);
    void *ctx;
};

/* `random` gives bytes that nobody can foretell. */
void virtio_rng_init(struct virtio_rng *rng, const struct virtio_host *host, uint32_t slot, bool packed,
                     void (*random)(void *ctx, void *buf, uint32_t len), void *ctx);
