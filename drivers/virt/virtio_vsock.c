#include "drivers/virt/virtio_vsock.h"

#include "core/lib/bytes.h"
#include "core/lib/string.h"

#define F_STREAM BIT(0)

enum { QUEUE_RECEIVE, QUEUE_TRANSMIT = VIRTIO_VSOCK_TRANSMIT, QUEUE_EVENT, QUEUES };

#define CONFIG_LENGTH 8

/* Packets in one go, before others get their turn. */
#define BATCH 32

static struct virtio_vsock *vsock_of(struct virtio *v)
{
    return CONTAINER_OF(v, struct virtio_vsock, v);
}

/* -- receiving -------------------------------------------------------------------------------------------------- */

/* There is a buffer, and a packet; one that can't hold more than a header would never empty a packet. */
static void packet_receive(struct virtio_vsock *s)
{
    const struct vring_chain *chain = s->v.host.chain;
    struct vring_cursor to = vring_writable(chain);
    uint8_t header[VSOCKETS_HEADER];
    struct vsockets_packet packet;
    uint64_t room = chain->writable_bytes - VSOCKETS_HEADER;

    if (chain->readable || chain->writable_bytes <= VSOCKETS_HEADER) {
        virtio_break(&s->v);
        return;
    }
    if (!vsockets_receive(&s->port, &packet, s->data, (uint32_t)MIN(room, sizeof(s->data)))) {
        virtio_give(&s->v, QUEUE_RECEIVE, 0);
        return;
    }
    vsockets_write_header(header, &packet);
    vring_write(&to, header, sizeof(header));
    vring_write(&to, s->data, packet.len);
    virtio_give(&s->v, QUEUE_RECEIVE, VSOCKETS_HEADER + packet.len);
}

static void vsock_receive(struct virtio_vsock *s)
{
    uint32_t done = 0;

    for (; done < BATCH && vsockets_waits(&s->port) && virtio_take(&s->v, QUEUE_RECEIVE); done++)
        packet_receive(s);
    virtio_signal(&s->v, QUEUE_RECEIVE);
    if (done == BATCH)
        virtio_defer(&s->v, QUEUE_RECEIVE);
}

static void vsock_again(struct timer *timer, uint64_t now)
{
    struct virtio_vsock *s = CONTAINER_OF(timer, struct virtio_vsock, again);

    s->v.now = now;
    if (!(s->v.status & VIRTIO_DRIVER_OK)) {
        vsockets_flush(&s->port); /* nobody listens */
        return;
    }
    virtio_notify(&s->v, QUEUE_RECEIVE);
    virtio_notify(&s->v, QUEUE_TRANSMIT);
}

/* On the other's core. */
static void vsock_wake(void *ctx)
{
    timer_arm(&((struct virtio_vsock *)ctx)->again, 0);
}

/* -- the device ------------------------------------------------------------------------------------------------- */

/* There are no events to tell of. */
static void vsock_notify(struct virtio *v, uint32_t queue)
{
    struct virtio_vsock *s = vsock_of(v);

    /* Nobody is told of buffers before DRIVER_OK. */
    if (!s->port.open)
        vsockets_open(&s->port);
    if (queue == QUEUE_TRANSMIT)
        virtio_vsock_transmit(s);
    else if (queue == QUEUE_RECEIVE)
        vsock_receive(s);
}

static void vsock_reset(struct virtio *v)
{
    struct virtio_vsock *s = vsock_of(v);

    timer_disarm(&s->patience);
    if (s->port.net)
        vsockets_flush(&s->port);
}

static const struct virtio_ops vsock_ops = {.reset = vsock_reset, .notify = vsock_notify};

bool virtio_vsock_init(struct virtio_vsock *s, const struct virtio_host *host, uint32_t slot,
                       const struct virtio_vsock_config *config)
{
    const struct virtio_config desc = {
        .name = "virtio-vsock",
        .id = 19,
        .pci_class = 0x0780,
        .features = F_STREAM,
        .packed = config->packed,
        .queues = QUEUES,
        .config_len = CONFIG_LENGTH,
        .ops = &vsock_ops,
    };

    memset(s, 0, sizeof(*s));
    timer_init(&s->again, host->timers, vsock_again);
    timer_init(&s->patience, host->timers, virtio_vsock_patience);
    virtio_init(&s->v, host, slot, &desc);
    put_le64(s->v.config, config->cid);
    s->port.cid = config->cid;
    s->port.buffer = config->buffer;
    s->port.buffer_bytes = config->buffer_bytes;
    s->port.wake = vsock_wake;
    s->port.ctx = s;
    return vsockets_attach(config->net, &s->port);
}

void virtio_vsock_remove(struct virtio_vsock *s)
{
    vsockets_detach(&s->port);
    timer_disarm(&s->again);
    timer_disarm(&s->patience);
}
