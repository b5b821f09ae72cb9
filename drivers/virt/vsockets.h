/*
 * Where the sockets of VMs meet (virtio 1.2, 5.10): packets go from one VM to the other by a buffer of the receiver's that is the
 * hypervisor's. Nothing is lost: a packet that finds no room waits with its sender, who is told when there is some. A sender can
 * also give a receiver up that takes nothing; then their streams are reset, at both ends. The ends of a VM's streams are told when
 * it goes.
 */
#pragma once

#include "core/lib/lock.h"
#include "drivers/virt/vstreams.h"

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
    uint32_t last;   /* where the last packet is, from head */
    uint32_t offset; /* of the first packet's data, what was taken already */
    /* Ports, a bit each: those that wait for room here; those that look whether something is taken; and those that have given up. */
    uint64_t waiting, watching, gave_up;
    uint64_t sent, received, refused;
    struct vstreams streams;
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

enum vsockets_result {
    VSOCKETS_BUSY, /* the sender has no room for the answer; wake will be called */
    VSOCKETS_FULL, /* the receiver has no room now; wake will be called */
    VSOCKETS_REFUSED,
    VSOCKETS_SENT,
};

/* Sends a packet and its data, packet->len bytes. What nobody takes is answered with a reset. */
enum vsockets_result vsockets_send(struct vsockets_port *port, const struct vsockets_packet *packet,
                                   const uint8_t *data);
/* Begins to look whether that receiver takes anything. */
void vsockets_watch(struct vsockets_port *port, uint64_t cid);
/* If it has taken nothing since: what is sent to it is refused until it does, and ends the packet's stream. */
void vsockets_give_up(struct vsockets_port *port, uint64_t cid);
/* There is something to take; only the port's own side takes it away. */
static inline bool vsockets_waits(const struct vsockets_port *port)
{
    return __atomic_load_n(&port->used, __ATOMIC_ACQUIRE) != 0 ||
           __atomic_load_n(&port->streams.ended, __ATOMIC_ACQUIRE) != 0;
}
/*
 * Takes the next packet with at most `max` bytes of its data; packet->len says how many, and what is left of them is the next
 * packet. False: there is none.
 */
bool vsockets_receive(struct vsockets_port *port, struct vsockets_packet *packet, uint8_t *data,
                      uint32_t max);
