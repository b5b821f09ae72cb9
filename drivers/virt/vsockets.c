#include "drivers/virt/vsockets.h"

#include "core/lib/bytes.h"
#include "core/lib/string.h"

#define JOINED                                                                                               \
    16384 /* data of one packet that waits, at most: its room is free again when all of it was taken */

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

/* Data that follows data of the same stream goes into one packet with it: what waits is bounded by the credit, not by how it was cut. */
static bool packet_join(struct vsockets_port *to, const struct vsockets_packet *packet, const uint8_t *data)
{
    uint8_t header[VSOCKETS_HEADER];
    struct vsockets_packet last;

    if (!to->used || packet->op != VSOCKETS_RW || packet->len > to->buffer_bytes - to->used)
        return false;
    ring_get(to, to->last, header, VSOCKETS_HEADER);
    vsockets_read_header(header, &last);
    if (last.op != VSOCKETS_RW || last.from != packet->from || last.from_port != packet->from_port ||
        last.to_port != packet->to_port || last.flags != packet->flags || last.len + packet->len > JOINED)
        return false;
    last.len += packet->len;
    last.buffer = packet->buffer;
    last.forwarded = packet->forwarded;
    vsockets_write_header(header, &last);
    ring_put(to, to->last, header, VSOCKETS_HEADER);
    ring_put(to, to->used, data, packet->len);
    to->used += packet->len;
    return true;
}

static bool port_deliver(const struct vsockets_port *from, struct vsockets_port *to,
                         const struct vsockets_packet *packet, const uint8_t *data)
{
    uint8_t header[VSOCKETS_HEADER];
    bool empty = to->used == 0;

    if (data && packet_join(to, packet, data))
        return true;
    if (VSOCKETS_HEADER + packet->len > to->buffer_bytes - to->used) {
        to->waiting |= BIT(from->number);
        return false;
    }
    vsockets_write_header(header, packet);
    ring_put(to, to->used, header, VSOCKETS_HEADER);
    if (data)
        ring_put(to, to->used + VSOCKETS_HEADER, data, packet->len);
    to->last = to->used;
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

/* The stream of a packet as its sender has it, and as its receiver. */
static struct vstream stream_of(const struct vsockets_packet *packet)
{
    return (struct vstream){packet->to, packet->to_port, packet->from_port};
}

static struct vstream stream_there(const struct vsockets_packet *packet)
{
    return (struct vstream){packet->from, packet->from_port, packet->to_port};
}

/* 5.10.6.4: what can't be delivered is answered, but a reset. */
static enum vsockets_result port_refuse(struct vsockets_port *port, const struct vsockets_packet *packet)
{
    const struct vstream stream = stream_of(packet);
    const struct vsockets_packet reset = {
        .from = packet->to,
        .to = packet->from,
        .from_port = packet->to_port,
        .to_port = packet->from_port,
        .type = packet->type,
        .op = VSOCKETS_RST,
    };

    if (packet->op != VSOCKETS_RST && !port_deliver(port, port, &reset, NULL))
        return VSOCKETS_BUSY;
    vstreams_remove(&port->streams, &stream);
    port->refused++;
    return VSOCKETS_REFUSED;
}

/* The receiver is told of the stream's end when it takes packets again. */
static enum vsockets_result stream_break(struct vsockets_port *port, struct vsockets_port *to,
                                         const struct vsockets_packet *packet)
{
    const struct vstream there = stream_there(packet);
    enum vsockets_result result = port_refuse(port, packet);

    if (result == VSOCKETS_REFUSED)
        vstreams_end(&to->streams, &there);
    return result;
}

static void streams_note(struct vsockets_port *port, struct vsockets_port *to,
                         const struct vsockets_packet *packet)
{
    const struct vstream here = stream_of(packet), there = stream_there(packet);

    if (packet->op == VSOCKETS_RST) {
        vstreams_remove(&port->streams, &here);
        vstreams_remove(&to->streams, &there);
    } else if (packet->op <= VSOCKETS_RESPONSE) {
        vstreams_add(&port->streams, &here);
        vstreams_add(&to->streams, &there);
    }
}

/* A stream's end is told before another begins between the same ports. */
static enum vsockets_result packet_pass(struct vsockets_port *port, struct vsockets_port *to,
                                        const struct vsockets_packet *packet, const uint8_t *data)
{
    const struct vstream there = stream_there(packet);

    if (packet->op == VSOCKETS_REQUEST && vstreams_has_ended(&to->streams, &there)) {
        to->waiting |= BIT(port->number);
        return VSOCKETS_FULL;
    }
    if (!port_deliver(port, to, packet, data))
        return VSOCKETS_FULL;
    streams_note(port, to, packet);
    port->sent++;
    return VSOCKETS_SENT;
}

static enum vsockets_result packet_send(struct vsockets_port *port, const struct vsockets_packet *packet,
                                        const uint8_t *data)
{
    struct vsockets_port *to = port_find(port->net, packet->to);
    bool known = packet->type == VSOCKETS_STREAM && packet->op >= VSOCKETS_REQUEST &&
                 packet->op <= VSOCKETS_CREDIT_REQUEST;

    if (!to || !to->open || !known)
        return port_refuse(port, packet);
    if (to->gave_up & BIT(port->number))
        return stream_break(port, to, packet);
    return packet_pass(port, to, packet, data);
}

/* Nobody speaks in another's name: such a packet is dropped. */
enum vsockets_result vsockets_send(struct vsockets_port *port, const struct vsockets_packet *packet,
                                   const uint8_t *data)
{
    enum vsockets_result result = VSOCKETS_REFUSED;

    lock_take(&port->net->lock);
    if (packet->from == port->cid && packet->len <= VSOCKETS_DATA)
        result = packet_send(port, packet, data);
    else
        port->refused++;
    lock_drop(&port->net->lock);
    return result;
}

/* -- receivers that take nothing -------------------------------------------------------------------------------- */

void vsockets_watch(struct vsockets_port *port, uint64_t cid)
{
    struct vsockets_port *to;

    lock_take(&port->net->lock);
    to = port_find(port->net, cid);
    if (to)
        to->watching |= BIT(port->number);
    lock_drop(&port->net->lock);
}

void vsockets_give_up(struct vsockets_port *port, uint64_t cid)
{
    struct vsockets_port *to;

    lock_take(&port->net->lock);
    to = port_find(port->net, cid);
    if (to)
        to->gave_up |= to->watching & BIT(port->number);
    lock_drop(&port->net->lock);
}

/* -- receiving -------------------------------------------------------------------------------------------------- */

/* What was sent before it comes first. */
static bool end_take(struct vsockets_port *port, struct vsockets_packet *packet)
{
    struct vstream stream;

    if (!vstreams_take(&port->streams, &stream))
        return false;
    *packet = (struct vsockets_packet){
        .from = stream.peer,
        .to = port->cid,
        .from_port = stream.peer_port,
        .to_port = stream.own_port,
        .type = VSOCKETS_STREAM,
        .op = VSOCKETS_RST,
    };
    return true;
}

/* The first packet, or a part of it. */
static void packet_take(struct vsockets_port *port, struct vsockets_packet *packet, uint8_t *data,
                        uint32_t max)
{
    uint8_t header[VSOCKETS_HEADER];
    uint32_t len;

    ring_get(port, 0, header, VSOCKETS_HEADER);
    vsockets_read_header(header, packet);
    len = packet->len;
    packet->len = MIN(len - port->offset, max);
    ring_get(port, VSOCKETS_HEADER + port->offset, data, packet->len);
    port->offset += packet->len;
    if (port->offset < len)
        return;
    port->head = (port->head + VSOCKETS_HEADER + len) % port->buffer_bytes;
    port->used -= VSOCKETS_HEADER + len;
    port->last -= port->used ? VSOCKETS_HEADER + len : port->last;
    port->offset = 0;
    port->received++;
    waiting_wake(port);
}

static bool port_take(struct vsockets_port *port, struct vsockets_packet *packet, uint8_t *data, uint32_t max)
{
    port->watching = port->gave_up = 0;
    if (port->used) {
        packet_take(port, packet, data, max);
        return true;
    }
    waiting_wake(port);
    return end_take(port, packet);
}

bool vsockets_receive(struct vsockets_port *port, struct vsockets_packet *packet, uint8_t *data, uint32_t max)
{
    bool any;

    lock_take(&port->net->lock);
    any = port_take(port, packet, data, max);
    lock_drop(&port->net->lock);
    return any;
}

/* Nothing of it is left, and those at the other ends of its streams hear of that. */
static void port_close(struct vsockets_port *port)
{
    port->open = false;
    port->head = port->used = port->last = port->offset = 0;
    port->watching = port->gave_up = 0;
    memset(&port->streams, 0, sizeof(port->streams));
    for (uint32_t i = 0; i < VSOCKETS_PORTS; i++) {
        struct vsockets_port *other = port->net->ports[i];

        if (other && vstreams_end_all(&other->streams, port->cid))
            other->wake(other->ctx);
    }
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
    port_close(port);
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

/* The number may become another's: nobody waits for it then, nor has given it up. */
static void number_forget(const struct vsockets *net, uint32_t number)
{
    for (uint32_t i = 0; i < VSOCKETS_PORTS; i++)
        if (net->ports[i]) {
            net->ports[i]->waiting &= ~BIT(number);
            net->ports[i]->watching &= ~BIT(number);
            net->ports[i]->gave_up &= ~BIT(number);
        }
}

void vsockets_detach(struct vsockets_port *port)
{
    struct vsockets *net = port->net;

    if (!net)
        return;
    lock_take(&net->lock);
    net->ports[port->number] = NULL;
    port_close(port);
    number_forget(net, port->number);
    lock_drop(&net->lock);
    port->net = NULL;
}
