/*
 * Where the sockets of VMs meet (virtio 1.2, 5.10): packets go from one VM to the other by a buffer of the receiver's that is the
 * hypervisor's. Nothing is lost: a sender whose packet finds no room waits, and is told when there is some.
 */
#pragma once

#include "core/lib/lock.h"
#include "core/lib/types.h"

#define VSOCKETS_PORTS  64
#define VSOCKETS_HEADER 44   /* 5.10.6 */
#define VSOCKETS_DATA   4096 /* of a packet on its way, at most */
#define VSOCKETS_STREAM 1    /* the type of packets */

enum vsockets_op {
    VSOCKETS_REQUEST = 1,
    VSOCKETS_RESPONSE,
    VSOCKETS_RST,
    VSOCKETS_SHUTDOWN,
    VSOCKETS_RW,
    VSOCKETS_CREDIT_UPDATE,
    VSOCKETS_CREDIT_REQUEST,
};

struct vsockets_packet {
    uint64_t from, to;
    uint32_t from_port, to_port, len;
    uint16_t type, op;
    uint32_t flags, buffer, forwarded;
};

struct vsockets;

/* A VM's place. The fields from head on are guarded by the lock of the whole. */
struct vsockets_port {
    struct vsockets *net;
    uint32_t number;
    uint64_t cid;
    uint8_t *buffer;
    uint32_t buffer_bytes;
    void (*wake)(void *ctx); /* something arrived, or there is room again; from any core */
    void *ctx;
    bool open; /* its driver runs; what is sent to it before is refused */
    uint32_t head, used;
    uint32_t offset;  /* of the first packet's data, what was taken already */
    uint64_t waiting; /* ports that wait for room here, a bit each */
    uint64_t sent, received, refused;
};

struct vsockets {
    struct lock lock; /* the locks of timer queues are taken under it */
    struct vsockets_port *ports[VSOCKETS_PORTS];
};

/* False: no place, or somebody has that number already. */
bool vsockets_attach(struct vsockets *net, struct vsockets_port *port);
void vsockets_detach(struct vsockets_port *port);
/* Its driver runs. */
void vsockets_open(struct vsockets_port *port);
/* Its driver has gone: forgets what has arrived. */
void vsockets_flush(struct vsockets_port *port);

void vsockets_read_header(const uint8_t *bytes, struct vsockets_packet *packet);
void vsockets_write_header(uint8_t *bytes, const struct vsockets_packet *packet);

/*
 * Sends a packet and its data, packet->len bytes. What nobody takes is answered with a reset. False: there is no room now; wake
 * will be called.
 */
bool vsockets_send(struct vsockets_port *port, const struct vsockets_packet *packet, const uint8_t *data);
/*
 * Takes the next packet with at most `max` bytes of its data; packet->len says how many, and what is left of them is the next
 * packet. False: there is none.
 */
bool vsockets_receive(struct vsockets_port *port, struct vsockets_packet *packet, uint8_t *data,
                      uint32_t max);
