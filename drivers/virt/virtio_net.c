#include "drivers/virt/virtio_net.h"

#include "core/lib/bytes.h"
#include "core/lib/string.h"

#define F_MAC    BIT(5)
#define F_STATUS BIT(16)

enum { QUEUE_RECEIVE, QUEUE_TRANSMIT, QUEUES };

#define CONFIG_STATUS  6
#define CONFIG_LENGTH  8
#define STATUS_LINK_UP 1

#define HEADER_LENGTH  12 /* 5.1.6 */
#define HEADER_BUFFERS 10 /* how many a frame takes: always one */

#define BATCH_FRAMES 64 /* in one go, before others get their turn */

static struct virtio_net *net_of(struct virtio *v)
{
    return CONTAINER_OF(v, struct virtio_net, v);
}

/* -- sending ---------------------------------------------------------------------------------------------------- */

/* The header asks for nothing that wasn't offered: its content is passed over. */
static void frame_send(struct virtio_net *n)
{
    const struct vring_chain *chain = n->v.host.chain;
    struct vring_cursor from = vring_readable(chain);
    uint64_t len = chain->readable_bytes - HEADER_LENGTH;

    if (chain->readable_bytes < HEADER_LENGTH || chain->readable != chain->count) {
        virtio_break(&n->v);
        return;
    }
    if (len > VSWITCH_FRAME_MAX)
        len = 0; /* counted as none */
    vring_skip(&from, HEADER_LENGTH);
    vring_read(&from, n->frame, (uint32_t)len);
    vswitch_send(&n->port, n->frame, (uint32_t)len);
    virtio_give(&n->v, QUEUE_TRANSMIT, 0);
}

static void net_transmit(struct virtio_net *n)
{
    uint32_t done = 0;

    for (; done < BATCH_FRAMES && virtio_take(&n->v, QUEUE_TRANSMIT); done++)
        frame_send(n);
    virtio_signal(&n->v, QUEUE_TRANSMIT);
    if (done == BATCH_FRAMES)
        virtio_defer(&n->v, QUEUE_TRANSMIT);
}

/* -- receiving -------------------------------------------------------------------------------------------------- */

/* There is a buffer, and a frame. */
static void frame_receive(struct virtio_net *n)
{
    const struct vring_chain *chain = n->v.host.chain;
    struct vring_cursor to = vring_writable(chain);
    uint32_t len = vswitch_receive(&n->port, n->frame);
    uint8_t header[HEADER_LENGTH] = {0};

    if (chain->readable) {
        virtio_break(&n->v);
        return;
    }
    put_le16(header + HEADER_BUFFERS, 1);
    if (chain->writable_bytes < HEADER_LENGTH + len) {
        n->too_short++;
        virtio_give(&n->v, QUEUE_RECEIVE, 0);
        return;
    }
    vring_write(&to, header, HEADER_LENGTH);
    vring_write(&to, n->frame, len);
    virtio_give(&n->v, QUEUE_RECEIVE, HEADER_LENGTH + len);
}

/* Only this side takes frames away: one that is there stays. */
static bool frame_waits(const struct virtio_net *n)
{
    return __atomic_load_n(&n->port.used, __ATOMIC_ACQUIRE) != 0;
}

static void net_receive(struct virtio_net *n)
{
    uint32_t done = 0;

    for (; done < BATCH_FRAMES && frame_waits(n) && virtio_take(&n->v, QUEUE_RECEIVE); done++)
        frame_receive(n);
    virtio_signal(&n->v, QUEUE_RECEIVE);
    if (done == BATCH_FRAMES)
        virtio_defer(&n->v, QUEUE_RECEIVE);
}

static void net_arrived(struct timer *timer, uint64_t now)
{
    struct virtio_net *n = CONTAINER_OF(timer, struct virtio_net, arrived);

    n->v.now = now;
    if (n->v.status & VIRTIO_DRIVER_OK)
        virtio_notify(&n->v, QUEUE_RECEIVE);
    else
        vswitch_flush(&n->port); /* nobody listens */
}

/* On the sender's core. */
static void net_wake(void *ctx)
{
    timer_arm(&((struct virtio_net *)ctx)->arrived, 0);
}

/* -- the device ------------------------------------------------------------------------------------------------- */

static void net_notify(struct virtio *v, uint32_t queue)
{
    if (queue == QUEUE_TRANSMIT)
        net_transmit(net_of(v));
    else
        net_receive(net_of(v));
}

static void net_reset(struct virtio *v)
{
    if (net_of(v)->port.net)
        vswitch_flush(&net_of(v)->port);
}

static const struct virtio_ops net_ops = {.reset = net_reset, .notify = net_notify};

bool virtio_net_init(struct virtio_net *n, const struct virtio_host *host, uint32_t slot,
                     const struct virtio_net_config *config)
{
    const struct virtio_config desc = {
        .name = "virtio-net",
        .id = 1,
        .pci_class = 0x0200,
        .features = F_MAC | F_STATUS,
        .packed = config->packed,
        .queues = QUEUES,
        .config_len = CONFIG_LENGTH,
        .ops = &net_ops,
    };

    memset(n, 0, sizeof(*n));
    virtio_init(&n->v, host, slot, &desc);
    memcpy(n->v.config, config->mac, VSWITCH_MAC);
    put_le16(n->v.config + CONFIG_STATUS, STATUS_LINK_UP);
    timer_init(&n->arrived, host->timers, net_arrived);
    n->port.buffer = config->buffer;
    n->port.buffer_bytes = config->buffer_bytes;
    n->port.wake = net_wake;
    n->port.ctx = n;
    return vswitch_attach(config->net, &n->port);
}

void virtio_net_remove(struct virtio_net *n)
{
    vswitch_detach(&n->port);
    timer_disarm(&n->arrived);
}
