/*
 * Sockets between two VMs (virtio 1.2, 5.10). Both run this and know the other's number; the one with the lower number listens. It
 * takes a stream that the other sends, as fast as the credit allows that it gives, and answers with the stream's sum.
 */
#include "core/lib/bytes.h"
#include "core/lib/string.h"
#include "guests/payload/virtio.h"

#define DEVICE_ID 19
#define HEADER    44
#define ROOM      1000 /* of a buffer, for data */
#define BUFFERS   8
#define BUFFER_AT (ARENA + 0x10000)
#define SEND_AT   (ARENA + 0x20000)
#define PATIENCE  20000u
#define NOBODY    99
#define PORT      5
#define OUR_PORT  6
#define CREDIT    8192 /* what the listener takes before it says more */
#define PACKETS   100
#define PACKET    6000 /* more than any buffer of the other side */

enum { RECEIVE, TRANSMIT };
enum { REQUEST = 1, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE };

struct packet {
    uint64_t from, to;
    uint32_t from_port, to_port, len;
    uint16_t type, op;
    uint32_t flags, buffer, forwarded;
    uint8_t data[];
};

static struct vdev dev;
static uint64_t self, peer;
static struct packet *received;
static uint32_t received_at;

static void buffer_give(uint32_t n)
{
    const struct vq_part part = {(void *)(BUFFER_AT + n * 2048), HEADER + ROOM, true};

    vq_put(&dev, RECEIVE, n, &part, 1);
}

/* The next packet, which is at `received` until the next call; false if none comes. */
static bool packet_receive(uint32_t ms)
{
    uint32_t len;

    if (received)
        buffer_give(received_at);
    received = NULL;
    if (!vq_wait(&dev, RECEIVE, ms, &received_at, &len))
        return false;
    received = (struct packet *)(BUFFER_AT + received_at * 2048);
    if (len != HEADER + received->len)
        expect("sockets.length", len, HEADER + received->len);
    return true;
}

static void packet_send(uint64_t from, uint64_t to, uint16_t op, uint32_t len, uint32_t forwarded)
{
    struct packet *p = (struct packet *)SEND_AT;
    const struct vq_part parts[] = {{p, HEADER, false}, {p->data, len, false}};
    bool listener = self < peer;
    uint32_t id;

    p->from = from;
    p->to = to;
    p->from_port = listener ? PORT : OUR_PORT;
    p->to_port = listener ? OUR_PORT : PORT;
    p->len = len;
    p->type = 1;
    p->op = op;
    p->flags = op == SHUTDOWN ? 3 : 0;
    p->buffer = CREDIT;
    p->forwarded = forwarded;
    vq_put(&dev, TRANSMIT, 0, parts, len ? 2 : 1);
    if (!vq_wait(&dev, TRANSMIT, PATIENCE, &id, NULL))
        check("sockets.sent", false);
}

static bool answer_is(uint64_t from, uint16_t op)
{
    return packet_receive(PATIENCE) && received->op == op && received->from == from && received->to == self &&
           received->from_port == PORT && received->to_port == OUR_PORT;
}

static uint8_t stream_byte(uint32_t at)
{
    return (uint8_t)((at * 2654435761u) >> 13);
}

/* -- the one that listens ----------------------------------------------------------------------------------------- */

static uint32_t stream_take(uint32_t at)
{
    uint32_t wrong = 0;

    for (uint32_t i = 0; i < received->len; i++)
        wrong += received->data[i] != stream_byte(at + i);
    return wrong;
}

static void listen(void)
{
    uint32_t taken = 0, wrong = 0;

    check("sockets.request", packet_receive(PATIENCE) && received->op == REQUEST);
    sleep_us(50000); /* the other side sends at once, and has to wait */
    packet_send(self, peer, RESPONSE, 0, 0);
    while (packet_receive(PATIENCE) && received->op == RW) {
        wrong += stream_take(taken);
        taken += received->len;
        packet_send(self, peer, CREDIT_UPDATE, 0, taken);
    }
    expect("sockets.end", received ? received->op : 0, SHUTDOWN);
    expect("sockets.taken", taken, PACKETS * PACKET);
    expect("sockets.wrong", wrong, 0);
    put_le32(((struct packet *)SEND_AT)->data, taken);
    packet_send(self, peer, RW, 4, taken);
    packet_send(self, peer, RST, 0, taken);
}

/* -- the one that sends ------------------------------------------------------------------------------------------- */

/* It may not be there yet. */
static bool connect(void)
{
    for (uint32_t i = 0; i < 1000; i++) {
        packet_send(self, peer, REQUEST, 0, 0);
        if (!packet_receive(PATIENCE))
            return false;
        if (received->op == RESPONSE)
            return true;
        sleep_us(10000);
    }
    return false;
}

static void stream_send(void)
{
    uint32_t sent = 0, forwarded = 0;
    struct packet *p = (struct packet *)SEND_AT;

    for (uint32_t n = 0; n < PACKETS; n++) {
        while (sent + PACKET - forwarded > CREDIT && packet_receive(PATIENCE) &&
               received->op == CREDIT_UPDATE)
            forwarded = received->forwarded;
        for (uint32_t i = 0; i < PACKET; i++)
            p->data[i] = stream_byte(sent + i);
        packet_send(self, peer, RW, PACKET, 0);
        sent += PACKET;
    }
    packet_send(self, peer, SHUTDOWN, 0, 0);
    while (packet_receive(PATIENCE) && received->op == CREDIT_UPDATE)
        ;
    expect("sockets.answer", received ? received->op : 0, RW);
    expect("sockets.sum", received ? get_le32(received->data) : 0, sent);
    check("sockets.over", answer_is(peer, RST));
}

static void talk(void)
{
    packet_send(self, NOBODY, REQUEST, 0, 0);
    check("sockets.nobody", answer_is(NOBODY, RST));
    packet_send(self, NOBODY, RST, 0, 0);     /* isn't answered */
    packet_send(NOBODY, peer, REQUEST, 0, 0); /* nor is what goes in another's name */
    packet_send(self, peer, 77, 0, 0);
    check("sockets.no-such-operation", answer_is(peer, RST));
    check("sockets.connected", connect());
    stream_send();
    packet_send(self, 2, REQUEST, 0, 0);
    check("sockets.no-host", answer_is(2, RST));
}

void sockets_run(uint32_t other)
{
    check("sockets.found", vdev_find(&dev, DEVICE_ID, 0, ARENA));
    check("sockets.up", vdev_up(&dev, VIRTIO_VERSION_1));
    self = mmio_read(dev.config);
    peer = other;
    print("sockets self=%u peer=%u", (uint32_t)self, other);
    for (uint32_t i = 0; i < BUFFERS; i++)
        buffer_give(i);
    if (self < peer)
        listen();
    else
        talk();
}
