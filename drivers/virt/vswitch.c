#include "drivers/virt/vswitch.h"

#include "core/lib/panic.h"
#include "core/lib/string.h"

/*
 * Buffers: a ring of frames, each in one piece behind its struct packet. What is left at the ring's end, when the next frame
 * isn't short enough for it, begins with a packet of length 0.
 */
#define RECORD_ALIGN  8
#define RECORD_HEADER ALIGN_UP(sizeof(struct packet), RECORD_ALIGN)

static uint32_t record_bytes(uint32_t len)
{
    return (uint32_t)ALIGN_UP(RECORD_HEADER + len, RECORD_ALIGN);
}

static struct packet *record_at(const struct vswitch_port *port, uint32_t position)
{
    return (struct packet *)(void *)(port->buffer + (position & (port->buffer_bytes - 1)));
}

/* From here on there is so much in one piece. */
static uint32_t room_at(const struct vswitch_port *port, uint32_t position)
{
    return port->buffer_bytes - (position & (port->buffer_bytes - 1));
}

static uint32_t load(const uint32_t *position)
{
    return __atomic_load_n(position, __ATOMIC_ACQUIRE);
}

static void store(uint32_t *position, uint32_t value)
{
    __atomic_store_n(position, value, __ATOMIC_RELEASE);
}

uint32_t vswitch_waiting(const struct vswitch_port *port)
{
    return load(&port->tail) - load(&port->head);
}

/* -- in --------------------------------------------------------------------------------------------------------- */

static void record_fill(struct vswitch_port *port, uint32_t position, const struct packet *packet,
                        const struct vswitch_data *data)
{
    struct packet *record = record_at(port, position);
    uint8_t *bytes = (uint8_t *)record + RECORD_HEADER;
    struct vring_cursor rest = data->rest;

    *record = *packet;
    memcpy(bytes, data->head, data->head_len);
    vring_read(&rest, bytes + data->head_len, packet->len - data->head_len);
}

/* False: there is no room. */
static bool buffer_put(struct vswitch_port *port, const struct packet *packet,
                       const struct vswitch_data *data)
{
    uint32_t tail = port->tail, need = record_bytes(packet->len), room = room_at(port, tail);
    uint32_t gap = need > room ? room : 0;

    if (gap + need > port->buffer_bytes - (tail - load(&port->head)))
        return false;
    if (gap)
        record_at(port, tail)->len = 0;
    record_fill(port, tail + gap, packet, data);
    store(&port->tail, tail + gap + need);
    return true;
}

static void port_deliver(struct vswitch_port *port, const struct packet *packet,
                         const struct vswitch_data *data)
{
    uint32_t before = port->tail;

    if (!vfilter_passes(&port->filter, data->head, packet->len))
        return;
    if (port->down || !buffer_put(port, packet, data)) {
        port->out.dropped++;
        return;
    }
    port->out.frames++;
    port->out.bytes += packet->len;
    /* Who empties the buffer looks once more after that (vswitch_peek): one of both sees what the other did. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (load(&port->head) == before)
        port->wake(port->ctx);
}

/* -- out -------------------------------------------------------------------------------------------------------- */

uint8_t *vswitch_peek(struct vswitch_port *port, struct packet **packet)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    while (port->head != load(&port->tail)) {
        *packet = record_at(port, port->head);
        if ((*packet)->len)
            return (uint8_t *)*packet + RECORD_HEADER;
        store(&port->head, port->head + room_at(port, port->head));
    }
    return NULL;
}

void vswitch_next(struct vswitch_port *port)
{
    store(&port->head, port->head + record_bytes(record_at(port, port->head)->len));
}

void vswitch_flush(struct vswitch_port *port)
{
    store(&port->head, load(&port->tail));
}

/* -- addresses -------------------------------------------------------------------------------------------------- */

/* One place for each address; a newcomer with the same one takes it, and the other is found by flooding. */
static struct vswitch_address *address_place(struct vswitch *net, uint64_t key)
{
    uint64_t hash = (key >> 40) + 31 * (key >> 32) + 7 * (key >> 24) + key;

    return &net->addresses[hash % VSWITCH_ADDRESSES];
}

static void address_learn(struct vswitch *net, const uint8_t *mac, uint32_t port)
{
    uint64_t key = mac_key(mac);
    struct vswitch_address *place = address_place(net, key);

    if (mac_is_group(mac))
        return;
    place->key = key;
    place->port = (uint8_t)(port + 1);
}

/* NULL: unknown, or meant for many. */
static struct vswitch_port *address_find(struct vswitch *net, const uint8_t *mac)
{
    uint64_t key = mac_key(mac);
    const struct vswitch_address *place = address_place(net, key);

    if (mac_is_group(mac) || !place->port || place->key != key)
        return NULL;
    return net->ports[place->port - 1];
}

/* -- the switch ------------------------------------------------------------------------------------------------- */

static void frame_forward(struct vswitch *net, const struct vswitch_port *from, const struct packet *packet,
                          const struct vswitch_data *data)
{
    struct vswitch_port *to = address_find(net, data->head);

    if (to == from)
        return;
    if (to) {
        port_deliver(to, packet, data);
        return;
    }
    for (uint32_t i = 0; i < VSWITCH_PORTS; i++)
        if (net->ports[i] && net->ports[i] != from)
            port_deliver(net->ports[i], packet, data);
}

bool vswitch_send(struct vswitch_port *port, const struct packet *packet, const struct vswitch_data *data)
{
    struct vswitch *net = port->net;
    uint32_t max = packet->gso ? PACKET_LONG_MAX : PACKET_MAX;
    bool good = packet->len >= PACKET_MIN && packet->len <= max;

    lock_take(&net->lock);
    if (good && !port->down) {
        port->in.frames++;
        port->in.bytes += packet->len;
        address_learn(net, data->head + VSWITCH_MAC, port->number);
        frame_forward(net, port, packet, data);
    } else {
        port->in.dropped++;
    }
    lock_drop(&net->lock);
    return good;
}

void vswitch_link(struct vswitch_port *port, bool up)
{
    lock_take(&port->net->lock);
    port->down = !up;
    lock_drop(&port->net->lock);
}

void vswitch_filter(struct vswitch_port *port, const struct vfilter *filter)
{
    lock_take(&port->net->lock);
    port->filter = *filter;
    lock_drop(&port->net->lock);
}

bool vswitch_attach(struct vswitch *net, struct vswitch_port *port)
{
    uint32_t number = 0;

    assert((port->buffer_bytes & (port->buffer_bytes - 1)) == 0);
    lock_take(&net->lock);
    while (number < VSWITCH_PORTS && net->ports[number])
        number++;
    if (number < VSWITCH_PORTS) {
        port->net = net;
        port->number = number;
        port->head = port->tail = 0;
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
