#include "drivers/virt/virtio_rng.h"

#define REQUEST_MAX 4096 /* for one buffer: a device may give less than was asked for */
#define BATCH       8

static void request_fill(struct virtio_rng *rng)
{
    const struct vring_chain *chain = rng->v.host.chain;
    struct vring_cursor to = vring_writable(chain);
    uint32_t left = (uint32_t)MIN(chain->writable_bytes, REQUEST_MAX), written = left, run;
    uint8_t *bytes;

    if (chain->readable) {
        virtio_break(&rng->v);
        return;
    }
    for (; left && (bytes = vring_run(&to, left, &run)); left -= run)
        rng->random(rng->ctx, bytes, run);
    virtio_give(&rng->v, 0, written);
}

static void rng_notify(struct virtio *v, uint32_t queue)
{
    uint32_t done = 0;

    for (; done < BATCH && virtio_take(v, queue); done++)
        request_fill(CONTAINER_OF(v, struct virtio_rng, v));
    virtio_signal(v, queue);
    if (done == BATCH)
        virtio_defer(v, queue);
}

static const struct virtio_ops rng_ops = {.notify = rng_notify};

void virtio_rng_init(struct virtio_rng *rng, const struct virtio_host *host, uint32_t slot, bool packed,
                     void (*random)(void *ctx, void *buf, uint32_t len), void *ctx)
{
    const struct virtio_config desc = {
        .name = "virtio-rng",
        .id = 4,
        .pci_class = 0x00ff,
        .packed = packed,
        .queues = 1,
        .ops = &rng_ops,
    };

    virtio_init(&rng->v, host, slot, &desc);
    rng->random = random;
    rng->ctx = ctx;
}
