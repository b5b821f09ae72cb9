/* The network device: frames on their way to the driver (virtio 1.2, 5.1.6.3 and 5.1.6.4). */
#include "core/lib/bytes.h"
#include "core/lib/string.h"
#include "drivers/virt/virtio_net_parts.h"

#define BUFFERS_MAX 64 /* that a frame is spread over: no driver needs more for the longest */

/* A frame as the driver is to get it, in three pieces; the last one is the longest. */
struct frame {
    uint8_t header[NET_HEADER];
    const uint8_t *head, *body;
    uint32_t head_len, body_len;
};

/* The buffers that it is written to. */
struct buffers {
    struct vring_used used[BUFFERS_MAX];
    uint32_t count, descs, descs_most;
    uint8_t *number[2]; /* where the driver finds how many they are */
};

enum outcome { FRAME_GIVEN, FRAME_WAITS, FRAME_LOST };

/* -- buffers ---------------------------------------------------------------------------------------------------- */

/* The header is in the first one whole, wherever the driver has cut that. */
static struct vring_cursor header_write(const struct vring_chain *chain, const struct frame *frame,
                                        struct buffers *buffers)
{
    struct vring_cursor to = vring_writable(chain), number = to;
    uint32_t run;

    vring_write(&to, frame->header, NET_HEADER);
    vring_skip(&number, NET_HEADER_BUFFERS);
    buffers->number[0] = vring_run(&number, 1, &run);
    buffers->number[1] = vring_run(&number, 1, &run);
    return to;
}

/* Moves as much from the frame's front as the chain takes; returns how much that is. */
static uint32_t chain_fill(struct vring_cursor *to, uint32_t room, struct frame *frame)
{
    uint32_t head = MIN(frame->head_len, room), body = MIN(frame->body_len, room - head);

    vring_write(to, frame->head, head);
    vring_write(to, frame->body, body);
    frame->head += head;
    frame->head_len -= head;
    frame->body += body;
    frame->body_len -= body;
    return head + body;
}

static void buffer_note(struct buffers *buffers, const struct vring_chain *chain, uint32_t written)
{
    buffers->used[buffers->count++] = (struct vring_used){chain->id, chain->descs, written};
    buffers->descs += chain->descs;
    buffers->descs_most = MAX(buffers->descs_most, (uint32_t)chain->descs);
}

/* The next buffer; false if there is none. The driver may only give such that are to be written. */
static bool buffer_take(struct virtio_net *n, uint32_t queue)
{
    if (!virtio_take(&n->v, queue))
        return false;
    if (n->v.host.chain->readable)
        virtio_break(&n->v);
    return !(n->v.status & VIRTIO_NEEDS_RESET);
}

/* All buffers that a queue can have don't hold the frame: it doesn't wait for more. */
static bool queue_exhausted(const struct virtio_net *n, uint32_t queue, const struct buffers *buffers)
{
    return buffers->count == BUFFERS_MAX ||
           buffers->descs + buffers->descs_most > n->v.queues[queue].ring.size;
}

static void buffers_give(struct virtio_net *n, uint32_t queue, struct buffers *buffers)
{
    *buffers->number[0] = (uint8_t)buffers->count;
    *buffers->number[1] = 0;
    virtio_give_all(&n->v, queue, buffers->used, buffers->count);
}

/* Fills further buffers after the first one: with mergeable ones, each but the last is full. */
static enum outcome frame_spread(struct virtio_net *n, uint32_t queue, struct frame *frame,
                                 struct buffers *buffers)
{
    const struct vring_chain *chain = n->v.host.chain;
    bool hopeless = false;

    while (frame->head_len + frame->body_len && !hopeless) {
        struct vring_cursor to;

        hopeless = queue_exhausted(n, queue, buffers);
        if (hopeless || !buffer_take(n, queue)) {
            virtio_untake_all(&n->v, queue, buffers->used, buffers->count);
            n->too_short += hopeless;
            return hopeless ? FRAME_LOST : FRAME_WAITS;
        }
        to = vring_writable(chain);
        buffer_note(buffers, chain,
                    chain_fill(&to, (uint32_t)MIN(chain->writable_bytes, (uint64_t)UINT32_MAX), frame));
    }
    buffers_give(n, queue, buffers);
    return FRAME_GIVEN;
}

/* 5.1.6.3.1: without mergeable buffers, one holds all of it. A copy of `frame`, as it is used up. */
static enum outcome frame_give(struct virtio_net *n, uint32_t queue, struct frame frame)
{
    const struct vring_chain *chain = n->v.host.chain;
    uint32_t len = NET_HEADER + frame.head_len + frame.body_len;
    bool mergeable = virtio_has(&n->v, VIRTIO_NET_F_MRG_RXBUF);
    struct buffers buffers;
    struct vring_cursor to;

    if (!buffer_take(n, queue))
        return FRAME_WAITS;
    if (chain->writable_bytes < (mergeable ? NET_HEADER : len)) {
        n->too_short++;
        virtio_give(&n->v, queue, 0);
        return FRAME_LOST;
    }
    buffers.count = buffers.descs = buffers.descs_most = 0;
    to = header_write(chain, &frame, &buffers);
    len = chain_fill(&to, (uint32_t)(chain->writable_bytes - NET_HEADER), &frame);
    buffer_note(&buffers, chain, NET_HEADER + len);
    return frame_spread(n, queue, &frame, &buffers);
}

/* -- offloads --------------------------------------------------------------------------------------------------- */

/* In force now (5.1.6.5.8). */
static bool offload(const struct virtio_net *n, uint64_t feature)
{
    return n->v.accepted & ~n->off & feature;
}

static bool takes_long(const struct virtio_net *n, const struct packet *p)
{
    return offload(n, p->gso == PACKET_TCP6 ? VIRTIO_NET_F_GUEST_TSO6 : VIRTIO_NET_F_GUEST_TSO4) &&
           (!p->ecn || offload(n, VIRTIO_NET_F_GUEST_ECN));
}

static void header_make(struct frame *frame, const struct packet *p, bool sum, bool whole)
{
    uint8_t *header = frame->header;

    __builtin_memset(header, 0, NET_HEADER); /* in place, not by a call */
    if (sum) {
        header[NET_HEADER_FLAGS] = NET_NEEDS_SUM;
        put_le16(header + NET_HEADER_START, p->sum_start);
        put_le16(header + NET_HEADER_OFFSET, p->sum_offset);
    }
    if (whole && p->gso) {
        header[NET_HEADER_GSO] = (uint8_t)(p->gso | (p->ecn ? NET_GSO_ECN : 0));
        put_le16(header + NET_HEADER_LENGTH, p->header);
        put_le16(header + NET_HEADER_SEGMENT, p->segment);
    }
}

/* The frame as it is, but perhaps for its checksum. */
static enum outcome whole_give(struct virtio_net *n, uint32_t queue, uint8_t *bytes, struct packet *p)
{
    struct frame frame = {.head = bytes, .body = bytes, .body_len = p->len};

    if (p->sum && !offload(n, VIRTIO_NET_F_GUEST_CSUM))
        packet_complete(bytes, p);
    header_make(&frame, p, p->sum, true);
    return frame_give(n, queue, frame);
}

static enum outcome piece_give(struct virtio_net *n, uint32_t queue, const uint8_t *bytes,
                               const struct packet *p)
{
    bool sum = offload(n, VIRTIO_NET_F_GUEST_CSUM);
    struct packet_piece piece = {0};
    struct frame frame;

    packet_cut(bytes, p, n->piece, !sum, &piece);
    frame.head = piece.head;
    frame.head_len = piece.head_len;
    frame.body = piece.body;
    frame.body_len = piece.body_len;
    header_make(&frame, p, sum, false);
    return frame_give(n, queue, frame);
}

/* -- frames ----------------------------------------------------------------------------------------------------- */

/* The frame that is next, or a piece of it. Of one that is being cut all pieces come so, whatever the driver takes since. */
static enum outcome next_give(struct virtio_net *n, uint32_t queue, uint8_t *bytes, struct packet *p)
{
    bool cut = n->piece || (p->gso && !takes_long(n, p));
    enum outcome outcome = cut ? piece_give(n, queue, bytes, p) : whole_give(n, queue, bytes, p);

    if (outcome == FRAME_WAITS)
        return outcome;
    if (cut && n->piece + 1 < packet_pieces(p)) {
        n->piece++;
        return outcome;
    }
    n->cut += cut;
    n->piece = 0;
    vswitch_next(&n->port);
    return outcome;
}

/* The flow's own queue; where that has no buffers, any that has some, so that it holds up none of the others. */
static bool frame_receive(struct virtio_net *n, uint32_t *touched, uint8_t *bytes, struct packet *p)
{
    uint32_t pair = 0, queue;

    if (n->pairs > 1)
        pair = n->steering[packet_flow(bytes, p->len) % VIRTIO_NET_FLOWS];
    for (uint32_t i = 0; i < n->pairs; i++) {
        queue = 2 * ((pair + i) % n->pairs);
        if (next_give(n, queue, bytes, p) != FRAME_WAITS) {
            *touched |= (uint32_t)BIT(queue);
            return true;
        }
    }
    return false;
}

void net_receive(struct virtio_net *n)
{
    uint32_t cost = 0, touched = 0;
    struct packet *p;
    uint8_t *bytes;

    while (cost < NET_BATCH && (bytes = vswitch_peek(&n->port, &p))) {
        uint32_t len = n->piece ? p->segment : p->len;

        if (!frame_receive(n, &touched, bytes, p))
            break;
        cost += NET_FRAME_COST + len;
    }
    for (uint32_t queue = 0; touched >> queue; queue += 2)
        if (touched & BIT(queue))
            virtio_signal(&n->v, queue);
    if (cost >= NET_BATCH)
        virtio_defer(&n->v, 0);
}
