/*
 * A virtio console with a single port (virtio 1.2, 5.3). What the guest writes goes out as fast as it is taken, and waits in
 * the guest's own buffers meanwhile; what is typed waits here for one.
 */
#pragma once

#include "drivers/virt/virtio.h"

#define VIRTIO_CONSOLE_TYPED 256

struct virtio_console_config {
    void (*write)(void *ctx, const uint8_t *bytes, uint32_t len);
    bool (*ready)(void *ctx); /* is there room for VIRTIO_CONSOLE_PIECE bytes more? */
    void *ctx;
    bool packed;
};

#define VIRTIO_CONSOLE_PIECE 512

struct virtio_console {
    struct virtio v;
    struct virtio_console_config config;
    struct timer again; /* the other side wasn't ready; something was typed */
    uint64_t sent;      /* bytes of the next buffer that are out already */
    uint32_t head, typed;
    uint8_t typed_bytes[VIRTIO_CONSOLE_TYPED];
};

void virtio_console_init(struct virtio_console *c, const struct virtio_host *host, uint32_t slot,
                         const struct virtio_console_config *config);
/* Does a driver take what is typed? */
bool virtio_console_listens(const struct virtio_console *c);
/* A typed byte, on any core that holds the VM's device lock; lost if nobody takes them for too long. */
void virtio_console_type(struct virtio_console *c, uint8_t byte);
