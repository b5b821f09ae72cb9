#include "drivers/virt/vsockets.h"

#include "core/lib/bytes.h"
#include "core/lib/string.h"

/* 5.10.6: where the header's fields are. */
enum {
    SRC_CID = 0,
    DST_CID = 8,
    SRC_PORT = 16,
    DST_PORT = 20,
    LEN = 24,
    TYPE = 28,
    OP = 30,
    FLAGS = 32,
    BUF_ALLOC = 36,
    FWD_CNT = 40,
};

void vsockets_read_header(const uint8_t *bytes, struct vsockets_packet *packet)
{
    *packet = (struct vsockets_packet){
        .from = get_le64(bytes + SRC_CID),
        .to = get_le64(bytes + DST_CID),
        .from_port = get_le32(bytes + SRC_PORT),
        .to_port = get_le32(bytes + DST_PORT),
        .len = get_le32(bytes + LEN),
        .type = get_le16(bytes + TYPE),
        .op = get_le16(bytes + OP),
        .flags = get_le32(bytes + FLAGS),
        .buffer = get_le32(bytes + BUF_ALLOC),
        .forwarded = get_le32(bytes + FWD_CNT),
    };
}

void vsockets_write_header(uint8_t *bytes, const struct vsockets_packet *packet)
{
    put_le64(bytes + SRC_CID, packet->from);
    put_le64(bytes + DST_CID, packet->to);
    put_le32(bytes + SRC_PORT, packet->from_port);
    put_le32(bytes + DST_PORT, packet->to_port);
    put_le32(bytes + LEN, packet->len);
    put_le16(bytes + TYPE, packet->type);
    put_le16(bytes + OP, packet->op);
    put_le32(bytes + FLAGS, packet->flags);
    put_le32(bytes + BUF_ALLOC, packet->buffer);
    put_le32(bytes + FWD_CNT, packet->forwarded);
}

/* -- buffers: a ring of bytes ----------------------------------------------------------------------------------- */

static void ring_put(struct vsockets_port *port, uint32_t at, const uint8_t *bytes, uint32_t len)
{
    uint32_t start = (port->head + at) % port->buffer_bytes, first = MIN(len, port->buffer_bytes - start);

    memcpy(port->buffer + start, bytes, first);
    memcpy(port->buffer, bytes + first, len - first);
}

static void ring_get(const struct vsockets_port *port, uint32_t at, uint8_t *bytes, uint32_t len)
{
    uint32_t start = (port->head + at) % port->buffer_bytes, first = MIN(len, port->buffer_bytes - start);

    memcpy(bytes, port->buffer + start, first);
    memcpy(bytes + first, port->buffer, len - first);
}

/* Those that waited for room may try again. */
static void waiting_wake(struct vsockets_port *port)
{
    uint64_t waiting = port->waiting;

    port->waiting = 0;
    for (uint32_t i = 0; i < VSOCKETS_PORTS; i++)
        if (waiting & BIT(i) && port->net->ports[i])
            port->net->ports[i]->wake(port->net->ports[i]->ctx);
}

/* -- sending ---------------------------------------------------------------------------------------------------- */

static bool port_deliver(const struct vsockets_port *from, struct vsockets_port *to,
                         const struct vsockets_packet *packet, const uint8_t *data)
{
    uint8_t header[VSOCKETS_HEADER];
    bool empty = to->used == 0;

    if (VSOCKETS_HEADER + packet->len > to->buffer_bytes - to->used) {
        to->waiting |= BIT(from->number);
        return false;
    }
    vsockets_write_header(header, packet);
    ring_put(to, to->used, header, VSOCKETS_HEADER);
    if (data)
        ring_put(to, to->used + VSOCKETS_HEADER, data, packet->len);
    to->used += VSOCKETS_HEADER + packet->len;
    if (empty)
        to->wake(to->ctx);
    return true;
}

static struct vsockets_port *port_find(const struct vsockets *net, uint64_t cid)
{
    for (uint32_t i = 0; i < VSOCKETS_PORTS; i++)
        if (net->ports[i] && net->ports[i]->cid == cid)
            return net->ports[i];
    return NULL;
}

/* 5.10.6.4: what can't be delivered is answered, but a reset. */
static bool port_refuse(struct vsockets_port *port, const struct vsockets_packet *packet)
{
    const struct vsockets_packet reset = {
        .from = packet->to,
        .to = packet->from,
        .from_port = packet->to_port,
        .to_port = packet->from_port,
        .type = packet->type,
        .op = VSOCKETS_RST,
    };

    if (packet->op != VSOCKETS_RST && !port_deliver(port, port, &reset, NULL))
        return false;
    port->refused++;
    return true;
}

static bool packet_send(struct vsockets_port *port, const struct vsockets_packet *packet, const uint8_t *data)
{
    struct vsockets_port *to = port_find(port->net, packet->to);
    bool known = packet->type == VSOCKETS_STREAM && packet->op >= VSOCKETS_REQUEST &&
                 packet->op <= VSOCKETS_CREDIT_REQUEST;

    if (!to || !to->open || !known)
        return port_refuse(port, packet);
    if (!port_deliver(port, to, packet, data))
        return false;
    port->sent++;
    return true;
}

/* Nobody speaks in another's name: such a packet is dropped. */
bool vsockets_send(struct vsockets_port *port, const struct vsockets_packet *packet, const uint8_t *data)
{
    bool done = true;

    lock_take(&port->net->lock);
    if (packet->from == port->cid && packet->len <= VSOCKETS_DATA)
        done = packet_send(port, packet, data);
    else
        port->refused++;
    lock_drop(&port->net->lock);
    return done;
}

/* -- receiving -------------------------------------------------------------------------------------------------- */

static bool packet_take(struct vsockets_port *port, struct vsockets_packet *packet, uint8_t *data,
                        uint32_t max)
{
    uint8_t header[VSOCKETS_HEADER];
    uint32_t len;

    if (!port->used)
        return false;
    ring_get(port, 0, header, VSOCKETS_HEADER);
    vsockets_read_header(header, packet);
    len = packet->len;
    packet->len = MIN(len - port->offset, max);
    ring_get(port, VSOCKETS_HEADER + port->offset, data, packet->len);
    port->offset += packet->len;
    if (port->offset < len)
        return true;
    port->head = (port->head + VSOCKETS_HEADER + len) % port->buffer_bytes;
    port->used -= VSOCKETS_HEADER + len;
    port->offset = 0;
    port->received++;
    waiting_wake(port);
    return true;
}

bool vsockets_receive(struct vsockets_port *port, struct vsockets_packet *packet, uint8_t *data, uint32_t max)
{
    bool any;

    lock_take(&port->net->lock);
    any = packet_take(port, packet, data, max);
    lock_drop(&port->net->lock);
    return any;
}

static void port_empty(struct vsockets_port *port)
{
    port->head = port->used = port->offset = 0;
    waiting_wake(port);
}

void vsockets_open(struct vsockets_port *port)
{
    lock_take(&port->net->lock);
    port->open = true;
    lock_drop(&port->net->lock);
}

void vsockets_flush(struct vsockets_port *port)
{
    lock_take(&port->net->lock);
    port->open = false;
    port_empty(port);
    lock_drop(&port->net->lock);
}

/* -- who is there ----------------------------------------------------------------------------------------------- */

bool vsockets_attach(struct vsockets *net, struct vsockets_port *port)
{
    uint32_t number = 0;
    bool good;

    lock_take(&net->lock);
    while (number < VSOCKETS_PORTS && net->ports[number])
        number++;
    good = number < VSOCKETS_PORTS && !port_find(net, port->cid);
    if (good) {
        port->net = net;
        port->number = number;
        net->ports[number] = port;
    }
    lock_drop(&net->lock);
    return good;
}

void vsockets_detach(struct vsockets_port *port)
{
    struct vsockets *net = port->net;

    if (!net)
        return;
    lock_take(&net->lock);
    net->ports[port->number] = NULL;
    port_empty(port);
    for (uint32_t i = 0; i < VSOCKETS_PORTS; i++)
        if (net->ports[i])
            net->ports[i]->waiting &= ~BIT(port->number);
    lock_drop(&net->lock);
    port->net = NULL;
}
