/*
 * What a driver sends. A packet whose receiver has no room is set aside, in the driver's memory, and its buffer is given back when
 * all of it has gone; those to others pass it (5.10.6.3 wants the queue processed as long as there are resources). When there is no
 * more place for such buffers, all wait, but not for ever: a receiver that takes nothing meanwhile is given up.
 */
#include "core/lib/string.h"
#include "drivers/virt/virtio_vsock.h"

/* In one go, before others get their turn: packets, and bytes that are sent. */
#define BATCH       32
#define BATCH_BYTES (256 * KiB)
#define PATIENCE    2000000000ull /* ns */

#define QUEUE VIRTIO_VSOCK_TRANSMIT

enum fate {
    DONE,  /* all of it is sent, or nobody wants it */
    HELD,  /* its receiver has no room */
    LATER, /* others have their turn, or we have no room for an answer */
};

static struct virtio_queue *queue_of(struct virtio_vsock *s)
{
    return &s->v.queues[QUEUE];
}

/* A stream may be cut anywhere. Goes on where it was left. */
static enum fate data_send(struct virtio_vsock *s, struct vsockets_packet *packet, struct vring_cursor *from,
                           uint64_t *sent)
{
    uint64_t left = packet->len - *sent;
    const uint8_t *bytes;
    uint32_t run;

    while (left && s->budget && (bytes = vring_run(from, MIN(left, (uint64_t)VSOCKETS_DATA), &run))) {
        enum vsockets_result result;

        packet->len = run;
        result = vsockets_send(&s->port, packet, bytes);
        if (result < VSOCKETS_SENT)
            return result == VSOCKETS_FULL ? HELD : result == VSOCKETS_BUSY ? LATER : DONE;
        *sent += run;
        s->budget -= MIN(s->budget, run);
        left -= run;
    }
    return left ? LATER : DONE;
}

static enum fate packet_broken(struct virtio_vsock *s)
{
    virtio_break(&s->v);
    return DONE;
}

/* Does one that came earlier, of the first so many that are held, wait for the same receiver? */
static bool held_before(const struct virtio_vsock *s, uint32_t count, uint64_t to)
{
    for (uint32_t i = 0; i < count; i++)
        if (s->held[i].to == to)
            return true;
    return false;
}

/* The packet in host.chain, of which `sent` bytes have gone and which `before` held ones precede; says where it goes. */
static enum fate packet_send(struct virtio_vsock *s, uint32_t before, uint64_t *sent, uint64_t *to)
{
    const struct vring_chain *chain = s->v.host.chain;
    struct vring_cursor from = vring_readable(chain);
    uint8_t header[VSOCKETS_HEADER];
    struct vsockets_packet packet;

    if (chain->readable != chain->count || !vring_read(&from, header, sizeof(header)))
        return packet_broken(s);
    vsockets_read_header(header, &packet);
    if (packet.op != VSOCKETS_RW)
        packet.len = 0;
    if (packet.len > chain->readable_bytes - VSOCKETS_HEADER)
        return packet_broken(s);
    *to = packet.to;
    if (held_before(s, before, packet.to))
        return HELD;
    if (packet.len == 0) {
        enum vsockets_result result = vsockets_send(&s->port, &packet, NULL);

        return result == VSOCKETS_FULL ? HELD : result == VSOCKETS_BUSY ? LATER : DONE;
    }
    /* The driver may have changed the length meanwhile. */
    *sent = MIN(*sent, (uint64_t)packet.len);
    vring_skip(&from, *sent);
    return data_send(s, &packet, &from, sent);
}

/* -- those that are set aside ----------------------------------------------------------------------------------- */

/* Sets the packet in host.chain aside; false if there is no place. */
static bool held_add(struct virtio_vsock *s, uint64_t to)
{
    struct virtio_queue *queue = queue_of(s);
    const struct vring_chain *chain = s->v.host.chain;

    if (queue->kept == 0)
        s->held_parts = 0; /* also after a reset of the queue */
    if (queue->kept == VIRTIO_VSOCK_HELD || chain->count > VIRTIO_VSOCK_PARTS - s->held_parts)
        return false;
    s->held[queue->kept++] = (struct virtio_vsock_held){
        .to = to, .sent = queue->progress, .parts = chain->count, .id = chain->id, .descs = chain->descs};
    memcpy(s->parts + s->held_parts, chain->parts, chain->count * sizeof(*chain->parts));
    s->held_parts += chain->count;
    queue->progress = 0;
    return true;
}

/* Into host.chain, as when it was taken from the queue. */
static void held_load(struct virtio_vsock *s, const struct virtio_vsock_held *held, uint32_t part)
{
    struct vring_chain *chain = s->v.host.chain;

    chain->id = held->id;
    chain->descs = held->descs;
    chain->readable = chain->count = held->parts;
    chain->readable_bytes = chain->writable_bytes = 0;
    memcpy(chain->parts, s->parts + part, held->parts * sizeof(*chain->parts));
    for (uint32_t i = 0; i < held->parts; i++)
        chain->readable_bytes += chain->parts[i].len;
}

/* Keeps the one that was at `part`, behind those that stay before it. */
static void held_keep(struct virtio_vsock *s, const struct virtio_vsock_held *held, uint32_t part,
                      uint32_t *kept, uint32_t *parts)
{
    memmove(s->parts + *parts, s->parts + part, held->parts * sizeof(*s->parts));
    s->held[(*kept)++] = *held;
    *parts += held->parts;
}

/* Tries all of them again, in their order; false if those that follow have to wait for another turn. */
static bool held_send(struct virtio_vsock *s)
{
    uint32_t count = queue_of(s)->kept, kept = 0, parts = 0, part = 0;
    enum fate fate = DONE;

    for (uint32_t i = 0; i < count; i++) {
        struct virtio_vsock_held held = s->held[i];
        uint64_t to;

        if (fate != LATER && held_before(s, kept, held.to)) {
            fate = HELD;
        } else if (fate != LATER) {
            held_load(s, &held, part);
            fate = packet_send(s, 0, &held.sent, &to);
        }
        if (s->v.status & VIRTIO_NEEDS_RESET)
            return false;
        if (fate == DONE)
            virtio_give(&s->v, QUEUE, 0);
        else
            held_keep(s, &held, part, &kept, &parts);
        part += held.parts;
    }
    queue_of(s)->kept = kept;
    s->held_parts = parts;
    return fate != LATER;
}

/* There is no place for another: whoever takes nothing from now on is given up in time. */
static void patience_begin(struct virtio_vsock *s)
{
    if (timer_armed(&s->patience))
        return;
    for (uint32_t i = 0; i < queue_of(s)->kept; i++)
        vsockets_watch(&s->port, s->held[i].to);
    timer_arm(&s->patience, s->v.now + PATIENCE);
}

void virtio_vsock_patience(struct timer *timer, uint64_t now)
{
    struct virtio_vsock *s = CONTAINER_OF(timer, struct virtio_vsock, patience);

    s->v.now = now;
    for (uint32_t i = 0; i < queue_of(s)->kept; i++)
        vsockets_give_up(&s->port, s->held[i].to);
    virtio_notify(&s->v, QUEUE);
}

/* -- the queue -------------------------------------------------------------------------------------------------- */

/* One that was just taken; false if the queue has to wait. */
static bool taken_send(struct virtio_vsock *s)
{
    struct virtio_queue *queue = queue_of(s);
    uint64_t to;
    enum fate fate = packet_send(s, queue->kept, &queue->progress, &to);

    if (s->v.status & VIRTIO_NEEDS_RESET)
        return false;
    if (fate == DONE) {
        queue->progress = 0;
        virtio_give(&s->v, QUEUE, 0);
        return true;
    }
    if (fate == HELD && held_add(s, to))
        return true;
    virtio_untake(&s->v, QUEUE);
    if (fate == HELD)
        patience_begin(s);
    return false;
}

void virtio_vsock_transmit(struct virtio_vsock *s)
{
    uint32_t done = 0;
    bool more;

    s->budget = BATCH_BYTES;
    more = held_send(s);
    while (more && done < BATCH && virtio_take(&s->v, QUEUE)) {
        more = taken_send(s);
        done++;
    }
    if (s->v.status & VIRTIO_NEEDS_RESET)
        return;
    virtio_signal(&s->v, QUEUE);
    if ((more && done == BATCH) || !s->budget)
        virtio_defer(&s->v, QUEUE);
}
