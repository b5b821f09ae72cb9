#include "drivers/virt/virtio_console.h"

#include "core/lib/bytes.h"
#include "core/lib/string.h"

#define F_MULTIPORT BIT(1)

/* 5.3.2: port 0 has the first two queues, then there are those for control, then the other ports' */
enum { QUEUE_RECEIVE, QUEUE_TRANSMIT, QUEUE_TELL, QUEUE_HEAR };

#define CONFIG_PORTS  4
#define CONFIG_LENGTH 8

#define RETRY_NS    1000000 /* how soon the other side is asked again */
#define BATCH_BYTES 4096    /* in one go, before others get their turn */
#define BATCH       64      /* likewise, messages and buffers */

/* 5.3.6.2 */
enum {
    EVENT_DEVICE_READY,
    EVENT_DEVICE_ADD,
    EVENT_DEVICE_REMOVE,
    EVENT_PORT_READY,
    EVENT_CONSOLE_PORT,
    EVENT_RESIZE,
    EVENT_PORT_OPEN,
    EVENT_PORT_NAME,
};

/* id of the port, event, value; a name may follow */
#define MESSAGE_EVENT  4
#define MESSAGE_VALUE  6
#define MESSAGE_LENGTH 8
#define NAME_MAX       32

static struct virtio_console *console_of(struct virtio *v)
{
    return CONTAINER_OF(v, struct virtio_console, v);
}

static uint32_t receive_queue(uint32_t port)
{
    return port ? 2 * port + 2 : QUEUE_RECEIVE;
}

static uint32_t transmit_queue(uint32_t port)
{
    return receive_queue(port) + 1;
}

/* -- control: to the driver ------------------------------------------------------------------------------------- */

static uint32_t message_make(uint8_t *bytes, uint32_t id, uint16_t event,
                             const struct virtio_console_port *port)
{
    uint32_t name = event == EVENT_PORT_NAME ? MIN((uint32_t)str_len(port->end.name), (uint32_t)NAME_MAX) : 0;

    put_le32(bytes, id);
    put_le16(bytes + MESSAGE_EVENT, event);
    put_le16(bytes + MESSAGE_VALUE, 1);
    memcpy(bytes + MESSAGE_LENGTH, port->end.name, name);
    return MESSAGE_LENGTH + name;
}

/* The next that is due, in the order of the events; false if there is none. */
static bool message_next(struct virtio_console *c, uint32_t *id, uint16_t *event)
{
    for (*id = 0; *id < c->count; ++*id)
        if (c->ports[*id].tell) {
            *event = (uint16_t)__builtin_ctz(c->ports[*id].tell);
            return true;
        }
    return false;
}

/* One that finds a buffer too short is lost, as the buffer is all that the driver has for it. */
static void control_tell(struct virtio_console *c)
{
    uint8_t bytes[MESSAGE_LENGTH + NAME_MAX];
    uint32_t id, len, done = 0;
    uint16_t event;

    for (; done < BATCH && message_next(c, &id, &event) && virtio_take(&c->v, QUEUE_TELL); done++) {
        struct vring_cursor to = vring_writable(c->v.host.chain);

        len = message_make(bytes, id, event, &c->ports[id]);
        c->ports[id].tell &= ~(uint32_t)BIT(event);
        virtio_give(&c->v, QUEUE_TELL, vring_write(&to, bytes, len) ? len : 0);
    }
    virtio_signal(&c->v, QUEUE_TELL);
}

/* -- control: from the driver ----------------------------------------------------------------------------------- */

static void message_hear(struct virtio_console *c, uint32_t id, uint16_t event, uint16_t value)
{
    if (event == EVENT_DEVICE_READY && value == 1)
        for (uint32_t i = 0; i < c->count; i++)
            c->ports[i].tell |= BIT(EVENT_DEVICE_ADD);
    if (id >= c->count)
        return;
    if (event == EVENT_PORT_READY && value == 1)
        c->ports[id].tell |= BIT(EVENT_PORT_OPEN) | BIT(EVENT_PORT_NAME) |
                             (id == 0 && c->console ? BIT(EVENT_CONSOLE_PORT) : 0);
    if (event != EVENT_PORT_OPEN)
        return;
    c->ports[id].open = value;
    if (value && c->ports[id].typed) /* not now: the scratch chain is in use */
        timer_arm(&c->again, c->v.now + 1);
}

static void control_hear(struct virtio_console *c)
{
    uint8_t bytes[MESSAGE_LENGTH];
    uint32_t done = 0;

    for (; done < BATCH && virtio_take(&c->v, QUEUE_HEAR); done++) {
        struct vring_cursor from = vring_readable(c->v.host.chain);

        if (vring_read(&from, bytes, sizeof(bytes)))
            message_hear(c, get_le32(bytes), get_le16(bytes + MESSAGE_EVENT),
                         get_le16(bytes + MESSAGE_VALUE));
        virtio_give(&c->v, QUEUE_HEAR, 0);
    }
    virtio_signal(&c->v, QUEUE_HEAR);
    if (done == BATCH)
        virtio_defer(&c->v, QUEUE_HEAR);
    control_tell(c);
}

/* -- from the guest --------------------------------------------------------------------------------------------- */

/* Goes on with a buffer where it was left; false: it isn't through, and stays the next. */
static bool buffer_send(struct virtio_console *c, uint32_t id, uint32_t *budget)
{
    const struct virtio_console_end *end = &c->ports[id].end;
    uint64_t *sent = &c->v.queues[transmit_queue(id)].progress;
    struct vring_cursor from = vring_readable(c->v.host.chain);
    const uint8_t *bytes;
    uint32_t run;

    vring_skip(&from, *sent); /* if it has become shorter, it is through */
    for (;;) {
        if (*budget == 0 || !end->ready(end->ctx))
            return false;
        bytes = vring_run(&from, MIN(*budget, VIRTIO_CONSOLE_PIECE), &run);
        if (!bytes)
            break;
        end->write(end->ctx, bytes, run);
        *sent += run;
        *budget -= run;
    }
    *sent = 0;
    return true;
}

static void port_transmit(struct virtio_console *c, uint32_t id)
{
    uint32_t budget = BATCH_BYTES, queue = transmit_queue(id);

    while (virtio_take(&c->v, queue)) {
        if (!buffer_send(c, id, &budget)) {
            virtio_untake(&c->v, queue);
            timer_arm(&c->again, c->v.now + (budget ? RETRY_NS : 1));
            break;
        }
        virtio_give(&c->v, queue, 0);
    }
    virtio_signal(&c->v, queue);
}

/* -- to the guest ----------------------------------------------------------------------------------------------- */

static uint32_t buffer_fill(struct virtio_console *c, struct virtio_console_port *port)
{
    struct vring_cursor to = vring_writable(c->v.host.chain);
    uint32_t written = 0;

    for (; port->typed && vring_write(&to, &port->typed_bytes[port->head], 1); written++) {
        port->head = (port->head + 1) % VIRTIO_CONSOLE_TYPED;
        port->typed--;
    }
    return written;
}

static void port_receive(struct virtio_console *c, uint32_t id)
{
    struct virtio_console_port *port = &c->ports[id];
    uint32_t queue = receive_queue(id);

    if (!virtio_console_listens(c, id))
        return;
    for (uint32_t done = 0; done < VIRTIO_CONSOLE_TYPED && port->typed && virtio_take(&c->v, queue); done++)
        virtio_give(&c->v, queue, buffer_fill(c, port));
    virtio_signal(&c->v, queue);
}

bool virtio_console_listens(const struct virtio_console *c, uint32_t port)
{
    return (c->v.status & VIRTIO_DRIVER_OK) && c->v.queues[receive_queue(port)].enabled &&
           (c->ports[port].open || !virtio_has(&c->v, F_MULTIPORT));
}

void virtio_console_type(struct virtio_console *c, uint32_t port, uint8_t byte)
{
    struct virtio_console_port *p = &c->ports[port];

    if (p->typed == VIRTIO_CONSOLE_TYPED)
        return;
    p->typed_bytes[(p->head + p->typed++) % VIRTIO_CONSOLE_TYPED] = byte;
    timer_arm(&c->again, 0); /* this core may not see the guest's memory */
}

/* -- the device ------------------------------------------------------------------------------------------------- */

static void console_again(struct timer *timer, uint64_t now)
{
    struct virtio_console *c = CONTAINER_OF(timer, struct virtio_console, again);

    c->v.now = now;
    for (uint32_t id = 0; id < c->count; id++) {
        virtio_notify(&c->v, receive_queue(id));
        virtio_notify(&c->v, transmit_queue(id));
    }
}

/* Without the feature there are no queues but the first port's. */
static void console_notify(struct virtio *v, uint32_t queue)
{
    struct virtio_console *c = console_of(v);
    uint32_t port = queue < QUEUE_TELL ? 0 : queue / 2 - 1;

    if (queue >= QUEUE_TELL && !virtio_has(v, F_MULTIPORT))
        return;
    if (queue == QUEUE_HEAR)
        control_hear(c);
    else if (queue == QUEUE_TELL)
        control_tell(c);
    else if (queue & 1)
        port_transmit(c, port);
    else
        port_receive(c, port);
}

static void console_reset(struct virtio *v)
{
    struct virtio_console *c = console_of(v);

    timer_disarm(&c->again);
    for (uint32_t i = 0; i < c->count; i++)
        c->ports[i] = (struct virtio_console_port){.end = c->ports[i].end};
}

static const struct virtio_ops console_ops = {.reset = console_reset, .notify = console_notify};

void virtio_console_init(struct virtio_console *c, const struct virtio_host *host, uint32_t slot,
                         const struct virtio_console_config *config)
{
    bool several = config->count > 1 || !config->console;
    const struct virtio_config desc = {
        .name = "virtio-console",
        .id = 3,
        .pci_class = 0x0780,
        .features = several ? F_MULTIPORT : 0,
        .packed = config->packed,
        .queues = several ? 2 * config->count + 2 : QUEUE_TELL,
        .config_len = several ? CONFIG_LENGTH : 0,
        .ops = &console_ops,
    };

    memset(c, 0, sizeof(*c));
    c->count = config->count;
    c->console = config->console;
    for (uint32_t i = 0; i < config->count; i++)
        c->ports[i].end = config->ends[i];
    timer_init(&c->again, host->timers, console_again);
    virtio_init(&c->v, host, slot, &desc);
    put_le32(c->v.config + CONFIG_PORTS, config->count);
}
