#include "drivers/virt/vswitch.h"

#include "core/lib/bytes.h"
#include "core/lib/string.h"

#define FRAME_HEAD 2 /* in a buffer: its length */

/* -- buffers: a ring of bytes --------------------------------------------------------------------------------------- */

static void ring_put(struct vswitch_port *port, uint32_t at, const uint8_t *bytes, uint32_t len)
{
    uint32_t start = (port->head + at) % port->buffer_bytes, first = MIN(len, port->buffer_bytes - start);

    memcpy(port->buffer + start, bytes, first);
    memcpy(port->buffer, bytes + first, len - first);
}

static void ring_get(const struct vswitch_port *port, uint32_t at, uint8_t *bytes, uint32_t len)
{
    uint32_t start = (port->head + at) % port->buffer_bytes, first = MIN(len, port->buffer_bytes - start);

    memcpy(bytes, port->buffer + start, first);
    memcpy(bytes + first, port->buffer, len - first);
}

static void port_deliver(struct vswitch_port *port, const uint8_t *frame, uint32_t len)
{
    uint8_t head[FRAME_HEAD];
    bool empty = port->used == 0;

    if (len + FRAME_HEAD > port->buffer_bytes - port->used) {
        port->out.dropped++;
        return;
    }
    put_le16(head, (uint16_t)len);
    ring_put(port, port->used, head, FRAME_HEAD);
    ring_put(port, port->used + FRAME_HEAD, frame, len);
    port->used += FRAME_HEAD + len;
    port->out.frames++;
    port->out.bytes += len;
    if (empty)
        port->wake(port->ctx);
}

uint32_t vswitch_receive(struct vswitch_port *port, uint8_t *buf)
{
    struct vswitch *net = port->net;
    uint8_t head[FRAME_HEAD];
    uint32_t len = 0;

    lock_take(&net->lock);
    if (port->used) {
        ring_get(port, 0, head, FRAME_HEAD);
        len = get_le16(head);
        ring_get(port, FRAME_HEAD, buf, len);
        port->head = (port->head + FRAME_HEAD + len) % port->buffer_bytes;
        port->used -= FRAME_HEAD + len;
    }
    lock_drop(&net->lock);
    return len;
}

void vswitch_flush(struct vswitch_port *port)
{
    lock_take(&port->net->lock);
    port->head = port->used = 0;
    lock_drop(&port->net->lock);
}

/* -- addresses -------------------------------------------------------------------------------------------------- */

static bool mac_is_group(const uint8_t *mac)
{
    return mac[0] & 1;
}

/* One place for each address: a newcomer with the same one takes it, and the other is found by flooding. */
static struct vswitch_address *address_place(struct vswitch *net, const uint8_t *mac)
{
    uint32_t hash = 0;

    for (uint32_t i = 0; i < VSWITCH_MAC; i++)
        hash = hash * 31 + mac[i];
    return &net->addresses[hash % VSWITCH_ADDRESSES];
}

static void address_learn(struct vswitch *net, const uint8_t *mac, uint32_t port)
{
    struct vswitch_address *place = address_place(net, mac);

    if (mac_is_group(mac))
        return;
    memcpy(place->mac, mac, VSWITCH_MAC);
    place->port = (uint8_t)(port + 1);
}

/* NULL: unknown, or meant for many. */
static struct vswitch_port *address_find(struct vswitch *net, const uint8_t *mac)
{
    const struct vswitch_address *place = address_place(net, mac);

    if (mac_is_group(mac) || !place->port || memcmp(place->mac, mac, VSWITCH_MAC) != 0)
        return NULL;
    return net->ports[place->port - 1];
}

/* -- the switch ------------------------------------------------------------------------------------------------- */

static void frame_forward(struct vswitch *net, const struct vswitch_port *from, const uint8_t *frame,
                          uint32_t len)
{
    struct vswitch_port *to = address_find(net, frame);

    if (to == from)
        return;
    if (to) {
        port_deliver(to, frame, len);
        return;
    }
    for (uint32_t i = 0; i < VSWITCH_PORTS; i++)
        if (net->ports[i] && net->ports[i] != from)
            port_deliver(net->ports[i], frame, len);
}

bool vswitch_send(struct vswitch_port *port, const uint8_t *frame, uint32_t len)
{
    struct vswitch *net = port->net;
    bool good = len >= VSWITCH_FRAME_MIN && len <= VSWITCH_FRAME_MAX;

    lock_take(&net->lock);
    if (good) {
        port->in.frames++;
        port->in.bytes += len;
        address_learn(net, frame + VSWITCH_MAC, port->number);
        frame_forward(net, port, frame, len);
    } else {
        port->in.dropped++;
    }
    lock_drop(&net->lock);
    return good;
}

bool vswitch_attach(struct vswitch *net, struct vswitch_port *port)
{
    uint32_t number = 0;

    lock_take(&net->lock);
    while (number < VSWITCH_PORTS && net->ports[number])
        number++;
    if (number < VSWITCH_PORTS) {
        port->net = net;
        port->number = number;
        port->head = port->used = 0;
        net->ports[number] = port;
    }
    lock_drop(&net->lock);
    return number < VSWITCH_PORTS;
}

void vswitch_detach(struct vswitch_port *port)
{
    struct vswitch *net = port->net;

    if (!net)
        return;
    lock_take(&net->lock);
    net->ports[port->number] = NULL;
    for (uint32_t i = 0; i < VSWITCH_ADDRESSES; i++)
        if (net->addresses[i].port == port->number + 1)
            net->addresses[i].port = 0;
    lock_drop(&net->lock);
    port->net = NULL;
}
