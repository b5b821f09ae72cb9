#include "drivers/virt/virtio_console.h"

#include "core/lib/string.h"

enum { QUEUE_RECEIVE, QUEUE_TRANSMIT, QUEUES };

#define RETRY_NS    1000000 /* how soon the other side is asked again */
#define BATCH_BYTES 4096    /* in one go, before others get their turn */

static struct virtio_console *console_of(struct virtio *v)
{
    return CONTAINER_OF(v, struct virtio_console, v);
}

/* -- from the guest --------------------------------------------------------------------------------------------- */

/* Goes on with a buffer where it was left; false: it isn't through, and stays the next. */
static bool buffer_send(struct virtio_console *c, uint32_t *budget)
{
    struct vring_cursor from = vring_readable(c->v.host.chain);
    const uint8_t *bytes;
    uint32_t run;

    vring_skip(&from, c->sent); /* if it has become shorter, it is through */
    for (;;) {
        if (*budget == 0 || !c->config.ready(c->config.ctx))
            return false;
        bytes = vring_run(&from, MIN(*budget, VIRTIO_CONSOLE_PIECE), &run);
        if (!bytes)
            break;
        c->config.write(c->config.ctx, bytes, run);
        c->sent += run;
        *budget -= run;
    }
    c->sent = 0;
    return true;
}

static void console_transmit(struct virtio_console *c)
{
    uint32_t budget = BATCH_BYTES;

    while (virtio_take(&c->v, QUEUE_TRANSMIT)) {
        if (!buffer_send(c, &budget)) {
            virtio_untake(&c->v, QUEUE_TRANSMIT);
            timer_arm(&c->again, c->v.now + (budget ? RETRY_NS : 1));
            break;
        }
        virtio_give(&c->v, QUEUE_TRANSMIT, 0);
    }
    virtio_signal(&c->v, QUEUE_TRANSMIT);
}

/* -- to the guest ----------------------------------------------------------------------------------------------- */

static void buffer_fill(struct virtio_console *c)
{
    struct vring_cursor to = vring_writable(c->v.host.chain);
    uint32_t written = 0;

    for (; c->typed && vring_write(&to, &c->typed_bytes[c->head], 1); written++) {
        c->head = (c->head + 1) % VIRTIO_CONSOLE_TYPED;
        c->typed--;
    }
    virtio_give(&c->v, QUEUE_RECEIVE, written);
}

static void console_receive(struct virtio_console *c)
{
    for (uint32_t done = 0; done < VIRTIO_CONSOLE_TYPED && c->typed && virtio_take(&c->v, QUEUE_RECEIVE);
         done++)
        buffer_fill(c);
    virtio_signal(&c->v, QUEUE_RECEIVE);
}

bool virtio_console_listens(const struct virtio_console *c)
{
    return (c->v.status & VIRTIO_DRIVER_OK) && c->v.queues[QUEUE_RECEIVE].enabled;
}

void virtio_console_type(struct virtio_console *c, uint8_t byte)
{
    if (c->typed == VIRTIO_CONSOLE_TYPED)
        return;
    c->typed_bytes[(c->head + c->typed++) % VIRTIO_CONSOLE_TYPED] = byte;
    timer_arm(&c->again, 0); /* this core may not see the guest's memory */
}

/* -- the device ------------------------------------------------------------------------------------------------- */

static void console_again(struct timer *timer, uint64_t now)
{
    struct virtio_console *c = CONTAINER_OF(timer, struct virtio_console, again);

    c->v.now = now;
    virtio_notify(&c->v, QUEUE_RECEIVE);
    virtio_notify(&c->v, QUEUE_TRANSMIT);
}

static void console_notify(struct virtio *v, uint32_t queue)
{
    if (queue == QUEUE_TRANSMIT)
        console_transmit(console_of(v));
    else
        console_receive(console_of(v));
}

static void console_reset(struct virtio *v)
{
    struct virtio_console *c = console_of(v);

    timer_disarm(&c->again);
    c->sent = 0;
    c->typed = 0;
}

static const struct virtio_ops console_ops = {.reset = console_reset, .notify = console_notify};

void virtio_console_init(struct virtio_console *c, const struct virtio_host *host, uint32_t slot,
                         const struct virtio_console_config *config)
{
    const struct virtio_config desc = {
        .name = "virtio-console",
        .id = 3,
        .pci_class = 0x0780,
        .packed = config->packed,
        .queues = QUEUES,
        .ops = &console_ops,
    };

    memset(c, 0, sizeof(*c));
    c->config = *config;
    timer_init(&c->again, host->timers, console_again);
    virtio_init(&c->v, host, slot, &desc);
}
