/*
 * A virtio console (virtio 1.2, 5.3) with one port, or several with names. What the guest writes goes out as fast as it is taken,
 * and waits in the guest's own buffers meanwhile; what is typed waits here for one.
 */
#pragma once

#include "drivers/virt/virtio.h"

#define VIRTIO_CONSOLE_TYPED 256
#define VIRTIO_CONSOLE_PORTS 5
#define VIRTIO_CONSOLE_PIECE 512

/* What is behind a port. */
struct virtio_console_end {
    const char *name;
    void (*write)(void *ctx, const uint8_t *bytes, uint32_t len);
    bool (*ready)(void *ctx); /* is there room for VIRTIO_CONSOLE_PIECE bytes more? */
    void *ctx;
};

struct virtio_console_config {
    uint32_t count; /* of ports */
    bool console;   /* the first one is a console; there is nothing else, or ports with names follow */
    struct virtio_console_end ends[VIRTIO_CONSOLE_PORTS];
    bool packed;
};

struct virtio_console_port {
    struct virtio_console_end end;
    uint32_t tell; /* what the driver is to be told of it, a bit each */
    bool open;     /* somebody in the guest has it open */
    uint32_t head, typed;
    uint8_t typed_bytes[VIRTIO_CONSOLE_TYPED];
};

struct virtio_console {
    struct virtio v;
    uint32_t count;
    bool console;
    struct virtio_console_port ports[VIRTIO_CONSOLE_PORTS];
    struct timer again; /* the other side wasn't ready; something was typed */
};

void virtio_console_init(struct virtio_console *c, const struct virtio_host *host, uint32_t slot,
                         const struct virtio_console_config *config);
/* Does anybody take what is typed at that port? */
bool virtio_console_listens(const struct virtio_console *c, uint32_t port);
/* A typed byte, on any core that holds the VM's device lock; lost if nobody takes them for too long. */
void virtio_console_type(struct virtio_console *c, uint32_t port, uint8_t byte);
